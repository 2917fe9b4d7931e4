"""Services of waiting work and grants over fakes, with prices and a clock that a test sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.approvals import Approval
from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchSource, batch_record
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Budget, Overage
from shared.domain.generations import GenerationRequest
from shared.domain.identity import Ownership, Role
from shared.domain.ids import Partition
from shared.domain.ledger import Document, Reservation
from shared.domain.money import ExchangeRate
from shared.domain.parked_work import OperationKind, parked
from shared.domain.price_catalogues import PriceCatalogues, PriceVersion
from shared.ports import DirectoryUser
from shared.services.approvals import Approvals, ApprovalTerms
from shared.services.batch_planning import BatchPlanning
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.grants import Grants
from shared.services.overage import Overage as Overages
from shared.services.overage_sweep import OverageSweep
from shared.services.repricing import Repricing
from tests import builders
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.grants import FakeGrants
from tests.fakes.orchestrations import FakeOrchestrations
from tests.fakes.parked_work import FakeParkedWork
from tests.fakes.records import FakeRecords

ASKER = builders.caller(1)
MANAGER = builders.caller(2, role=Role.DEPT_MANAGER)
ADMIN = builders.caller(4, role=Role.ORG_ADMIN)
PEOPLE = (ASKER, MANAGER, ADMIN)
DEPARTMENT, USER = ASKER.charge().scopes()
LIMIT = 10_000_000
TERMS = ApprovalTerms(timedelta(days=1), timedelta(days=3), dual_above_micros=10**9)


@dataclass
class WaitingBench:
    """One department whose own budget is `department_micros`, and what waits in it."""

    department_micros: int = 0
    overage: Overage = "approval"
    catalogues: PriceCatalogues = field(default_factory=builders.catalogues)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        connection = self.connection = FakeConnection()
        self.policies = FakeBudgetPolicies(connection)
        for scope, limit in ((DEPARTMENT, self.department_micros), (USER, LIMIT)):
            self.policies.plant("marketing", BudgetPolicy(scope, limit, overage=self.overage))
        directory = FakeDirectory(
            {person.key: DirectoryUser("marketing") for person in PEOPLE}, ["marketing"]
        )
        self.ledger = CosmosLedger(connection.as_connection())
        self.records = FakeRecords(connection)
        self.files = FakeBatchFiles()
        self.orchestrations = FakeOrchestrations()
        self.store = FakeParkedWork(connection)
        self.calendars = Calendars(self.policies, directory, self.clock)
        self.periods = BudgetPeriods(self.policies, self.calendars, self.clock)
        self.planning = BatchPlanning(self.files)
        self.grant_store = FakeGrants(connection)
        self.grants = Grants(
            self.grant_store, self.ledger, directory, self.calendars, self.periods, self.clock
        )
        self._price(self.catalogues)

    def _price(self, catalogues: PriceCatalogues) -> None:
        self.catalogues = catalogues
        self.approvals = Approvals(
            store=self.store,
            records=self.records,
            ledger=self.ledger,
            calendars=self.calendars,
            periods=self.periods,
            clock=self.clock,
            terms=TERMS,
            repricing=Repricing(self.planning, catalogues),
        )
        self.overages = Overages(
            self.store, self.ledger, self.approvals, self.calendars, self.clock
        )
        self.sweep = OverageSweep(
            self.store,
            self.grants,
            self.approvals,
            self.overages,
            self.calendars,
            timedelta(0),
            self.clock,
        )

    # --- prices ----------------------------------------------------------------------------------

    def next_day(self, aud_per_usd_micros: int) -> None:
        """A day later, with another exchange rate in force from then on."""
        self.clock.set(NOON + timedelta(days=1))
        day = self.clock.now().date().isoformat()
        rate = ExchangeRate("r-next", aud_per_usd_micros, as_of=day, source="a test")
        before = [each for each in self.catalogues.exchange_rates if each.as_of < day]
        self._price(replace(self.catalogues, exchange_rates=(*before, rate)))

    def next_day_without(self, model: str) -> None:
        """A day later, with prices that no longer have a model."""
        self.clock.set(NOON + timedelta(days=1))
        day = self.clock.now().date().isoformat()
        last = self.catalogues.prices[-1]
        rows = tuple(row for row in last.rows if row.model != model)
        version = PriceVersion("p-next", day, rows)
        self._price(replace(self.catalogues, prices=(*self.catalogues.prices, version)))

    # --- work ------------------------------------------------------------------------------------

    async def open(self, partition: Partition = builders.PARTITION) -> None:
        await self.periods.open(partition, [DEPARTMENT, USER])

    def plant(self, policy: BudgetPolicy) -> None:
        self.policies.plant("marketing", policy)

    async def spend(self, amount_micros: int) -> None:
        """Somebody reserves so much."""
        work = builders.item(builders.single_id("other"), quote=builders.quote(amount_micros))
        assert await self.ledger.reserve(builders.reservation(work)) is not None

    async def budget(self, partition: Partition = builders.PARTITION) -> Budget:
        found = await self.ledger.budget(partition, DEPARTMENT)
        assert found is not None
        return found

    def single(self, wanted: GenerationRequest | None = None) -> Reservation:
        wanted = wanted or builders.request()
        quote = self.catalogues.at(self.clock.now()).quote(wanted)
        return builders.reservation(builders.item(wanted=wanted, quote=quote, owner=ASKER))

    async def batch(self, requests: Sequence[GenerationRequest]) -> Reservation:
        """A batch with its plan, at the prices of now."""
        batch_id, plan = builders.single_id("batch"), "plan-1"
        catalogue = self.catalogues.at(self.clock.now())
        header = self.planning.header(
            ASKER,
            ASKER.charge(),
            catalogue,
            batch_id=batch_id,
            plan=plan,
            created_at=builders.CREATED_AT,
            correlation_id="c-1",
        )
        rows = [BatchRow(n, n, f"row-{n}", each, ()) for n, each in enumerate(requests, start=1)]
        prices = await self.planning.plan(
            header, builders.surroundings(quote=catalogue.quote), iter(rows)
        )
        totals = prices.totals(len(prices.priced))
        record = batch_record(
            batch_id,
            Ownership(ASKER.tenant_id, ASKER.department_id, ASKER.key),
            ASKER.charge(),
            BatchSource("inline"),
            totals,
            created_at=builders.CREATED_AT,
            correlation_id="c-1",
            price_version=catalogue.version,
            plan=plan,
        )
        hold = replace(
            self.single().hold,
            operation_id=batch_id,
            rows=totals.valid_rows,
            amount_micros=totals.amount_micros,
            usd_micros=totals.usd_micros,
        )
        return Reservation(hold, record, builders.event(batch_id, "batch.admitted"))

    async def ask(self, reservation: Reservation) -> bool:
        kind: OperationKind = "batch" if reservation.record["type"] == "batch" else "generation"
        work = parked(kind, reservation, "awaiting_approval", None)
        return await self.approvals.request(
            ASKER,
            work,
            [DEPARTMENT],
            {},
            admins_only=False,
            correlation_id="c-1",
            orchestrations=self.orchestrations,
        )

    async def approved(self, reservation: Reservation) -> str:
        """Ask and let the manager approve; the id of the work."""
        assert await self.ask(reservation)
        operation_id = reservation.hold.operation_id
        await self.approvals.decide(
            MANAGER,
            operation_id,
            "approve",
            "",
            correlation_id="c-2",
            orchestrations=self.orchestrations,
        )
        return operation_id

    async def approval(self, operation_id: str) -> Approval:
        found = await self.store.approval(operation_id)
        assert found is not None
        return found

    def documents(self, wanted: Callable[[Document], bool]) -> list[Document]:
        """What stands in the ledger."""
        partitions = self.connection.container("ledger").partitions.values()
        return [d for partition in partitions for d in partition.values() if wanted(d)]

    def events(self, action: str) -> list[Document]:
        """Audit events that wait to be copied."""
        found = self.documents(
            lambda d: d["type"] == "outbox" and d["event"]["action"].startswith(action)
        )
        return [each["event"] for each in found]
