"""The RoutingPolicyStore port: one suite on the fake and on the SDK."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection, read_or_none
from shared.adapters.cosmos_routing_policies import CosmosRoutingPolicies
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.routing_policies import RoutingPolicy, routing_partition
from shared.errors import PreconditionFailed
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.fakes.cosmos_container import FakeConnection


@dataclass
class Bench:
    """A department and a tenant of their own."""

    connection: CosmosConnection
    department: str
    tenant: str

    @property
    def store(self) -> CosmosRoutingPolicies:
        return CosmosRoutingPolicies(self.connection)

    def policy(self, revision: int = 1, change: str = "c1") -> RoutingPolicy:
        return RoutingPolicy(
            owner=self.department,
            default_strategy="quality",
            allowed_strategies=("quality", "pinned"),
            fallback_allowed=True,
            uplift_percent_max=50,
            content_fallback=False,
            denied_models=("sdxl",),
            denied_providers=("adobe_firefly",),
            updated_at=builders.CREATED_AT,
            revision=revision,
            change_id=change,
        )

    async def put(self, policy: RoutingPolicy) -> None:
        event = builders.event(f"routing_policy:{policy.owner}", f"changed.{policy.change_id}")
        await self.store.put(self.tenant, policy, event)


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[CosmosConnection]:
    if request.param == "fake":
        yield FakeConnection().as_connection()
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        connection = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield connection
        await connection.aclose()


@pytest.fixture
def bench(connection: CosmosConnection) -> Bench:
    return Bench(connection, f"d{uuid.uuid4().hex[:12]}", str(uuid.uuid4()))


async def test_policy_is_what_was_put_with_its_event(bench: Bench) -> None:
    assert await bench.store.policy(bench.tenant, bench.department) is None
    await bench.put(bench.policy())
    assert await bench.store.policy(bench.tenant, bench.department) == bench.policy()
    key = routing_partition(bench.department, bench.tenant).key
    event_id = f"e:routing_policy:{bench.department}:changed.c1"
    container = await bench.connection.container("ledger")
    assert await read_or_none(container, event_id, key) is not None


async def test_policy_of_the_organisation_is_kept_for_each_tenant(bench: Bench) -> None:
    wide = replace(bench.policy(), owner=ORGANISATION_WIDE, allowed_strategies=None)
    await bench.put(wide)
    assert await bench.store.policy(bench.tenant, ORGANISATION_WIDE) == wide
    assert await bench.store.policy(str(uuid.uuid4()), ORGANISATION_WIDE) is None


async def test_revision_is_written_once_by_whoever_comes_first(bench: Bench) -> None:
    await bench.put(bench.policy())
    await bench.put(bench.policy())  # sent again: its answer was lost
    with pytest.raises(PreconditionFailed):
        await bench.put(bench.policy(change="c2"))
    second = replace(bench.policy(2, "c3"), denied_models=())
    await bench.put(second)
    with pytest.raises(PreconditionFailed):
        await bench.put(bench.policy(2, "c4"))
    with pytest.raises(PreconditionFailed):
        await bench.put(bench.policy(7, "c5"))
    assert await bench.store.policy(bench.tenant, bench.department) == second
