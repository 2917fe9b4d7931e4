"""The Records port over the in-memory container of the ledger."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence

from shared.adapters.cosmos import BatchRefused, answered, commit, read_or_none
from shared.domain.attempt_markers import AttemptMarker, read_marker
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.history import GenerationFilter
from shared.domain.ids import Partition
from shared.domain.ledger import (
    Create,
    Delete,
    Document,
    Hold,
    Operation,
    Patch,
    batch_document_id,
    generation_document_id,
    partition_for,
    read_hold,
)
from shared.errors import Invalid, InvariantBroken
from shared.ports import Page
from tests.fakes.cosmos_container import FakeConnection, FakeContainer

CONFLICT, NOT_FOUND = 409, 404


class FakeRecords:
    """Reads and marks what the ledger holds; queries are filters over one partition."""

    def __init__(self, connection: FakeConnection, container: str = "ledger") -> None:
        self._container: FakeContainer = connection.container(container)

    async def generation(self, generation_id: str) -> Document | None:
        return await self._read(generation_id, generation_document_id(generation_id))

    async def attempt(self, generation_id: str, attempt: int) -> AttemptMarker | None:
        found = await self._read(generation_id, f"a:{generation_id}:{attempt}")
        return read_marker(found) if found else None

    async def generations(
        self, partition: Partition, wanted: GenerationFilter, continuation: str | None, limit: int
    ) -> Page:
        found = await self._scan(partition, lambda d: _matches(d, wanted))
        found.sort(key=lambda d: (d["created_at"], d["id"]), reverse=True)
        listing = hashlib.sha256(repr((partition, wanted)).encode()).hexdigest()[:8]
        start = _position(listing, continuation) if continuation else 0
        more = f"{listing}:{start + limit}" if start + limit < len(found) else None
        return Page(found[start : start + limit], more)

    async def generations_with_picture(
        self, partition: Partition, sha256: str
    ) -> Sequence[Document]:
        return await self._scan(
            partition,
            lambda d: (
                d["type"] == "generation" and sha256 in [each["sha256"] for each in d["images"]]
            ),
        )

    async def batch(self, batch_id: str) -> Document | None:
        return await self._read(batch_id, batch_document_id(batch_id))

    async def batches_of_slot(
        self, slot_id: str, partitions: Sequence[Partition]
    ) -> Sequence[Document]:
        found = [
            batch
            for each in partitions
            for batch in await self._scan(
                each, lambda d: d["type"] == "batch" and d["source"]["slot_id"] == slot_id
            )
        ]
        return sorted(found, key=lambda d: str(d["created_at"]))

    async def batch_generations(self, batch_id: str, first: int, last: int) -> Sequence[Document]:
        found = await self._scan(
            partition_for(batch_id),
            lambda d: (
                d["type"] == "generation"
                and d["batch_id"] == batch_id
                and first <= d["row"] <= last
            ),
        )
        return sorted(found, key=lambda d: int(d["row"]))

    async def resolutions(self, batch_id: str) -> AsyncIterator[Document]:
        found = await self._scan(
            partition_for(batch_id),
            lambda d: (
                d["type"] == "resolution" and d["operation_id"] == batch_id and d["row"] is not None
            ),
        )
        for document in sorted(found, key=lambda d: int(d["row"])):
            yield document

    async def reject_batch(self, record: Document, event: AuditEvent) -> None:
        await self._commit_once(record["batch_id"], [Create(record)], event)

    async def request_cancel(self, batch_id: str, event: AuditEvent) -> None:
        await self._mark_batch(batch_id, {"cancel_requested": True}, event)

    async def close_batch(
        self, batch_id: str, status: str, completed_at: str, event: AuditEvent
    ) -> None:
        await self._mark_batch(batch_id, {"status": status, "completed_at": completed_at}, event)

    async def create_slot(self, slot: Document, event: AuditEvent) -> None:
        await self._commit_once(slot["slot_id"], [Create(slot)], event)

    async def slot(self, slot_id: str) -> Document | None:
        return await self._read(slot_id, f"slot:{slot_id}")

    async def open_holds(self, partition: Partition, before: str) -> Sequence[Hold]:
        found = await self._scan(
            partition,
            lambda d: d["type"] == "hold" and d["open_rows"] > 0 and d["created_at"] < before,
        )
        return [read_hold(document) for document in found]

    async def unknown_generations(self, partition: Partition, before: str) -> Sequence[Document]:
        return await self._scan(
            partition,
            lambda d: (
                d["type"] == "generation"
                and d["status"] == "indeterminate"
                and d["created_at"] < before
            ),
        )

    async def unfinished_batches(self, partition: Partition, before: str) -> Sequence[Document]:
        return await self._scan(
            partition,
            lambda d: (
                d["type"] == "batch"
                and d["status"] in ("running", "indeterminate")
                and d["created_at"] < before
            ),
        )

    async def outbox(self, partition: Partition, limit: int) -> Sequence[Document]:
        return (await self._scan(partition, lambda d: d["type"] == "outbox"))[:limit]

    async def drop_outbox(self, partition: Partition, documents: Sequence[Document]) -> None:
        remaining = list(documents)
        while remaining:
            drops = [Delete(document["id"]) for document in remaining]
            try:
                await self._commit(partition, drops)
            except BatchRefused as refusal:
                if refusal.status != NOT_FOUND:
                    raise InvariantBroken("The outbox could not be cleared.") from None
                del remaining[refusal.index]
            else:
                return

    async def _read(self, any_id: str, document_id: str) -> Document | None:
        return await read_or_none(
            self._container,  # type: ignore[arg-type]
            document_id,
            partition_for(any_id).key,
        )

    async def _scan(
        self, partition: Partition, wanted: Callable[[Document], bool]
    ) -> list[Document]:
        return await answered(lambda: self._container.scan(partition.key, wanted))

    async def _mark_batch(
        self, batch_id: str, values: dict[str, object], event: AuditEvent
    ) -> None:
        steps = tuple({"op": "set", "path": f"/{n}", "value": v} for n, v in values.items())
        await self._commit_once(batch_id, [Patch(batch_document_id(batch_id), steps)], event)

    async def _commit_once(
        self, any_id: str, operations: list[Operation], event: AuditEvent
    ) -> None:
        partition = partition_for(any_id)
        try:
            await self._commit(partition, [*operations, Create(outbox_document(partition, event))])
        except BatchRefused as refusal:
            if refusal.status != CONFLICT:
                raise InvariantBroken("A change was refused in an unforeseen way.") from None

    async def _commit(self, partition: Partition, operations: Sequence[Operation]) -> None:
        await commit(
            self._container,  # type: ignore[arg-type]
            partition.key,
            operations,
        )


def _position(listing: str, continuation: str) -> int:
    """Where a page begins; raises Invalid for a token that this listing never gave out."""
    owner, _, start = continuation.partition(":")
    if owner != listing or not (start.isascii() and start.isdecimal()):
        raise Invalid("The continuation token is not one of this listing's; start without it.")
    return int(start)


def _matches(document: Document, wanted: GenerationFilter) -> bool:
    if document["type"] != "generation" or document["tenant_id"] != wanted.tenant_id:
        return False
    exact = {
        name: getattr(wanted, name)
        for name in ("status", "provider", "user_key", "batch_id")
        if getattr(wanted, name) is not None
    }
    if any(document[name] != value for name, value in exact.items()):
        return False
    after = wanted.since is None or document["created_at"] >= wanted.since
    return after and (wanted.until is None or document["created_at"] < wanted.until)
