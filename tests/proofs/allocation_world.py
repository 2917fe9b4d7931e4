"""The services that move allocation over the fake container, and what must hold at every commit."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_organisation_policies import CosmosOrganisationPolicies
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.money import MICROS_MAX
from shared.services.allocations import Allocations
from shared.services.audit_relay import AuditRelay
from shared.services.budget_periods import BudgetPeriods
from shared.services.budgets import Budgets
from shared.services.calendars import Calendars
from shared.services.organisation_budgets import OrganisationBudgets
from tests.builders import TENANT
from tests.fakes.allocations import FakeAllocations
from tests.fakes.audit_log import FakeAuditLog
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.cosmos_container import FakeConnection, FakeContainer, Item
from tests.fakes.directory import FakeDirectory
from tests.fakes.records import FakeRecords
from tests.proofs.chaos import Chaos
from tests.proofs.world import VirtualClock

COUNTERS = ("limit_micros", "ceiling_micros", "reserved_micros", "spent_micros")
OPEN = ("asked", "granted")
USED_IDS = 1_000  # more than anything that is planted has taken
Partitions = Mapping[str, Mapping[str, Item]]


class AllocationChecker:
    """Collects violations of A1-A5, I1 and I2 after every commit, over all partitions."""

    def __init__(self, container: FakeContainer) -> None:
        self.violations: list[str] = []
        self._container = container
        self._allocated: dict[str, int] = {}  # of each cap, before the commit

    def broken(self, invariant: str, detail: str) -> None:
        self.violations.append(f"{invariant}: {detail}")

    def after_commit(self, partition_key: str, changed: Mapping[str, Item | None]) -> None:
        budgets = [d for d in changed.values() if d and d["id"].startswith("budget:department:")]
        for budget in budgets:
            self._check_budget(partition_key, budget)
        cap = changed.get("cap")
        if cap is not None:
            self._check_cap(partition_key, cap)
        if budgets or cap or any(item_id.startswith("t:") for item_id in changed):
            self._check_sums()

    def at_the_end(self) -> None:
        """Nothing stays half way, and nothing is lost between the cap and the departments."""
        given = self._given()
        for key, partition in self._container.partitions.items():
            for document in partition.values():
                if document["type"] == "transfer" and document["status"] in OPEN:
                    self.broken("end", f"{document['id']} stays {document['status']}")
            cap = partition.get("cap")
            if cap is not None and cap["allocated_micros"] != given[key]:
                self.broken("end", f"{key} gave {cap['allocated_micros']}, there is {given[key]}")

    def check_audit(self, copied: Mapping[str, object]) -> None:
        """Every transfer and every leg has left its audit events in the log."""
        for partition in self._container.partitions.values():
            for document in partition.values():
                for action in _actions_of(document):
                    event_id = f"{document['transfer_id']}:allocation.{action}"
                    if event_id not in copied:
                        self.broken("audit", f"{event_id} is missing")

    def _check_budget(self, key: str, budget: Item) -> None:
        for name in COUNTERS:
            if type(budget[name]) is not int or not 0 <= budget[name] <= MICROS_MAX:
                self.broken("I2", f"{key} has {name} = {budget[name]!r}")
        committed = budget["reserved_micros"] + budget["spent_micros"]
        if committed > budget["high_micros"]:
            self.broken("I1", f"{key} commits {committed} over {budget['high_micros']}")
        allocated = budget["allocated_micros"]
        if allocated is None:
            return
        for name, used in (("ceiling", budget["ceiling_micros"]), ("committed", committed)):
            if used > allocated:
                self.broken("A1", f"{key} has a {name} of {used}, and {allocated} allocated")

    def _check_cap(self, key: str, cap: Item) -> None:
        before = self._allocated.get(key, 0)
        self._allocated[key] = cap["allocated_micros"]
        if cap["allocated_micros"] > before and cap["allocated_micros"] > cap["limit_micros"]:
            self.broken("A3", f"{key} gave {cap['allocated_micros']} of {cap['limit_micros']}")

    def _check_sums(self) -> None:
        given = self._given()
        for key, partition in self._container.partitions.items():
            legs = [d["amount_micros"] for d in partition.values() if d["type"] == "leg"]
            applied = [d["applied_micros"] for d in partition.values() if d["type"] == "transfer"]
            cap = partition.get("cap")
            allocated = cap["allocated_micros"] if cap else 0
            if sum(applied) != allocated:
                self.broken("A5", f"{key} is not the sum of its transfers")
            if given[key] > allocated:
                self.broken("A2", f"departments have {given[key]} of {allocated} that {key} gave")
            for item_id, budget in partition.items():
                has = budget.get("allocated_micros")
                if item_id.startswith("budget:department:") and has not in (None, sum(legs)):
                    self.broken("A4", f"{key} has {has} allocated, its entries say {sum(legs)}")

    def _given(self) -> Counter[str]:
        """What the departments have, by the organisation's partition that gave it."""
        given: Counter[str] = Counter()
        for partition in self._container.partitions.values():
            for document in partition.values():
                if document["type"] == "leg":
                    given[document["organisation"]] += document["amount_micros"]
        return given


def _actions_of(document: Item) -> tuple[str, ...]:
    if document["type"] == "transfer":
        return ("asked" if document["source"] else "granted", document["status"])
    if document["type"] == "leg" and document["kind"] != "void":
        return (document["kind"],)
    return ()


@dataclass(frozen=True)
class Variant:
    """Which implementation is on trial."""

    books: type[FakeAllocations] = FakeAllocations
    allocations: type[Allocations] = Allocations


class AllocationWorld:
    """Everything that one history of allocations needs; `checker` watches all of it."""

    def __init__(
        self, chaos: Chaos, policies: Mapping[str, BudgetPolicy], variant: Variant | None = None
    ) -> None:
        variant = variant or Variant()
        self.chaos = chaos
        connection = FakeConnection(chaos)
        self.container = connection.container("ledger")
        self.checker = AllocationChecker(self.container)
        self.container.after_commit = self.checker.after_commit
        self.clock = VirtualClock()
        self.ledger = CosmosLedger(connection.as_connection())
        budget_policies = FakeBudgetPolicies(connection)
        for department_id, policy in policies.items():
            budget_policies.plant(department_id, policy)
        directory = FakeDirectory({}, tuple(policies))
        self.calendars = Calendars(budget_policies, directory, self.clock)
        self.allocations = variant.allocations(
            books=variant.books(connection),
            organisations=CosmosOrganisationPolicies(connection.as_connection()),
            ledger=self.ledger,
            budget_policies=budget_policies,
            calendars=self.calendars,
            directory=directory,
            clock=self.clock,
            tenants=(TENANT,),
        )
        self.periods = BudgetPeriods(budget_policies, self.calendars, self.clock, self.allocations)
        self.budgets = Budgets(
            ledger=self.ledger,
            policies=budget_policies,
            directory=directory,
            calendars=self.calendars,
            periods=self.periods,
            clock=self.clock,
        )
        self.organisation = OrganisationBudgets(self.allocations)
        self.audit = FakeAuditLog()
        self._relay = AuditRelay(FakeRecords(connection), self.audit)

    def plant(self, standing: Partitions) -> None:
        """Begin where another world stopped; documents are never changed in place."""
        self.container.partitions = {key: dict(partition) for key, partition in standing.items()}
        self.clock._ids = USED_IDS
        for key, partition in standing.items():
            if "cap" in partition:
                self.checker.after_commit(key, {"cap": partition["cap"]})

    async def copy_events(self) -> None:
        """What the timer of the audit relay does."""
        departments = await self.calendars.outbox_partitions(thorough=False)
        organisations = await self.allocations.outbox_partitions(thorough=False)
        keys = self.container.partitions.keys()
        await self._relay.run([p for p in (*departments, *organisations) if p.key in keys])
