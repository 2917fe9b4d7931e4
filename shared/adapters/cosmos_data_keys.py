"""Wrapped data keys in a container of their own, so that a right on it can be given or not."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import BatchRefused, CosmosConnection, answered, commit, read_or_none
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.data_keys import (
    DataKey,
    WrappedKey,
    data_key_document,
    data_key_id,
    data_key_state,
    keys_partition,
    read_data_key,
)
from shared.domain.document_versions import upgrade
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.predicates import equal
from shared.domain.sealed_fields import Subject
from shared.errors import InvariantBroken, Unavailable

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

KEYS_CONTAINER = "keys"
_CONFLICT, _PRECONDITION_FAILED = 409, 412


class CosmosDataKeys:
    """Implements the DataKeys port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(KEYS_CONTAINER)

    async def find(
        self, tenant_id: str, subjects: Collection[Subject]
    ) -> Mapping[Subject, DataKey]:
        ids = [data_key_id(subject) for subject in subjects]
        if len(ids) == 1:
            document = await read_or_none(
                await self._container(), ids[0], keys_partition(tenant_id).key
            )
            found = [document] if document else []
        else:
            found = await self._query(tenant_id, "ARRAY_CONTAINS(@ids, c.id)", {"@ids": ids})
        keys = [read_data_key(document) for document in found]
        return {key.subject: key for key in keys}

    async def create(self, key: DataKey, event: AuditEvent) -> DataKey:
        first = key.revision == 0
        change = Create(data_key_document(key)) if first else _replacement(key)
        if await self._committed(key, change, event):
            return key
        standing = (await self.find(key.subject.tenant_id, [key.subject])).get(key.subject)
        if standing is None or standing.wrapped is None:
            raise Unavailable("A data key that stands could not be read back yet.")
        return standing

    async def rewrap(self, key: DataKey, wrapped: WrappedKey, event: AuditEvent) -> bool:
        after = key.rewrapped(wrapped)
        return await self._committed(after, _replacement(after), event)

    async def destroy(self, key: DataKey, event: AuditEvent) -> bool:
        after = key.destroyed()
        return await self._committed(after, _replacement(after), event)

    async def wrapped_otherwise(self, kek: str, after: str, limit: int) -> Sequence[DataKey]:
        condition = (
            "c.type = 'data_key' AND c.status = 'active' AND c.kek != @kek"
            f" AND c.user_key > @after ORDER BY c.user_key OFFSET 0 LIMIT {int(limit)}"
        )
        found = await self._query(None, condition, {"@kek": kek, "@after": after})
        return [read_data_key(document) for document in found]

    async def _committed(self, key: DataKey, change: Operation, event: AuditEvent) -> bool:
        partition = keys_partition(key.subject.tenant_id)
        noted = Create(outbox_document(partition, event))
        try:
            await commit(await self._container(), partition.key, [change, noted])
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A data key was refused in an unforeseen way.") from None
            return False
        return True

    async def _query(
        self, tenant_id: str | None, condition: str, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Of one tenant's keys, or of everybody's."""
        sent = [{"name": name, "value": value} for name, value in parameters.items()]
        within: dict[str, Any] = (
            {"partition_key": keys_partition(tenant_id).key} if tenant_id else {}
        )

        async def read_all() -> list[dict[str, Any]]:
            found = (await self._container()).query_items(
                "SELECT * FROM c WHERE " + condition,  # noqa: S608  # nosec B608  # our constants
                parameters=sent,
                **within,
            )
            return [upgrade(dict(document)) async for document in found]

        return await answered(read_all)


def _replacement(key: DataKey) -> Patch:
    """The next state of a key, on the condition that the one before it stands."""
    state = data_key_state(key)
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": value} for name, value in state.items()
    )
    return Patch(key.document_id, steps, equal({"revision": key.revision - 1}))
