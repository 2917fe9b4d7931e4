"""The indexing policy of a container, as far as it decides whether ORDER BY can be served."""

from __future__ import annotations

from typing import Any

from devhost.cosmos.errors import bad_request, not_emulated
from devhost.cosmos.syntax import OrderItem, Query

DEFAULT_POLICY: dict[str, Any] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}
ALWAYS_INDEXED = ("id", "_ts")  # system properties that every policy indexes


def check_policy(policy: dict[str, Any]) -> None:
    """Refuses index kinds that are not emulated."""
    if str(policy.get("indexingMode", "consistent")).lower() != "consistent":
        raise not_emulated("an indexing mode other than consistent")
    for kind in ("spatialIndexes", "vectorIndexes", "fullTextIndexes"):
        if policy.get(kind):
            raise not_emulated(f"the indexing policy's {kind}")


def check_order_by(query: Query, policy: dict[str, Any]) -> None:
    """Refuses an ORDER BY that the service could not serve from the container's indexes."""
    for item in query.order_by:
        if not _is_included(item.path.steps, policy):
            raise bad_request(
                "The order-by item requested requires a range index to be defined on the "
                f"corresponding index path {_path_text(item)}."
            )
    if len(query.order_by) > 1 and not any(
        _serves(index, query.order_by) for index in policy.get("compositeIndexes", [])
    ):
        raise bad_request(
            "The order by query does not have a corresponding composite index that it can be "
            "served from."
        )


def _path_text(item: OrderItem) -> str:
    return "/" + "/".join(str(step) for step in item.path.steps)


def _serves(index: list[dict[str, Any]], order_by: tuple[OrderItem, ...]) -> bool:
    """A composite index serves its own order and the exact reverse."""
    if len(index) != len(order_by):
        return False
    flips = set()
    for part, item in zip(index, order_by, strict=True):
        if _normal(str(part["path"])) != _path_text(item):
            return False
        flips.add((part.get("order", "ascending").lower() == "descending") != item.descending)
    return len(flips) == 1


def _normal(path: str) -> str:
    return path.replace('"', "")


def _is_included(steps: tuple[str | int, ...], policy: dict[str, Any]) -> bool:
    """The longest matching path decides; an exact path wins over a wildcard."""
    if steps[0] in ALWAYS_INDEXED:
        return True
    scores = {
        included: max(
            (_match_length(entry["path"], steps) for entry in policy.get(name, [])), default=-1
        )
        for included, name in ((True, "includedPaths"), (False, "excludedPaths"))
    }
    return scores[True] > scores[False]


def _match_length(pattern: str, steps: tuple[str | int, ...]) -> int:
    """How specifically a policy path covers the property; -1 when it does not."""
    *parts, last = [part for part in _normal(pattern).split("/") if part]
    names = [str(step) if isinstance(step, str) else "[]" for step in steps]
    if names[: len(parts)] != parts:
        return -1
    if last == "?":
        return 2 * len(parts) + 1 if len(names) == len(parts) else -1
    return 2 * len(parts) if last == "*" else -1
