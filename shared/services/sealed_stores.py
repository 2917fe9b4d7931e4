"""The stores of the app with prompts sealed on the way in and opened on the way out.

Services see texts and stores see envelopes. Wiring puts these in front of every adapter that keeps
a request, so that no use case can forget to.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.domain.adjustments import Adjustment
from shared.domain.attempt_markers import AttemptMarker
from shared.domain.audit_events import AuditEvent
from shared.domain.batch_plans import BatchChunk
from shared.domain.budgets import Budget, Scope
from shared.domain.history import GenerationFilter
from shared.domain.ids import Partition
from shared.domain.ledger import Document, Hold, Reservation, Resolution
from shared.ports import BatchFiles, Ledger, Page, Records
from shared.services.sealed_documents import SealedDocuments

CHUNKS_CACHED_MAX = 8  # opened; a worker runs few chunks at a time, each row asks for its chunk


class SealedLedger:
    """Implements the Ledger port over another one."""

    def __init__(self, ledger: Ledger, documents: SealedDocuments) -> None:
        self._ledger = ledger
        self._documents = documents

    async def reserve(self, reservation: Reservation) -> tuple[Budget, ...] | None:
        sealed = replace(
            reservation,
            hold=await self._documents.sealed_hold(reservation.hold),
            record=await self._documents.sealed(reservation.record),
        )
        return await self._ledger.reserve(sealed)

    async def resolve(self, operation_id: str, resolutions: Sequence[Resolution]) -> None:
        sealed = [
            replace(each, record=await self._documents.sealed(each.record)) for each in resolutions
        ]
        await self._ledger.resolve(operation_id, sealed)

    async def note_unknown(self, record: Document, event: AuditEvent) -> None:
        await self._ledger.note_unknown(await self._documents.sealed(record), event)

    async def bar(self, operation_id: str, barred_at: str) -> bool:
        return await self._ledger.bar(operation_id, barred_at)

    async def hold(self, operation_id: str) -> Hold | None:
        found = await self._ledger.hold(operation_id)
        return await self._documents.opened_hold(found) if found else None

    async def adjust(self, adjustment: Adjustment) -> tuple[Budget, ...] | None:
        return await self._ledger.adjust(adjustment)

    async def give_up(self, adjustment: Adjustment, given_up_at: str) -> bool:
        return await self._ledger.give_up(adjustment, given_up_at)

    async def begin_attempt(self, marker: AttemptMarker) -> AttemptMarker:
        return await self._ledger.begin_attempt(marker)

    async def record_job(self, marker: AttemptMarker, job_id: str) -> None:
        await self._ledger.record_job(marker, job_id)

    async def record_outcome(self, marker: AttemptMarker, outcome: Mapping[str, Any]) -> None:
        await self._ledger.record_outcome(marker, outcome)

    async def note_event(self, partition: Partition, event: AuditEvent) -> None:
        await self._ledger.note_event(partition, event)

    async def budget(self, partition: Partition, scope: Scope) -> Budget | None:
        return await self._ledger.budget(partition, scope)


class SealedRecords:
    """Implements the Records port over another one."""

    def __init__(self, records: Records, documents: SealedDocuments) -> None:
        self._records = records
        self._documents = documents

    async def generation(self, generation_id: str) -> Document | None:
        return await self._documents.opened_one(await self._records.generation(generation_id))

    async def generations(
        self, partition: Partition, wanted: GenerationFilter, continuation: str | None, limit: int
    ) -> Page:
        page = await self._records.generations(partition, wanted, continuation, limit)
        return replace(page, documents=await self._documents.opened(page.documents))

    async def generations_with_picture(
        self, partition: Partition, sha256: str
    ) -> Sequence[Document]:
        """Their prompts stay sealed: nobody reads those of a comparison."""
        return await self._records.generations_with_picture(partition, sha256)

    async def batch_generations(self, batch_id: str, first: int, last: int) -> Sequence[Document]:
        found = await self._records.batch_generations(batch_id, first, last)
        return await self._documents.opened(found)

    async def unknown_generations(self, partition: Partition, before: str) -> Sequence[Document]:
        found = await self._records.unknown_generations(partition, before)
        return await self._documents.opened(found)

    async def attempt(self, generation_id: str, attempt: int) -> AttemptMarker | None:
        return await self._records.attempt(generation_id, attempt)

    async def batch(self, batch_id: str) -> Document | None:
        return await self._records.batch(batch_id)

    async def batches_of_slot(
        self, slot_id: str, partitions: Sequence[Partition]
    ) -> Sequence[Document]:
        return await self._records.batches_of_slot(slot_id, partitions)

    def resolutions(self, batch_id: str) -> AsyncIterator[Document]:
        return self._records.resolutions(batch_id)

    async def reject_batch(self, record: Document, event: AuditEvent) -> None:
        await self._records.reject_batch(record, event)

    async def request_cancel(self, batch_id: str, event: AuditEvent) -> None:
        await self._records.request_cancel(batch_id, event)

    async def close_batch(
        self, batch_id: str, status: str, completed_at: str, event: AuditEvent
    ) -> None:
        await self._records.close_batch(batch_id, status, completed_at, event)

    async def create_slot(self, slot: Document, event: AuditEvent) -> None:
        await self._records.create_slot(slot, event)

    async def slot(self, slot_id: str) -> Document | None:
        return await self._records.slot(slot_id)

    async def open_holds(self, partition: Partition, before: str) -> Sequence[Hold]:
        """Their request hashes stay sealed: nobody compares those of a listing."""
        return await self._records.open_holds(partition, before)

    async def unfinished_batches(self, partition: Partition, before: str) -> Sequence[Document]:
        return await self._records.unfinished_batches(partition, before)

    async def outbox(self, partition: Partition, limit: int) -> Sequence[Document]:
        return await self._records.outbox(partition, limit)

    async def drop_outbox(self, partition: Partition, documents: Sequence[Document]) -> None:
        await self._records.drop_outbox(partition, documents)


class SealedBatchFiles:
    """Implements the BatchFiles port over another one: plans are sealed, results are not.

    Results are the file that its owner downloads, and have their owner's access.
    """

    def __init__(self, files: BatchFiles, documents: SealedDocuments) -> None:
        self._files = files
        self._documents = documents
        self._opened: OrderedDict[tuple[str, str, int], tuple[BatchChunk, datetime]] = OrderedDict()

    async def put_chunk(self, number: int, chunk: BatchChunk) -> None:
        await self._files.put_chunk(number, await self._documents.sealed_chunk(number, chunk))

    async def chunk(self, batch_id: str, plan: str, number: int) -> BatchChunk:
        name = (batch_id, plan, number)
        now = self._documents.vault.clock.now()
        cached = self._opened.get(name)
        if cached is not None and cached[1] > now:
            self._opened.move_to_end(name)
            return cached[0]
        stored = await self._files.chunk(batch_id, plan, number)
        chunk, key = await self._documents.opened_chunk(number, stored)
        if key is not None:
            self._opened[name] = (chunk, key.until)  # no text outlives its key in memory
            self._opened.move_to_end(name)
        while len(self._opened) > CHUNKS_CACHED_MAX:
            self._opened.popitem(last=False)
        return chunk

    async def put_result(
        self, folder: str, name: str, content_type: str, parts: AsyncIterator[bytes]
    ) -> None:
        await self._files.put_result(folder, name, content_type, parts)

    async def result(self, folder: str, name: str) -> bytes | None:
        return await self._files.result(folder, name)
