"""A parser for the part of Bicep that our templates use."""

from pathlib import Path
from typing import Final

from tests.bicep.tokens import BicepSyntaxError, Source, Token, tokenize
from tests.bicep.tree import (
    Array,
    Call,
    Choice,
    Condition,
    Index,
    Lambda,
    Literal,
    Loop,
    Member,
    Name,
    Node,
    Object,
    Operation,
    Statement,
    Text,
)

_BINARY: Final[tuple[tuple[str, ...], ...]] = (
    ("??",), ("||",), ("&&",), ("==", "!=", "=~", "!~"), ("<", "<=", ">", ">="),
    ("+", "-"), ("*", "/", "%"),
)  # fmt: skip
_CONSTANTS: Final = {"true": True, "false": False, "null": None}


def parse_file(path: Path) -> list[Statement]:
    """The declarations of a .bicep or .bicepparam file."""
    try:
        return Parser(tokenize(path.read_text("utf-8"))).statements()
    except BicepSyntaxError as error:
        raise BicepSyntaxError(f"{path.name}: {error}") from None


class Parser:
    """Recursive descent over the tokens of one file, or of one interpolation."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def statements(self) -> list[Statement]:
        found = []
        self._skip_lines()
        while self._here.kind != "end":
            found.append(self._statement())
            if self._here.kind not in ("newline", "end"):
                raise self._fault("the end of the line")
            self._skip_lines()
        return found

    def only_expression(self) -> Node:
        node = self._expression()
        if self._here.kind != "end":
            raise self._fault("the end of the interpolation")
        return node

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _fault(self, wanted: str) -> BicepSyntaxError:
        return BicepSyntaxError(f"line {self._here.line}: {wanted} expected: {self._here.text!r}")

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _is(self, text: str) -> bool:
        return self._here.kind in ("sign", "word") and self._here.text == text

    def _accept(self, text: str) -> bool:
        if not self._is(text):
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._fault(text)

    def _word(self) -> str:
        if self._here.kind != "word":
            raise self._fault("a name")
        return self._take().text

    def _skip_lines(self) -> None:
        while self._here.kind == "newline":
            self._at += 1

    def _constant_text(self) -> str:
        token = self._take()
        if token.kind != "string" or len(token.parts) != 1:
            raise BicepSyntaxError(f"line {token.line}: a constant string expected")
        return str(token.parts[0])

    # Declarations

    def _statement(self) -> Statement:
        decorators = self._decorators()
        line, kind = self._here.line, self._word()
        if kind == "using":
            return Statement(kind, "", line, type=self._constant_text())
        if kind in ("targetScope", "metadata"):
            name = self._word() if kind == "metadata" else kind
            self._expect("=")
            return Statement(kind, name, line, value=self._expression())
        name = self._word()
        if kind == "param":
            declared = "" if self._is("=") else self._type()
            value = self._expression() if self._accept("=") else None
            return Statement(kind, name, line, declared, value, decorators=decorators)
        if kind in ("var", "output"):
            declared = self._type() if kind == "output" else ""
            self._expect("=")
            return Statement(kind, name, line, declared, self._value(), decorators=decorators)
        if kind in ("resource", "module"):
            what, existing = self._constant_text(), self._accept("existing")
            self._expect("=")
            return Statement(kind, name, line, what, self._value(), existing, decorators)
        raise BicepSyntaxError(f"line {line}: {kind!r} starts no declaration")

    def _decorators(self) -> dict[str, tuple[Node, ...]]:
        found: dict[str, tuple[Node, ...]] = {}
        while self._accept("@"):
            call = self._expression()
            if not isinstance(call, Call):
                raise self._fault("a decorator with brackets")
            found[call.name] = call.arguments
            self._skip_lines()
        return found

    def _type(self) -> str:
        name = self._word()
        while self._accept("["):
            self._expect("]")
            name += "[]"
        return name + ("?" if self._accept("?") else "")

    def _value(self) -> Node:
        """What may follow `=` or `:`, a loop or a condition among it."""
        line = self._here.line
        if self._is("[") and self._tokens[self._at + 1].text == "for":
            return self._loop()
        if self._accept("if"):
            self._expect("(")
            condition = self._expression()
            self._expect(")")
            return Condition(line, condition, self._expression())
        return self._expression()

    def _loop(self) -> Node:
        line = self._take().line
        self._expect("for")
        index = None
        if self._accept("("):
            item = self._word()
            self._expect(",")
            index = self._word()
            self._expect(")")
        else:
            item = self._word()
        self._expect("in")
        source = self._expression()
        self._expect(":")
        body = self._value()
        self._skip_lines()
        self._expect("]")
        return Loop(line, item, index, source, body)

    # Expressions

    def _expression(self) -> Node:
        node = self._binary(0)
        if not self._is("?"):
            return node
        line = self._take().line
        yes = self._expression()
        self._expect(":")
        return Choice(line, node, yes, self._expression())

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        node = self._binary(level + 1)
        while self._here.kind == "sign" and self._here.text in _BINARY[level]:
            sign = self._take()
            node = Operation(sign.line, sign.text, (node, self._binary(level + 1)))
        return node

    def _unary(self) -> Node:
        if self._is("!") or self._is("-"):
            sign = self._take()
            return Operation(sign.line, sign.text, (self._unary(),))
        return self._access(self._primary())

    def _access(self, node: Node) -> Node:
        while True:
            line = self._here.line
            if self._is(".") or self._is(".?"):
                safe = self._take().text == ".?"
                name = self._word()
                if self._is("("):
                    node = Call(line, name, self._arguments(), on=node)
                else:
                    node = Member(line, node, name, safe)
            elif self._accept("["):
                node = Index(line, node, self._expression())
                self._expect("]")
            elif self._is("!") and self._tokens[self._at + 1].text in (".", "\n", ")", "["):
                self._take()  # "not null": says nothing at run time
            else:
                return node

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "string":
            return Text(token.line, tuple(_part(part) for part in token.parts))
        if token.kind == "int":
            return Literal(token.line, int(token.text))
        if token.kind == "word":
            return self._named(token)
        if token.text == "(":
            return self._bracketed(token.line)
        if token.text == "{":
            return self._object(token.line)
        if token.text == "[":
            return self._array(token.line)
        raise BicepSyntaxError(f"line {token.line}: a value expected: {token.text!r}")

    def _named(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(token.line, _CONSTANTS[token.text])
        if self._is("("):
            return Call(token.line, token.text, self._arguments())
        if self._accept("=>"):
            return Lambda(token.line, (token.text,), self._expression())
        return Name(token.line, token.text)

    def _bracketed(self, line: int) -> Node:
        node = self._expression()
        names = [node]
        while self._accept(","):
            names.append(self._expression())
        self._expect(")")
        if self._accept("=>"):
            words = tuple(each.name for each in names if isinstance(each, Name))
            return Lambda(line, words, self._expression())
        if len(names) > 1:
            raise self._fault("=>")
        return node

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        self._skip_lines()
        found = []
        while not self._is(")"):
            found.append(self._expression())
            self._skip_lines()
            if not self._accept(","):
                break
            self._skip_lines()
        self._expect(")")
        return tuple(found)

    def _array(self, line: int) -> Node:
        items = []
        self._skip_lines()
        while not self._accept("]"):
            items.append(self._expression())
            if not (self._accept(",") or self._here.kind == "newline" or self._is("]")):
                raise self._fault("the next item")
            self._skip_lines()
        return Array(line, tuple(items))

    def _object(self, line: int) -> Node:
        pairs: list[tuple[Node, Node]] = []
        self._skip_lines()
        while not self._accept("}"):
            token = self._take()
            if token.kind == "word":
                key: Node = Text(token.line, (token.text,))
            elif token.kind == "string":
                key = Text(token.line, tuple(_part(part) for part in token.parts))
            else:
                raise BicepSyntaxError(f"line {token.line}: a key expected: {token.text!r}")
            self._expect(":")
            pairs.append((key, self._value()))
            if not (self._accept(",") or self._here.kind == "newline" or self._is("}")):
                raise self._fault("the next property")
            self._skip_lines()
        return Object(line, tuple(pairs))


def _part(part: str | Source) -> str | Node:
    if isinstance(part, str):
        return part
    return Parser(tokenize(part.text, part.line)).only_expression()
