"""The ports of allocation on trial: over the fake container, and over the SDK with an account."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection, read_or_none
from shared.adapters.cosmos_allocations import CosmosAllocations
from shared.adapters.cosmos_organisation_policies import CosmosOrganisationPolicies
from shared.domain.allocations import Transfer, asked
from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope, budget_document
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.organisation_policies import OrganisationPolicy, cap_partition
from shared.domain.periods import Calendar
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.fakes.allocations import FakeAllocations
from tests.fakes.cosmos_container import FakeConnection

PERIOD = "202611"
LIMIT_MICROS = 1_000
BUDGET_MICROS = 300
ALLOCATED_MICROS = 400
AT = builders.CREATED_AT


@dataclass
class Store:
    """One account and the adapters over it."""

    connection: CosmosConnection
    books: CosmosAllocations
    policies: CosmosOrganisationPolicies


@dataclass
class Bench:
    """An organisation of its own with two departments, so that no test sees another's money."""

    store: Store
    tenant_id: str
    source: Partition
    target: Partition

    @property
    def books(self) -> CosmosAllocations:
        return self.store.books

    @property
    def policies(self) -> CosmosOrganisationPolicies:
        return self.store.policies

    @property
    def cap_at(self) -> Partition:
        return cap_partition(self.tenant_id, PERIOD)

    def policy(self, limit_micros: int = LIMIT_MICROS, revision: int = 1) -> OrganisationPolicy:
        return OrganisationPolicy(self.tenant_id, limit_micros, Calendar(), revision)

    def event(self, action: str) -> AuditEvent:
        return builders.event(f"organisation:{self.tenant_id}", action)

    async def put(self, policy: OrganisationPolicy) -> None:
        await self.policies.put(policy, self.event(f"changed.{policy.revision}"))

    async def open_cap(self, limit_micros: int = LIMIT_MICROS) -> None:
        await self.policies.open_cap(self.policy(limit_micros), PERIOD)

    async def open_budget(self, side: Partition, allocated_micros: int | None) -> None:
        """A department's budget with a limit of BUDGET_MICROS."""
        scope = Scope("department", side.department_id)
        budget = BudgetPolicy(scope, BUDGET_MICROS).opening(
            side.period, allocated_micros=allocated_micros
        )
        container = await self.store.connection.container("ledger")
        await container.create_item(budget_document(side, budget))

    def transfer(
        self, transfer_id: str = "one", amount_micros: int = 50, **fields: Any
    ) -> Transfer:
        """A movement from the source to the target unless fields say otherwise."""
        values: dict[str, Any] = {
            "kind": "move",
            "source": self.source,
            "target": self.target,
            "request_hash": "hash",
            "created_at": AT,
        } | fields
        made = Transfer(
            transfer_id=transfer_id,
            tenant_id=self.tenant_id,
            period=PERIOD,
            amount_micros=amount_micros,
            reason="because",
            actor="system:test",
            actor_role="system",
            correlation_id="c-1",
            **values,
        )
        return asked(made)

    def grant(self, transfer_id: str = "one", amount_micros: int = 50, **fields: Any) -> Transfer:
        """From the organisation to the target."""
        values: dict[str, Any] = {"kind": "allocate", "source": None} | fields
        return self.transfer(transfer_id, amount_micros, **values)

    async def allocated(self, side: Partition) -> int | None:
        found = await self.read(side, f"budget:department:{side.department_id}")
        assert found is not None
        value: int | None = found["allocated_micros"]
        return value

    async def given(self) -> int:
        """What the cap has given out."""
        found = await self.policies.cap(self.cap_at)
        assert found is not None
        return found.allocated_micros

    async def status(self, transfer: Transfer) -> str:
        found = await self.books.transfer(self.cap_at, transfer.transfer_id)
        assert found is not None
        return found.status

    async def read(self, side: Partition, document_id: str) -> Document | None:
        container = await self.store.connection.container("ledger")
        return await read_or_none(container, document_id, side.key)

    async def actions(self, side: Partition, transfer: Transfer) -> set[str]:
        """The audit events of a transfer that wait in a partition."""
        names = (
            "asked", "granted", "taken", "given", "take_refused", "give_refused",
            "done", "refused", "returned",
        )  # fmt: skip
        return {
            name
            for name in names
            if await self.read(side, f"e:{transfer.transfer_id}:allocation.{name}")
        }


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "fake":
        fake = FakeConnection()
        connection = fake.as_connection()
        yield Store(connection, FakeAllocations(fake), CosmosOrganisationPolicies(connection))
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        opened = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield Store(opened, CosmosAllocations(opened), CosmosOrganisationPolicies(opened))
        await opened.aclose()


@pytest.fixture
def bench(store: Store) -> Bench:
    source = Partition(f"d{uuid.uuid4().hex[:12]}", PERIOD)
    target = replace(source, department_id=f"d{uuid.uuid4().hex[:12]}")
    return Bench(store, str(uuid.uuid4()), source, target)
