"""Partial document update: the operations of a patch and its condition."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from devhost.cosmos.errors import ServiceError, bad_request
from devhost.cosmos.evaluator import Evaluate, compile_expression
from devhost.cosmos.query_parser import parse_condition
from devhost.cosmos.store import SYSTEM_PROPERTIES
from devhost.cosmos.values import is_number
from devhost.cosmos.wire_json import number

OPERATIONS_MAX = 10  # service limit for one patch
CONDITIONS_MAX = 4096  # distinct condition texts whose closures are kept
Steps = tuple[str, ...]


@lru_cache(maxsize=CONDITIONS_MAX)
def compile_condition(text: str) -> Evaluate | None:
    """The closure of a `FROM c WHERE ...` condition; raises 400 or 501."""
    expression = parse_condition(text)
    return None if expression is None else compile_expression(expression)


def apply_patch(document: dict[str, Any], operations: Any, fixed: Steps) -> None:
    """Applies the operations in place; `fixed` is the partition key path. Raises 400."""
    if not isinstance(operations, list) or not operations:
        raise bad_request("A patch needs at least one operation.")
    if len(operations) > OPERATIONS_MAX:
        raise bad_request(f"The number of patch operations can't exceed '{OPERATIONS_MAX}'.")
    for operation in operations:
        if not isinstance(operation, dict) or operation.get("op") not in _APPLY:
            raise bad_request(f"Patch operation {operation!r} is not supported.")
        steps = _target(operation.get("path"), fixed)
        _APPLY[operation["op"]](document, steps, operation, fixed)


def _target(path: Any, fixed: Steps) -> Steps:
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        raise bad_request(f"Patch path {path!r} is invalid: it must start with '/'.")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/"))
    if steps[0] in SYSTEM_PROPERTIES or steps == ("id",):
        raise bad_request(f"Cannot update the system property '{path}' with a patch.")
    shared = min(len(steps), len(fixed))
    if steps[:shared] == fixed[:shared]:
        raise bad_request(f"Cannot update the partition key property '{path}' with a patch.")
    return steps


def _missing(verb: str, steps: Steps) -> ServiceError:
    return bad_request(f"For {verb} Operation, the path does not exist: '/{'/'.join(steps)}'.")


def _parent(document: dict[str, Any], steps: Steps) -> Any:
    """The object or array that holds the last step; paths are never created recursively."""
    holder: Any = document
    for at, step in enumerate(steps[:-1]):
        if isinstance(holder, dict) and step in holder:
            holder = holder[step]
        elif isinstance(holder, list) and (index := _index(step)) < len(holder):
            holder = holder[index]
        else:
            raise bad_request(
                "The operation can only create a child of an existing object or array and cannot "
                f"create a path recursively, no path found beyond: '{'/'.join(steps[:at])}'."
            )
    if not isinstance(holder, dict | list):
        raise bad_request(f"The parent of '/{'/'.join(steps)}' is neither an object nor an array.")
    return holder


def _index(step: str) -> int:
    if not step.isascii() or not step.isdigit():
        raise bad_request(f"'{step}' is no array index.")
    return int(step)


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise bad_request(f"The patch operation '{operation['op']}' needs a value.")
    return operation["value"]


def _put(holder: Any, steps: Steps, value: Any, *, insert: bool) -> None:
    """Adds or sets a member; `insert` makes room in an array instead of replacing."""
    last = steps[-1]
    if isinstance(holder, dict):
        holder[last] = value
        return
    index = len(holder) if last == "-" else _index(last)
    if index > len(holder):
        raise bad_request(f"The array index {index} is out of bounds.")
    if index == len(holder) or insert:
        holder.insert(index, value)
    else:
        holder[index] = value


def _take(document: dict[str, Any], steps: Steps, verb: str) -> Any:
    """Removes and returns an existing member."""
    holder = _parent(document, steps)
    if isinstance(holder, dict):
        if steps[-1] not in holder:
            raise _missing(verb, steps)
        return holder.pop(steps[-1])
    index = _index(steps[-1])
    if index >= len(holder):
        raise _missing(verb, steps)
    return holder.pop(index)


def _add(document: dict[str, Any], steps: Steps, operation: dict[str, Any], _: Steps) -> None:
    _put(_parent(document, steps), steps, _value(operation), insert=True)


def _set(document: dict[str, Any], steps: Steps, operation: dict[str, Any], _: Steps) -> None:
    _put(_parent(document, steps), steps, _value(operation), insert=False)


def _replace(document: dict[str, Any], steps: Steps, operation: dict[str, Any], _: Steps) -> None:
    holder = _parent(document, steps)
    if isinstance(holder, dict):
        if steps[-1] not in holder:
            raise _missing("Replace", steps)
    elif _index(steps[-1]) >= len(holder):
        raise _missing("Replace", steps)
    _put(holder, steps, _value(operation), insert=False)


def _remove(document: dict[str, Any], steps: Steps, _operation: dict[str, Any], _: Steps) -> None:
    _take(document, steps, "Remove")


def _increment(document: dict[str, Any], steps: Steps, operation: dict[str, Any], _: Steps) -> None:
    amount = _value(operation)
    if not is_number(amount):
        raise bad_request("The value of an 'incr' operation must be a number.")
    holder = _parent(document, steps)
    if isinstance(holder, dict):
        current = holder.get(steps[-1], 0)
    else:
        index = _index(steps[-1])
        if index >= len(holder):
            raise _missing("Increment", steps)
        current = holder[index]
    if not is_number(current):
        raise bad_request(f"Cannot increment '/{'/'.join(steps)}': it is not a number.")
    try:
        _put(holder, steps, number(current + amount), insert=False)
    except OverflowError:
        raise bad_request("The result of the increment is not a finite number.") from None


def _move(document: dict[str, Any], steps: Steps, operation: dict[str, Any], fixed: Steps) -> None:
    source = _target(operation.get("from"), fixed)
    if steps[: len(source)] == source and steps != source:
        raise bad_request("The target of a move cannot lie inside its source.")
    value = _take(document, source, "Move")
    _put(_parent(document, steps), steps, value, insert=True)


_APPLY: dict[str, Callable[[dict[str, Any], Steps, dict[str, Any], Steps], None]] = {
    "add": _add,
    "set": _set,
    "replace": _replace,
    "remove": _remove,
    "incr": _increment,
    "move": _move,
}
