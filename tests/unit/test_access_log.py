"""What reaches the access log, when, and what a flood of refusals costs."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.access_decisions import Decisions
from shared.domain.access_events import (
    NOBODY,
    PROVISIONING,
    Target,
    actor_of,
    policy_version,
    provisioned,
)
from shared.domain.audit_entries import AuditRecord, entry_of
from shared.domain.identity import (
    Caller,
    Ownership,
    Permission,
    Reach,
    Rights,
    Role,
    may,
    require,
    require_reach,
)
from shared.domain.ids import Partition
from shared.domain.model_rules import ModelRules
from shared.errors import NotFound, PolicyDenied, Unavailable
from shared.services.access_log import DENIALS_TOLD_MAX, GROUP_MAX, AccessLog
from shared.telemetry import new_correlation_id
from tests.builders import TENANT, caller
from tests.fakes.audit_log import FakeAuditLog
from tests.fakes.clock import FakeClock

KEY = b"k" * 32
GENERATION = "202611-marketing-" + "0" * 32
READ = Permission.GENERATIONS_READ


class SlowLog(FakeAuditLog):
    """Counts its transactions; refuses while it is away."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []
        self.is_away = self.is_slow = False

    async def append(self, partition: Partition, events: Sequence[Mapping[str, Any]]) -> None:
        await asyncio.sleep(60 if self.is_slow else 0)
        if self.is_away:
            raise Unavailable("away")
        self.groups.append(len(events))
        await super().append(partition, events)


class Bench:
    """An access log whose summaries are written when a test says so."""

    def __init__(self) -> None:
        self.store = SlowLog()
        self.clock = FakeClock()
        self.log = AccessLog(self.store, self.clock, KEY, summary_after_s=3_600)

    async def end(self) -> None:
        if self.log._summing:
            self.log._summing.cancel()
            await asyncio.gather(self.log._summing, return_exceptions=True)

    def events(self) -> list[Mapping[str, Any]]:
        return list(self.store.events.values())


@pytest.fixture
async def bench() -> Any:
    made = Bench()
    yield made
    await made.end()


def asking(
    number: int = 1, role: Role = Role.STANDARD_USER, department: str = "marketing"
) -> Caller:
    return replace(caller(number, department, role), decisions=Decisions())


def owner(number: int, department: str = "marketing", tenant: str = TENANT) -> Ownership:
    return Ownership(tenant, department, caller(number).key)


def weighed(who: Caller) -> Decisions:
    assert who.decisions is not None
    return who.decisions


@pytest.mark.parametrize(
    ("role", "department", "number", "rule"),
    [
        (Role.STANDARD_USER, "marketing", 1, "own"),
        (Role.ORG_ADMIN, "marketing", 1, "own"),
        (Role.STANDARD_USER, "marketing", 2, "not_reached"),
        (Role.DEPT_MANAGER, "marketing", 2, "department"),
        (Role.DEPT_MANAGER, "design", 2, "not_reached"),
        (Role.ORG_ADMIN, "design", 2, "organisation"),
    ],
)
def test_rule_says_by_what_an_object_was_reached(
    role: Role, department: str, number: int, rule: str
) -> None:
    who = asking(1, role)
    assert may(who, READ, owner(number, department)) == (rule != "not_reached")
    assert weighed(who).uses == ((READ, rule),)


def test_object_of_another_tenant_is_not_reached_by_anybody() -> None:
    who = asking(1, Role.SUPER_ADMIN)
    assert not may(who, READ, owner(1, tenant="22222222-2222-4222-8222-222222222222"))
    assert weighed(who).decisive == (READ, "not_reached")


def test_look_without_an_object_shows_how_far_the_permission_reaches() -> None:
    who = asking(1, Role.DEPT_MANAGER)
    with pytest.raises(PolicyDenied):
        require_reach(who, Permission.ROLES_WRITE, Reach.ORGANISATION, "no")
    assert weighed(who).decisive == (Permission.ROLES_WRITE, "none")


def test_later_own_object_does_not_hide_that_of_another() -> None:
    who = asking(1, Role.DEPT_MANAGER)
    require(who, READ, owner(2), "generation")
    require(who, READ, owner(1), "generation")
    assert weighed(who).is_sensitive
    with pytest.raises(NotFound):
        require(who, READ, owner(3, "design"), "generation")
    assert weighed(who).decisive == (READ, "not_reached")


def test_objects_that_are_filtered_out_change_nothing_of_what_was_reached() -> None:
    who = asking(1, Role.DEPT_MANAGER)
    require(who, READ, owner(2), "image")
    assert not may(who, READ, owner(3, "design"))
    assert weighed(who).uses == ((READ, "department"),) and weighed(who).is_sensitive
    assert weighed(who).decisive == (READ, "not_reached")


async def test_nobody_waits_for_a_worker_that_is_stopped(bench: Bench) -> None:
    bench.store.is_slow = True
    who = actor_of(asking())
    waits = asyncio.create_task(
        bench.log.denied(who, Target("Get", "g"), Decisions(), "not_found", "c")
    )
    await asyncio.sleep(0)
    for queue in list(bench.log._queues.values()):
        assert queue.worker is not None
        queue.worker.cancel()
    with pytest.raises(Unavailable):
        await waits
    bench.store.is_slow = False
    await bench.log.denied(who, Target("Get", "g"), Decisions(), "not_found", "c")
    assert len(bench.events()) == 1


async def test_own_read_is_counted_and_written_once(bench: Bench) -> None:
    for _ in range(50):
        who = asking()
        require(who, READ, owner(1), "generation")
        target = Target("GetGeneration", "generations", (GENERATION,))
        await bench.log.allowed(actor_of(who), target, weighed(who), "c", reads=True)
    assert bench.events() == []
    await bench.log.flush()
    (event,) = bench.events()
    assert event["outcome"] == "success" and event["details"]["decisions"] == 50
    assert event["actor"] == caller().key and event["actor_role"] == "StandardUser"
    assert event["details"]["policy_version"] == policy_version(caller())
    use = f"GetGeneration|generations.read|own|-|generations:{GENERATION}|50"
    assert event["details"]["uses"] == use


async def test_read_of_what_is_others_stands_in_the_log_before_it_is_answered(bench: Bench) -> None:
    who = asking(1, Role.DEPT_MANAGER)
    require(who, READ, owner(2), "generation")
    target = Target("GetGeneration", "generations", (GENERATION,))
    correlation_id = new_correlation_id()
    await bench.log.allowed(actor_of(who), target, weighed(who), correlation_id, reads=True)
    (event,) = bench.events()
    assert event["object_id"] == f"generations:{GENERATION}"
    assert event["correlation_id"] == correlation_id and event["outcome"] == "success"
    assert event["details"]["rule"] == "department"


async def test_read_of_what_is_others_is_refused_while_the_log_is_away(bench: Bench) -> None:
    bench.store.is_away = True
    who = asking(1, Role.DEPT_MANAGER)
    require(who, READ, owner(2), "generation")
    with pytest.raises(Unavailable):
        await bench.log.allowed(actor_of(who), Target("Get", "g"), weighed(who), "c", reads=True)


async def test_change_waits_for_no_log_for_it_has_an_event_of_its_own(bench: Bench) -> None:
    bench.store.is_away = True
    who = asking(1, Role.ORG_ADMIN)
    require_reach(who, Permission.ROLES_WRITE, Reach.ORGANISATION, "no")
    await bench.log.allowed(
        actor_of(who), Target("PutRole", "roles"), weighed(who), "c", reads=False
    )
    await bench.log.flush()  # is kept for the next time
    bench.store.is_away = False
    await bench.log.flush()
    (event,) = bench.events()
    assert "PutRole|roles.write|organisation|-|roles|1" in event["details"]["uses"]


async def test_denial_stands_in_the_log_before_it_is_answered(bench: Bench) -> None:
    who = asking()
    with pytest.raises(NotFound):
        require(who, READ, owner(2), "generation")
    target = Target("GetGeneration", "generations", (GENERATION,))
    await bench.log.denied(actor_of(who), target, weighed(who), "not_found", "c")
    (event,) = bench.events()
    assert event["outcome"] == "denied" and event["reason"] == "not_found"
    assert event["reason_is_code"] is True
    assert event["details"]["rule"] == "not_reached"
    bench.store.is_away = True
    with pytest.raises(Unavailable):
        await bench.log.denied(actor_of(who), target, weighed(who), "not_found", "c")


async def test_flood_of_denials_is_counted_without_objects(bench: Bench) -> None:
    who = asking()
    for number in range(DENIALS_TOLD_MAX + 500):
        target = Target("GetGeneration", "generations", (f"{number:032x}",))
        await bench.log.denied(actor_of(who), target, Decisions(), "not_found", "c")
    await bench.log.flush()
    events = bench.events()
    assert len(events) == DENIALS_TOLD_MAX + 1
    assert events[-1]["details"]["decisions"] == 500
    assert events[-1]["details"]["uses"] == "GetGeneration|none|before_rights|not_found|any|500"
    bench.clock.advance(61)
    await bench.log.denied(actor_of(who), Target("Get", "g"), Decisions(), "not_found", "c")
    assert len(bench.events()) == DENIALS_TOLD_MAX + 2  # told by themselves again


async def test_flood_of_one_caller_hides_no_denial_of_another(bench: Bench) -> None:
    for _ in range(DENIALS_TOLD_MAX * 3):
        await bench.log.denied(
            actor_of(asking(1)), Target("Get", "g"), Decisions(), "not_found", "c"
        )
    await bench.log.denied(actor_of(asking(2)), Target("Get", "g"), Decisions(), "not_found", "c")
    assert [each["actor"] for each in bench.events()].count(caller(2).key) == 1


async def test_nobody_knows_whom_is_counted_only(bench: Bench) -> None:
    for _ in range(1_000):
        await bench.log.denied(NOBODY, Target("Get", "g"), Decisions(), "unauthenticated", "c")
    assert bench.events() == []
    await bench.log.flush()
    (event,) = bench.events()
    assert (event["actor"], event["details"]["decisions"]) == ("anonymous", 1_000)


async def test_provisioning_names_the_rules_that_it_is_under(bench: Bench) -> None:
    target = Target("ScimGetUser", "Users", (GENERATION,))
    decided = provisioned(is_read=True)
    await bench.log.allowed(PROVISIONING, target, decided, "c", reads=True)
    await bench.log.denied(PROVISIONING, target, decided, "http_404", "c")
    assert [each["details"]["policy_version"] for each in bench.events()] == ["scim.1", "scim.1"]


async def test_those_who_wait_together_are_written_together(bench: Bench) -> None:
    callers = [asking(number) for number in range(1, 101)]
    await asyncio.gather(
        *(
            bench.log.denied(actor_of(each), Target("Get", "g"), Decisions(), "not_found", "c")
            for each in callers
        )
    )
    assert sum(bench.store.groups) == 100
    assert max(bench.store.groups) <= GROUP_MAX and len(bench.store.groups) <= 4


@pytest.mark.parametrize(
    "typed", ["anna.smith@contoso.com", "Anna Smith", "anna.smith", "a/b", "é"]
)
async def test_what_somebody_typed_never_stands_in_clear(bench: Bench, typed: str) -> None:
    target = Target("GetUser", "users", (typed,), asked_for=typed)
    await bench.log.denied(actor_of(asking()), target, Decisions(), "not_found", "c")
    assert typed not in json.dumps(bench.events(), ensure_ascii=False)


async def test_events_can_be_shown_by_the_verifiable_log_as_they_are(bench: Bench) -> None:
    who = asking(1, Role.DEPT_MANAGER)
    require(who, READ, owner(2), "generation")
    target = Target("GetGeneration", "generations", (GENERATION,), asked_for="marketing")
    await bench.log.allowed(actor_of(who), target, weighed(who), "c", reads=True)
    await bench.log.allowed(actor_of(who), target, weighed(who), "c", reads=False)
    await bench.log.denied(actor_of(who), target, Decisions(), "not_found", "c")
    await bench.log.flush()
    for event in bench.events():
        entry = entry_of(AuditRecord("access:marketing|20261115", event["event_id"], event), KEY)
        shown = json.loads(entry.content)
        assert entry.is_readable and shown["policy_version"] == policy_version(who)
        assert not any(isinstance(value, dict) for value in shown["details"].values())


def test_policy_version_changes_with_each_rule() -> None:
    plain = caller()
    reaches = dict(plain.reaches)
    same = replace(plain, rights=Rights("StandardUser", reaches))
    wider = replace(plain, rights=Rights("StandardUser", reaches | {READ: Reach.DEPARTMENT}))
    denied = ModelRules(models={"sdxl": "deny"})
    ruled = replace(plain, rights=Rights("StandardUser", reaches, rules=denied))
    versions = [policy_version(each) for each in (same, wider, ruled)]
    assert len(set(versions)) == 3
    assert policy_version(same) == policy_version(replace(same, department_id="design"))
