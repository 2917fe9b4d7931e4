"""Budget policies over the in-memory container of the ledger."""

from collections.abc import Sequence

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies
from shared.domain.budget_policies import (
    BudgetPolicy,
    policy_document,
    policy_partition,
    read_policy,
)
from shared.domain.budgets import Budget, read_budget
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.ports import POLICIES_PER_PAGE_MAX
from tests.fakes.cosmos_container import FakeConnection


class FakeBudgetPolicies(CosmosBudgetPolicies):
    """The real adapter; only its queries are filters over the fake's documents."""

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection.as_connection()
        super().__init__(self.connection)
        self._fake = connection.container("ledger")

    async def policies(
        self, department_id: str, *, after: str = "", limit: int = POLICIES_PER_PAGE_MAX
    ) -> Sequence[BudgetPolicy]:
        found = await self._scan(policy_partition(department_id), "policy")
        behind = [each for each in found if each["id"] > f"policy:{after}"]
        return [read_policy(each) for each in sorted(behind, key=lambda d: str(d["id"]))][:limit]

    async def pending(self, department_id: str) -> Sequence[BudgetPolicy]:
        found = await self._scan(policy_partition(department_id), "policy")
        return [read_policy(each) for each in found if each["pending"]]

    async def largest(self, partition: Partition, limit: int) -> Sequence[Budget]:
        found = await self._scan(partition, "budget")
        found.sort(key=lambda document: -int(document["spent_micros"]))
        return [read_budget(each) for each in found[:limit]]

    async def _scan(self, partition: Partition, kind: str) -> list[Document]:
        return await answered(
            lambda: self._fake.scan(partition.key, lambda document: document["type"] == kind)
        )

    def plant(self, department_id: str, policy: BudgetPolicy) -> None:
        """Put a policy there as if it had always stood."""
        document = policy_document(department_id, policy)
        self._fake.partitions.setdefault(document["pk"], {})[document["id"]] = document
