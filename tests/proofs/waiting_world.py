"""A world whose budgets ask or wait instead of refusing, with grants: what must hold in it."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

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
from shared.services.repricing import Repricing
from tests.builders import catalogues
from tests.fakes.cosmos_container import FakeContainer, Item
from tests.fakes.faults import NOT_DONE, Fault
from tests.fakes.grants import FakeGrants
from tests.fakes.parked_work import FakeParkedWork
from tests.proofs.invariants import Checker
from tests.proofs.orchestration import Abandoned, SimulatedOrchestrations
from tests.proofs.world import TIMES, World

TERMS = ApprovalTerms(
    escalation=timedelta(seconds=60), expiry=timedelta(seconds=120), dual_above_micros=50_000
)
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


class WaitingEndings:
    """What waited has come to an end: approved work is reserved once, moved work has landed."""

    def __init__(self, container: FakeContainer, checker: Checker) -> None:
        self._container = container
        self._expect = checker.expect

    def check(self) -> None:
        for partition in self._container.partitions.values():
            for document in partition.values():
                self._check(partition, document)

    def _check(self, partition: Mapping[str, Item], document: Item) -> None:
        kind, status = document["type"], document.get("status")
        stays = f"{document['id']} stays {status}"
        if kind == "approval":
            self._expect("I6", status in APPROVAL_ENDS, lambda: stays)
            place = partition[f"h:{document['operation_id']}"]["type"]
            self._expect(
                "once",
                (status == "concluded") == (place == "hold"),
                lambda: f"{document['id']} is {status} with a {place}",
            )
        elif kind == "moved_hold":
            self._expect("I6", status == "landed", lambda: stays)
        elif kind == "grant":
            self._expect("I6", status == "ended", lambda: stays)


class WaitingWorld(World):
    """The real services of overage and grants over the same fakes."""

    def _use_cases(self) -> None:
        super()._use_cases()
        self.parked = FakeParkedWork(self.connection)
        planning = BatchPlanning(self.files)
        repricing = Repricing(planning, catalogues())
        self.approvals = Approvals(
            store=self.parked,
            records=self.records,
            ledger=self.ledger,
            calendars=self.calendars,
            periods=self.admission.periods,
            clock=self.clock,
            terms=TERMS,
            repricing=repricing,
        )
        self.overage = Overage(self.parked, self.ledger, self.approvals, self.calendars, self.clock)
        self.deferrals = Deferrals(
            store=self.parked,
            records=self.records,
            repricing=repricing,
            periods=self.admission.periods,
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
            routing=self.routing,
            clock=self.clock,
            overage=self.overage,
        )
        admission = BatchAdmission(
            admission=self.admission,
            records=self.records,
            planning=planning,
            catalogues=catalogues(),
            routing=self.routing,
            clock=self.clock,
            overage=self.overage,
        )
        self.batches = Batches(
            admission=admission,
            ledger=self.ledger,
            records=self.records,
            files=self.files,
            clock=self.clock,
        )

    async def run_sweeps(self) -> int:
        waiting = await self.overage_sweep.run(self.orchestrations)
        return waiting.errors + await super().run_sweeps()

    def is_settled(self) -> bool:
        documents = [d for p in self.container.partitions.values() for d in p.values()]
        ended = all(d["status"] == "ended" for d in documents if d["type"] == "grant")
        return ended and super().is_settled()

    async def check_the_end(self) -> None:
        await super().check_the_end()
        WaitingEndings(self.container, self.checker).check()
