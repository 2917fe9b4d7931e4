"""The syntax tree of a query; `Span` is a range of characters in its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; `boolean` keeps true apart from 1, which are equal to Python."""

    value: Any
    boolean: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """A property of the document; no steps mean the document itself."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Logical:
    """AND or OR of two or more operands; flat, because generated queries chain thousands."""

    operator: Literal["AND", "OR"]
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class In:
    operand: Expression
    choices: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """COUNT, SUM, MIN, MAX or AVG over the rows of a group."""

    name: str
    argument: Expression
    argument_span: Span


@dataclass(frozen=True, slots=True)
class ArrayOf:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    members: tuple[tuple[str, Expression], ...]


Expression = (
    Constant
    | Parameter
    | Path
    | Unary
    | Binary
    | Logical
    | In
    | Call
    | Aggregate
    | ArrayOf
    | ObjectOf
)


@dataclass(frozen=True, slots=True)
class SelectItem:
    name: str
    expression: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class OrderItem:
    path: Path
    descending: bool
    span: Span


Count = Constant | Parameter


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT. `kind` says how a row is shaped; "star" and "value" rows have one item."""

    text: str
    kind: Literal["star", "value", "object"]
    items: tuple[SelectItem, ...]
    projection_span: Span
    distinct: bool
    top: Count | None
    alias: str
    from_span: Span
    where: Expression | None
    where_span: Span | None
    group_by: tuple[Expression, ...]
    order_by: tuple[OrderItem, ...]
    offset: Count | None
    limit: Count | None

    def slice(self, span: Span) -> str:
        return self.text[span[0] : span[1]]
