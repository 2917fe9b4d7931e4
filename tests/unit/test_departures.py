"""Admitted work is asked about again, at its door and each attempt: freezes, residency, rules."""

from dataclasses import replace

import pytest

from shared.adapters.cosmos_routing_policies import CosmosRoutingPolicies
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.attempts import AttemptReport
from shared.domain.freezes import Freeze, Target
from shared.domain.identity import Principal, Rights
from shared.domain.ids import Partition
from shared.domain.model_rules import NO_RULES, ModelRules
from shared.domain.parked_work import Move, moved_id, parked
from shared.domain.privacy_policies import EffectivePolicy, PrivacyPolicy, Residency
from shared.domain.routing_policies import RoutingPolicy
from shared.errors import Unavailable
from shared.ports import Directory, DirectoryUser
from shared.services.attempts import Attempts
from shared.services.deferrals import Deferrals
from shared.services.departures import Departures
from shared.services.freezes import FreezeWatch
from shared.services.privacy_policies import PolicyWatch
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.repricing import Repricing
from shared.services.rights import RightsWatch
from shared.services.routing_policies import RoutingWatch
from tests import builders
from tests.fakes.clock import NOON
from tests.fakes.directory import FakeDirectory
from tests.fakes.freezes import FakeFreezes
from tests.fakes.image_store import FakeImageStore
from tests.fakes.privacy import FakePrivacy
from tests.fakes.providers import FakeProvider
from tests.proofs.provider_scripts import steady_script
from tests.unit.provider_batches_bench import Bench
from tests.unit.waiting_bench import ASKER, WaitingBench

AWAY = PrivacyPolicy("marketing", residency=Residency("australia"), revision=1, change_id="c-1")
DECEMBER = Partition("marketing", "202612")


class Door(WaitingBench):
    """A waiting bench with somebody at the door."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.freezes = FakeFreezes(self.connection)
        self.privacy = FakePrivacy(self.connection)
        self.watch = FreezeWatch(self.freezes, self.clock)
        self.routing = CosmosRoutingPolicies(self.connection.as_connection())
        self.put_at_the_door(FakeDirectory())

    def put_at_the_door(self, directory: Directory) -> None:
        """Somebody who asks this directory what people may do."""
        self.departures = Departures(
            freezes=self.watch,
            privacy=PolicyWatch(self.privacy, self.clock),
            routing=RoutingWatch(self.routing, self.clock),
            rights=RightsWatch(directory, self.clock),
            clock=self.clock,
        )
        self.approvals = replace(self.approvals, departures=self.departures)
        self.deferrals = Deferrals(
            store=self.store,
            records=self.records,
            repricing=Repricing(self.planning, self.catalogues),
            periods=self.periods,
            clock=self.clock,
            departures=self.departures,
        )

    async def freeze(self, target: Target, *, lifted: bool = False) -> None:
        standing = await self.freezes.freeze(builders.TENANT, target)
        freeze = Freeze(
            target=target,
            reason="a leak is looked into",
            actor="somebody",
            since=self.clock.now().isoformat(),
            lifted=lifted,
            revision=standing.revision + 1 if standing else 1,
            change_id=f"c-{lifted}",
        )
        event = builders.event(target.document_id, f"freeze.{freeze.revision}")
        assert await self.freezes.put(builders.TENANT, freeze, event)
        self.watch.forget()

    async def keep_at_home(self) -> None:
        event = builders.event("privacy_policy:marketing", "privacy_policy.changed.1")
        await self.privacy.put_policy(builders.TENANT, AWAY, event)

    async def deny(
        self,
        owner: str = "marketing",
        *,
        models: tuple[str, ...] = (),
        providers: tuple[str, ...] = (),
    ) -> None:
        """Write a routing policy."""
        policy = RoutingPolicy(
            owner,
            denied_models=models,
            denied_providers=providers,
            revision=1,
            change_id="c-1",
        )
        event = builders.event(f"routing_policy:{owner}", "routing_policy.changed.1")
        await self.routing.put(builders.TENANT, policy, event)

    def rule(
        self, own: ModelRules = NO_RULES, role: ModelRules = NO_RULES, all_: ModelRules = NO_RULES
    ) -> None:
        """Give the asker rules: their own, their role's, the organisation's."""
        rights = Rights("painters", {}, own, role, all_)
        person = DirectoryUser("marketing", rights=rights)
        self.put_at_the_door(FakeDirectory({ASKER.key: person}))

    async def deferred(self) -> str:
        """Work that waits for December, which has begun."""
        wanted = self.single()
        due = "2026-12-01T00:00:00+00:00"
        here = wanted.hold.operation_id
        there = moved_id(here, DECEMBER)
        work = parked("generation", wanted, "deferred", due)
        hold = replace(work.hold, operation_id=there)
        record = work.record | {
            "id": f"g:{there}", "pk": DECEMBER.key, "generation_id": there, "period": "202612",
        }  # fmt: skip
        move = Move(here, replace(work, hold=hold, record=record), due)
        assert await self.store.move(move, builders.event(here, "generation.deferred"))
        await self.store.land(move)
        self.clock.set(NOON.replace(month=12, day=1))
        return there


async def test_approved_work_waits_until_its_freeze_is_lifted() -> None:
    bench = Door()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    await bench.freeze(Target("department", "marketing"))
    with pytest.raises(Unavailable):
        await bench.approvals.conclude(operation_id)
    budget = await bench.budget()
    assert (budget.reserved_micros, budget.limit_micros) == (0, 0)
    assert (await bench.approval(operation_id)).status == "approved"
    await bench.freeze(Target("department", "marketing"), lifted=True)
    assert (await bench.approvals.conclude(operation_id)).status == "concluded"


async def test_approved_work_that_may_not_leave_any_more_fails_and_costs_nothing() -> None:
    bench = Door()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    await bench.keep_at_home()
    assert (await bench.approvals.conclude(operation_id)).status == "failed"
    assert (await bench.approval(operation_id)).reason == "residency_denied"
    assert (await bench.budget()).reserved_micros == 0


@pytest.mark.parametrize("target", [Target("global"), Target("model", "gpt-image-2")])
async def test_deferred_work_waits_until_its_freeze_is_lifted(target: Target) -> None:
    bench = Door(department_micros=10_000_000)
    operation_id = await bench.deferred()
    await bench.freeze(target)
    with pytest.raises(Unavailable):
        await bench.deferrals.release(operation_id)
    record = await bench.records.generation(operation_id)
    assert record is not None and record["status"] == "deferred"
    await bench.freeze(target, lifted=True)
    assert (await bench.deferrals.release(operation_id)).status == "admitted"


async def test_deferred_work_that_may_not_leave_any_more_is_dropped() -> None:
    bench = Door(department_micros=10_000_000)
    operation_id = await bench.deferred()
    await bench.keep_at_home()
    assert (await bench.deferrals.release(operation_id)).status == "failed"
    record = await bench.records.generation(operation_id)
    assert record is not None and record["failure"]["code"] == "residency_denied"


async def test_a_prompt_is_asked_about_for_the_model_that_it_would_go_to() -> None:
    bench = Door()
    work = builders.item(owner=ASKER)
    assert await bench.departures.refusal(work, "gpt-image-2") is None
    await bench.keep_at_home()
    bench.clock.advance(10)  # no worker goes on for longer with a policy that was changed
    refusal = await bench.departures.refusal(work, "flux-schnell")
    assert refusal is not None and refusal.code == "residency_denied"


# --- attempts: what was queued when the policy changed ---------------------------------------


async def attempted(bench: Door) -> tuple[AttemptReport, FakeProvider]:
    """One attempt at queued work, and the provider that it may have called."""
    provider = FakeProvider("azure_openai", steady_script(builders.catalogue(), 0))
    attempts = Attempts(
        ledger=bench.ledger,
        images=FakeImageStore(),
        providers={"azure_openai": provider},
        catalogues=builders.catalogues(),
        gate=ProviderGate({"azure_openai": GateLimit(2, 60)}, bench.clock),
        clock=bench.clock,
        end_user_salt="salt",
        departures=bench.departures,
    )
    return await attempts.run(builders.item(owner=ASKER), 1), provider


async def test_queued_work_that_may_not_leave_any_more_is_stopped_before_a_call() -> None:
    bench = Door()
    await bench.keep_at_home()
    report, provider = await attempted(bench)
    assert (report.ending, report.reason, report.usd_micros) == ("canceled", "residency_denied", 0)
    assert provider.submitted == {}
    marker = bench.documents(lambda d: d["type"] == "attempt")
    assert [each["owner"] for each in marker] == ["canceller"]  # no call can follow


async def test_queued_work_waits_while_nobody_can_say_where_it_may_go() -> None:
    bench = Door()

    class Unreadable(PolicyWatch):
        async def effective(self, tenant_id: str, department_id: str) -> EffectivePolicy:
            raise Unavailable("The store does not answer.")

    bench.departures = replace(bench.departures, privacy=Unreadable(bench.privacy, bench.clock))
    report, provider = await attempted(bench)
    assert (report.ending, report.reason) == ("again", "policies_unavailable")
    assert provider.submitted == {} and bench.documents(lambda d: d["type"] == "attempt") == []


async def test_queued_work_that_may_leave_goes_on() -> None:
    report, provider = await attempted(Door())
    assert report.ending == "delivered" and len(provider.submitted) == 1


async def test_rows_that_may_not_leave_any_more_are_not_sent_in_a_provider_batch() -> None:
    bench = await Bench(rows=2).open()
    privacy = FakePrivacy(bench.connection)
    event = builders.event("privacy_policy:marketing", "privacy_policy.changed.1")
    await privacy.put_policy(builders.TENANT, AWAY, event)
    routing = CosmosRoutingPolicies(bench.connection.as_connection())
    departures = Departures(
        freezes=FreezeWatch(FakeFreezes(bench.connection), bench.clock),
        privacy=PolicyWatch(privacy, bench.clock),
        routing=RoutingWatch(routing, bench.clock),
        rights=RightsWatch(FakeDirectory(), bench.clock),
        clock=bench.clock,
    )
    bench.attempts = replace(bench.attempts, departures=departures)
    bench.batches = replace(bench.batches, attempts=bench.attempts)
    assert (await bench.submit()).stage == "over"  # each row is then stopped at its own attempt
    assert bench.provider.files == {} and bench.documents("a:") == []


# --- what a routing policy or a rule denies meanwhile -----------------------------------------

NO_AZURE = ModelRules(providers={"azure_openai": "deny"})
ALLOWED = ModelRules(models={"gpt-image-2": "allow"})


@pytest.mark.parametrize("by", ["model", "provider", "organisation-wide", "role"])
async def test_work_that_waited_for_a_model_that_is_denied_now_ends_and_costs_nothing(
    by: str,
) -> None:
    bench = Door(department_micros=10_000_000)
    operation_id = await bench.deferred()
    if by == "role":
        bench.rule(role=NO_AZURE)
    elif by == "provider":
        await bench.deny(providers=("azure_openai",))
    else:
        owner = "marketing" if by == "model" else by
        await bench.deny(owner, models=("gpt-image-2",))
    assert (await bench.deferrals.release(operation_id)).status == "failed"
    record = await bench.records.generation(operation_id)
    assert record is not None and record["failure"]["code"] == "model_denied"
    assert bench.documents(lambda d: d["type"] == "hold" and d["status"] == "open") == []


async def test_approved_work_for_a_model_that_is_denied_now_fails_and_costs_nothing() -> None:
    bench = Door()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    bench.rule(all_=NO_AZURE)
    assert (await bench.approvals.conclude(operation_id)).status == "failed"
    assert (await bench.approval(operation_id)).reason == "model_denied"
    assert (await bench.budget()).reserved_micros == 0


@pytest.mark.parametrize("waited_for", ["approval", "period"])
async def test_work_that_waited_names_the_policies_that_held_when_it_was_admitted(
    waited_for: str,
) -> None:
    bench = Door(department_micros=10_000_000)
    await bench.deny(models=("sdxl",))
    await bench.deny(ORGANISATION_WIDE, models=("sdxl",))
    if waited_for == "approval":
        await bench.open()
        await bench.approvals.conclude(await bench.approved(bench.single()))
    else:
        await bench.deferrals.release(await bench.deferred())
    (event,) = bench.events("generation.admitted")
    assert event["details"]["policy_version"] == "privacy:marketing.0+0,routing:marketing.1+1"


async def test_queued_work_for_a_model_that_is_denied_now_is_stopped_before_a_call() -> None:
    bench = Door()
    await bench.deny(models=("gpt-image-2",))
    report, provider = await attempted(bench)
    assert (report.ending, report.reason, report.usd_micros) == ("canceled", "model_denied", 0)
    assert provider.submitted == {}


async def test_what_a_person_is_allowed_outweighs_what_the_organisation_denies_them() -> None:
    bench = Door()
    bench.rule(own=ALLOWED, all_=NO_AZURE)
    report, _ = await attempted(bench)
    assert report.ending == "delivered"


async def test_rules_that_change_are_known_within_seconds_and_asked_for_once_until_then() -> None:
    bench = Door()
    asked: list[str] = []
    people = {ASKER.key: DirectoryUser("marketing")}

    class Watched(FakeDirectory):
        async def user(self, principal: Principal) -> DirectoryUser | None:
            asked.append(principal.key)
            return people.get(principal.key)

    bench.put_at_the_door(Watched())
    work = builders.item(owner=ASKER)
    for _ in range(2):
        assert await bench.departures.refusal(work, "gpt-image-2") is None
    people[ASKER.key] = DirectoryUser("marketing", rights=Rights("painters", {}, NO_AZURE))
    bench.clock.advance(6)
    refusal = await bench.departures.refusal(work, "gpt-image-2")
    assert refusal is not None and refusal.problem_code == "model_denied"
    assert await bench.departures.refusal(work, "sdxl") is None
    assert asked == [ASKER.key] * 2


async def test_queued_work_waits_while_nobody_can_say_what_its_person_may_use() -> None:
    bench = Door()

    class Unreadable(FakeDirectory):
        async def user(self, principal: Principal) -> DirectoryUser | None:
            raise Unavailable("The store does not answer.")

    bench.put_at_the_door(Unreadable())
    report, provider = await attempted(bench)
    assert (report.ending, report.reason) == ("again", "policies_unavailable")
    assert provider.submitted == {}
