"""Parses SELECT queries, and the FROM ... WHERE ... form of patch conditions."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from devhost.cosmos.errors import bad_request, not_emulated
from devhost.cosmos.expression_parser import ExpressionParser, is_free_name
from devhost.cosmos.lexer import syntax_error, tokenize
from devhost.cosmos.syntax import (
    Aggregate,
    ArrayOf,
    Binary,
    Call,
    Constant,
    Count,
    Expression,
    In,
    Logical,
    ObjectOf,
    OrderItem,
    Parameter,
    Path,
    Query,
    SelectItem,
    Span,
    Unary,
)

PARSED_MAX = 2048  # distinct query texts whose parse is kept


def children(node: Expression) -> tuple[Expression, ...]:
    """The direct operands of a node."""
    match node:
        case Unary(operand=only) | Aggregate(argument=only):
            return (only,)
        case Logical(operands=several) | Call(arguments=several) | ArrayOf(items=several):
            return several
        case Binary(left=left, right=right):
            return (left, right)
        case In(operand=operand, choices=choices):
            return (operand, *choices)
        case ObjectOf(members=members):
            return tuple(value for _, value in members)
        case _:
            return ()


def aggregates_in(node: Expression) -> list[Aggregate]:
    if isinstance(node, Aggregate):
        return [node]
    return [found for child in children(node) for found in aggregates_in(child)]


def parameters_in(node: Expression) -> set[str]:
    if isinstance(node, Parameter):
        return {node.name}
    return {name for child in children(node) for name in parameters_in(child)}


def _alias_of(text: str) -> str:
    """The name FROM gives the document; found first, because SELECT comes before FROM."""
    tokens = tokenize(text)
    depth = 0
    for at, token in enumerate(tokens):
        if token.kind == "symbol" and token.text in "([{":
            depth += 1
        elif token.kind == "symbol" and token.text in ")]}":
            depth -= 1
        elif depth == 0 and token.keyword == "FROM":
            source, after, renamed = (*tokens[at + 1 :], tokens[-1], tokens[-1], tokens[-1])[:3]
            if after.keyword == "AS":
                return renamed.text
            if is_free_name(after):
                return after.text
            return source.text
    raise not_emulated("a query without FROM")


class QueryParser(ExpressionParser):
    """Parses one whole query."""

    def __init__(self, text: str) -> None:
        super().__init__(text, _alias_of(text))

    def query(self) -> Query:
        self.expect_keyword("SELECT")
        distinct = self.take_keyword("DISTINCT")
        top = self._count() if self.take_keyword("TOP") else None
        start = self.token.start
        kind, items = self._projection()
        projection_span = (start, self.tokens[self.at - 1].end)
        from_span = self.source()
        where, where_span = self.condition()
        group_by = self._group_by()
        order_by = self._order_by()
        offset = limit = None
        if self.take_keyword("OFFSET"):
            offset = self._count()
            self.expect_keyword("LIMIT")
            limit = self._count()
        if self.token.kind != "end":
            raise self.unexpected()
        query = Query(
            self.text, kind, items, projection_span, distinct, top, self.alias, from_span, where,
            where_span, group_by, order_by, offset, limit,
        )  # fmt: skip
        _check(query)
        return query

    def _count(self) -> Count:
        """The number after TOP, OFFSET or LIMIT: a whole number or a parameter."""
        if self.token.kind == "parameter":
            return Parameter(self.advance().text)
        if self.token.kind != "number" or not self.token.text.isdigit():
            raise self.unexpected()
        return Constant(int(self.advance().text))

    def _projection(self) -> tuple[Literal["star", "value", "object"], tuple[SelectItem, ...]]:
        self.aggregates_allowed = True
        try:
            if self.take_symbol("*"):
                return "star", (SelectItem("", Path(()), (0, 0)),)
            if self.take_keyword("VALUE"):
                start = self.token.start
                expression = self.expression()
                return "value", (SelectItem("", expression, (start, self.tokens[self.at - 1].end)),)
            return "object", self._select_list()
        finally:
            self.aggregates_allowed = False

    def _select_list(self) -> tuple[SelectItem, ...]:
        items: list[SelectItem] = []
        unnamed = 0
        while True:
            start = self.token.start
            expression = self.expression()
            span: Span = (start, self.tokens[self.at - 1].end)
            if self.take_keyword("AS") or self.at_free_name():
                name = self._alias()
            elif isinstance(expression, Path) and not expression.steps:
                name = self.alias
            elif isinstance(expression, Path) and isinstance(expression.steps[-1], str):
                name = expression.steps[-1]
            else:
                unnamed += 1
                name = f"${unnamed}"
            items.append(SelectItem(name, expression, span))
            if not self.take_symbol(","):
                return tuple(items)

    def _alias(self) -> str:
        return self.advance().text if self.token.kind == "string" else self.name()

    def source(self) -> Span:
        """FROM c | FROM root c | FROM anything [AS] c."""
        start = self.token.start
        self.expect_keyword("FROM")
        self.name()
        if self.token.kind == "symbol" and self.token.text in (".", "["):
            raise not_emulated("FROM over a property of the document")
        if self.take_keyword("AS") or self.at_free_name():
            self.name()
        if self.token.keyword in ("IN", "JOIN"):
            raise not_emulated(f"FROM ... {self.token.keyword}")
        return (start, self.tokens[self.at - 1].end)

    def condition(self) -> tuple[Expression | None, Span | None]:
        if not self.take_keyword("WHERE"):
            return None, None
        start = self.token.start
        expression = self.expression()
        return expression, (start, self.tokens[self.at - 1].end)

    def _group_by(self) -> tuple[Expression, ...]:
        if not self.take_keyword("GROUP", "BY"):
            return ()
        keys = [self.expression()]
        while self.take_symbol(","):
            keys.append(self.expression())
        return tuple(keys)

    def _order_by(self) -> tuple[OrderItem, ...]:
        if not self.take_keyword("ORDER", "BY"):
            return ()
        items: list[OrderItem] = []
        while True:
            start = self.token.start
            expression = self.expression()
            span = (start, self.tokens[self.at - 1].end)
            if not isinstance(expression, Path) or not expression.steps:
                raise bad_request(
                    "Unsupported ORDER BY clause. ORDER BY item expression could not be mapped "
                    "to a document path."
                )
            descending = self.take_keyword("DESC")
            if not descending:
                self.take_keyword("ASC")
            items.append(OrderItem(expression, descending, span))
            if not self.take_symbol(","):
                return tuple(items)


def _check(query: Query) -> None:
    """Refuses what parses but has no meaning to the service."""
    names = [item.name for item in query.items]
    if query.kind == "object" and len(set(names)) != len(names):
        raise bad_request("A property name is used more than once in the select clause.")
    if query.top is not None and query.offset is not None:
        raise bad_request("TOP cannot be used together with OFFSET LIMIT.")
    grouped = bool(query.group_by)
    has_aggregate = any(aggregates_in(item.expression) for item in query.items)
    if not grouped and not has_aggregate:
        return
    if query.order_by:
        raise bad_request("ORDER BY is not supported with GROUP BY or aggregates.")
    if query.kind == "star" or not all(
        _is_grouped(item.expression, query.group_by) for item in query.items
    ):
        raise bad_request(
            "Property reference is invalid in the select list because it is not contained in "
            "either an aggregate function or the GROUP BY clause."
        )


def _is_grouped(node: Expression, keys: tuple[Expression, ...]) -> bool:
    if node in keys or isinstance(node, Aggregate):
        return True
    if isinstance(node, Path):
        return False
    return all(_is_grouped(child, keys) for child in children(node))


@lru_cache(maxsize=PARSED_MAX)
def parse_query(text: str) -> Query:
    """Parses a SELECT; raises 400 for bad syntax and 501 for what is not emulated."""
    return QueryParser(text).query()


@lru_cache(maxsize=PARSED_MAX)
def parse_condition(text: str) -> Expression | None:
    """Parses `FROM c WHERE <condition>`, the form of patch conditions; None means always."""
    if not tokenize(text)[0].keyword == "FROM":
        raise syntax_error(text[:20], 0, len(text))
    parser = QueryParser(text)
    parser.source()
    condition, _ = parser.condition()
    if parser.token.kind != "end":
        raise parser.unexpected()
    if condition is not None and parameters_in(condition):
        raise bad_request("A patch condition cannot have parameters.")
    return condition
