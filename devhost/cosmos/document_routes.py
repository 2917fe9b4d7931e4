"""Documents: point operations, batches and the two kinds of feed."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from devhost.cosmos import charges, operations
from devhost.cosmos.batch import run_batch
from devhost.cosmos.catalog import Container
from devhost.cosmos.change_feed import read_changes
from devhost.cosmos.continuation import fingerprint, seal, unseal
from devhost.cosmos.errors import bad_request, not_emulated
from devhost.cosmos.exchange import Call, Reply, feed_body
from devhost.cosmos.operations import Outcome
from devhost.cosmos.query_execution import Execution, compile_query
from devhost.cosmos.query_routes import query
from devhost.cosmos.wire_json import decode

EVERYTHING = "SELECT * FROM c"  # what a read feed answers


def documents(call: Call) -> Reply:
    """The feed of a container: POST creates, upserts, batches or queries; GET reads."""
    if call.method == "GET":
        return _changes(call) if "a-im" in call.headers else _read_feed(call)
    if call.flag("x-ms-cosmos-is-query-plan-request") or call.flag("x-ms-documentdb-isquery"):
        return query(call)
    if call.flag("x-ms-cosmos-is-batch-request"):
        return _batch(call)
    container, pk, body = call.container(), call.partition_key(), decode(call.body)
    upsert = call.flag("x-ms-documentdb-is-upsert")
    with call.store.transaction(container) as work:
        if upsert:
            outcome = operations.upsert(work, pk, body, call.conditions())
        else:
            call.conditions().check_write(None)
            outcome = operations.create(work, pk, body)
    return _answered(call, "upsert" if upsert else "create", container, outcome)


def document(call: Call) -> Reply:
    """One item: GET, PUT, PATCH, DELETE."""
    container, pk, item_id = call.container(), call.partition_key(), call.segments[5]
    on = call.conditions()
    if call.method == "GET":
        outcome = operations.read(call.store.get(container, pk, item_id), on)
        return _answered(call, "read", container, outcome)
    body = decode(call.body) if call.method != "DELETE" else None
    with call.store.transaction(container) as work:
        if call.method == "PUT":
            outcome = operations.replace(work, pk, item_id, body, on)
        elif call.method == "PATCH":
            outcome = operations.patch(work, pk, item_id, body, on)
        else:
            outcome = operations.delete(work, pk, item_id, on)
    names = {"PUT": "replace", "PATCH": "patch", "DELETE": "delete"}
    return _answered(call, names[call.method], container, outcome)


def _answered(call: Call, operation: str, container: Container, outcome: Outcome) -> Reply:
    reply = Reply(operation, outcome.status, charge=outcome.charge, container=container)
    if outcome.item is not None:
        reply.headers["etag"] = outcome.item.etag
        if outcome.status != 304 and (operation == "read" or not call.wants_minimal()):
            reply.body = outcome.item.body
    return reply


def _batch(call: Call) -> Reply:
    if not call.flag("x-ms-cosmos-batch-atomic"):
        raise not_emulated("bulk requests (batches that are not atomic)")
    if call.flag("x-ms-cosmos-batch-continue-on-error"):
        raise not_emulated("batches that continue after an error")
    container = call.container()
    answer = run_batch(
        call.store, container, call.partition_key(), call.body, minimal=call.wants_minimal()
    )
    return Reply("batch", answer.status, answer.body, answer.charge, container=container)


def _read_feed(call: Call) -> Reply:
    container, scope = call.container(), call.scope()
    owner = fingerprint(container.rid, "read feed", scope.pk, scope.epk_min, scope.epk_max)
    token = call.headers.get("x-ms-continuation")
    page = Execution(
        compile_query(EVERYTHING),
        {},
        lambda after: call.store.rows(container, scope, after),
        call.page_items(),
    ).run(unseal(owner, token) if token else None)
    reply = Reply("read_feed", charge=charges.feed(page.returned_bytes), container=container)
    reply.body = feed_body(container.rid, "Documents", page.items)
    reply.headers["x-ms-item-count"] = str(len(page.items))
    if page.position is not None:
        reply.headers["x-ms-continuation"] = seal(owner, page.position)
    return reply


def _changes(call: Call) -> Reply:
    if call.headers["a-im"].lower() != "incremental feed":
        raise not_emulated("the change feed of all versions and deletes")
    since = call.headers.get("if-modified-since")
    try:
        since_ts = int(parsedate_to_datetime(since).timestamp()) if since else 0
    except ValueError:
        raise bad_request("The If-Modified-Since header is not a valid date.") from None
    container = call.container()
    page = read_changes(
        call.store,
        container,
        call.scope(),
        etag=call.headers.get("if-none-match"),
        since_ts=since_ts,
        max_items=call.page_items(),
    )
    reply = Reply("change_feed", charge=charges.feed(page.size_bytes), container=container)
    reply.headers |= {"etag": page.etag, "x-ms-item-count": str(len(page.items))}
    if page.items:
        reply.body = feed_body(container.rid, "Documents", page.items)
    else:
        reply.status = 304
    return reply
