"""A crowd of spenders, each a worker of its own, and everything that may raise their alerts."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.alerts import alert_document_id, crossed
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope, read_budget
from shared.domain.identity import Caller
from shared.domain.ids import operation_id
from shared.errors import Unavailable
from shared.services.admission import Admission
from shared.services.alerts import Alerts
from shared.services.audit_relay import AuditRelay
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from tests import builders
from tests.fakes.alerts import FakeAlertChannels, FakeAlertOrchestrations, FakeAlerts
from tests.fakes.audit_log import FakeAuditLog
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed, Fault
from tests.fakes.records import FakeRecords
from tests.proofs.chaos import PROCESS, Chaos, Process
from tests.proofs.virtual_loop import VirtualLoop
from tests.proofs.world import VirtualClock

SPENDERS, PEOPLE = 64, 3
RELEASED = range(PEOPLE, SPENDERS, 3)  # requests whose money is given back and spent again
PRICE_MICROS = 10_000
SENDS_MAX = 12  # of one request, by a client that gets no answer
RESEND_S, SWEEP_S = 2.0, 7.0
PARTITION = builders.PARTITION


@dataclass
class AlertWorld:
    """The shipped services over one store; `raised` and `reached` watch every commit."""

    chaos: Chaos
    store: type[FakeAlerts] = FakeAlerts
    raised: Counter[str] = field(default_factory=Counter)  # alert document id -> times created
    events: Counter[str] = field(default_factory=Counter)  # audit event id -> times written
    reached: set[str] = field(default_factory=set)  # ids that some commit has called for

    def __post_init__(self) -> None:
        self.connection = FakeConnection(self.chaos)
        self.container = self.connection.container("ledger")
        self.container.after_commit = self._after_commit
        self.clock = VirtualClock()
        self.directory = FakeDirectory(departments=[PARTITION.department_id])
        self.policies = FakeBudgetPolicies(self.connection)
        self.audit = FakeAuditLog()
        self.relay = AuditRelay(FakeRecords(self.connection), self.audit)
        self._known: set[str] = set()
        limits = {Scope("department", PARTITION.department_id): SPENDERS * PRICE_MICROS}
        share = -(-SPENDERS // PEOPLE) * PRICE_MICROS
        limits |= {Scope("user", builders.caller(n).key): share for n in range(PEOPLE)}
        for scope, limit_micros in limits.items():
            self.policies.plant(PARTITION.department_id, BudgetPolicy(scope, limit_micros))

    def alerts(self) -> Alerts:
        """The alerts of one worker, which has seen none yet."""
        return Alerts(
            self.store(self.connection),
            FakeAlertChannels(self.connection),
            self.directory,
            self.clock,
        )

    def admission(self) -> Admission:
        """The admission of one worker."""
        calendars = Calendars(self.policies, self.directory, self.clock)
        periods = BudgetPeriods(self.policies, calendars, self.clock)
        ledger = CosmosLedger(self.connection.as_connection())
        return Admission(ledger, calendars, periods, self.clock, self.alerts())

    async def spend(self, seed: str, number: int) -> None:
        """One request, sent until there is an answer."""
        caller = builders.caller(number % PEOPLE)
        await _answered(self.chaos, f"spender {number}", lambda: self._reserve(caller, seed))

    async def _reserve(self, caller: Caller, seed: str) -> None:
        work = builders.item(
            operation_id(PARTITION, seed), quote=builders.quote(PRICE_MICROS), owner=caller
        )
        await self.admission().reserve(caller, builders.reservation(work))

    async def release(self, seed: str, number: int) -> None:
        """Give back what a request holds."""
        work = builders.item(
            operation_id(PARTITION, seed),
            quote=builders.quote(PRICE_MICROS),
            owner=builders.caller(number % PEOPLE),
        )
        ledger = CosmosLedger(self.connection.as_connection())
        ended = builders.resolution(work, "canceled")
        await _answered(self.chaos, "release", lambda: ledger.resolve(work.operation_id, [ended]))

    async def sweep(self) -> None:
        """One run of two sweeps at the same time, on two workers."""
        runs = [self.alerts().sweep([PARTITION], FakeAlertOrchestrations()) for _ in range(2)]
        await asyncio.gather(*runs)

    async def timers(self) -> None:
        """The sweep and the audit relay, beside the spenders, for as long as things go wrong."""
        while self.chaos.active:
            await asyncio.sleep(SWEEP_S)
            PROCESS.set(Process("timer"))
            try:
                await self.sweep()
                await self.relay.run([PARTITION])
            except (Crashed, Unavailable):
                continue  # the next run goes on

    def violations(self) -> list[str]:
        """What is not exactly once: every threshold that was reached, and nothing else."""
        found = [f"{each} was raised {n} times" for each, n in self.raised.items() if n != 1]
        found += [f"{each} was noted {n} times" for each, n in self.events.items() if n != 1]
        found += [f"{each} was reached, not raised" for each in self.reached - set(self.raised)]
        found += [f"{each} was raised, not reached" for each in set(self.raised) - self.reached]
        if len(self.events) != len(self.raised):
            found.append(f"{len(self.raised)} alerts have {len(self.events)} events")
        return found

    def _after_commit(self, key: str, changed: Mapping[str, dict[str, Any] | None]) -> None:
        for item_id, document in changed.items():
            if document is None:
                continue
            if document["type"] == "budget":
                budget = read_budget(document)
                self.reached |= {alert_document_id(budget.scope, t) for t in crossed(budget)}
            elif document["type"] == "alert":
                self.raised[item_id.partition("~")[0]] += 1
            elif document["type"] == "outbox" and item_id.endswith(":budget.alert"):
                self.events[item_id] += 1


async def _answered(chaos: Chaos, name: str, send: Callable[[], Awaitable[object]]) -> None:
    for _ in range(SENDS_MAX):
        PROCESS.set(Process(name))
        try:
            await send()
        except (Crashed, Unavailable):
            await asyncio.sleep(RESEND_S)
        else:
            return
    if not chaos.active:
        raise AssertionError(f"{name} got no answer although nothing goes wrong any more")


def run_history(
    seed: int,
    rate: float = 0.0,
    planned: Mapping[int, Fault] | None = None,
    store: type[FakeAlerts] = FakeAlerts,
) -> AlertWorld:
    """Spend everything at once, sweep, give a third back, spend it again, sweep."""
    chaos = Chaos(seed, rate=rate, planned=planned)
    world = AlertWorld(chaos, store)
    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, no service may use
    loop.run(_history(world))
    assert loop.problems == []
    return world


async def _history(world: AlertWorld) -> None:
    world.chaos.active = False
    for number in range(PEOPLE):  # opens their budgets: the crowd's calls are about alerts
        await world.spend(f"0-{number}", number)
    for phase in range(2):
        PROCESS.set(Process("main"))
        world.chaos.active = True
        loop = asyncio.get_running_loop()
        timers = loop.create_task(world.timers())
        numbers = range(PEOPLE, SPENDERS) if phase == 0 else RELEASED
        await asyncio.gather(*(loop.create_task(world.spend(f"{phase}-{n}", n)) for n in numbers))
        world.chaos.active = False
        await timers
        PROCESS.set(Process("sweep"))
        await asyncio.sleep(60)  # whatever arrives late has arrived
        await world.sweep()
        if phase == 0:
            for number in RELEASED:
                await world.release(f"0-{number}", number)
        await world.relay.run([PARTITION])
