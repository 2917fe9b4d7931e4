"""A small organisation whose provider bills otherwise than was booked, over services that ship."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.attempts import AttemptReport, ImageOrder
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Budget, Scope, charged_scopes
from shared.domain.identity import Role
from shared.domain.ids import Partition
from shared.domain.reconciliation import BilledLine
from shared.domain.reconciliation_views import ReconciliationView
from shared.domain.work import WorkItem
from shared.services.attempts import Attempts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.cases import Cases
from shared.services.freezes import Freezes, FreezeWatch
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.reconciliation import Reconciliation, ReconciliationTerms
from shared.services.reconciliation_gathering import ReconciliationGathering
from shared.services.settlements import Settlements
from shared.services.work import WorkItems
from tests import builders
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.cosmos_container import FakeConnection, Item
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed, Fault, NoFaults
from tests.fakes.freezes import FakeFreezes
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import FakeProvider, Work
from tests.fakes.reconciliations import FakeReconciliations
from tests.fakes.records import FakeRecords
from tests.fakes.usage_exports import FakeUsageExport

DAY = NOON.date()
PARTITION = Partition("marketing", "202611")
LIMIT_MICROS = 10_000_000
FURTHER_TENANT = "22222222-2222-4222-8222-222222222222"
ADMIN = builders.caller(9, role=Role.ORG_ADMIN)
MANAGER = builders.caller(8, role=Role.DEPT_MANAGER)


@dataclass
class OneFault(NoFaults):
    """Counts the calls to the store; one of them goes wrong."""

    at: int | None = None
    fault: Fault = Fault.NONE
    calls: int = 0

    def plan(self, at: int, fault: Fault) -> None:
        self.calls, self.at, self.fault = 0, at, fault

    def heal(self) -> None:
        self.calls, self.at = 0, None

    async def next(self, call: str) -> Fault:
        self.calls += 1
        if self.at != self.calls - 1:
            return Fault.NONE
        if self.fault is Fault.CRASH_BEFORE:
            raise Crashed(call)
        return self.fault


def never(order: ImageOrder) -> Work:
    raise AssertionError("reconciliation calls no provider")


@dataclass
class ReconciliationBench:
    """Everything around one department; the provider is Azure, or another by name."""

    provider: str = "azure_openai"
    faults: OneFault = field(default_factory=OneFault)
    drift_bp_max: int = 200

    def __post_init__(self) -> None:
        connection = FakeConnection(self.faults)
        self.connection, self.container = connection, connection.container("ledger")
        self.clock = FakeClock()
        self.records = FakeRecords(connection)
        self.ledger = CosmosLedger(connection.as_connection())
        self.store = FakeReconciliations(connection)
        self.export = FakeUsageExport(self.provider)
        self.export.days[DAY] = []
        self.policies = FakeBudgetPolicies(connection)
        directory = FakeDirectory(departments=["marketing", "design"])
        calendars = Calendars(self.policies, directory, self.clock)
        self.settlements = Settlements(
            self.ledger, WorkItems(self.records, FakeBatchFiles()), self.clock
        )
        freeze_store = FakeFreezes(connection)
        watch = FreezeWatch(freeze_store, self.clock)
        self.freezes = Freezes(freeze_store, watch, self.ledger, directory, self.clock)
        self.attempts = Attempts(
            ledger=self.ledger,
            images=FakeImageStore(),
            providers={self.provider: FakeProvider(self.provider, never, False)},
            catalogues=builders.catalogues(),
            gate=ProviderGate({self.provider: GateLimit(9, 99)}, self.clock),
            clock=self.clock,
            end_user_salt="salt",
            freezes=self.freezes,
        )
        self._reconciliation(directory, calendars)

    def _reconciliation(self, directory: FakeDirectory, calendars: Calendars) -> None:
        gathering = ReconciliationGathering(
            exports={self.provider: self.export},
            store=self.store,
            records=self.records,
            ledger=self.ledger,
            directory=directory,
            calendars=calendars,
            catalogues=builders.catalogues(),
            clock=self.clock,
        )
        self.reconciliation = Reconciliation(
            gathering=gathering,
            store=self.store,
            records=self.records,
            attempts=self.attempts,
            settlements=self.settlements,
            directory=directory,
            freezes=self.freezes,
            clock=self.clock,
            terms=ReconciliationTerms(
                builders.TENANT, (builders.TENANT, FURTHER_TENANT), self.drift_bp_max, lag_days=1
            ),
        )
        self.cases = Cases(
            store=self.store,
            ledger=self.ledger,
            records=self.records,
            periods=BudgetPeriods(self.policies, calendars, self.clock),
            calendars=calendars,
            directory=directory,
            catalogues=builders.catalogues(),
            clock=self.clock,
            tenant_id=builders.TENANT,
        )

    # --- what happened --------------------------------------------------------------------------

    async def open(self, limit_micros: int = LIMIT_MICROS) -> None:
        scopes = charged_scopes("marketing", builders.caller().key)
        limits = dict.fromkeys(scopes, limit_micros)
        for department_id in ("marketing", "design"):
            for scope in charged_scopes(department_id, builders.caller().key):
                self.policies.plant(department_id, BudgetPolicy(scope, limit_micros))
        await builders.open_budgets(self.connection.as_connection(), PARTITION, limits)
        self.clock.advance(3_600)  # the builders' generations are admitted at noon

    async def admitted(self, seed: str, usd_micros: int = 6_000) -> WorkItem:
        wanted = builders.request("gpt-image-2" if self.provider == "azure_openai" else "sdxl")
        quote = builders.quote(usd_micros)
        work = builders.item(builders.single_id(seed), wanted=wanted, quote=quote)
        await self.ledger.reserve(builders.reservation(work))
        return work

    async def booked(self, seed: str, usd_micros: int = 5_000, **fields: Any) -> WorkItem:
        """A generation that was delivered, or ended as `fields` of its report say."""
        work = await self.admitted(seed)
        fields = {"usd_micros": usd_micros, "request_id": f"r-{seed}", **fields}
        await self.settle(work, builders.report(work, **fields))
        return work

    async def settle(self, work: WorkItem, report: AttemptReport) -> None:
        await self.settlements.settle(work.operation_id, [report])

    async def lost(self, seed: str, **fields: Any) -> WorkItem:
        """A generation that was sent and of which nobody has heard."""
        work = await self.admitted(seed)
        await self.ledger.begin_attempt(builders.marker(work))
        await self.settle(work, builders.report(work, "unknown", reason="no_answer", **fields))
        return work

    def bill(self, work: WorkItem, usd_micros: int | None, **values: Any) -> None:
        self.export.bill(
            BilledLine(
                **{
                    "provider": self.provider,
                    "model": work.request.model,
                    "day": DAY,
                    "item": "output",
                    "usd_micros": usd_micros,
                    "generation_id": work.generation_id,
                    "request_id": "r",
                    **values,
                }
            )
        )

    def rebill(self, work: WorkItem, usd_micros: int | None) -> None:
        """A later export: it names another amount, or, with None, not this generation any more."""
        for day, lines in self.export.days.items():
            self.export.days[day] = [
                line for line in lines if line.generation_id != work.generation_id
            ]
        if usd_micros is not None:
            self.bill(work, usd_micros)

    async def run(self, day: date = DAY) -> ReconciliationView:
        return await self.reconciliation.run_now(ADMIN, self.provider, day, "c")

    def scopes(self, department_id: str) -> tuple[Scope, ...]:
        return (Scope("department", department_id),)

    def set_limit(self, partition: Partition, limit_micros: int) -> int:
        """Give every budget of a partition another limit; the one before."""
        before = 0
        for document in self.container.partitions[partition.key].values():
            if document["type"] == "budget":
                before = document["ceiling_micros"]
                for name in ("limit_micros", "ceiling_micros"):
                    document[name] = limit_micros
        return before

    def later(self, days: int) -> None:
        self.clock.advance(timedelta(days=days).total_seconds())

    # --- what can be seen ----------------------------------------------------------------------

    def documents(self, kind: str) -> list[Item]:
        return [
            document
            for partition in self.container.partitions.values()
            for document in partition.values()
            if document["type"] == kind
        ]

    def events(self, action: str) -> list[Item]:
        waiting = [document["event"] for document in self.documents("outbox")]
        return [event for event in waiting if event["action"].startswith(action)]

    def case_kinds(self) -> dict[str, str]:
        """The status of each case, by its id without the department's part."""
        return {d["id"].removeprefix("case:"): d["status"] for d in self.documents("case")}

    async def budget(self, partition: Partition = PARTITION) -> Budget:
        found = await self.ledger.budget(partition, Scope("department", partition.department_id))
        assert found is not None
        return found

    def books(self) -> dict[str, Any]:
        """All that must be the same however often a run was interrupted; no times, no run ids."""
        state: dict[str, Any] = {}
        for document in self.documents("case"):
            state[document["id"]] = (document["status"], document["facts"], document["revision"])
        for kind in ("resolution", "adjustment"):
            for document in self.documents(kind):
                state[document["id"]] = (document["pk"], document["amount_micros"])
        for document in self.documents("freeze"):
            switch = (document["revision"], document["switch"]["lifted"])
            state[document["pk"] + document["id"]] = switch
        for document in self.documents("budget"):
            counters = ("reserved_micros", "spent_micros")
            state[document["pk"] + document["id"]] = [document[name] for name in counters]
        return state

    def check(self) -> None:
        """Counters are the sums of the entries, each event is there once."""
        for budget in self.documents("budget"):
            entries = [
                document["amount_micros"]
                for kind in ("resolution", "adjustment")
                for document in self.documents(kind)
                if document["pk"] == budget["pk"] and _pays(budget, document)
            ]
            assert budget["spent_micros"] == sum(entries), budget["id"]
        outbox = self.documents("outbox")
        ids = [(document["pk"], document["event"]["event_id"]) for document in outbox]
        assert len(ids) == len(set(ids))


def _pays(budget: Item, entry: Item) -> bool:
    named = {"department": entry["department_id"], "user": entry["user_key"]}
    return bool(named[budget["scope_kind"]] == budget["scope_id"])
