"""Databases and containers: their definitions, kept in SQLite and in memory."""

from __future__ import annotations

import base64
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devhost.cosmos.errors import (
    already_exists,
    bad_request,
    item_not_found,
    not_emulated,
    owner_not_found,
)
from devhost.cosmos.indexing import DEFAULT_POLICY, check_policy
from devhost.cosmos.wire_json import decode_stored, encode

RESOURCE_ID_CHARS_MAX = 255  # service limit for the name of a database or container
CONTAINER_MARK = 0x80000000  # tells the id of a container from that of a user
FORBIDDEN_IN_IDS = "/\\#?"
_CONTAINER_FIELDS = frozenset(
    """
    id partitionKey indexingPolicy defaultTtl conflictResolutionPolicy geospatialConfig
    uniqueKeyPolicy _rid _self _etag _ts _docs _sprocs _triggers _udfs _conflicts
    """.split()  # noqa: SIM905 - a table of words
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS databases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS containers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, database INTEGER NOT NULL, id TEXT NOT NULL,
    body TEXT NOT NULL, lsn INTEGER NOT NULL DEFAULT 0, UNIQUE (database, id));
"""


@dataclass
class Container:
    """A container; `lsn` is the number of its last committed transaction."""

    number: int
    rid: str
    self_link: str
    path: str
    body: dict[str, Any]
    lsn: int
    purged_at_s: float = 0.0

    def __post_init__(self) -> None:
        self.key_path = tuple(self.body["partitionKey"]["paths"][0][1:].split("/"))
        self.default_ttl_s: int | None = self.body.get("defaultTtl")
        self._rid_bytes = base64.b64decode(self.rid, altchars=b"+-")

    def item_rid(self, sequence: int) -> str:
        return rid_text(self._rid_bytes + sequence.to_bytes(8, "big"))

    @property
    def indexing_policy(self) -> dict[str, Any]:
        policy: dict[str, Any] = self.body["indexingPolicy"]
        return policy


def check_resource_id(resource_id: Any) -> str:
    if not isinstance(resource_id, str) or not resource_id:
        raise bad_request("The input name '' is invalid. Ensure to provide a unique non-empty id.")
    if any(mark in resource_id for mark in FORBIDDEN_IN_IDS):
        raise bad_request("The input name is invalid: '/', '\\\\', '#' and '?' are not allowed.")
    if len(resource_id) > RESOURCE_ID_CHARS_MAX:
        raise bad_request(f"The input name is longer than {RESOURCE_ID_CHARS_MAX} characters.")
    return resource_id


def rid_text(raw: bytes) -> str:
    """A resource id in the service's form: base64 of the ids of all levels, '/' as '-'."""
    return base64.b64encode(raw, altchars=b"+-").decode()


class Catalog:
    """All databases and containers; the owner of the table names of containers."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        connection.executescript(SCHEMA)
        self._databases: dict[str, tuple[int, dict[str, Any]]] = {}
        self._containers: dict[tuple[str, str], Container] = {}
        names: dict[int, str] = {}
        for number, name, body in connection.execute("SELECT number, id, body FROM databases"):
            self._databases[name] = (number, decode_stored(body))
            names[number] = name
        for number, owner, name, body, lsn in connection.execute(
            "SELECT number, database, id, body, lsn FROM containers"
        ):
            self._remember(names[owner], number, name, decode_stored(body), lsn)

    # --- databases ---

    def databases(self) -> list[dict[str, Any]]:
        return [body for _, body in self._databases.values()]

    def database(self, name: str) -> dict[str, Any]:
        if name not in self._databases:
            raise item_not_found()
        return self._databases[name][1]

    def create_database(self, body: dict[str, Any]) -> dict[str, Any]:
        name = check_resource_id(body.get("id"))
        if name in self._databases:
            raise already_exists()
        cursor = self._connection.execute(
            "INSERT INTO databases (id, body) VALUES (?, '')", (name,)
        )
        number = cursor.lastrowid or 0
        rid = rid_text(number.to_bytes(4, "big"))
        stored = {"id": name, "_rid": rid, "_self": f"dbs/{rid}/", **self._stamp()}
        stored |= {"_colls": "colls/", "_users": "users/"}
        self._connection.execute(
            "UPDATE databases SET body = ? WHERE number = ?", (encode(stored), number)
        )
        self._databases[name] = (number, stored)
        return stored

    def delete_database(self, name: str) -> None:
        self.database(name)
        for container in self.containers(name):
            self.delete_container(name, container.body["id"])
        number, _ = self._databases.pop(name)
        self._connection.execute("DELETE FROM databases WHERE number = ?", (number,))

    # --- containers ---

    def containers(self, database: str) -> list[Container]:
        if database not in self._databases:
            raise owner_not_found(f"dbs/{database}")
        return [each for (owner, _), each in self._containers.items() if owner == database]

    def container(self, database: str, name: str) -> Container:
        found = self._containers.get((database, name))
        if found is None:
            raise owner_not_found(f"dbs/{database}/colls/{name}")
        return found

    def create_container(self, database: str, body: dict[str, Any]) -> Container:
        name = check_resource_id(body.get("id"))
        if database not in self._databases:
            raise owner_not_found(f"dbs/{database}")
        definition = _checked_definition(body)
        if (database, name) in self._containers:
            raise already_exists()
        owner, owner_body = self._databases[database]
        cursor = self._connection.execute(
            "INSERT INTO containers (database, id, body) VALUES (?, ?, '')", (owner, name)
        )
        number = cursor.lastrowid or 0
        rid = rid_text(owner.to_bytes(4, "big") + (CONTAINER_MARK | number).to_bytes(4, "big"))
        stored = {**definition, "_rid": rid, "_self": f"{owner_body['_self']}colls/{rid}/"}
        stored |= self._stamp() | {
            "_docs": "docs/",
            "_sprocs": "sprocs/",
            "_triggers": "triggers/",
            "_udfs": "udfs/",
            "_conflicts": "conflicts/",
        }
        self._save(number, stored)
        self._connection.executescript(_items_schema(number))
        return self._remember(database, number, name, stored, 0)

    def replace_container(self, database: str, name: str, body: dict[str, Any]) -> Container:
        old = self.container(database, name)
        definition = _checked_definition(body)
        for fixed in ("id", "partitionKey"):
            if definition[fixed] != old.body[fixed]:
                raise bad_request(f"The container's {fixed} cannot be changed.")
        kept = {key: value for key, value in old.body.items() if key.startswith("_")}
        stored = {**definition, **kept, **self._stamp()}
        self._save(old.number, stored)
        return self._remember(database, old.number, name, stored, old.lsn)

    def delete_container(self, database: str, name: str) -> None:
        container = self.container(database, name)
        self._connection.execute("DELETE FROM containers WHERE number = ?", (container.number,))
        self._connection.execute(f"DROP TABLE items_{container.number}")
        del self._containers[database, name]

    def _save(self, number: int, body: dict[str, Any]) -> None:
        self._connection.execute(
            "UPDATE containers SET body = ? WHERE number = ?", (encode(body), number)
        )

    def _remember(
        self, database: str, number: int, name: str, body: dict[str, Any], lsn: int
    ) -> Container:
        path = f"dbs/{database}/colls/{name}"
        container = Container(number, body["_rid"], body["_self"], path, body, lsn)
        self._containers[database, name] = container
        return container

    def _stamp(self) -> dict[str, Any]:
        return {"_etag": f'"{uuid.uuid4()}"', "_ts": int(self._clock())}


def _items_schema(number: int) -> str:
    """The items of one container. `seq` is the storage order, `lsn` the order of change."""
    return f"""
    CREATE TABLE items_{number} (
        seq INTEGER PRIMARY KEY, pk TEXT NOT NULL, id TEXT NOT NULL, epk TEXT NOT NULL,
        lsn INTEGER NOT NULL, ts INTEGER NOT NULL, ttl INTEGER, etag TEXT NOT NULL,
        body TEXT NOT NULL, UNIQUE (pk, id));
    CREATE INDEX items_{number}_pk ON items_{number} (pk, seq);
    CREATE INDEX items_{number}_lsn ON items_{number} (lsn);
    """


def _checked_definition(body: dict[str, Any]) -> dict[str, Any]:
    """The definition with its defaults; raises 400 or 501."""
    unknown = sorted(key for key, value in body.items() if key not in _CONTAINER_FIELDS and value)
    if unknown:
        raise not_emulated(f"the container property {unknown[0]}")
    if (body.get("uniqueKeyPolicy") or {}).get("uniqueKeys"):
        raise not_emulated("unique keys")
    if (body.get("conflictResolutionPolicy") or {}).get("mode", "LastWriterWins") != (
        "LastWriterWins"
    ):
        raise not_emulated("a conflict resolution mode other than LastWriterWins")
    policy = body.get("indexingPolicy") or DEFAULT_POLICY
    check_policy(policy)
    definition = {
        "id": body["id"],
        "indexingPolicy": policy,
        "partitionKey": _checked_partition_key(body.get("partitionKey")),
        "conflictResolutionPolicy": body.get("conflictResolutionPolicy")
        or {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts"},
        "geospatialConfig": body.get("geospatialConfig") or {"type": "Geography"},
    }
    ttl_s = body.get("defaultTtl")
    if ttl_s is not None:
        if type(ttl_s) is not int or (ttl_s < 1 and ttl_s != -1):
            raise bad_request("The defaultTtl must be a positive integer or -1.")
        definition["defaultTtl"] = ttl_s
    return definition


def _checked_partition_key(key: Any) -> dict[str, Any]:
    if not isinstance(key, dict) or not key.get("paths"):
        raise bad_request("A container needs a partition key definition.")
    if len(key["paths"]) > 1 or key.get("kind", "Hash") != "Hash":
        raise not_emulated("hierarchical partition keys")
    if key.get("version", 1) != 2:
        raise not_emulated("partition key version 1")
    path = key["paths"][0]
    if not isinstance(path, str) or not path.startswith("/") or len(path) < 2:
        raise bad_request(f"The partition key component definition path '{path}' is invalid.")
    return {"paths": [path], "kind": "Hash", "version": 2}
