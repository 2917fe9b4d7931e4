"""Data-plane roles: what a key may do besides the master key, as role definitions say it in Azure.

Azure binds roles to identities; here each role has a key of its own, made from its name. Actions
and wildcards are spelt as there. Management of databases and containers is never part of a role.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from devhost.cosmos.errors import ServiceError
from devhost.cosmos.wire_json import decode

PREFIX = "Microsoft.DocumentDB/databaseAccounts/"
METADATA = f"{PREFIX}readMetadata"
CONTAINER = f"{PREFIX}sqlDatabases/containers/"
ITEMS = f"{CONTAINER}items/"
OPERATION_NOT_SUPPORTED = 5300  # sub-statuses of 403, as the SDKs name them
METADATA_NOT_AUTHORIZED = 5301
DATA_NOT_AUTHORIZED = 5302
_ON_ITEM = {"GET": "read", "PUT": "replace", "PATCH": "replace", "DELETE": "delete"}
_IN_BATCH = {"Patch": "replace"}  # as for a single patch; the others are called what they do


@dataclass(frozen=True)
class Role:
    """A role and the containers it is assigned on."""

    name: str
    containers: tuple[str, ...]
    actions: tuple[str, ...]

    def allows(self, action: str) -> bool:
        return any(fnmatchcase(action, pattern) for pattern in self.actions)


def read_roles(file: Path) -> tuple[Role, ...]:
    """The `cosmos_roles` of a resources.json."""
    return tuple(
        Role(each["name"], tuple(each["containers"]), tuple(each["actions"]))
        for each in json.loads(file.read_text("utf-8"))["cosmos_roles"]
    )


def role_key(name: str) -> str:
    """The key of a role, always the same; like the emulator's master key it protects nothing."""
    return base64.b64encode(hashlib.sha512(f"cosmos role {name}".encode()).digest()).decode()


def authorize(
    role: Role, method: str, segments: Sequence[str], headers: Mapping[str, str], body: bytes
) -> None:
    """Raises 403, in the words of the service, unless the role may do this."""
    if len(segments) < 5 or segments[4] != "docs":
        _authorize_metadata(role, method, segments)
        return
    for action in _data_actions(method, segments, headers, body):
        if segments[3] not in role.containers or not role.allows(action):
            raise _blocked(role, action, segments[:4], DATA_NOT_AUTHORIZED)


def _authorize_metadata(role: Role, method: str, segments: Sequence[str]) -> None:
    if method != "GET":
        raise _blocked(role, "management", segments, OPERATION_NOT_SUPPORTED)
    # Every client reads the account; below it, a role reaches what it is assigned on.
    in_scope = not segments or (len(segments) >= 4 and segments[3] in role.containers)
    if not in_scope or not role.allows(METADATA):
        raise _blocked(role, METADATA, segments, METADATA_NOT_AUTHORIZED)


def _data_actions(
    method: str, segments: Sequence[str], headers: Mapping[str, str], body: bytes
) -> Iterable[str]:
    if len(segments) == 6:
        return [ITEMS + _ON_ITEM[method]]
    if method == "GET":
        return [f"{CONTAINER}readChangeFeed"]
    if _flag(headers, "x-ms-cosmos-is-query-plan-request", "x-ms-documentdb-isquery"):
        return [f"{CONTAINER}executeQuery"]
    if _flag(headers, "x-ms-cosmos-is-batch-request"):
        return [ITEMS + _of_operation(each) for each in _operations(body)]
    upserts = _flag(headers, "x-ms-documentdb-is-upsert")
    return [f"{ITEMS}upsert" if upserts else f"{ITEMS}create"]


def _operations(body: bytes) -> list[Any]:
    batch = decode(body)
    return batch if isinstance(batch, list) else []


def _of_operation(operation: Any) -> str:
    kind = str(operation.get("operationType")) if isinstance(operation, dict) else ""
    return _IN_BATCH.get(kind, kind.lower())


def _flag(headers: Mapping[str, str], *names: str) -> bool:
    return any(headers.get(name, "").lower() == "true" for name in names)


def _blocked(role: Role, action: str, resource: Sequence[str], substatus: int) -> ServiceError:
    return ServiceError(
        403,
        f"Request is blocked because principal [{role.name}] does not have required RBAC"
        f" permissions to perform action [{action}] on resource [{'/'.join(resource)}].",
        substatus,
    )
