"""Retention policies, legal holds and rehydrations in Cosmos DB, beside a department's policies."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.blob_paths import UNDECIDED
from shared.domain.budget_policies import policy_partition
from shared.domain.document_versions import upgrade
from shared.domain.ids import Partition
from shared.domain.image_notices import RehydrationNotice, create_notice_operation
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.legal_holds import (
    LegalHold,
    hold_document,
    hold_document_id,
    picture_of,
    read_hold,
)
from shared.domain.predicates import equal
from shared.domain.rehydrations import (
    Rehydration,
    read_rehydration,
    rehydration_document,
    rehydration_document_id,
)
from shared.domain.retention import (
    DOCUMENT_ID,
    RetentionPolicy,
    read_retention,
    retention_document,
)
from shared.domain.revisions import revision_operation
from shared.errors import InvariantBroken
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

REMEMBERED = timedelta(seconds=60)  # a changed policy is in use everywhere after this
NO_VALUES: Mapping[str, str] = MappingProxyType({})
SWEPT_MAX = 200  # of one department in one run; the oldest come first
_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND = 409, 412, 404
_REHYDRATIONS = "c.type = 'rehydration' AND c.open = true ORDER BY c.body.asked_at"
_UNAPPLIED = "c.type = 'legal_hold' AND c.applied = false ORDER BY c.body.since"
_HOLDS = "c.type = 'legal_hold' AND c.id > @after ORDER BY c.id"

logger = logging.getLogger("eig.retention")


class CosmosPictureRecords:
    """Implements the PictureRecords port."""

    def __init__(self, connection: CosmosConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._classes: dict[str, tuple[datetime, str]] = {}

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def retention_of(self, department_id: str) -> str:
        """The class of a department's new pictures; UNDECIDED when nobody can tell. Never raises:
        who asks holds pictures that are paid for."""
        now = self._clock.now()
        known = self._classes.get(department_id)
        if known is not None and timedelta() <= now - known[0] < REMEMBERED:
            return known[1]
        try:
            found = (await self.retention(department_id)).retention
        except Exception:
            logger.warning("retention policy could not be read", exc_info=True)
            return known[1] if known else UNDECIDED
        self._classes[department_id] = (now, found)
        return found

    async def retention(self, department_id: str) -> RetentionPolicy:
        partition = policy_partition(department_id)
        document = await read_or_none(await self._container(), DOCUMENT_ID, partition.key)
        return read_retention(document) if document else RetentionPolicy(department_id)

    async def put_retention(self, policy: RetentionPolicy, event: AuditEvent) -> bool:
        document = retention_document(policy)
        if await self._put(policy.partition, document, event):
            return True
        return await self.retention(policy.department_id) == policy

    async def hold(self, image_id: str) -> LegalHold | None:
        document = await self._read(hold_document_id(image_id), image_id)
        return read_hold(document) if document else None

    async def put_hold(self, hold: LegalHold, event: AuditEvent) -> bool:
        if await self._put(hold.partition, hold_document(hold), event):
            return True
        return await self.hold(hold.image_id) == hold

    async def hold_applied(self, hold: LegalHold) -> None:
        steps = ({"op": "set", "path": "/applied", "value": True},)
        standing = equal({"revision": hold.revision})
        change = Patch(hold_document_id(hold.image_id), steps, standing)
        try:
            await commit(await self._container(), hold.partition.key, [change])
        except BatchRefused as refusal:
            if refusal.status != _PRECONDITION_FAILED:
                raise InvariantBroken("A hold could not be noted as applied.") from None

    async def unapplied_holds(self, department_id: str) -> Sequence[LegalHold]:
        return [read_hold(each) for each in await self._query(department_id, _UNAPPLIED)]

    async def holds(self, department_id: str, after: str) -> Sequence[LegalHold]:
        found = await self._query(department_id, _HOLDS, {"@after": hold_document_id(after)})
        return [read_hold(each) for each in found]

    async def rehydration(self, image_id: str) -> Rehydration | None:
        document = await self._read(rehydration_document_id(image_id), image_id)
        return read_rehydration(document) if document else None

    async def put_rehydration(
        self,
        rehydration: Rehydration,
        event: AuditEvent,
        notice: RehydrationNotice | None = None,
    ) -> bool:
        document = rehydration_document(rehydration)
        beside = [create_notice_operation(notice)] if notice else []
        if await self._put(rehydration.partition, document, event, *beside):
            return True
        return await self.rehydration(rehydration.image_id) == rehydration

    async def open_rehydrations(self, department_id: str) -> Sequence[Rehydration]:
        return [read_rehydration(each) for each in await self._query(department_id, _REHYDRATIONS)]

    async def _put(
        self, partition: Partition, document: Document, event: AuditEvent, *beside: Operation
    ) -> bool:
        """False if the predecessor does not stand; it may be that our own change stands."""
        operations: list[Operation] = [
            revision_operation(document),
            Create(outbox_document(partition, event)),
            *beside,
        ]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND):
                raise InvariantBroken("A record was refused in an unforeseen way.") from None
            return False
        return True

    async def _read(self, document_id: str, image_id: str) -> Document | None:
        department_id = picture_of(image_id).partition.department_id
        key = policy_partition(department_id).key
        return await read_or_none(await self._container(), document_id, key)

    async def _query(
        self, department_id: str, condition: str, values: Mapping[str, str] = NO_VALUES
    ) -> list[dict[str, Any]]:
        text = f"SELECT * FROM c WHERE {condition} OFFSET 0 LIMIT {SWEPT_MAX}"  # noqa: S608  # nosec B608  # our constants

        async def read_all() -> list[dict[str, Any]]:
            found = (await self._container()).query_items(
                text,
                parameters=[{"name": name, "value": value} for name, value in values.items()],
                partition_key=policy_partition(department_id).key,
            )
            return [upgrade(dict(document)) async for document in found]

        return await answered(read_all)
