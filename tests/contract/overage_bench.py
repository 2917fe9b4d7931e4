"""Grants and waiting work on trial: over the fake container, and over the SDK with an account."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies
from shared.adapters.cosmos_grants import CosmosGrants
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_parked_work import CosmosParkedWork
from shared.domain.approvals import Approval, Decision, Vote
from shared.domain.budgets import Budget, Scope
from shared.domain.grants import Grant
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Reservation
from shared.domain.parked_work import Move, Parked, moved_id, parked
from shared.domain.work import WorkItem
from shared.ports.grants import GrantStore
from shared.ports.parked_work import ParkedWork
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.contract.ledger_bench import Bench
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.grants import FakeGrants
from tests.fakes.parked_work import FakeParkedWork

LATER = "2026-11-20T00:00:00+00:00"


@dataclass
class OverageBench:
    """A department of its own with its ledger, its grants and its waiting work."""

    money: Bench
    grants: GrantStore
    parked: ParkedWork
    policies: CosmosBudgetPolicies

    @property
    def department(self) -> Scope:
        return self.money.scopes[0]

    @property
    def user(self) -> Scope:
        return self.money.scopes[1]

    async def budget(self, scope: Scope | None = None) -> Budget:
        found = await self.money.ledger.budget(self.money.partition, scope or self.department)
        assert found is not None
        return found

    def grant_of(self, *scopes: Scope, seed: str = "grant", **changes: Any) -> Grant:
        grant = Grant(
            grant_id=operation_id(self.money.partition, seed),
            kind="increase",
            scopes=scopes or (self.department,),
            amount_micros=100_000,
            ends_at=LATER,
            reason="the launch",
            tenant_id=builders.TENANT,
            granted_by=builders.caller(9).key,
            created_at=builders.CREATED_AT,
            request_hash=seed,
        )
        return replace(grant, **changes)

    async def grant(self, grant: Grant) -> tuple[Budget, ...] | None:
        events = [builders.event(grant.grant_id, "grant.increase")]
        if grant.surcharge_micros:
            events.append(builders.event(grant.grant_id, "adjustment.booked"))
        return await self.grants.grant(grant, events)

    async def end(self, grant: Grant) -> tuple[Budget, ...] | None:
        event = builders.event(grant.grant_id, "grant.ended")
        return await self.grants.end(grant, LATER, "system:grants", event)

    # --- waiting work --------------------------------------------------------------------------

    def work(self, seed: str = "one", price_micros: int = 60_000) -> WorkItem:
        return self.money.single(seed, price_micros)

    def reservation(self, work: WorkItem, **changes: Any) -> Reservation:
        return builders.reservation(work, **changes)

    def approval_of(self, work: WorkItem, *raised: Scope, **changes: Any) -> Approval:
        approval = Approval(
            kind="generation",
            hold=self.reservation(work).hold,
            raised=raised,
            department_id=self.money.partition.department_id,
            required=1,
            created_at=builders.CREATED_AT,
            escalates_at=LATER,
            expires_at=LATER,
            correlation_id="c-1",
            summary={"model": "gpt-image-2"},
        )
        return replace(approval, **changes)

    async def ask(self, work: WorkItem, *raised: Scope, **changes: Any) -> Approval:
        approval = self.approval_of(work, *raised, **changes)
        assert await self.request(approval, work)
        return approval

    async def request(self, approval: Approval, work: WorkItem) -> bool:
        waiting = parked("generation", self.reservation(work), "awaiting_approval", None)
        event = builders.event(approval.operation_id, "approval.requested")
        return await self.parked.request(approval, waiting, event)

    async def vote(
        self,
        approval: Approval,
        person: int = 2,
        decision: Decision = "approve",
        vote_id: str | None = None,
    ) -> bool:
        vote = Vote(
            operation_id=approval.operation_id,
            vote_id=vote_id or uuid.uuid4().hex,
            approver=builders.caller(person).key,
            approver_role="DeptManager",
            decision=decision,
            comment="",
            voted_at=builders.CREATED_AT,
        )
        record = {"status": "failed"} if decision == "reject" else None
        number = approval.approvals + 1
        event = builders.event(approval.operation_id, f"approval.{decision}.{number}")
        return await self.parked.vote(approval, vote, record, event)

    async def must_find(self, approval: Approval) -> Approval:
        found = await self.parked.approval(approval.operation_id)
        assert found is not None
        return found

    async def approved(self, work: WorkItem, *raised: Scope) -> Approval:
        approval = await self.ask(work, *raised)
        assert await self.vote(approval)
        return await self.must_find(approval)

    async def approved_batch(self, batch_id: str, work: list[WorkItem], *raised: Scope) -> Approval:
        """A batch that waits and was approved."""
        reservation = builders.batch_reservation(batch_id, work)
        waiting = parked("batch", reservation, "awaiting_approval", None)
        approval = replace(self.approval_of(work[0], *raised), kind="batch", hold=reservation.hold)
        asked = builders.event(batch_id, "approval.requested")
        assert await self.parked.request(approval, waiting, asked)
        assert await self.vote(approval)
        return await self.must_find(approval)

    async def conclude(self, approval: Approval, **cheaper: Any) -> tuple[Budget, ...] | None:
        """Carry it out at the price that was approved, or at a cheaper one."""
        event = builders.event(approval.operation_id, "generation.admitted")
        work = Parked(approval.kind, replace(approval.hold, **cheaper), {})
        return await self.parked.conclude(approval, work, {}, event)

    def move_of(self, work: WorkItem, price_micros: int | None = None) -> Move:
        """The same request in the month after."""
        following = replace(self.money.partition, period="202612")
        there = replace(work, generation_id=moved_id(work.generation_id, following))
        changes = {} if price_micros is None else {"amount_micros": price_micros}
        waiting = parked(
            "generation",
            self.reservation(there, request_hash=self._hash(work), **changes),
            "deferred",
            "2026-12-01T00:00:00+00:00",
        )
        return Move(work.generation_id, waiting, "2026-12-01T00:00:00+00:00")

    async def move(self, move: Move) -> Move | None:
        event = builders.event(move.operation_id, "generation.deferred")
        return await self.parked.move(move, event)

    async def open_december(self, limit_micros: int = 1_000_000) -> None:
        following = replace(self.money.partition, period="202612")
        limits = dict.fromkeys(self.money.scopes, limit_micros)
        await builders.open_budgets(self.money.connection, following, limits)

    async def release(self, work: Parked) -> tuple[Budget, ...] | None:
        event = builders.event(work.operation_id, "generation.admitted")
        return await self.parked.release(work, {"starts_at": None}, builders.CREATED_AT, event)

    async def waiting_there(self, move: Move) -> Parked:
        found = await self.parked.parked(move.parked.operation_id)
        assert found is not None
        return found

    def _hash(self, work: WorkItem) -> str:
        return self.reservation(work).hold.request_hash


@dataclass
class _Stores:
    connection: CosmosConnection
    grants: GrantStore
    parked: ParkedWork


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[_Stores]:
    if request.param == "fake":
        fake = FakeConnection()
        yield _Stores(fake.as_connection(), FakeGrants(fake), FakeParkedWork(fake))
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        opened = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield _Stores(opened, CosmosGrants(opened), CosmosParkedWork(opened))
        await opened.aclose()


@pytest.fixture
def bench(stores: _Stores) -> OverageBench:
    department_id = f"d{uuid.uuid4().hex[:12]}"
    owner = builders.caller(1, department_id)
    partition = Partition(department_id, "202611")
    money = Bench(CosmosLedger(stores.connection), stores.connection, partition, owner)
    policies = CosmosBudgetPolicies(stores.connection)
    return OverageBench(money, stores.grants, stores.parked, policies)
