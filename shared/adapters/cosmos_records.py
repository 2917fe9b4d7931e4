"""Generations, batches and slots in Cosmos DB; every query stays inside one ledger partition."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    read_or_none,
    status_of,
)
from shared.domain.attempt_markers import AttemptMarker, read_marker
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.document_versions import upgrade
from shared.domain.history import GenerationFilter
from shared.domain.ids import Partition, row_generation_id
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
    resolution_id,
)
from shared.errors import FieldFault, Invalid, InvariantBroken
from shared.ports import Page

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

RESOLUTIONS_PER_PAGE = 500
TWINS_MAX = 20  # generations with the same bytes: more say no more
_BAD_REQUEST, _NOT_FOUND, _CONFLICT = 400, 404, 409


class CosmosRecords:
    """Implements the Records port."""

    def __init__(self, connection: CosmosConnection, container: str = LEDGER_CONTAINER) -> None:
        self._connection = connection
        self._name = container  # another one than the ledger's has an outbox and nothing else

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(self._name)

    async def generation(self, generation_id: str) -> Document | None:
        return await self._read(generation_document_id(generation_id), generation_id)

    async def batch(self, batch_id: str) -> Document | None:
        return await self._read(batch_document_id(batch_id), batch_id)

    async def slot(self, slot_id: str) -> Document | None:
        return await self._read(f"slot:{slot_id}", slot_id)

    async def attempt(self, generation_id: str, attempt: int) -> AttemptMarker | None:
        document = await self._read(f"a:{generation_id}:{attempt}", generation_id)
        return read_marker(document) if document else None

    async def _read(self, document_id: str, any_id: str) -> Document | None:
        return await read_or_none(await self._container(), document_id, partition_for(any_id).key)

    async def generations(
        self, partition: Partition, wanted: GenerationFilter, continuation: str | None, limit: int
    ) -> Page:
        if continuation and not (continuation.isascii() and continuation.isprintable()):
            raise _not_of_this_listing()  # it travels in a header
        where, parameters = _filter(wanted)
        condition = f"{where} ORDER BY c.created_at DESC"
        try:
            return await self._page(partition, condition, parameters, continuation, limit)
        except Exception as error:
            if status_of(error) == _BAD_REQUEST and continuation:
                raise _not_of_this_listing() from error
            raise

    async def generations_with_picture(
        self, partition: Partition, sha256: str
    ) -> Sequence[Document]:
        page = await self._page(
            partition,
            "c.type = 'generation' AND ARRAY_CONTAINS(c.images, @picture, true)",
            {"@picture": {"sha256": sha256}},
            None,
            TWINS_MAX,
        )
        return page.documents

    async def batches_of_slot(
        self, slot_id: str, partitions: Sequence[Partition]
    ) -> Sequence[Document]:
        return [
            batch
            for partition in partitions
            for batch in await self._query(
                partition,
                "c.type = 'batch' AND c.source.slot_id = @slot ORDER BY c.created_at",
                {"@slot": slot_id},
            )
        ]

    async def batch_generations(self, batch_id: str, first: int, last: int) -> Sequence[Document]:
        # Row numbers have a fixed width, so a range of ids is a range of rows.
        return await self._query(
            partition_for(batch_id),
            "c.id >= @first AND c.id <= @last ORDER BY c.id",
            {
                "@first": generation_document_id(row_generation_id(batch_id, first)),
                "@last": generation_document_id(row_generation_id(batch_id, last)),
            },
        )

    async def resolutions(self, batch_id: str) -> AsyncIterator[Document]:
        continuation: str | None = None
        while True:  # each turn reads a page further, the last one has no continuation
            page = await self._page(
                partition_for(batch_id),
                "STARTSWITH(c.id, @prefix) ORDER BY c.id",
                {"@prefix": resolution_id(f"{batch_id}.")},
                continuation,
                RESOLUTIONS_PER_PAGE,
            )
            for document in page.documents:
                yield document
            continuation = page.continuation
            if continuation is None:
                return

    async def reject_batch(self, record: Document, event: AuditEvent) -> None:
        partition = partition_for(record["batch_id"])
        await self._commit_once(
            partition, [Create(record), Create(outbox_document(partition, event))]
        )

    async def request_cancel(self, batch_id: str, event: AuditEvent) -> None:
        await self._change_batch(batch_id, {"cancel_requested": True}, event)

    async def close_batch(
        self, batch_id: str, status: str, completed_at: str, event: AuditEvent
    ) -> None:
        await self._change_batch(batch_id, {"status": status, "completed_at": completed_at}, event)

    async def create_slot(self, slot: Document, event: AuditEvent) -> None:
        partition = partition_for(slot["slot_id"])
        await self._commit_once(
            partition, [Create(slot), Create(outbox_document(partition, event))]
        )

    async def open_holds(self, partition: Partition, before: str) -> Sequence[Hold]:
        documents = await self._query(
            partition,
            "STARTSWITH(c.id, 'h:') AND c.open_rows > 0 AND c.created_at < @before",
            {"@before": before},
        )
        return [read_hold(document) for document in documents]

    async def unknown_generations(self, partition: Partition, before: str) -> Sequence[Document]:
        return await self._query(
            partition,
            "c.type = 'generation' AND c.status = 'indeterminate' AND c.created_at < @before",
            {"@before": before},
        )

    async def unfinished_batches(self, partition: Partition, before: str) -> Sequence[Document]:
        return await self._query(
            partition,
            "STARTSWITH(c.id, 'batch:') AND c.status IN ('running', 'indeterminate')"
            " AND c.created_at < @before",
            {"@before": before},
        )

    async def outbox(self, partition: Partition, limit: int) -> Sequence[Document]:
        return await self._query(
            partition, f"STARTSWITH(c.id, 'e:') OFFSET 0 LIMIT {int(limit)}", {}
        )

    async def drop_outbox(self, partition: Partition, documents: Sequence[Document]) -> None:
        remaining = list(documents)
        while remaining:  # each turn ends, or leaves out one that another run has dropped already
            drops = [Delete(document["id"]) for document in remaining]
            try:
                await commit(await self._container(), partition.key, drops)
            except BatchRefused as refusal:
                if refusal.status != _NOT_FOUND:
                    raise InvariantBroken("The outbox could not be cleared.") from None
                del remaining[refusal.index]
            else:
                return

    async def _change_batch(
        self, batch_id: str, values: dict[str, object], event: AuditEvent
    ) -> None:
        partition = partition_for(batch_id)
        steps = tuple({"op": "set", "path": f"/{k}", "value": v} for k, v in values.items())
        operations: list[Operation] = [
            Patch(batch_document_id(batch_id), steps),
            Create(outbox_document(partition, event)),
        ]
        await self._commit_once(partition, operations)

    async def _commit_once(self, partition: Partition, operations: Sequence[Operation]) -> None:
        """Commit a change once: what it creates can exist only because it was done before."""
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status != _CONFLICT:
                raise InvariantBroken("A change was refused in an unforeseen way.") from None

    async def _query(
        self, partition: Partition, condition: str, parameters: dict[str, Any]
    ) -> list[Document]:
        async def read_all() -> list[Document]:
            found = (await self._container()).query_items(
                _select(condition), parameters=_sent(parameters), partition_key=partition.key
            )
            return [upgrade(dict(document)) async for document in found]

        return await answered(read_all)

    async def _page(
        self,
        partition: Partition,
        condition: str,
        parameters: dict[str, Any],
        continuation: str | None,
        limit: int,
    ) -> Page:
        async def read() -> Page:
            pages = (
                (await self._container())
                .query_items(
                    _select(condition),
                    parameters=_sent(parameters),
                    partition_key=partition.key,
                    max_item_count=limit,
                )
                .by_page(continuation)
            )
            try:
                documents = [upgrade(dict(document)) async for document in await anext(pages)]
            except StopAsyncIteration:
                return Page([], None)
            return Page(documents, getattr(pages, "continuation_token", None))

        return await answered(read)


def _select(condition: str) -> str:
    """A query of whole documents; conditions are constants of ours, every value is a parameter."""
    return "SELECT * FROM c WHERE " + condition  # noqa: S608  # nosec B608


def _sent(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in parameters.items()]


def _not_of_this_listing() -> Invalid:
    return Invalid(
        "The continuation token is not one of this listing's; start without it.",
        faults=[FieldFault("/continuation", "use the value of the last answer")],
    )


def _filter(wanted: GenerationFilter) -> tuple[str, dict[str, Any]]:
    """The WHERE clause of a history listing; values travel as parameters only."""
    conditions = ["c.type = 'generation'", "c.tenant_id = @tenant_id"]
    parameters: dict[str, Any] = {"@tenant_id": wanted.tenant_id}
    equal = ("status", "provider", "user_key", "batch_id")
    for name in equal:
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"c.{name} = @{name}")
            parameters[f"@{name}"] = value
    if wanted.since is not None:
        conditions.append("c.created_at >= @since")
        parameters["@since"] = wanted.since
    if wanted.until is not None:
        conditions.append("c.created_at < @until")
        parameters["@until"] = wanted.until
    return " AND ".join(conditions), parameters
