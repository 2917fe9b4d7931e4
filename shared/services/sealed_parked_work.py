"""Waiting work with its prompts sealed on the way in and opened on the way out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.domain.approvals import Approval, Vote
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget
from shared.domain.ids import Partition
from shared.domain.parked_work import Move, Parked
from shared.ports.parked_work import ParkedWork
from shared.services.sealed_documents import SealedDocuments


class SealedParkedWork:
    """Implements the ParkedWork port over another one."""

    def __init__(self, store: ParkedWork, documents: SealedDocuments) -> None:
        self._store = store
        self._documents = documents

    async def request(self, approval: Approval, work: Parked, event: AuditEvent) -> bool:
        hold = await self._documents.sealed_hold(approval.hold)
        sealed = replace(approval, hold=hold)
        return await self._store.request(sealed, await self._sealed(work), event)

    async def move(self, move: Move, event: AuditEvent) -> Move | None:
        sealed = replace(move, parked=await self._sealed(move.parked))
        return await self._opened_move(await self._store.move(sealed, event))

    async def land(self, move: Move) -> None:
        await self._store.land(replace(move, parked=await self._sealed(move.parked)))

    async def find_move(self, operation_id: str) -> Move | None:
        return await self._opened_move(await self._store.find_move(operation_id))

    async def parked(self, operation_id: str) -> Parked | None:
        found = await self._store.parked(operation_id)
        return await self._opened(found) if found else None

    async def waiting(
        self, partition: Partition, now: str, after: str
    ) -> Sequence[Mapping[str, Any]]:
        """As they are stored: the texts of a move are opened when `land` seals them again."""
        return await self._store.waiting(partition, now, after)

    async def approval(self, operation_id: str) -> Approval | None:
        """Its hold keeps its sealed request hash: an approval is compared by its revision."""
        return await self._store.approval(operation_id)

    async def votes(self, operation_id: str) -> Sequence[Vote]:
        return await self._store.votes(operation_id)

    async def approvals(
        self, partition: Partition, tenant_id: str, requester: str | None, *, pending: bool
    ) -> Sequence[Approval]:
        return await self._store.approvals(partition, tenant_id, requester, pending=pending)

    async def vote(
        self, approval: Approval, vote: Vote, record: Mapping[str, Any] | None, event: AuditEvent
    ) -> bool:
        return await self._store.vote(approval, vote, record, event)

    async def escalate(self, approval: Approval, event: AuditEvent) -> bool:
        return await self._store.escalate(approval, event)

    async def close(
        self, approval: Approval, after: Approval, record: Mapping[str, Any], event: AuditEvent
    ) -> bool:
        return await self._store.close(approval, after, record, event)

    async def conclude(
        self, approval: Approval, work: Parked, changes: Mapping[str, Any], event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        return await self._store.conclude(approval, work, changes, event)

    async def release(
        self, work: Parked, changes: Mapping[str, Any], started_at: str, event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        return await self._store.release(work, changes, started_at, event)

    async def drop(self, work: Parked, record: Mapping[str, Any], event: AuditEvent) -> bool:
        return await self._store.drop(work, record, event)

    async def _sealed(self, work: Parked) -> Parked:
        hold = await self._documents.sealed_hold(work.hold)
        return replace(work, hold=hold, record=await self._documents.sealed(work.record))

    async def _opened(self, work: Parked) -> Parked:
        (record,) = await self._documents.opened([work.record])
        return replace(work, hold=await self._documents.opened_hold(work.hold), record=record)

    async def _opened_move(self, move: Move | None) -> Move | None:
        return None if move is None else replace(move, parked=await self._opened(move.parked))
