"""Freezes over their port, and two workers that must hear of each other's switches in time."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from shared.adapters.cosmos_directory import CosmosDirectory
from shared.adapters.cosmos_freezes import CosmosFreezes
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.system_clock import SystemClock
from shared.domain.departments import department_document_id
from shared.domain.freezes import Freeze, Target, freeze_partition
from shared.domain.identity import Caller, Role
from shared.errors import Conflict, Frozen, Invalid, NotFound, PolicyDenied, Unavailable
from shared.ports import Clock
from shared.ports.freezes import FreezeStore
from shared.services.freezes import FRESH, STALE_MAX, Freezes, FreezeWatch
from tests import builders
from tests.contract.cosmos_stores import Stores, event_of, stores
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, Faults, ScriptedFaults
from tests.fakes.freezes import FakeFreezes
from tests.fakes.records import FakeRecords

__all__ = ["stores"]
SDXL = Target("model", "sdxl")
SINCE = "2026-11-15T12:00:00+00:00"


@pytest.fixture
def tenant_id() -> str:
    return str(uuid.uuid4())


@pytest_asyncio.fixture
async def store(stores: Stores) -> AsyncIterator[FreezeStore]:
    if isinstance(stores.records, FakeRecords):
        yield FakeFreezes(stores.connection._connection)  # type: ignore[attr-defined]
    else:
        yield CosmosFreezes(stores.connection)


def freeze(target: Target = SDXL, **values: object) -> Freeze:
    made = Freeze(target, "unexplained charges", "t.o", SINCE, change_id=uuid.uuid4().hex)
    return replace(made, **values)  # type: ignore[arg-type]


async def put(store: FreezeStore, tenant_id: str, wanted: Freeze) -> bool:
    event = event_of(wanted.target.document_id, f"freeze.set.{wanted.revision}")
    return await store.put(tenant_id, wanted, event)


async def test_freeze_is_read_back_as_it_was_put(store: FreezeStore, tenant_id: str) -> None:
    wanted = freeze(ends_at="2026-11-16T00:00:00+00:00")
    assert await put(store, tenant_id, wanted)
    assert await store.freeze(tenant_id, SDXL) == wanted
    assert list(await store.freezes(tenant_id)) == [wanted]
    assert list(await store.freezes(str(uuid.uuid4()))) == []


async def test_second_change_of_the_same_revision_loses(store: FreezeStore, tenant_id: str) -> None:
    first, second = freeze(), freeze(reason="another")
    assert await put(store, tenant_id, first)
    assert not await put(store, tenant_id, second)
    assert await put(store, tenant_id, first), "the same change again has been made"
    lifted = freeze(lifted=True, revision=2)
    assert await put(store, tenant_id, lifted)
    assert not await put(store, tenant_id, freeze(revision=2))
    assert list(await store.freezes(tenant_id)) == []
    assert await store.freeze(tenant_id, SDXL) == lifted


async def test_change_and_event_commit_together(
    store: FreezeStore, stores: Stores, tenant_id: str
) -> None:
    await put(store, tenant_id, freeze())
    await put(store, tenant_id, freeze(reason="a rival"))
    await put(store, tenant_id, freeze(lifted=True, revision=2))
    waiting = await stores.records.outbox(freeze_partition(tenant_id), 10)
    assert [item["event"]["action"] for item in waiting] == ["freeze.set.1", "freeze.set.2"]


def service(stores: Stores, store: FreezeStore, clock: Clock) -> Freezes:
    return Freezes(
        store, FreezeWatch(store, clock), CosmosLedger(stores.connection), stores.directory, clock
    )


async def test_switch_reaches_another_worker_within_five_seconds(
    stores: Stores, store: FreezeStore
) -> None:
    work = builders.item()
    one, two = (service(stores, store, SystemClock()) for _ in range(2))
    admin = builders.caller(role=Role.ORG_ADMIN)
    target = f"model:{work.request.model}"
    assert await two.pause_s(work) is None, "the other worker has just looked"
    began = time.monotonic()
    await one.set(admin, target, "stop it", None, "c")
    while await two.pause_s(work) is None:
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.1)
    began = time.monotonic()
    await one.lift(admin, target, "go on", "c")
    while await two.pause_s(work) is not None:
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.1)


@dataclass
class Desk:
    """Freezes of one worker over a store in memory that can be told to fail."""

    freezes: Freezes
    clock: FakeClock
    store: FakeFreezes
    connection: FakeConnection


class Switchable(ScriptedFaults):
    """A store that answers nothing while it is down."""

    def __init__(self) -> None:
        super().__init__("none")
        self.is_down = False

    async def next(self, call: str) -> Fault:
        await super().next(call)
        return Fault.UNREACHABLE if self.is_down else Fault.NONE


def desk(faults: Faults | None = None) -> Desk:
    connection = FakeConnection(faults)
    for tenant_id in ("t", builders.TENANT):  # worth a look
        connection.container("ledger").partitions[freeze_partition(tenant_id).key] = {}
    known = {department_document_id(each): {"id": each} for each in ("marketing", "design")}
    connection.container("directory").partitions[builders.TENANT] = known
    store, clock = FakeFreezes(connection), FakeClock()
    directory = CosmosDirectory(connection.as_connection())
    ledger = CosmosLedger(connection.as_connection())
    watch = FreezeWatch(store, clock)
    return Desk(Freezes(store, watch, ledger, directory, clock), clock, store, connection)


async def test_watch_uses_one_look_for_two_seconds() -> None:
    faults = Switchable()
    at = desk(faults)
    for _ in range(3):
        await at.freezes.watch.current("t")
    assert faults.calls == ["query"]
    at.clock.advance(FRESH.total_seconds() + 0.01)
    await asyncio.gather(*(at.freezes.watch.current("t") for _ in range(20)))
    assert faults.calls == ["query", "query"]


async def test_watch_that_cannot_see_fails_closed() -> None:
    faults = Switchable()
    at = desk(faults)
    await at.freezes.watch.current("t")
    faults.is_down = True
    at.clock.advance(STALE_MAX.total_seconds())
    assert await at.freezes.watch.current("t") == [], "an old view still counts"
    at.clock.advance(0.01)
    with pytest.raises(Unavailable):
        await at.freezes.watch.current("t")
    with pytest.raises(Unavailable):
        await at.freezes.pause_s(builders.item())
    faults.is_down = False
    at.clock.advance(0.01)
    assert await at.freezes.watch.current("t") == []


async def test_watch_looks_again_when_the_clock_was_set_back() -> None:
    faults = Switchable()
    at = desk(faults)
    await at.freezes.watch.current("t")
    at.clock.advance(-3_600)
    await at.freezes.watch.current("t")
    assert faults.calls == ["query", "query"]


async def test_reservation_is_refused_with_target_and_reason() -> None:
    at = desk()
    admin = builders.caller(1, role=Role.ORG_ADMIN)
    ends_at = at.clock.now() + timedelta(minutes=1)
    await at.freezes.set(admin, "department:marketing", "audit", ends_at, "c")
    refusal = await at.freezes.refusal(builders.reservation(builders.item()))
    assert isinstance(refusal, Frozen)
    assert refusal.extra["target"] == "department:marketing"
    assert refusal.extra["reason"] == "audit"
    assert refusal.retry_after_s == 61
    at.clock.advance(60)
    assert await at.freezes.refusal(builders.reservation(builders.item())) is None


async def test_every_change_is_one_event_with_before_and_after() -> None:
    at = desk()
    admin = builders.caller(1, role=Role.ORG_ADMIN)
    await at.freezes.set(admin, "global", "first", None, "c1")
    at.clock.advance(60)
    extended = await at.freezes.set(admin, "global", "second", None, "c2")
    assert extended.since == (at.clock.now() - timedelta(seconds=60)).isoformat()
    await at.freezes.lift(admin, "global", "all good", "c3")
    with pytest.raises(NotFound):
        await at.freezes.lift(admin, "global", "again", "c4")
    stored = at.connection.container("ledger").partitions[freeze_partition(admin.tenant_id).key]
    events = [each["event"] for each in stored.values() if each["type"] == "outbox"]
    assert [event["action"] for event in events] == [
        "freeze.set.1",
        "freeze.set.2",
        "freeze.lifted.3",
    ]
    assert [event["correlation_id"] for event in events] == ["c1", "c2", "c3"]
    assert events[1]["details"]["before_reason"] == "first"
    assert events[1]["details"]["after_reason"] == "second"
    assert events[2]["details"]["after_lifted"] is True


@pytest.mark.parametrize(
    ("role", "target", "is_allowed"),
    [
        (Role.SUPER_ADMIN, "global", True),
        (Role.ORG_ADMIN, "department:design", True),
        (Role.DEPT_MANAGER, "department:marketing", True),
        (Role.DEPT_MANAGER, "project:marketing.apollo", True),
        (Role.DEPT_MANAGER, "cost_centre:marketing.cc-1", True),
        (Role.DEPT_MANAGER, "department:design", False),
        (Role.DEPT_MANAGER, "project:design.apollo", False),
        (Role.DEPT_MANAGER, "global", False),
        (Role.DEPT_MANAGER, "model:sdxl", False),
        (Role.DEPT_MANAGER, "provider:replicate", False),
        (Role.DEPT_MANAGER, f"user:{uuid.UUID(int=9)}", False),
        (Role.POWER_USER, "department:marketing", False),
        (Role.STANDARD_USER, "global", False),
    ],
)
async def test_switch_obeys_those_it_belongs_to(role: Role, target: str, is_allowed: bool) -> None:
    at = desk()
    caller = builders.caller(1, role=role)
    if is_allowed:
        assert (await at.freezes.set(caller, target, "why not", None, "c")).target == target
        return
    with pytest.raises(PolicyDenied):
        await at.freezes.set(caller, target, "why not", None, "c")
    stored = at.connection.container("ledger").partitions[freeze_partition(caller.tenant_id).key]
    assert [each["event"]["outcome"] for each in stored.values()] == ["denied"]


@pytest.mark.parametrize(
    "target",
    [
        "",
        "all",
        "model:dall-e-9",
        "provider:nobody",
        "project:apollo",
        "user:me",
        "user:",
        "x:y",
        "department:marketin",
        "project:marketin.apollo",
        "cost_centre:marketin.cc1",
    ],
)
async def test_target_that_does_not_exist_is_not_found(target: str) -> None:
    with pytest.raises(NotFound):
        await desk().freezes.set(builders.caller(1, role=Role.ORG_ADMIN), target, "why", None, "c")


async def test_freeze_that_has_ended_already_is_refused() -> None:
    at = desk()
    with pytest.raises(Invalid):
        admin = builders.caller(1, role=Role.ORG_ADMIN)
        await at.freezes.set(admin, "global", "why", datetime(2020, 1, 1, tzinfo=UTC), "c")


async def quarantine(at: Desk) -> bool:
    return await at.freezes.quarantine(builders.TENANT, SDXL, "drift", "system:reconciliation", "c")


async def test_quarantine_leaves_a_freeze_without_end_alone() -> None:
    at = desk()
    admin = builders.caller(1, role=Role.ORG_ADMIN)
    await at.freezes.set(admin, "model:sdxl", "by hand", None, "c")
    assert [await quarantine(at) for _ in range(2)] == [False, False]
    assert (await at.store.freeze(admin.tenant_id, SDXL) or freeze()).reason == "by hand"
    await at.freezes.lift(admin, "model:sdxl", "fine", "c")
    assert [await quarantine(at) for _ in range(2)] == [True, False]
    standing = await at.store.freeze(admin.tenant_id, SDXL)
    assert standing is not None and (standing.actor, standing.lifted) == (
        "system:reconciliation",
        False,
    )


async def test_quarantine_outlives_a_freeze_that_ends_by_itself() -> None:
    at = desk()
    admin = builders.caller(1, role=Role.ORG_ADMIN)
    ends_at = at.clock.now() + timedelta(minutes=1)
    await at.freezes.set(admin, "model:sdxl", "by hand", ends_at, "c")
    at.clock.advance(30)
    assert [await quarantine(at) for _ in range(2)] == [True, False]
    at.clock.advance(60)
    (standing,) = (await at.freezes.list(admin)).items
    assert (standing.reason, standing.ends_at) == ("drift", None)
    assert standing.since == (at.clock.now() - timedelta(seconds=90)).isoformat()
    await at.freezes.lift(admin, "model:sdxl", "fine", "c")


def denied(at: Desk) -> list[str]:
    stored = at.connection.container("ledger").partitions[freeze_partition(builders.TENANT).key]
    events = [each["event"] for each in stored.values() if each["type"] == "outbox"]
    return [event["object_id"] for event in events if event["outcome"] == "denied"]


MANAGER = builders.caller(1, role=Role.DEPT_MANAGER)
ADMIN = builders.caller(2, role=Role.ORG_ADMIN)
MYSELF = f"user:{MANAGER.principal.object_id}"


async def manage(at: Desk, caller: Caller, target: str, how: str) -> None:
    if how == "lift":
        await at.freezes.lift(caller, target, "nah", "c")
    else:
        ends_at = at.clock.now() + timedelta(seconds=1) if how == "shorten" else None
        await at.freezes.set(caller, target, "nah", ends_at, "c")


@pytest.mark.parametrize("how", ["lift", "replace", "shorten"])
async def test_freeze_of_a_higher_role_does_not_yield(how: str) -> None:
    at = desk()
    await at.freezes.set(ADMIN, "department:marketing", "stop it", None, "c")
    with pytest.raises(PolicyDenied):
        await manage(at, MANAGER, "department:marketing", how)
    standing = await at.store.freeze(builders.TENANT, Target("department", "marketing"))
    assert standing is not None and (standing.revision, standing.role) == (1, "OrgAdmin")
    assert denied(at) == ["freeze:department:marketing"]
    superior = builders.caller(3, role=Role.SUPER_ADMIN)
    await manage(at, superior, "department:marketing", how)


async def test_freeze_that_has_ended_binds_nobody() -> None:
    at = desk()
    ends_at = at.clock.now() + timedelta(minutes=1)
    await at.freezes.set(ADMIN, "department:marketing", "stop it", ends_at, "c")
    with pytest.raises(PolicyDenied):
        await at.freezes.lift(MANAGER, "department:marketing", "nah", "c")
    at.clock.advance(60)
    await at.freezes.set(MANAGER, "department:marketing", "ours", None, "c")
    await at.freezes.lift(MANAGER, "department:marketing", "ours", "c")


@pytest.mark.parametrize("how", ["lift", "replace", "shorten"])
@pytest.mark.parametrize("role", [Role.DEPT_MANAGER, Role.ORG_ADMIN, Role.SUPER_ADMIN])
async def test_nobody_changes_a_freeze_on_themself(role: Role, how: str) -> None:
    at = desk()
    myself = builders.caller(1, role=role)
    object_id = MYSELF.removeprefix("user:")
    user = {"id": MYSELF, "pk": builders.TENANT, "type": "user", "object_id": object_id}
    place = at.connection.container("directory").partitions.setdefault(builders.TENANT, {})
    place[MYSELF] = user | {"department_id": "marketing"}  # of the first schema version
    await at.freezes.set(myself, MYSELF, "fraud", None, "c")
    with pytest.raises(PolicyDenied):
        await manage(at, myself, MYSELF, how)
    assert denied(at) == [f"freeze:{MYSELF}"]
    await manage(at, builders.caller(2, role=Role.SUPER_ADMIN), MYSELF, how)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REFUSED])
async def test_switch_whose_answer_was_lost_is_thrown_once(fault: Fault) -> None:
    at = desk(ScriptedFaults("batch", fault))
    admin = builders.caller(1, role=Role.ORG_ADMIN)
    shown = await at.freezes.set(admin, "global", "stop", None, "c")
    assert shown.revision == 1


async def test_switch_that_others_keep_changing_is_a_conflict() -> None:
    at = desk()

    async def always_late(*_: object) -> bool:
        return False

    object.__setattr__(at.store, "put", always_late)
    with pytest.raises(Conflict):
        admin = builders.caller(1, role=Role.ORG_ADMIN)
        await at.freezes.set(admin, "global", "stop", None, "c")
