"""Compiles expressions to Python closures; one evaluator serves queries and patch conditions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devhost.cosmos.errors import bad_request
from devhost.cosmos.functions import FUNCTIONS
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
    Parameter,
    Path,
    Unary,
)
from devhost.cosmos.values import UNDEFINED, equal, is_number, less
from devhost.cosmos.wire_json import number


@dataclass(slots=True)
class Row:
    """What an expression is evaluated on; `aggregates` holds a finished group's results."""

    document: Any
    parameters: dict[str, Any]
    aggregates: dict[Aggregate, Any] | None = None


Evaluate = Callable[[Row], Any]


def is_true(evaluate: Evaluate | None, row: Row) -> bool:
    """Whether a condition holds: only true does; undefined, null and 1 do not."""
    return evaluate is None or evaluate(row) is True


def compile_expression(node: Expression) -> Evaluate:
    """The closure that computes the node for a row."""
    return _COMPILE[type(node)](node)


def _all(nodes: tuple[Expression, ...]) -> list[Evaluate]:
    return [compile_expression(node) for node in nodes]


def _constant(node: Constant) -> Evaluate:
    value = node.value
    return lambda row: value


def _parameter(node: Parameter) -> Evaluate:
    name = node.name
    return lambda row: row.parameters[name]


def _aggregate(node: Aggregate) -> Evaluate:
    return lambda row: (row.aggregates or {})[node]


def _path(node: Path) -> Evaluate:
    steps = node.steps
    if len(steps) == 1 and isinstance(steps[0], str):
        name = steps[0]
        return lambda row: row.document.get(name, UNDEFINED)

    def walk(row: Row) -> Any:
        value = row.document
        for step in steps:
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    return UNDEFINED
            elif not isinstance(value, list) or step >= len(value):
                return UNDEFINED
            value = value[step]
        return value

    return walk


def _unary(node: Unary) -> Evaluate:
    symbol, operand = node.operator, compile_expression(node.operand)

    def negation(row: Row) -> Any:
        value = operand(row)
        return not value if isinstance(value, bool) else UNDEFINED

    def sign(row: Row) -> Any:
        value = operand(row)
        if not is_number(value):
            return UNDEFINED
        return -value if symbol == "-" else value

    return negation if symbol == "NOT" else sign


def _binary(node: Binary) -> Evaluate:
    symbol = node.operator
    left, right = compile_expression(node.left), compile_expression(node.right)
    if symbol in _COMPARE:
        compare = _COMPARE[symbol]
        return lambda row: compare(left(row), right(row))
    if symbol == "||":
        return lambda row: _concatenated(left(row), right(row))
    calculate = _ARITHMETIC[symbol]

    def arithmetic(row: Row) -> Any:
        first, second = left(row), right(row)
        if not (is_number(first) and is_number(second)):
            return UNDEFINED
        try:
            return number(calculate(first, second))
        except (ZeroDivisionError, OverflowError):
            return UNDEFINED  # the result is no finite double

    return arithmetic


def _concatenated(left: Any, right: Any) -> Any:
    return left + right if isinstance(left, str) and isinstance(right, str) else UNDEFINED


def _not(value: Any) -> Any:
    return not value if isinstance(value, bool) else value


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": equal,
    "!=": lambda left, right: _not(equal(left, right)),
    "<": less,
    ">": lambda left, right: less(right, left),
    "<=": lambda left, right: _not(less(right, left)),
    ">=": lambda left, right: _not(less(left, right)),
}
_ARITHMETIC: dict[str, Callable[[Any, Any], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,  # the sign of the dividend, as in JavaScript
}


def _logical(node: Logical) -> Evaluate:
    """AND, OR over true, false and undefined; anything else counts as undefined."""
    conjunction, operands = node.operator == "AND", _all(node.operands)
    decisive = not conjunction

    def combine(row: Row) -> Any:
        result: Any = conjunction
        for operand in operands:
            value = operand(row)
            if value is decisive:
                return decisive
            if value is not conjunction:
                result = UNDEFINED
        return result

    return combine


def _in(node: In) -> Evaluate:
    operand, choices = compile_expression(node.operand), _all(node.choices)

    def contains(row: Row) -> Any:
        value = operand(row)
        if value is UNDEFINED:
            return UNDEFINED
        return any(equal(value, choice(row)) is True for choice in choices)

    return contains


def _call(node: Call) -> Evaluate:
    apply, arguments = FUNCTIONS[node.name][2], _all(node.arguments)
    return lambda row: apply([argument(row) for argument in arguments])


def _array(node: ArrayOf) -> Evaluate:
    items = _all(node.items)

    def build(row: Row) -> list[Any]:
        return [value for item in items if (value := item(row)) is not UNDEFINED]

    return build


def _object(node: ObjectOf) -> Evaluate:
    members = [(name, compile_expression(value)) for name, value in node.members]

    def build(row: Row) -> dict[str, Any]:
        return {name: value for name, member in members if (value := member(row)) is not UNDEFINED}

    return build


_COMPILE: dict[type, Callable[[Any], Evaluate]] = {
    Constant: _constant,
    Parameter: _parameter,
    Path: _path,
    Unary: _unary,
    Binary: _binary,
    Logical: _logical,
    In: _in,
    Call: _call,
    Aggregate: _aggregate,
    ArrayOf: _array,
    ObjectOf: _object,
}


def check_parameters(wanted: set[str], given: dict[str, Any]) -> None:
    """Refuses a query whose text names a parameter that was not supplied."""
    missing = sorted(wanted - given.keys())
    if missing:
        raise bad_request(f"One of the input values is invalid: parameter {missing[0]} is missing.")


def whole_number(node: Count | None, parameters: dict[str, Any]) -> int | None:
    """The number after TOP, OFFSET or LIMIT; None when the clause is absent."""
    if node is None:
        return None
    value = parameters.get(node.name) if isinstance(node, Parameter) else node.value
    if type(value) is not int or value < 0:
        raise bad_request("TOP, OFFSET and LIMIT need a non-negative integer.")
    return value
