"""A fallback to a model that a policy denies after admission."""

from dataclasses import replace

from shared.adapters.cosmos_routing_policies import CosmosRoutingPolicies
from shared.domain.attempts import Billed, Failure
from shared.domain.routing_policies import RoutingPolicy
from shared.services.departures import Departures
from shared.services.freezes import FreezeWatch
from shared.services.privacy_policies import PolicyWatch
from shared.services.rights import RightsWatch
from shared.services.routing_policies import RoutingWatch
from tests import builders
from tests.fakes.directory import FakeDirectory
from tests.fakes.freezes import FakeFreezes
from tests.fakes.privacy import FakePrivacy
from tests.unit.fallback_work import QUOTE
from tests.unit.test_fallback_attempts import Bench, failure, then_delivers


async def test_a_fallback_to_a_model_that_is_denied_meanwhile_is_not_taken() -> None:
    bench = await Bench(then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM))).admitted()
    store = CosmosRoutingPolicies(bench.connection.as_connection())
    bench.attempts = replace(
        bench.attempts,
        departures=Departures(
            freezes=FreezeWatch(FakeFreezes(bench.connection), bench.clock),
            privacy=PolicyWatch(FakePrivacy(bench.connection), bench.clock),
            routing=RoutingWatch(store, bench.clock),
            rights=RightsWatch(FakeDirectory(), bench.clock),
            clock=bench.clock,
        ),
    )
    first = await bench.attempts.run(bench.work, 1)
    assert (first.ending, first.next and first.next.candidate) == ("fallback", 1)
    denying = RoutingPolicy(
        builders.DEPARTMENT, denied_providers=("replicate",), revision=1, change_id="c-1"
    )
    event = builders.event("routing_policy:marketing", "routing_policy.changed.1")
    await store.put(builders.TENANT, denying, event)
    bench.clock.advance(6)
    assert first.next is not None
    report = await bench.attempts.run(bench.work, 2, first.next)
    assert (report.ending, report.reason) == ("canceled", "model_denied")
    assert bench.invoice == {"azure_openai": {1: QUOTE.usd_micros}, "replicate": {}}
    await bench.settled(report)
    assert bench.budget == (0, QUOTE.amount_micros)  # what the first attempt was billed
    again = await bench.attempts.run(bench.work, 2, first.next)
    assert (again.ending, again.lines) == ("canceled", report.lines)
