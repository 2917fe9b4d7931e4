"""Account, databases, containers and partition key ranges."""

from __future__ import annotations

from typing import Any

from devhost.cosmos.catalog import Container
from devhost.cosmos.errors import ServiceError, item_not_found, not_emulated
from devhost.cosmos.exchange import Call, Reply, feed_body
from devhost.cosmos.wire_json import encode

RANGE_ETAG = '"1"'  # there is one partition key range and it never splits


def account(call: Call) -> Reply:
    endpoint = f"http://{call.headers.get('host', '127.0.0.1')}/"
    location = [{"name": "Local", "databaseAccountEndpoint": endpoint}]
    body = {
        "_self": "",
        "id": "localhost",
        "_rid": "localhost",
        "media": "//media/",
        "addresses": "//addresses/",
        "_dbs": "//dbs/",
        "writableLocations": location,
        "readableLocations": location,
        "enableMultipleWriteLocations": False,
        "userReplicationPolicy": {"minReplicaSetSize": 1, "maxReplicasetSize": 4},
        "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
        "systemReplicationPolicy": {"minReplicaSetSize": 1, "maxReplicasetSize": 4},
        "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
        "queryEngineConfiguration": "{}",
    }
    return Reply.json("read_account", body)


def databases(call: Call) -> Reply:
    catalog = call.store.catalog
    if call.method == "GET":
        items = [encode(body) for body in catalog.databases()]
        return Reply("list_databases", body=feed_body("", "Databases", items))
    _refuse_query(call)
    return Reply.json("create_database", catalog.create_database(call.json_object()), 201)


def database(call: Call) -> Reply:
    catalog, name = call.store.catalog, call.segments[1]
    if call.method == "GET":
        return Reply.json("read_database", catalog.database(name))
    catalog.delete_database(name)
    return Reply("delete_database", 204)


def containers(call: Call) -> Reply:
    catalog, owner = call.store.catalog, call.segments[1]
    if call.method == "GET":
        items = [encode(each.body) for each in catalog.containers(owner)]
        return Reply("list_containers", body=feed_body("", "DocumentCollections", items))
    _refuse_query(call)
    return _described("create_container", catalog.create_container(owner, call.json_object()), 201)


def container(call: Call) -> Reply:
    catalog = call.store.catalog
    owner, name = call.segments[1], call.segments[3]
    try:
        found = catalog.container(owner, name)
    except ServiceError:
        raise item_not_found() from None  # it is the resource asked for, not its owner
    if call.method == "GET":
        return _described("read_container", found)
    if call.method == "PUT":
        body = call.json_object()
        return _described("replace_container", catalog.replace_container(owner, name, body))
    catalog.delete_container(owner, name)
    return Reply("delete_container", 204)


def _described(operation: str, found: Container, status: int = 200) -> Reply:
    reply = Reply.json(operation, found.body, status)
    reply.headers["etag"] = found.body["_etag"]
    return reply


def partition_key_ranges(call: Call) -> Reply:
    found = call.container()
    if call.headers.get("if-none-match") == RANGE_ETAG:
        return Reply("read_ranges", 304, headers={"etag": RANGE_ETAG})
    the_range: dict[str, Any] = {
        "_rid": found.rid,
        "id": "0",
        "_etag": RANGE_ETAG,
        "minInclusive": "",
        "maxExclusive": "FF",
        "ridPrefix": 0,
        "_self": f"{found.self_link}pkranges/0/",
        "throughputFraction": 1,
        "status": "online",
        "parents": [],
        "_ts": found.body["_ts"],
    }
    body = feed_body(found.rid, "PartitionKeyRanges", [encode(the_range)])
    return Reply("read_ranges", body=body, headers={"etag": RANGE_ETAG})


def _refuse_query(call: Call) -> None:
    if call.flag("x-ms-documentdb-isquery"):
        raise not_emulated("queries over databases or containers (list them instead)")
