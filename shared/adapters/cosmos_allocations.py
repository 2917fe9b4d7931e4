"""Transfers of allocation in Cosmos DB: one batch a step, in the partition that it changes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    read_existing,
    read_or_none,
    status_of,
)
from shared.domain.allocations import (
    OPEN_STATUSES,
    EndStatus,
    Leg,
    Transfer,
    ask_operations,
    finish_operations,
    give_operations,
    read_leg,
    read_transfer,
    take_operations,
    void_operations,
)
from shared.domain.budgets import CURRENCY
from shared.domain.document_versions import upgrade
from shared.domain.ids import Partition
from shared.domain.ledger import Document, Operation
from shared.domain.organisation_policies import CAP_ID, organisation_scope, read_cap
from shared.errors import (
    BudgetExceeded,
    FieldFault,
    IdempotencyKeyReused,
    Invalid,
    InvariantBroken,
    PeriodNotOpen,
)

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED = 400, 404, 409, 412
_IS_TRANSFER = "SELECT * FROM c WHERE c.type = 'transfer'"


class CosmosAllocations:
    """Implements the AllocationLedger port; see docs/ledger.md for the order of the steps."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def ask(self, transfer: Transfer) -> Transfer:
        partition = transfer.partition
        try:
            await commit(await self._container(), partition.key, ask_operations(transfer))
        except BatchRefused as refusal:
            if refusal.index == 0 and refusal.status == _CONFLICT:
                return await self._same_request(transfer)
            if refusal.index == 1 and refusal.status == _NOT_FOUND:
                raise PeriodNotOpen("The organisation's period is not open.") from None
            if refusal.index == 1 and refusal.status == _PRECONDITION_FAILED:
                raise await self._cap_exceeded(transfer) from None
            raise InvariantBroken("A transfer was refused in an unforeseen way.") from None
        return transfer

    async def _same_request(self, transfer: Transfer) -> Transfer:
        document = await self._read_back(transfer.document_id, transfer.partition)
        standing = read_transfer(document)
        if standing.request_hash != transfer.request_hash:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another request; send a new key."
            )
        return standing

    async def _cap_exceeded(self, transfer: Transfer) -> BudgetExceeded:
        key = transfer.partition.key
        document = await read_or_none(await self._container(), CAP_ID, key)
        return BudgetExceeded(
            "The organisation has not enough left to allocate in this period.",
            extra={
                "scope": organisation_scope(transfer.tenant_id),
                "period": transfer.period,
                "needed_micros": transfer.amount_micros,
                "available_micros": read_cap(document).available_micros if document else 0,
                "currency": CURRENCY,
                "overage": "refuse",
            },
        )

    async def take(self, transfer: Transfer, at: str) -> bool:
        return await self._enter(transfer, transfer.source, take_operations(transfer, at), at)

    async def give(self, transfer: Transfer, at: str) -> bool:
        return await self._enter(transfer, transfer.target, give_operations(transfer, at), at)

    async def _enter(
        self, transfer: Transfer, side: Partition | None, entry: Sequence[Operation], at: str
    ) -> bool:
        """Create a leg, or a void one if the budget refuses; the leg that stands decides."""
        if side is None:
            raise InvariantBroken("This side of the transfer is the organisation.")
        attempts = (entry, void_operations(transfer, side, at))
        for operations in attempts:
            try:
                await commit(await self._container(), side.key, operations)
            except BatchRefused as refusal:
                if refusal.index == 0 and refusal.status == _CONFLICT:
                    return (await self._leg(transfer, side)).kind != "void"
                if refusal.index != 1 or refusal.status not in (_NOT_FOUND, _PRECONDITION_FAILED):
                    raise InvariantBroken("An entry was refused in an unforeseen way.") from None
            else:
                return operations is entry
        raise InvariantBroken("A void entry was refused.")

    async def _leg(self, transfer: Transfer, side: Partition) -> Leg:
        return read_leg(await self._read_back(transfer.document_id, side))

    async def finish(self, transfer: Transfer, status: EndStatus, at: str) -> None:
        operations = finish_operations(transfer, status, at)
        try:
            await commit(await self._container(), transfer.partition.key, operations)
        except BatchRefused as refusal:
            # Somebody else finished it: the legs decide, so it ended in the same way.
            if refusal.index != 0 or refusal.status != _PRECONDITION_FAILED:
                raise InvariantBroken("A transfer could not be finished.") from None

    async def transfer(self, partition: Partition, transfer_id: str) -> Transfer | None:
        document = await read_or_none(await self._container(), f"t:{transfer_id}", partition.key)
        return read_transfer(document) if document else None

    async def unfinished(self, partition: Partition, before: str) -> Sequence[Transfer]:
        async def read_all() -> list[Transfer]:
            found = (await self._container()).query_items(
                f"{_IS_TRANSFER} AND ARRAY_CONTAINS(@open, c.status) AND c.created_at < @before",
                parameters=[
                    {"name": "@open", "value": list(OPEN_STATUSES)},
                    {"name": "@before", "value": before},
                ],
                partition_key=partition.key,
            )
            return [read_transfer(upgrade(dict(document))) async for document in found]

        return await answered(read_all)

    async def transfers(
        self, partition: Partition, continuation: str | None, limit: int
    ) -> tuple[Sequence[Transfer], str | None]:
        if continuation and not (continuation.isascii() and continuation.isprintable()):
            raise _not_of_this_listing()  # it travels in a header

        async def read() -> tuple[Sequence[Transfer], str | None]:
            found = (await self._container()).query_items(
                f"{_IS_TRANSFER} ORDER BY c.created_at DESC",
                partition_key=partition.key,
                max_item_count=limit,
            )
            pages = found.by_page(continuation)
            try:
                documents: list[Any] = [
                    upgrade(dict(document)) async for document in await anext(pages)
                ]
            except StopAsyncIteration:
                return [], None
            token: str | None = getattr(pages, "continuation_token", None)
            return [read_transfer(document) for document in documents], token

        try:
            return await answered(read)
        except Exception as error:
            if status_of(error) == _BAD_REQUEST and continuation:
                raise _not_of_this_listing() from error
            raise

    async def _read_back(self, document_id: str, partition: Partition) -> Document:
        return await read_existing(await self._container(), document_id, partition.key)


def _not_of_this_listing() -> Invalid:
    return Invalid(
        "The continuation token is not one of this listing's; start without it.",
        faults=[FieldFault("/continuation", "use the value of the last answer")],
    )
