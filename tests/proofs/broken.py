"""Four protocols that look right and lose money: the checker has to catch every one of them."""

from dataclasses import replace

from shared.adapters.cosmos import BatchRefused, commit, read_or_none
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.attempts import AttemptReport, Failure
from shared.domain.budgets import read_budget
from shared.domain.ids import Partition
from shared.domain.ledger import (
    AttemptMarker,
    Operation,
    Patch,
    Reservation,
    marker_document,
    partition_for,
    reserve_operations,
)
from shared.errors import BudgetExceeded, InvariantBroken, PeriodNotOpen
from shared.services.settlements import Settlements

CONFLICT, PRECONDITION_FAILED, NOT_FOUND = 409, 412, 404


class ReadCheckWrite(CosmosLedger):
    """Decides from a read: between the read and the write, others spend the same money."""

    async def reserve(self, reservation: Reservation) -> bool:
        hold = reservation.hold
        partition = partition_for(hold.operation_id)
        for scope in hold.scopes:
            document = await read_or_none(await self._container(), scope.document_id, partition.key)
            if document is None:
                raise PeriodNotOpen(scope.name)
            if read_budget(document).available_micros < hold.amount_micros:
                raise BudgetExceeded("too dear", extra={"scope": scope.name})
        blind = [_unconditional(each) for each in reserve_operations(reservation)]
        try:
            await commit(await self._container(), partition.key, blind)
        except BatchRefused as refusal:
            if refusal.index != 0 or refusal.status != CONFLICT:
                raise InvariantBroken("refused") from None
            await self._same_request(hold)
            return False
        return True


class PatchWithoutCreate(CosmosLedger):
    """Moves the counters first and writes the hold after: a repeated patch counts twice."""

    async def reserve(self, reservation: Reservation) -> bool:
        hold = reservation.hold
        partition = partition_for(hold.operation_id)
        if await self.hold(hold.operation_id) is not None:
            await self._same_request(hold)
            return False
        operations = reserve_operations(reservation)
        patches = [each for each in operations if isinstance(each, Patch)]
        try:
            await commit(await self._container(), partition.key, patches)
        except BatchRefused as refusal:
            raise await self._refused(reservation, partition, refusal) from None
        creates = [each for each in operations if not isinstance(each, Patch)]
        try:
            await commit(await self._container(), partition.key, creates)
        except BatchRefused:
            return False
        return True

    async def _refused(
        self, reservation: Reservation, partition: Partition, refusal: BatchRefused
    ) -> Exception:
        scope = reservation.hold.scopes[refusal.index]
        if refusal.status == NOT_FOUND:
            return PeriodNotOpen(scope.name)
        return await self._budget_exceeded(partition, scope, reservation.hold)


class RefundOnUnknown(Settlements):
    """Gives the money back when nobody knows whether the provider worked."""

    async def settle(self, operation_id: str, reports: object) -> None:
        assert isinstance(reports, list | tuple)
        await super().settle(operation_id, [_refunded(report) for report in reports])


class NoMarker(CosmosLedger):
    """Gives leave to call to everybody who asks: two deliveries make two paid requests."""

    async def begin_attempt(self, marker: AttemptMarker) -> AttemptMarker:
        partition = partition_for(marker.generation_id)
        standing = await read_or_none(await self._container(), marker.document_id, partition.key)
        if standing is None:
            return await super().begin_attempt(marker)
        await self._set(marker, "holder", marker_document(marker)["holder"])
        return marker


def _unconditional(operation: Operation) -> Operation:
    return replace(operation, predicate=None) if isinstance(operation, Patch) else operation


def _refunded(report: AttemptReport) -> AttemptReport:
    if report.ending != "unknown":
        return report
    return report.model_copy(update={"ending": "ended", "failure": Failure.TIMEOUT})
