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
from tests.fakes.cosmos_container import FakeConnection


class FakeBudgetPolicies(CosmosBudgetPolicies):
    """The real adapter; only its one query is a filter over the fake's documents."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def policies(self, department_id: str) -> Sequence[BudgetPolicy]:
        key = policy_partition(department_id).key
        found = await answered(
            lambda: self._fake.scan(key, lambda document: document["type"] == "policy")
        )
        return [read_policy(each) for each in sorted(found, key=lambda d: str(d["id"]))]

    def plant(self, department_id: str, policy: BudgetPolicy) -> None:
        """Put a policy there as if it had always stood."""
        document = policy_document(department_id, policy)
        self._fake.partitions.setdefault(document["pk"], {})[document["id"]] = document
