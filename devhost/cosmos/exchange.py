"""A request as the routes see it, and their answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devhost.cosmos.catalog import Container
from devhost.cosmos.errors import bad_request, not_emulated
from devhost.cosmos.operations import Conditions
from devhost.cosmos.partition_keys import key_from_header
from devhost.cosmos.store import Scope, Store
from devhost.cosmos.wire_json import decode, encode

PAGE_ITEMS_DEFAULT = 100  # what the service returns when the client does not say
PAGE_ITEMS_MAX = 1000  # for a client that says -1: as many as fit
UNSUPPORTED_HEADERS = {
    "x-ms-documentdb-pre-trigger-include": "triggers",
    "x-ms-documentdb-post-trigger-include": "triggers",
    "x-ms-indexing-directive": "indexing directives",
    "x-ms-documentdb-populatequerymetrics": "query metrics",
    "x-ms-cosmos-populateindexmetrics": "index metrics",
    "x-ms-cosmos-populatequeryadvice": "query advice",
    "x-ms-dedicatedgateway-max-age": "the dedicated gateway's cache",
    "x-ms-documentdb-populatepartitionstatistics": "partition statistics",
    "x-ms-documentdb-populatequotainfo": "quota information",
    "x-ms-cosmos-priority-level": "priority-based execution",
    "x-ms-cosmos-throughput-bucket": "throughput buckets",
}


@dataclass(frozen=True)
class Call:
    """One request; `segments` is its decoded path, `headers` ignores case."""

    method: str
    segments: list[str]
    headers: Mapping[str, str]
    body: bytes
    store: Store

    def flag(self, name: str) -> bool:
        return self.headers.get(name, "").lower() == "true"

    def container(self) -> Container:
        return self.store.catalog.container(self.segments[1], self.segments[3])

    def partition_key(self) -> str:
        header = self.headers.get("x-ms-documentdb-partitionkey")
        if header is None:
            raise bad_request("PartitionKey value must be supplied for this operation.")
        return key_from_header(header)

    def conditions(self) -> Conditions:
        return Conditions(self.headers.get("if-match"), self.headers.get("if-none-match"))

    def json_object(self) -> dict[str, Any]:
        document = decode(self.body)
        if not isinstance(document, dict):
            raise bad_request("The request payload must be a JSON object.")
        return document

    def wants_minimal(self) -> bool:
        return self.headers.get("prefer", "").lower() == "return=minimal"

    def scope(self) -> Scope:
        """What the partition key and key range headers limit a feed or query to."""
        range_id = self.headers.get("x-ms-documentdb-partitionkeyrangeid")
        if range_id is not None and range_id.split(",")[-1] != "0":
            raise bad_request(f"The partition key range {range_id} does not exist.")
        header = self.headers.get("x-ms-documentdb-partitionkey")
        return Scope(
            key_from_header(header) if header is not None else None,
            self.headers.get("x-ms-start-epk"),
            self.headers.get("x-ms-end-epk"),
        )

    def page_items(self) -> int:
        text = self.headers.get("x-ms-max-item-count", str(PAGE_ITEMS_DEFAULT))
        try:
            wanted = int(text)
        except ValueError:
            wanted = 0
        if wanted == -1:
            return PAGE_ITEMS_MAX
        if wanted < 1:
            raise bad_request(f"The max item count '{text}' is invalid.")
        return wanted


@dataclass
class Reply:
    """An answer; `operation` names it in the statistics, `container` gives the session token."""

    operation: str
    status: int = 200
    body: str = ""
    charge: float = 1.0
    headers: dict[str, str] = field(default_factory=dict)
    container: Container | None = None

    @classmethod
    def json(cls, operation: str, value: Any, status: int = 200) -> Reply:
        return cls(operation, status, encode(value))


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuses what a client asks for by header and the emulator does not do."""
    for name, what in UNSUPPORTED_HEADERS.items():
        if headers.get(name, "").lower() not in ("", "false"):
            raise not_emulated(what)
    level = headers.get("x-ms-consistency-level")
    if level in ("Strong", "BoundedStaleness"):
        raise bad_request(
            f"ConsistencyLevel {level} specified in the request is invalid when service is "
            "configured with consistency level Session."
        )


def feed_body(rid: str, name: str, items: list[str]) -> str:
    """The envelope of a list of resources, from their JSON texts."""
    return f'{{"_rid":{encode(rid)},"{name}":[{",".join(items)}],"_count":{len(items)}}}'
