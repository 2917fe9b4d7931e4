"""Turns parts of a WHERE into SQL conditions, so that a scan parses fewer documents.

Only string equality, id ranges and id prefixes that every result must satisfy are used. The whole
condition is evaluated again on the rows that remain: this narrows a scan, it never decides.
"""

from __future__ import annotations

import re
from typing import Any

from devhost.cosmos.partition_keys import canonical_key
from devhost.cosmos.store import Filter
from devhost.cosmos.syntax import Binary, Call, Constant, Expression, Logical, Parameter, Path

_ID_RANGES = frozenset({"<", "<=", ">", ">="})
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def filters_of(
    where: Expression | None, parameters: dict[str, Any], key_path: tuple[str, ...]
) -> tuple[Filter, ...]:
    """The SQL conditions that follow from the condition; `key_path` is the partition key's."""
    if where is None:
        return ()
    together = isinstance(where, Logical) and where.operator == "AND"
    conjuncts = where.operands if isinstance(where, Logical) and together else (where,)
    return tuple(found for each in conjuncts for found in _filters(each, parameters, key_path))


def _filters(
    node: Expression, parameters: dict[str, Any], key_path: tuple[str, ...]
) -> list[Filter]:
    if isinstance(node, Binary) and node.operator == "=":
        for path, other in ((node.left, node.right), (node.right, node.left)):
            text = _text(other, parameters)
            if isinstance(path, Path) and text is not None:
                return _equality(path.steps, text, key_path)
    if isinstance(node, Binary) and node.operator in _ID_RANGES and node.left == Path(("id",)):
        bound = _text(node.right, parameters)
        return [] if bound is None else [(f"id {node.operator} ?", bound)]
    if isinstance(node, Call) and node.name == "STARTSWITH" and len(node.arguments) == 2:
        prefix = _text(node.arguments[1], parameters)
        if node.arguments[0] == Path(("id",)) and prefix:
            return [("id >= ?", prefix), (f"substr(id, 1, {len(prefix)}) = ?", prefix)]
    return []


def _text(node: Expression, parameters: dict[str, Any]) -> str | None:
    """The string an operand stands for, if it is one that SQLite compares as Python does."""
    value = parameters.get(node.name) if isinstance(node, Parameter) else None
    if isinstance(node, Constant):
        value = node.value
    if not isinstance(value, str) or "\0" in value or not _is_unicode(value):
        return None
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _equality(steps: tuple[str | int, ...], text: str, key_path: tuple[str, ...]) -> list[Filter]:
    if steps == ("id",):
        return [("id = ?", text)]
    if steps == key_path:
        return [("pk = ?", canonical_key(text))]
    if not all(isinstance(step, str) and _PLAIN_NAME.fullmatch(step) for step in steps):
        return []
    return [(f"json_extract(body, '$.{'.'.join(map(str, steps))}') = ?", text)]
