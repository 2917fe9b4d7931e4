"""What operators see of providers."""

from datetime import timedelta

import pytest

from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.domain import vitals
from shared.domain.attempts import Billed, Failure, NotDelivered
from shared.domain.identity import Role
from shared.domain.waiting_lines import Priority
from shared.errors import PolicyDenied
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.provider_health import ProviderHealths
from shared.services.provider_overview import ProviderOverview
from shared.services.token_buckets import TokenBuckets
from tests import builders
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection

BLOCKED = NotDelivered(Failure.PROVIDER_BLOCKED, Billed.NOTHING, "blocked")
LIMITS = {"azure_openai": GateLimit(8, 4, starts_per_day=100), "replicate": GateLimit(4, 600)}


class Bench:
    def __init__(self) -> None:
        clock, connection = FakeClock(), FakeConnection().as_connection()
        buckets = TokenBuckets(CosmosTokenBuckets(connection), clock)
        store = CosmosProviderHealth(connection)
        health = ProviderHealths(store, clock, tuple(LIMITS), timedelta(seconds=30))
        self.clock = clock
        self.gate = ProviderGate(LIMITS, clock, buckets, health)
        self.overview = ProviderOverview(health, buckets, LIMITS, clock)

    async def enter(self, department_id: str, priority: Priority) -> bool:
        model = "gpt-image-2"
        return await self.gate.enter("azure_openai", model, department_id, priority) is None


async def test_overview_shows_limits_and_who_waits_without_naming_departments() -> None:
    bench = Bench()
    assert await bench.enter("marketing", Priority.BATCH)
    assert await bench.enter("marketing", Priority.BATCH)
    assert not await bench.enter("marketing", Priority.BATCH)
    assert not await bench.enter("legal", Priority.BATCH)
    bench.clock.advance(4)
    azure, replicate = (await bench.overview.views()).items
    assert (azure.state, replicate.state) == ("closed", "closed")
    assert {each.name: (each.quota, each.left) for each in azure.limits} == {
        "minute": (4, 0),
        "day": (100, 4),
    }
    (waiting,) = azure.waiting
    assert (waiting.priority, waiting.departments, waiting.oldest_wait_s) == ("batch", 2, 4.0)
    assert "marketing" not in azure.model_dump_json()
    assert replicate.waiting == ()


async def test_readings_tell_of_a_provider_that_is_left_alone() -> None:
    bench = Bench()
    assert await bench.enter("marketing", Priority.INTERACTIVE)
    await bench.gate.leave("azure_openai", BLOCKED)
    found = {
        (each.name, each.attributes["provider"]): each.value
        for each in await bench.overview.readings()
    }
    assert found[vitals.PROVIDER_OPEN, "azure_openai"] == 1
    assert found[vitals.PROVIDER_OPEN, "replicate"] == 0
    assert found[vitals.PROVIDER_WAIT, "azure_openai"] == 0


@pytest.mark.parametrize("role", [Role.STANDARD_USER, Role.POWER_USER])
async def test_overview_is_for_those_who_look_after_providers(role: Role) -> None:
    bench = Bench()
    with pytest.raises(PolicyDenied):
        await bench.overview.list(builders.caller(role=role))
    manager = builders.caller(role=Role.DEPT_MANAGER)
    assert len((await bench.overview.list(manager)).items) == 2
