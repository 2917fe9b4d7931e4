"""Query plans: how an SDK is told to run a query over all partitions.

The plan rewrites the query so that each partition returns partial results, and says how the
client merges them. A client asks for it after the gateway refused the query with 400/1004.
"""

from __future__ import annotations

from typing import Any

from devhost.cosmos.errors import bad_request, not_emulated
from devhost.cosmos.evaluator import whole_number
from devhost.cosmos.query_parser import aggregates_in, parse_query
from devhost.cosmos.syntax import Aggregate, Count, Parameter, Query
from devhost.cosmos.wire_json import encode

AGGREGATE_NAMES = {
    "COUNT": "Count",
    "SUM": "Sum",
    "MIN": "Min",
    "MAX": "Max",
    "AVG": "Average",
}
FULL_RANGE = {"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}


def needs_plan(query: Query) -> bool:
    """Whether partial results of several partitions would have to be merged."""
    return bool(
        query.order_by
        or query.group_by
        or query.distinct
        or query.top is not None
        or query.offset is not None
        or any(aggregates_in(item.expression) for item in query.items)
    )


def query_plan(text: str, parameters: dict[str, Any], supported: str) -> dict[str, Any]:
    """The plan of a query for a client with the comma-separated `supported` features."""
    query = parse_query(text)
    _check_features(query, {feature.strip() for feature in supported.split(",")})
    aggregates = [node for item in query.items for node in aggregates_in(item.expression)]
    offset, limit = whole_number(query.offset, parameters), whole_number(query.limit, parameters)
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": {
            "distinctType": "None" if not query.distinct else _distinct_type(query),
            "top": whole_number(query.top, parameters),
            "offset": offset,
            "limit": limit,
            "orderBy": ["Descending" if it.descending else "Ascending" for it in query.order_by],
            "orderByExpressions": [query.slice(item.span) for item in query.order_by],
            "groupByExpressions": [],
            "groupByAliases": [],
            "aggregates": [AGGREGATE_NAMES[node.name] for node in aggregates],
            "groupByAliasToAggregateType": {},
            "rewrittenQuery": _rewritten(query, aggregates, offset, limit),
            "hasSelectValue": query.kind == "value",
            "dCountInfo": None,
            "hasNonStreamingOrderBy": False,
        },
        "queryRanges": [FULL_RANGE],
    }


def _check_features(query: Query, supported: set[str]) -> None:
    needed = {
        "GroupBy": bool(query.group_by),
        "OrderBy": len(query.order_by) == 1,
        "MultipleOrderBy": len(query.order_by) > 1,
        "Distinct": query.distinct,
        "Top": query.top is not None,
        "OffsetAndLimit": query.offset is not None,
        "Aggregate": any(aggregates_in(item.expression) for item in query.items),
    }
    missing = [feature for feature, wanted in needed.items() if wanted and feature not in supported]
    if missing:
        raise bad_request(
            "Query contains the following features, which the calling client does not support: "
            + ", ".join(missing)
        )


def _distinct_type(query: Query) -> str:
    """Ordered when equal results are neighbours, because ORDER BY covers what is selected."""
    selected = {item.expression for item in query.items}
    return "Ordered" if selected and selected <= {it.path for it in query.order_by} else "Unordered"


def _rewritten(
    query: Query, aggregates: list[Aggregate], offset: int | None, limit: int | None
) -> str:
    """The text each partition runs; empty when it is the query itself."""
    tail = query.slice(query.from_span)
    if query.where_span is not None:
        tail += f" WHERE ({query.slice(query.where_span)})"
    if aggregates:
        return _rewritten_aggregate(query, tail)
    # After ORDER BY it is the client that removes duplicates: the partition must not cut before.
    cut_early = not (query.distinct and query.order_by)
    cut = f" OFFSET 0 LIMIT {(offset or 0) + (limit or 0)}" if offset is not None else ""
    if query.order_by:
        return _rewritten_order(query, tail, cut if cut_early else "", top=cut_early)
    if query.offset is not None:
        distinct = "DISTINCT " if query.distinct else ""
        return f"SELECT {distinct}{query.slice(query.projection_span)} {tail}{cut}"
    return ""


def _rewritten_order(query: Query, tail: str, cut: str, *, top: bool) -> str:
    keys = ", ".join(f'{{"item": {query.slice(item.span)}}}' for item in query.order_by)
    order = ", ".join(
        query.slice(item.span) + (" DESC" if item.descending else " ASC") for item in query.order_by
    )
    first = f"TOP {_text(query.top)} " if top and query.top is not None else ""
    return (
        f"SELECT {first}{query.alias}._rid, [{keys}] AS orderByItems, "
        f"{_payload(query)} AS payload {tail} ORDER BY {order}{cut}"
    )


def _rewritten_aggregate(query: Query, tail: str) -> str:
    if query.kind != "value":
        return ""  # the client refuses such a query itself
    node = query.items[0].expression
    if not isinstance(node, Aggregate):
        raise not_emulated("an expression over an aggregate in a cross-partition query")
    argument = query.slice(node.argument_span)
    partial = f"{node.name}({argument})"
    if node.name == "AVG":
        partial = f'{{"sum": SUM({argument}), "count": COUNT({argument})}}'
    return f'SELECT VALUE [{{"item": {partial}}}] {tail}'


def _text(node: Count) -> str:
    return node.name if isinstance(node, Parameter) else str(node.value)


def _payload(query: Query) -> str:
    if query.kind == "star":
        return query.alias
    if query.kind == "value":
        return query.slice(query.items[0].span)
    members = (f"{encode(item.name)}: {query.slice(item.span)}" for item in query.items)
    return "{" + ", ".join(members) + "}"
