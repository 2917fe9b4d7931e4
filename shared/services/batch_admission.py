"""The one decision about the money of a batch: all of it, as much as fits, or ask somebody."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.domain.audit_events import AuditEvent
from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import (
    Acceptance,
    BatchChunk,
    BatchSource,
    BatchTotals,
    batch_record,
)
from shared.domain.batch_quotes import BatchPrices
from shared.domain.budgets import Charge
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Ownership
from shared.domain.ids import chunks_of
from shared.domain.ledger import Document, Hold, Reservation
from shared.domain.policy_versions import policy_version
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.routing_policies import RoutingRules
from shared.errors import BudgetExceeded, Invalid, Unavailable
from shared.ports import Clock, Orchestrations, Records
from shared.services.admission import Admission
from shared.services.batch_planning import BatchPlanning
from shared.services.overage import Overage, Wanted
from shared.services.routing import Routing

PLAN_HEX_DIGITS = 16  # tells apart the few attempts that one key may stand for
# Each try is shorter than the one before: one for each charged budget, and some for others who
# spend at the same moment.
PREFIX_TRIES_MAX = 8

RowReader = Callable[[], Iterator[BatchRow]]
EventDetails = dict[str, str | int | bool | None]


@dataclass(frozen=True)
class BatchOrder:
    """A batch as it arrives: who, under which id, from where, and how to read its rows."""

    caller: Caller
    charge: Charge
    batch_id: str
    source: BatchSource
    content_hash: str
    read_rows: RowReader
    correlation_id: str
    acceptance: Acceptance = "all"


@dataclass(frozen=True)
class _PricedBatch:
    """An order with its plan: what can be reserved for its first rows, under any id."""

    order: BatchOrder
    header: BatchChunk
    prices: BatchPrices
    rules: RoutingRules

    @property
    def rows(self) -> int:
        """The valid rows."""
        return len(self.prices.priced)

    def reservation(self, accepted: int, batch_id: str) -> Reservation:
        """Hold, record and event for the first `accepted` valid rows."""
        order, header = self.order, self.header
        totals = self.prices.totals(accepted)
        hold = Hold(
            operation_id=batch_id,
            rows=totals.valid_rows,
            amount_micros=totals.amount_micros,
            usd_micros=totals.usd_micros,
            scopes=order.charge.scopes(),
            request_hash=order.content_hash,
            tenant_id=order.caller.tenant_id,
            user_key=order.caller.key,
            created_at=header.created_at,
        )
        details: EventDetails = {
            "rows": totals.rows,
            "valid_rows": totals.valid_rows,
            "over_budget_rows": totals.over_budget_rows,
            "acceptance": order.acceptance,
            "reserved_micros": totals.amount_micros,
            "price_version": header.price_version,
            "policy_version": policy_version(
                privacy=self.prices.privacy_version, routing=self.rules.version
            ),
        }
        event = batch_event(order, batch_id, "batch.admitted", header.created_at, details)
        record = batch_record(
            batch_id,
            Ownership(order.caller.tenant_id, order.caller.department_id, order.caller.key),
            order.charge,
            order.source,
            totals,
            created_at=header.created_at,
            correlation_id=order.correlation_id,
            price_version=header.price_version,
            plan=header.plan,
            acceptance=order.acceptance,
        )
        return Reservation(hold, record, event)


@dataclass(frozen=True)
class BatchAdmission:
    """Plans a batch and reserves for it in one transaction, which alone decides."""

    admission: Admission
    records: Records
    planning: BatchPlanning
    catalogues: PriceCatalogues
    routing: Routing
    clock: Clock
    overage: Overage | None = None  # nobody to ask in proofs of money alone

    async def admit(self, order: BatchOrder, orchestrations: Orchestrations) -> Document:
        """The batch's record as it was reserved, or as it waits; raises BudgetExceeded.

        Two attempts at one batch may be screened, routed and priced differently, so each writes a
        plan of its own: the record names the one whose reservation was committed.
        """
        now = self.clock.now()
        catalogue = self.catalogues.at(now)
        header = self.planning.header(
            order.caller,
            order.charge,
            catalogue,
            batch_id=order.batch_id,
            plan=self.clock.new_id()[:PLAN_HEX_DIGITS],
            created_at=now.isoformat(),
            correlation_id=order.correlation_id,
        )
        around = await self.routing.surroundings(order.caller, now)
        try:
            prices = await self.planning.plan(header, around, order.read_rows())
        except Invalid:  # a repeat of what was admitted when its rows could be served goes on
            hold = await self.admission.ledger.hold(order.batch_id)
            if hold is None or hold.request_hash != order.content_hash:
                raise
            return await self._standing(order.batch_id, orchestrations)
        batch = _PricedBatch(order, header, prices, around.rules)
        if order.acceptance == "as_many_as_fit":
            return await self._admit_what_fits(batch, orchestrations)
        return await self._admit_all(batch, orchestrations)

    async def _admit_all(self, batch: _PricedBatch, orchestrations: Orchestrations) -> Document:
        order = batch.order
        reservation = batch.reservation(batch.rows, order.batch_id)
        try:
            return await self._reserve(order, reservation, orchestrations)
        except BudgetExceeded as refusal:
            waits_under = await self._let_wait(batch, refusal, orchestrations)
            if waits_under is None:
                await self.admission.note_denial(order.caller, reservation, refusal)
                available_micros = int(refusal.extra.get("available_micros") or 0)
                refusal.extra["would_fit"] = {"rows": batch.prices.fitting(available_micros)}
                raise
        return await self._standing(waits_under, orchestrations)

    async def _admit_what_fits(
        self, batch: _PricedBatch, orchestrations: Orchestrations
    ) -> Document:
        """Reserve for the longest run of rows from the first on that the budgets cover.

        What a budget had left when it refused only proposes how many; the next transaction
        decides. The record that it commits says how far the money goes.
        """
        order, accepted = batch.order, batch.rows
        for tries_left in reversed(range(PREFIX_TRIES_MAX)):
            reservation = batch.reservation(accepted, order.batch_id)
            try:
                record = await self._reserve(order, reservation, orchestrations)
            except BudgetExceeded as refusal:
                available_micros = int(refusal.extra.get("available_micros") or 0)
                accepted = min(accepted, batch.prices.fitting(available_micros))
                if accepted == 0 or tries_left == 0:
                    await self.admission.note_denial(order.caller, reservation, refusal)
                    refusal.extra["would_fit"] = {"rows": accepted}
                    raise
                continue
            if record is reservation.record and record["over_budget_rows"]:
                await self.planning.write_errors(order.batch_id, batch.prices.errors(accepted))
            return record
        raise AssertionError("the last try returns or raises")

    async def _reserve(
        self, order: BatchOrder, reservation: Reservation, orchestrations: Orchestrations
    ) -> Document:
        """The record that stands after this reservation: ours, or that of the same request."""
        if await self.admission.reserve(order.caller, reservation, quietly=True):
            return reservation.record
        return await self._standing(order.batch_id, orchestrations)

    async def _standing(self, batch_id: str, orchestrations: Orchestrations) -> Document:
        record = await self.records.batch(batch_id)
        if record is None and self.overage is not None:
            moved_to = await self.overage.followed(batch_id, orchestrations)
            record = await self.records.batch(moved_to) if moved_to else None
        if record is None:
            raise Unavailable("The batch could not be read yet.", retry_after_s=1)
        return record

    async def _let_wait(
        self, batch: _PricedBatch, refusal: BudgetExceeded, orchestrations: Orchestrations
    ) -> str | None:
        """The id under which the whole batch waits, if the caller or the budgets want that."""
        if self.overage is None:
            return None
        order, header = batch.order, batch.header

        async def prepare(new_id: str) -> None:
            await self.planning.copy(
                order.batch_id, header.plan, chunks_of(batch.prices.rows), new_id
            )

        wanted = Wanted(
            kind="batch",
            operation_id=order.batch_id,
            correlation_id=order.correlation_id,
            summary={
                "rows": batch.prices.rows,
                "valid_rows": batch.rows,
                "file": order.source.file_name,
            },
            reservation=lambda batch_id: batch.reservation(batch.rows, batch_id),
            prepare=prepare,
        )
        if order.acceptance != "ask_approval":
            return await self.overage.take(order.caller, refusal, wanted, orchestrations)
        lacking = await self.overage.lacking(wanted.reservation(order.batch_id), refusal)
        return await self.overage.request_approval(
            order.caller, wanted, orchestrations, raised=[scope for scope, _ in lacking]
        )


def batch_event(
    order: BatchOrder,
    batch_id: str,
    action: str,
    occurred_at: str,
    details: EventDetails | None = None,
) -> AuditEvent:
    """What happened to a batch on its way in."""
    return AuditEvent(
        action=action,
        object_id=batch_id,
        actor=order.caller.key,
        actor_role=CLAIM_BY_ROLE[order.caller.role],
        outcome="denied" if action == "batch.rejected" else "success",
        occurred_at=occurred_at,
        correlation_id=order.correlation_id,
        details=details or {},
    )


def rejected_record(order: BatchOrder, totals: BatchTotals, created_at: str) -> Document:
    """The record of a file that was refused as a whole: there is neither price nor plan."""
    return batch_record(
        order.batch_id,
        Ownership(order.caller.tenant_id, order.caller.department_id, order.caller.key),
        order.charge,
        order.source,
        totals,
        created_at=created_at,
        correlation_id=order.correlation_id,
        price_version="",
        plan="",
        acceptance=order.acceptance,
    )
