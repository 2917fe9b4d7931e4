"""Parses the expressions of a query by recursive descent; one method per precedence level."""

from __future__ import annotations

from collections.abc import Callable

from devhost.cosmos.errors import ServiceError, bad_request, not_emulated
from devhost.cosmos.functions import FUNCTIONS, SERVICE_ONLY_FUNCTIONS
from devhost.cosmos.lexer import Token, syntax_error, tokenize
from devhost.cosmos.syntax import (
    Aggregate,
    ArrayOf,
    Binary,
    Call,
    Constant,
    Expression,
    In,
    Logical,
    ObjectOf,
    Parameter,
    Path,
    Unary,
)
from devhost.cosmos.wire_json import number

NESTING_MAX = 40  # parentheses and calls; keeps the recursion far from Python's limit
OPERATORS_MAX = 200  # arithmetic operators in one query; a chain of them nests to the left
AGGREGATES = frozenset({"COUNT", "SUM", "MIN", "MAX", "AVG"})
CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}
COMPARISONS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
# From the grammar of the query language; such a property is reached as c["order"], not c.order.
RESERVED = frozenset(
    """
    AND ARRAY AS ASC BETWEEN BY CASE DESC DISTINCT ESCAPE EXISTS FALSE FROM GROUP IN JOIN LIKE
    LIMIT NOT NULL OFFSET OR ORDER SELECT TOP TRUE UDF UNDEFINED VALUE WHERE
    """.split()  # noqa: SIM905 - a table of words
)


def is_free_name(token: Token) -> bool:
    return token.kind == "name" and token.keyword not in RESERVED


class ExpressionParser:
    """A cursor over the tokens of one query; `alias` is the name that FROM gives the document."""

    def __init__(self, text: str, alias: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.alias = alias
        self.aggregates_allowed = False
        self._nesting = 0
        self._operators = 0

    # --- tokens ---

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def advance(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def unexpected(self) -> ServiceError:
        token = self.token
        return syntax_error(self.text[token.start : token.end], token.start, token.end)

    def take_keyword(self, *words: str) -> bool:
        """Consumes the words when all of them follow; otherwise nothing."""
        ahead = self.tokens[self.at : self.at + len(words)]
        if tuple(token.keyword for token in ahead) != words:
            return False
        self.at += len(words)
        return True

    def take_symbol(self, symbol: str) -> bool:
        if self.token.kind != "symbol" or self.token.text != symbol:
            return False
        self.at += 1
        return True

    def expect_symbol(self, symbol: str) -> None:
        if not self.take_symbol(symbol):
            raise self.unexpected()

    def expect_keyword(self, *words: str) -> None:
        if not self.take_keyword(*words):
            raise self.unexpected()

    def name(self) -> str:
        if not self.at_free_name():
            raise self.unexpected()
        return self.advance().text

    def at_free_name(self) -> bool:
        return is_free_name(self.token)

    # --- precedence levels, loosest first ---

    def expression(self) -> Expression:
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise bad_request(f"The query is nested deeper than {NESTING_MAX} levels.")
        operands = [self._conjunction()]
        while self.take_keyword("OR"):
            operands.append(self._conjunction())
        if self.token.kind == "symbol" and self.token.text in ("?", "??"):
            raise not_emulated(f"the operator {self.token.text}")
        self._nesting -= 1
        return Logical("OR", tuple(operands)) if len(operands) > 1 else operands[0]

    def _conjunction(self) -> Expression:
        operands = [self._negation()]
        while self.take_keyword("AND"):
            operands.append(self._negation())
        return Logical("AND", tuple(operands)) if len(operands) > 1 else operands[0]

    def _negation(self) -> Expression:
        negations = 0
        while self.take_keyword("NOT"):
            negations += 1
            if negations > NESTING_MAX:
                raise self.unexpected()
        operand = self._comparison()
        for _ in range(negations):
            operand = Unary("NOT", operand)
        return operand

    def _comparison(self) -> Expression:
        left = self._sum()
        if self.token.kind == "symbol" and self.token.text in COMPARISONS:
            operator = self.advance().text
            return Binary("!=" if operator == "<>" else operator, left, self._sum())
        negated = self.take_keyword("NOT")
        if self.take_keyword("IN"):
            found: Expression = In(left, self._choices())
        elif self.take_keyword("BETWEEN"):
            found = self._between(left)
        elif self.token.keyword == "LIKE":
            raise not_emulated("the operator LIKE")
        elif negated:
            raise self.unexpected()
        else:
            return left
        return Unary("NOT", found) if negated else found

    def _choices(self) -> tuple[Expression, ...]:
        self.expect_symbol("(")
        if self.token.keyword == "SELECT":
            raise not_emulated("subqueries")
        choices = self._list_until(")")
        if not choices:
            raise self.unexpected()
        return choices

    def _between(self, operand: Expression) -> Expression:
        low = self._sum()
        self.expect_keyword("AND")
        high = self._sum()
        return Logical("AND", (Binary(">=", operand, low), Binary("<=", operand, high)))

    def _sum(self) -> Expression:
        left = self._chain(("+", "-", "||"), self._product)
        if self.token.kind == "symbol" and self.token.text in ("|", "&", "^", "<<", ">>", ">>>"):
            raise not_emulated(f"the bitwise operator {self.token.text}")
        return left

    def _product(self) -> Expression:
        return self._chain(("*", "/", "%"), self._unary)

    def _chain(self, symbols: tuple[str, ...], operand: Callable[[], Expression]) -> Expression:
        """Operands joined by operators of one precedence, from left to right."""
        left = operand()
        while self.token.kind == "symbol" and self.token.text in symbols:
            self._operators += 1
            if self._operators > OPERATORS_MAX:
                raise bad_request(f"The query has more than {OPERATORS_MAX} operators.")
            left = Binary(self.advance().text, left, operand())
        return left

    def _unary(self) -> Expression:
        signs: list[str] = []
        while self.token.kind == "symbol" and self.token.text in ("-", "+", "~"):
            if self.token.text == "~":
                raise not_emulated("the bitwise operator ~")
            signs.append(self.advance().text)
            if len(signs) > NESTING_MAX:
                raise self.unexpected()
        operand = self._primary()
        for sign in reversed(signs):
            operand = Unary(sign, operand)
        return operand

    # --- leaves ---

    def _primary(self) -> Expression:
        token = self.token
        if token.kind == "number":
            return Constant(self._number_value())
        if token.kind == "string":
            return Constant(self.advance().text)
        if token.kind == "parameter":
            return Parameter(self.advance().text)
        if token.kind == "name":
            return self._named()
        if self.take_symbol("("):
            if self.token.keyword == "SELECT":
                raise not_emulated("subqueries")
            inner = self.expression()
            self.expect_symbol(")")
            return inner
        if self.take_symbol("["):
            return ArrayOf(self._list_until("]"))
        if self.take_symbol("{"):
            return self._object()
        raise self.unexpected()

    def _number_value(self) -> int | float:
        token = self.advance()
        if self.token.kind == "name" and self.token.start == token.end:
            raise self.unexpected()  # 12abc is no number
        try:
            return number(float(token.text))
        except OverflowError:
            raise syntax_error(token.text, token.start, token.end) from None

    def _named(self) -> Expression:
        token = self.token
        following = self.tokens[self.at + 1]
        if token.keyword in CONSTANTS:
            self.advance()
            value = CONSTANTS[token.keyword]
            return Constant(value, boolean=isinstance(value, bool))
        if token.keyword in ("EXISTS", "ARRAY", "UDF", "CASE"):
            raise not_emulated(f"{token.keyword} expressions")
        if token.keyword == "UNDEFINED":
            self.advance()
            return Call("UNDEFINED", ())
        if following.kind == "symbol" and following.text == "(":
            return self._call()
        if token.text != self.alias:
            self.name()  # a reserved word here is a syntax error
            raise bad_request(f"Identifier '{token.text}' could not be resolved.")
        self.advance()
        return Path(self._steps())

    def _steps(self) -> tuple[str | int, ...]:
        steps: list[str | int] = []
        while True:
            if self.take_symbol("."):
                steps.append(self._property())
            elif self.take_symbol("["):
                steps.append(self._subscript())
                self.expect_symbol("]")
            else:
                return tuple(steps)

    def _property(self) -> str:
        token = self.token
        if token.keyword in RESERVED:
            raise bad_request(
                f"Syntax error, incorrect syntax near '{token.text}': a reserved word, write it "
                f'as ["{token.text}"].'
            )
        return self.name()

    def _subscript(self) -> str | int:
        if self.token.kind == "string":
            return self.advance().text
        if self.token.kind == "number" and self.token.text.isdigit():
            return int(self.advance().text)
        if self.token.kind in ("parameter", "name"):
            raise not_emulated("a computed property name in [...]")
        raise self.unexpected()

    def _call(self) -> Expression:
        token = self.advance()
        name = token.keyword
        self.expect_symbol("(")
        start = self.token.start
        if name in AGGREGATES:
            return self._aggregate(name, start)
        arguments = self._list_until(")")
        if name not in FUNCTIONS:
            if name in SERVICE_ONLY_FUNCTIONS or name.startswith(("ST_", "DATETIME", "VECTOR")):
                raise not_emulated(f"the function {name}")
            raise bad_request(f"'{token.text}' is not a recognized built-in function name.")
        fewest, most, _ = FUNCTIONS[name]
        if not fewest <= len(arguments) <= most:
            raise bad_request(f"The {name} function has a wrong number of arguments.")
        return Call(name, arguments)

    def _aggregate(self, name: str, start: int) -> Expression:
        if not self.aggregates_allowed:
            raise bad_request(f"Aggregate function {name} is not allowed here.")
        self.aggregates_allowed = False  # no aggregate inside an aggregate
        argument = self.expression()
        self.aggregates_allowed = True
        end = self.token.start
        self.expect_symbol(")")
        return Aggregate(name, argument, (start, end))

    def _list_until(self, closing: str) -> tuple[Expression, ...]:
        items: list[Expression] = []
        if self.take_symbol(closing):
            return ()
        while True:
            items.append(self.expression())
            if self.take_symbol(closing):
                return tuple(items)
            self.expect_symbol(",")

    def _object(self) -> Expression:
        members: list[tuple[str, Expression]] = []
        if self.take_symbol("}"):
            return ObjectOf(())
        while True:
            name = self.advance().text if self.token.kind == "string" else self.name()
            self.expect_symbol(":")
            members.append((name, self.expression()))
            if self.take_symbol("}"):
                return ObjectOf(tuple(members))
            self.expect_symbol(",")
