"""A world whose budgets ask or wait instead of refusing, with grants: what must hold in it."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from shared.domain.instances import approval_instance_id, deferred_instance_id
from shared.services.approvals import Approvals, ApprovalTerms, Ending
from shared.services.batch_admission import BatchAdmission
from shared.services.batch_planning import BatchPlanning
from shared.services.batches import Batches
from shared.services.deferrals import Deferrals
from shared.services.generations import Generations
from shared.services.grants import Grants
from shared.services.overage import Overage
from shared.services.overage_sweep import OverageSweep
from tests.builders import catalogues
from tests.fakes.cosmos_container import Item
from tests.fakes.faults import NOT_DONE, Fault
from tests.fakes.grants import FakeGrants
from tests.fakes.parked_work import FakeParkedWork
from tests.proofs.invariants import Checker
from tests.proofs.orchestration import Abandoned, SimulatedOrchestrations
from tests.proofs.world import TIMES, World

TERMS = ApprovalTerms(
    escalation=timedelta(seconds=60), expiry=timedelta(seconds=120), dual_above_micros=50_000
)
NEVER_STARTED = ("awaiting_approval", "deferred", "failed", "canceled", "rejected")
APPROVAL_ENDS = ("concluded", "failed", "rejected", "expired", "canceled")


class WaitingOrchestrations(SimulatedOrchestrations):
    """Also runs the watches over approvals and deferred work, delivered at least once."""

    def __init__(self, world: "WaitingWorld") -> None:
        super().__init__(world)
        self._waiting_world = world
        self._decided: dict[str, asyncio.Event] = {}

    async def start_approval(self, operation_id: str, escalates_at: str, expires_at: str) -> None:
        watch = partial(self._approval, operation_id, escalates_at, expires_at)
        await self._start(approval_instance_id(operation_id), watch)

    async def approval_decided(self, operation_id: str) -> None:
        """The event is lost if the watch does not run, and with any fault that loses a call."""
        chaos = self._waiting_world.chaos
        fault = await chaos.next("event")
        known = operation_id in self._decided
        if fault not in NOT_DONE and fault is not Fault.LATE and known:
            self._decided[operation_id].set()
        if fault is Fault.CRASH_AFTER:
            raise chaos.crash("event")

    async def start_deferred(self, operation_id: str, due: str) -> None:
        await self._start(
            deferred_instance_id(operation_id), partial(self._deferred, operation_id, due)
        )

    async def _approval(self, operation_id: str, escalates_at: str, expires_at: str) -> None:
        approvals = self._waiting_world.approvals
        decided = self._decided[operation_id] = asyncio.Event()
        try:
            standing = await self._step("conclude", approvals.conclude, operation_id)
            if standing.status == "pending":
                for moment, name, step in (
                    (escalates_at, "escalate", approvals.escalate),
                    (expires_at, "expire", approvals.expire),
                ):
                    if await self._happens_before(moment, decided):
                        break
                    await self._step(name, step, operation_id)
                standing = await self._step("conclude", approvals.conclude, operation_id)
            await self._carry_out(operation_id, standing, "concluded")
        except Abandoned:
            return
        finally:
            self._decided.pop(operation_id, None)

    async def _deferred(self, operation_id: str, due: str) -> None:
        await self._sleep_until(due)
        try:
            release = self._waiting_world.deferrals.release
            standing = await self._step("release", release, operation_id)
            await self._carry_out(operation_id, standing, "admitted")
        except Abandoned:
            return

    async def _step(self, name: str, step: Any, operation_id: str) -> Ending:
        ending: Ending = await self._activity(name, partial(step, operation_id))
        return ending

    async def _carry_out(self, operation_id: str, standing: Ending, starts: str) -> None:
        """The work is a child of its watch, under its own id; there is no call that may fail."""
        if standing.status != starts:
            return
        make = self._batch if standing.kind == "batch" else self._generation
        self._launch(operation_id, partial(make, operation_id))

    def _launch(self, operation_id: str, make: Any) -> None:
        if operation_id not in self._running:
            task = asyncio.get_running_loop().create_task(make())
            self._running[operation_id] = task
            task.add_done_callback(lambda _: self._running.pop(operation_id))

    async def _happens_before(self, moment: str, event: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._seconds_until(moment)):
                await event.wait()
        except TimeoutError:
            return False
        return True

    async def _sleep_until(self, moment: str) -> None:
        await asyncio.sleep(self._seconds_until(moment))

    def _seconds_until(self, moment: str) -> float:
        left = datetime.fromisoformat(moment) - self._waiting_world.clock.now()
        return max(0.0, left.total_seconds())


class WaitingChecker(Checker):
    """I1 against the highest ceiling, and sums that know surcharges and work that never began."""

    def at_the_end(self) -> None:
        super().at_the_end()
        for partition in self._container.partitions.values():
            for document in partition.values():
                self._check_end(partition, document)

    def _check_end(self, partition: Mapping[str, Item], document: Item) -> None:
        kind = document["type"]
        if kind == "approval":
            if document["status"] not in APPROVAL_ENDS:
                self.broken("end", f"{document['id']} stays {document['status']}")
            place = partition[f"h:{document['operation_id']}"]["type"]
            if (document["status"] == "concluded") != (place == "hold"):
                self.broken("once", f"{document['id']} is {document['status']} with a {place}")
        elif kind == "moved_hold" and document["status"] != "landed":
            self.broken("end", f"{document['id']} never landed")
        elif kind == "grant" and document["status"] != "ended":
            self.broken("end", f"{document['id']} never ended")
        elif kind == "budget":
            self._check_raises(partition, document)

    def _check_raises(self, partition: Mapping[str, Item], budget: Item) -> None:
        """What stands above the policy's limit is exactly what approvals and surcharges added."""
        raised = sum(
            document["hold"]["amount_micros"]
            for document in partition.values()
            if document["type"] == "approval"
            and document["status"] == "concluded"
            and _names(document["raised"], budget)
        )
        raised += sum(
            document["surcharge_micros"]
            for document in partition.values()
            if document["type"] == "grant" and _names(document["scopes"], budget)
        )
        if budget["limit_micros"] - budget["base_micros"] != raised:
            self.broken("raise", f"{budget['id']} is raised by another sum than {raised}")
        if budget["granted_micros"] != raised:
            self.broken("raise", f"{budget['id']} counts {budget['granted_micros']} granted")

    def _check_budget(self, partition_key: str, budget: Item) -> None:
        names = ("reserved_micros", "spent_micros", "limit_micros", "ceiling_micros")
        self._check_counters(budget["id"], budget, names)
        used = budget["reserved_micros"] + budget["spent_micros"]
        if used > budget["high_micros"]:
            self.broken("I1", f"{budget['id']} uses {used} of {budget['high_micros']}")
        if budget["mode"] == "hard" and budget["limit_micros"] != budget["ceiling_micros"]:
            self.broken("I1", f"{budget['id']} has another ceiling than its limit")
        billed = self._billed_aud[partition_key, budget["id"]]
        if billed > used:
            self.broken("I4", f"{budget['id']} covers {used} of {billed} that are billed")

    def _check_sums(self, budget: Item, holds: list[Item], entries: list[Item]) -> None:
        partition = self._container.partitions[budget["pk"]]
        field = "department_id" if budget["scope_kind"] == "department" else "user_key"
        adjusted = sum(
            document["amount_micros"]
            for document in partition.values()
            if document["type"] == "adjustment" and document[field] == budget["scope_id"]
        )
        without = budget | {"spent_micros": budget["spent_micros"] - adjusted}
        super()._check_sums(without, holds, entries)

    def _check_batch(self, batch: Item, entries: list[Item]) -> None:
        if batch["status"] not in NEVER_STARTED or entries:
            super()._check_batch(batch, entries)

    def check_audit(self, copied: Mapping[str, object]) -> None:
        """Only what was admitted has an event of its admission; what waited has its own."""
        for partition in self._container.partitions.values():
            waiting = {d["event"]["event_id"] for d in partition.values() if d["type"] == "outbox"}
            for document in partition.values():
                for wanted in _events_of(document):
                    if wanted not in copied and wanted not in waiting:
                        self.broken("audit", f"{wanted} is missing")


def _names(scopes: list[Mapping[str, str]], budget: Item) -> bool:
    return {"kind": budget["scope_kind"], "scope_id": budget["scope_id"]} in scopes


def _events_of(document: Item) -> list[str]:
    """The audit events that must have been written together with a document."""
    kind = document["type"]
    if kind == "resolution":
        return [f"{document['generation_id']}:generation.closed"]
    if kind == "hold":
        return [f"{document['operation_id']}:{document.get('kind', 'generation')}.admitted"]
    if kind == "moved_hold":
        return [f"{document['operation_id']}:{document['kind']}.deferred"]
    if kind == "approval":
        asked = f"{document['operation_id']}:approval.requested"
        ends = {"rejected": "rejected", "expired": "expired", "canceled": "canceled"}
        end = ends.get(document["status"])
        return [asked, f"{document['operation_id']}:approval.{end}"] if end else [asked]
    if kind == "grant":
        events = [f"{document['grant_id']}:grant.{document['kind']}"]
        if document["status"] == "ended":
            events.append(f"{document['grant_id']}:grant.ended")
        if document["surcharge_micros"]:
            events.append(f"{document['grant_id']}:adjustment.booked")
        return events
    return []


class WaitingWorld(World):
    """The real services of overage and grants over the same fakes."""

    checker_type: ClassVar[type[Checker]] = WaitingChecker

    def _use_cases(self) -> None:
        super()._use_cases()
        self.parked = FakeParkedWork(self.connection)
        self.approvals = Approvals(
            store=self.parked,
            records=self.records,
            ledger=self.ledger,
            calendars=self.calendars,
            periods=self.admission.periods,
            clock=self.clock,
            terms=TERMS,
        )
        self.overage = Overage(self.parked, self.ledger, self.approvals, self.calendars, self.clock)
        planning = BatchPlanning(self.files)
        self.deferrals = Deferrals(
            store=self.parked,
            records=self.records,
            files=self.files,
            planning=planning,
            periods=self.admission.periods,
            catalogues=catalogues(),
            clock=self.clock,
        )
        self.grants = Grants(
            store=FakeGrants(self.connection),
            ledger=self.ledger,
            directory=self.directory,
            calendars=self.calendars,
            periods=self.admission.periods,
            clock=self.clock,
        )
        self.overage_sweep = OverageSweep(
            store=self.parked,
            grants=self.grants,
            approvals=self.approvals,
            overage=self.overage,
            calendars=self.calendars,
            grace=TIMES.grace,
            clock=self.clock,
        )
        self._let_wait(planning)
        self.orchestrations = WaitingOrchestrations(self)

    def _let_wait(self, planning: BatchPlanning) -> None:
        """Generations and batches ask `overage` when a budget refuses."""
        self.generations = Generations(
            admission=self.admission,
            records=self.records,
            directory=self.directory,
            work=self.work,
            attempts=self.attempts,
            settlements=self.settlements,
            catalogues=catalogues(),
            clock=self.clock,
            overage=self.overage,
        )
        admission = BatchAdmission(
            self.admission, self.records, planning, catalogues(), self.clock, self.overage
        )
        self.batches = Batches(
            admission=admission,
            ledger=self.ledger,
            records=self.records,
            files=self.files,
            clock=self.clock,
        )
