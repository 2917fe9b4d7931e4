"""Routing policies: two owners at once, who may write them, what each write leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_routing_policies import CosmosRoutingPolicies
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.identity import Role
from shared.domain.routing_policies import RoutingPolicy, RoutingRules, rules_of
from shared.domain.routing_wishes import STRATEGIES
from shared.errors import NotFound, PolicyDenied, PreconditionFailed
from shared.ports import DirectoryUser
from shared.services.fresh_views import FRESH
from shared.services.routing_policies import RoutingPolicies, RoutingWatch
from tests.builders import TENANT, caller
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory

POLICIES = st.builds(
    RoutingPolicy,
    owner=st.just("marketing"),
    allowed_strategies=st.none() | st.lists(st.sampled_from(STRATEGIES)).map(tuple),
    fallback_allowed=st.none() | st.booleans(),
    uplift_percent_max=st.none() | st.integers(0, 1_000),
    content_fallback=st.none() | st.booleans(),
    denied_models=st.lists(st.sampled_from(["sdxl", "flux-schnell"])).map(tuple),
)
MANAGER = caller(2, role=Role.DEPT_MANAGER)
ADMIN = caller(3, role=Role.ORG_ADMIN)


@given(POLICIES, POLICIES)
def test_the_stricter_word_counts_whoever_says_it(one: RoutingPolicy, other: RoutingPolicy) -> None:
    rules = rules_of(one, other)
    assert rules_of(other, one) == rules
    for policy in (one, other):
        if policy.allowed_strategies is not None:
            assert rules.allowed_strategies <= set(policy.allowed_strategies)
        if policy.uplift_percent_max is not None:
            assert rules.uplift_percent_max <= policy.uplift_percent_max
        assert policy.fallback_allowed is not False or not rules.fallback_allowed
        assert policy.content_fallback is not False or not rules.content_fallback
        assert rules.denied_models >= set(policy.denied_models)


def test_without_a_word_the_defaults_hold() -> None:
    assert rules_of(RoutingPolicy("marketing"), RoutingPolicy(ORGANISATION_WIDE)) == RoutingRules()


class Bench:
    def __init__(self) -> None:
        connection = FakeConnection()
        self.container = connection.container("ledger")
        people = {each.key: DirectoryUser("marketing") for each in (MANAGER, ADMIN)}
        self.clock = FakeClock()
        store = CosmosRoutingPolicies(connection.as_connection())
        self.watch = RoutingWatch(store, self.clock)
        self.policies = RoutingPolicies(
            store=store,
            watch=self.watch,
            ledger=CosmosLedger(connection.as_connection()),
            directory=FakeDirectory(people, ["design", "marketing"]),
            clock=self.clock,
        )

    def events(self) -> list[str]:
        return sorted(
            document["event"]["action"]
            for partition in self.container.partitions.values()
            for document in partition.values()
            if document["type"] == "outbox"
        )


async def test_a_manager_writes_the_policy_of_their_department() -> None:
    bench = Bench()
    wanted = RoutingPolicy("", uplift_percent_max=20, denied_providers=("replicate",))
    view = await bench.policies.put(MANAGER, "marketing", wanted, expected=0, correlation_id="c-1")
    assert (view.revision, view.uplift_percent_max) == (1, 20)
    assert view.effective.denied_providers == ("replicate",)
    assert bench.events() == ["routing_policy.changed.1"]
    rules = await bench.watch.rules(TENANT, "marketing")
    assert rules.denies("sdxl", "replicate") and rules.uplift_percent_max == 20
    with pytest.raises(PreconditionFailed):
        await bench.policies.put(MANAGER, "marketing", wanted, expected=0, correlation_id="c-1")


@pytest.mark.parametrize("owner", ["design", ORGANISATION_WIDE])
async def test_a_manager_neither_sees_nor_writes_what_is_not_theirs(owner: str) -> None:
    bench = Bench()
    with pytest.raises(NotFound):
        await bench.policies.get(MANAGER, owner)
    with pytest.raises(NotFound):
        await bench.policies.put(
            MANAGER, owner, RoutingPolicy(""), expected=None, correlation_id="c-1"
        )
    assert bench.events() == []


async def test_the_organisations_policy_holds_beside_the_departments() -> None:
    bench = Bench()
    wide = RoutingPolicy("", fallback_allowed=False, denied_models=("sdxl",))
    await bench.policies.put(ADMIN, ORGANISATION_WIDE, wide, expected=0, correlation_id="c-1")
    own = RoutingPolicy("", fallback_allowed=True, denied_models=("flux-schnell",))
    view = await bench.policies.put(MANAGER, "marketing", own, expected=0, correlation_id="c-2")
    assert view.effective.fallback_allowed is False
    assert view.effective.denied_models == ("flux-schnell", "sdxl")


async def test_who_may_not_write_is_denied_with_an_event() -> None:
    bench = Bench()
    with pytest.raises(PolicyDenied):
        await bench.policies.put(
            caller(), "marketing", RoutingPolicy(""), expected=None, correlation_id="c-1"
        )
    assert [each.rpartition(".")[0] for each in bench.events()] == ["routing_policy.denied"]
    with pytest.raises(PolicyDenied):
        await bench.policies.get(caller(), "marketing")


async def test_a_worker_goes_on_with_what_it_has_read_for_a_few_seconds_only() -> None:
    bench = Bench()
    elsewhere = RoutingWatch(bench.policies.store, bench.clock)
    assert (await elsewhere.rules(TENANT, "marketing")).uplift_percent_max == 100
    wanted = RoutingPolicy("", uplift_percent_max=7)
    await bench.policies.put(MANAGER, "marketing", wanted, expected=0, correlation_id="c-1")
    assert (await elsewhere.rules(TENANT, "marketing")).uplift_percent_max == 100
    bench.clock.advance(FRESH.total_seconds() + 1)
    assert (await elsewhere.rules(TENANT, "marketing")).uplift_percent_max == 7
