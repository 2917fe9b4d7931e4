"""The real services of the money path over fakes, as one small world per history."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.attempts import ImageOrder
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.freezes import freeze_partition
from shared.domain.ids import Partition
from shared.domain.prices import PriceCatalogue
from shared.domain.routing_policies import RoutingRules
from shared.services.admission import Admission
from shared.services.alerts import Alerts
from shared.services.attempts import Attempts
from shared.services.audit_relay import AuditRelay
from shared.services.batch_admission import BatchAdmission
from shared.services.batch_planning import BatchPlanning
from shared.services.batch_results import BatchResults
from shared.services.batches import Batches
from shared.services.budget_periods import BudgetPeriods
from shared.services.budgets import Budgets
from shared.services.calendars import Calendars
from shared.services.freezes import Freezes, FreezeWatch
from shared.services.generations import Generations
from shared.services.grants import Grants
from shared.services.ledger_sweep import LedgerSweep, SweepTimes
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.routing import Routing
from shared.services.routing_policies import RoutingWatch
from shared.services.settlements import Settlements
from shared.services.work import WorkItems
from tests.builders import TENANT, catalogues
from tests.fakes.alerts import FakeAlertChannels, FakeAlertOrchestrations, FakeAlerts
from tests.fakes.audit_log import FakeAuditLog
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import NOON
from tests.fakes.cosmos_container import FakeConnection, Item
from tests.fakes.directory import FakeDirectory
from tests.fakes.freezes import FakeFreezes
from tests.fakes.grants import FakeGrants
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import FakeProvider
from tests.fakes.receipts import receipt_signer
from tests.fakes.records import FakeRecords
from tests.proofs.chaos import Chaos
from tests.proofs.endings import Endings
from tests.proofs.invariants import Checker
from tests.proofs.limits import LimitChecker
from tests.proofs.orchestration import SimulatedOrchestrations
from tests.proofs.provider_scripts import Script
from tests.proofs.virtual_loop import now_s

TIMES = SweepTimes(
    grace=timedelta(seconds=20),
    restart_until=timedelta(seconds=150),
    unknown_horizon=timedelta(seconds=400),
)
_UNDER_WAY = ("queued", "running", "indeterminate")
GATE = GateLimit(concurrent_max=4, starts_per_minute=600)


class GivenRules(RoutingWatch):
    """Routing rules that never change."""

    def __init__(self, rules: RoutingRules) -> None:
        self._rules = rules

    async def rules(self, tenant_id: str, department_id: str) -> RoutingRules:
        return self._rules


@dataclass(frozen=True)
class ClockJump:
    """At `at_s` of the loop's time the time of day is put forward, or back, by `by_s`."""

    at_s: float
    by_s: float


class VirtualClock:
    """The time of day: the loop's own time from a start on, with the jumps that clocks make."""

    def __init__(self, start: datetime = NOON, jumps: Sequence[ClockJump] = ()) -> None:
        self.start = start
        self.jumps = tuple(jumps)
        self._ids = 0

    def now(self) -> datetime:
        at_s = passed_s = now_s()
        for jump in self.jumps:
            if jump.at_s <= at_s:
                passed_s += jump.by_s
        return self.start + timedelta(seconds=passed_s)

    def new_id(self) -> str:
        self._ids += 1
        return hashlib.md5(str(self._ids).encode()).hexdigest()


_watchers: list[Callable[["World"], None]] = []


@contextmanager
def watched(watcher: Callable[["World"], None]) -> Iterator[None]:
    """Show each new world to somebody before its history begins."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


@dataclass
class World:
    """Everything that one history needs; `checker` watches all of it."""

    chaos: Chaos
    directory: FakeDirectory
    catalogue: PriceCatalogue
    script: Script
    policies: Sequence[tuple[str, BudgetPolicy]]
    clock: VirtualClock = field(default_factory=VirtualClock)
    rules: RoutingRules = field(default_factory=RoutingRules)

    def __post_init__(self) -> None:
        self.connection = FakeConnection(self.chaos)
        self.container = self.connection.container("ledger")
        rate = self.catalogue.exchange_rate.aud_per_usd_micros
        self.checker = Checker(self.container, rate)
        self.limits = LimitChecker(self.container, self.checker, self.clock.now)
        self.container.after_commit = self.after_commit
        self.images = FakeImageStore(self.chaos)
        self.files = FakeBatchFiles()
        self.audit = FakeAuditLog()
        self.records = FakeRecords(self.connection)
        self.budget_policies = FakeBudgetPolicies(self.connection)
        for department_id, policy in self.policies:
            self.budget_policies.plant(department_id, policy)
        self.ledger = CosmosLedger(self.connection.as_connection())
        self.work = WorkItems(self.records, self.files)
        self.settlements = Settlements(self.ledger, self.work, self.clock)
        self.providers = {
            "azure_openai": self._provider("azure_openai", jobs=False),
            "replicate": self._provider("replicate", jobs=True),
        }
        self.freezes = self.freezes_of_a_worker()
        self.attempts = Attempts(
            ledger=self.ledger,
            images=self.images,
            providers=self.providers,
            catalogues=catalogues(),
            gate=ProviderGate(dict.fromkeys(self.providers, GATE), self.clock),
            clock=self.clock,
            end_user_salt="salt",
            freezes=self.freezes,
        )
        self.routing = Routing(
            catalogues(),
            configured=frozenset(self.providers),
            policies=GivenRules(self.rules),
            freezes=self.freezes.watch,
        )
        self.checker.content_fallback = self.rules.content_fallback
        self._use_cases()
        for watcher in _watchers:
            watcher(self)

    def _use_cases(self) -> None:
        calendars = Calendars(self.budget_policies, self.directory, self.clock)
        periods = BudgetPeriods(self.budget_policies, calendars, self.clock)
        self.alerts = self.alerts_of_a_worker()
        self.periods = periods
        admission = Admission(
            self.ledger, calendars, periods, self.clock, self.alerts, self.freezes
        )
        self.calendars = calendars
        self._limits(calendars, periods)
        self.admission = admission
        self.generations = Generations(
            admission=admission,
            records=self.records,
            directory=self.directory,
            work=self.work,
            attempts=self.attempts,
            settlements=self.settlements,
            catalogues=catalogues(),
            routing=self.routing,
            clock=self.clock,
        )
        planning = BatchPlanning(self.files)
        self.batches = Batches(
            admission=BatchAdmission(
                admission, self.records, planning, catalogues(), self.routing, self.clock
            ),
            ledger=self.ledger,
            records=self.records,
            files=self.files,
            clock=self.clock,
        )
        self.results = BatchResults(
            self.batches, planning, self.records, self.files, receipt_signer(), self.clock
        )
        self.sweep = LedgerSweep(
            ledger=self.ledger,
            records=self.records,
            calendars=calendars,
            budgets=self.budgets,
            attempts=self.attempts,
            settlements=self.settlements,
            results=self.results,
            times=TIMES,
            clock=self.clock,
        )
        self.relay = AuditRelay(self.records, self.audit)
        self.orchestrations = SimulatedOrchestrations(self)

    def _limits(self, calendars: Calendars, periods: BudgetPeriods) -> None:
        self.grants = Grants(
            store=FakeGrants(self.connection),
            ledger=self.ledger,
            directory=self.directory,
            calendars=calendars,
            periods=periods,
            clock=self.clock,
            alerts=self.alerts,
        )
        self.budgets = Budgets(
            ledger=self.ledger,
            policies=self.budget_policies,
            directory=self.directory,
            calendars=calendars,
            periods=periods,
            clock=self.clock,
            alerts=self.alerts,
        )

    def _provider(self, name: str, *, jobs: bool) -> FakeProvider:
        def after_billing(order: ImageOrder) -> None:
            self.checker.after_billing(provider, order)

        provider = FakeProvider(
            name,
            self.script,
            jobs=jobs,
            faults=self.chaos,
            before_work=self.checker.before_work,
            after_billing=after_billing,
        )
        return provider

    def freezes_of_a_worker(self) -> Freezes:
        """Freezes with a view of their own, which knows nothing of what others have thrown."""
        store = FakeFreezes(self.connection)
        return Freezes(
            store=store,
            watch=FreezeWatch(store, self.clock),
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    def alerts_of_a_worker(self) -> Alerts:
        """Alerts that remember none that was raised before."""
        return Alerts(
            FakeAlerts(self.connection),
            FakeAlertChannels(self.connection),
            self.directory,
            self.clock,
        )

    async def run_sweeps(self) -> int:
        """One run of every timer that brings things to their end; how many of its steps failed."""
        done = await self.sweep.run(self.orchestrations)
        racing = "sweep while work runs: " if self.orchestrations.are_running() else "sweep: "
        for name, number in vars(done).items():
            if number and name != "errors":
                self.chaos.note(racing + name)
        partitions = await self.calendars.open_partitions()
        alerts = await self.alerts.sweep(partitions, FakeAlertOrchestrations())
        errors = done.errors + alerts.errors
        for partition in partitions:
            try:
                if await self.grants.end_due(partition):
                    self.chaos.note("sweep: grant ended")
            except Exception:  # as the timer: one grant must not hold up the others
                errors += 1
        return errors

    async def outbox_partitions(self) -> list[Partition]:
        """Where events wait to be copied."""
        departments = await self.calendars.outbox_partitions(thorough=False)
        return [*departments, freeze_partition(TENANT)]

    def after_commit(self, partition_key: str, changed: Mapping[str, Item | None]) -> None:
        """Every check that a commit calls for."""
        self.checker.after_commit(partition_key, changed)
        self.limits.after_commit(partition_key, changed)

    async def check_the_end(self) -> None:
        """Everything that must hold when nothing is under way any more."""
        Endings(self.container, self.checker).check(self.audit.events)
        departments = await self.directory.departments()
        present = {each: await self.calendars.partition(each) for each in departments}
        self.limits.check_policies(present)
        self.limits.check_the_end()

    def has_outbox(self) -> bool:
        """Whether audit events wait to be copied."""
        return any(
            document["type"] == "outbox"
            for partition in self.container.partitions.values()
            for document in partition.values()
        )

    def is_settled(self) -> bool:
        """Whether nothing is under way and nothing is left that the sweep or relay looks for."""
        return not self.chaos.awaited and not any(
            _is_open(document)
            for partition in self.container.partitions.values()
            for document in partition.values()
        )


def _is_open(document: Mapping[str, Any]) -> bool:
    kind = document["type"]
    if kind == "hold":
        return bool(document["open_rows"])
    if kind in ("approval", "moved_hold", "parked_hold"):
        return document["status"] in ("pending", "approved", "moved", "parked")
    if kind == "outbox":
        return True
    return kind in ("batch", "generation") and document["status"] in _UNDER_WAY
