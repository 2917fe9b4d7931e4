"""Queries over the documents of a container, and their plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from devhost.cosmos import charges
from devhost.cosmos.continuation import fingerprint, seal, unseal
from devhost.cosmos.errors import CROSS_PARTITION_QUERY_NOT_SERVABLE, bad_request
from devhost.cosmos.exchange import Call, Reply, feed_body
from devhost.cosmos.indexing import check_order_by
from devhost.cosmos.pushdown import filters_of
from devhost.cosmos.query_execution import CompiledQuery, Execution, compile_query
from devhost.cosmos.query_plan import needs_plan, query_plan
from devhost.cosmos.store import Scope


def query(call: Call) -> Reply:
    text, parameters = _query_of(call.json_object())
    container = call.container()
    if call.flag("x-ms-cosmos-is-query-plan-request"):
        supported = call.headers.get("x-ms-cosmos-supported-query-features", "")
        return Reply.json("query_plan", query_plan(text, parameters, supported))
    compiled, scope = compile_query(text), call.scope()
    check_order_by(compiled.query, container.indexing_policy)
    _check_scope(call, compiled, scope)
    owner = fingerprint(container.rid, text, parameters, scope.pk, scope.epk_min, scope.epk_max)
    filters = filters_of(compiled.query.where, parameters, container.key_path)
    narrowed = replace(scope, filters=filters)
    token = call.headers.get("x-ms-continuation")
    page = Execution(
        compiled,
        parameters,
        lambda after: call.store.rows(container, narrowed, after),
        call.page_items(),
    ).run(unseal(owner, token) if token else None)
    reply = Reply("query", container=container)
    reply.charge = charges.query(page.scanned_bytes, page.returned_bytes)
    reply.body = feed_body(container.rid, "Documents", page.items)
    reply.headers["x-ms-item-count"] = str(len(page.items))
    if page.position is not None:
        reply.headers["x-ms-continuation"] = seal(owner, page.position)
    return reply


def _query_of(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The text and the parameters of a query request."""
    text = body.get("query")
    given = body.get("parameters") or []
    if not isinstance(text, str) or not isinstance(given, list):
        raise bad_request("A query request needs a 'query' text and a list of 'parameters'.")
    parameters: dict[str, Any] = {}
    for each in given:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise bad_request("A query parameter needs a 'name' and a 'value'.")
        if "value" in each:
            parameters[each["name"]] = each["value"]
    return text, parameters


def _check_scope(call: Call, compiled: CompiledQuery, scope: Scope) -> None:
    """A query without a partition key must ask for all partitions, and may need a plan first."""
    if scope.pk is not None or "x-ms-documentdb-partitionkeyrangeid" in call.headers:
        return
    if not call.flag("x-ms-documentdb-query-enablecrosspartition"):
        raise bad_request(
            "Cross partition query is required but disabled. Please set "
            "x-ms-documentdb-query-enablecrosspartition to true, specify "
            "x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
        )
    if needs_plan(compiled.query):
        raise bad_request(
            "The provided cross partition query can not be directly served by the gateway.",
            substatus=CROSS_PARTITION_QUERY_NOT_SERVABLE,
        )
