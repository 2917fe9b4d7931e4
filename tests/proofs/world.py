"""The real services of the money path over fakes, as one small world per history."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from shared.adapters.cosmos import CosmosConnection
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.attempts import ImageOrder
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.prices import PriceCatalogue
from shared.services.admission import Admission
from shared.services.attempts import Attempts
from shared.services.audit_relay import AuditRelay
from shared.services.batch_admission import BatchAdmission
from shared.services.batch_planning import BatchPlanning
from shared.services.batch_results import BatchResults
from shared.services.batches import Batches
from shared.services.budget_periods import BudgetPeriods
from shared.services.budgets import Budgets
from shared.services.calendars import Calendars
from shared.services.generations import Generations
from shared.services.ledger_sweep import LedgerSweep, SweepTimes
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.settlements import Settlements
from shared.services.work import WorkItems
from tests.builders import catalogues
from tests.fakes.audit_log import FakeAuditLog
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import NOON
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import FakeProvider
from tests.fakes.receipts import receipt_signer
from tests.fakes.records import FakeRecords
from tests.proofs.chaos import Chaos
from tests.proofs.invariants import Checker
from tests.proofs.orchestration import SimulatedOrchestrations
from tests.proofs.provider_scripts import Script

TIMES = SweepTimes(
    grace=timedelta(seconds=20),
    restart_until=timedelta(seconds=150),
    unknown_horizon=timedelta(seconds=400),
)
GATE = GateLimit(concurrent_max=4, starts_per_minute=600)


class VirtualClock:
    """The loop's own time as the time of day."""

    def __init__(self) -> None:
        self._ids = 0
        self.start = NOON

    def now(self) -> datetime:
        return self.start + timedelta(seconds=asyncio.get_running_loop().time())

    def new_id(self) -> str:
        self._ids += 1
        return hashlib.md5(str(self._ids).encode()).hexdigest()


@dataclass(frozen=True)
class Variant:
    """Which implementation of the protocol is on trial."""

    ledger: Callable[[CosmosConnection], CosmosLedger] = CosmosLedger
    settlements: type[Settlements] = Settlements
    attempts: type[Attempts] = Attempts


@dataclass
class World:
    """Everything that one history needs; `checker` watches all of it."""

    checker_type: ClassVar[type[Checker]] = Checker

    chaos: Chaos
    directory: FakeDirectory
    catalogue: PriceCatalogue
    script: Script
    policies: Sequence[tuple[str, BudgetPolicy]]
    variant: Variant = field(default_factory=Variant)

    def __post_init__(self) -> None:
        self.connection = FakeConnection(self.chaos)
        self.container = self.connection.container("ledger")
        rate = self.catalogue.exchange_rate.aud_per_usd_micros
        self.checker = self.checker_type(self.container, rate)
        self.container.after_commit = self.checker.after_commit
        self.clock = VirtualClock()
        self.images = FakeImageStore(self.chaos)
        self.files = FakeBatchFiles()
        self.audit = FakeAuditLog()
        self.records = FakeRecords(self.connection)
        self.budget_policies = FakeBudgetPolicies(self.connection)
        for department_id, policy in self.policies:
            self.budget_policies.plant(department_id, policy)
        self.ledger = self.variant.ledger(self.connection.as_connection())
        self.work = WorkItems(self.records, self.files)
        self.settlements = self.variant.settlements(self.ledger, self.work, self.clock)
        self.providers = {
            "azure_openai": self._provider("azure_openai", jobs=False),
            "replicate": self._provider("replicate", jobs=True),
        }
        self.attempts = self.variant.attempts(
            ledger=self.ledger,
            images=self.images,
            providers=self.providers,
            catalogues=catalogues(),
            gate=ProviderGate(dict.fromkeys(self.providers, GATE), self.clock),
            clock=self.clock,
            end_user_salt="salt",
        )
        self._use_cases()

    def _use_cases(self) -> None:
        calendars = Calendars(self.budget_policies, self.directory, self.clock)
        periods = BudgetPeriods(self.budget_policies, calendars, self.clock)
        admission = Admission(self.ledger, calendars, periods, self.clock)
        self.calendars = calendars
        self.budgets = Budgets(
            ledger=self.ledger,
            policies=self.budget_policies,
            directory=self.directory,
            calendars=calendars,
            clock=self.clock,
        )
        self.admission = admission
        self.generations = Generations(
            admission=admission,
            records=self.records,
            directory=self.directory,
            work=self.work,
            attempts=self.attempts,
            settlements=self.settlements,
            catalogues=catalogues(),
            clock=self.clock,
        )
        planning = BatchPlanning(self.files)
        self.batches = Batches(
            admission=BatchAdmission(admission, self.records, planning, catalogues(), self.clock),
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
