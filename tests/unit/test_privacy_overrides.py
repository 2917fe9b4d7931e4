"""Overrides of privacy warnings: who may grant one, for how long, and who is a second person."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.identity import Role
from shared.domain.privacy_overrides import OVERRIDE_TIME_MAX
from shared.errors import Conflict, Invalid, NotFound, PolicyDenied
from shared.ports import DirectoryUser
from shared.services.privacy_overrides import OverrideOrder, PrivacyOverrides
from tests import builders
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.privacy import FakePrivacy

PERSON = builders.caller(1)
MANAGER = builders.caller(2, role=Role.DEPT_MANAGER)
DEPUTY = builders.caller(3, role=Role.DEPT_MANAGER)
ADMIN = builders.caller(4, "design", Role.ORG_ADMIN)
STRANGER = builders.caller(5, "design", Role.DEPT_MANAGER)
ORDER = OverrideOrder(("health",), "consent was given", NOON + timedelta(hours=1))


class World:
    def __init__(self) -> None:
        self.connection = FakeConnection()
        self.clock = FakeClock()
        people = {
            each.key: DirectoryUser(each.department_id, None)
            for each in (PERSON, MANAGER, DEPUTY, ADMIN, STRANGER)
        }
        self.overrides = PrivacyOverrides(
            store=FakePrivacy(self.connection),
            ledger=CosmosLedger(self.connection.as_connection()),
            directory=FakeDirectory(people, ("marketing", "design")),
            clock=self.clock,
        )

    async def actions(self) -> Sequence[str]:
        found = await self.connection.container("ledger").scan(
            "marketing|policies", lambda d: d["type"] == "outbox"
        )
        return sorted(each["event"]["action"].rsplit(".", 1)[0] for each in found)


async def test_a_warning_of_another_class_needs_no_second_person() -> None:
    world = World()
    order = replace(ORDER, data_classes=("contact",))
    view = await world.overrides.create(MANAGER, order, "c-1")
    assert (view.status, view.department) == ("active", "marketing")
    assert [each.id for each in (await world.overrides.list(DEPUTY, None)).items] == [view.id]
    assert await world.actions() == ["privacy_override.granted"]


async def test_health_waits_for_a_second_person_of_rank() -> None:
    world = World()
    view = await world.overrides.create(MANAGER, ORDER, "c-1")
    assert view.status == "pending"
    for other, error in ((MANAGER, PolicyDenied), (PERSON, PolicyDenied), (STRANGER, NotFound)):
        with pytest.raises(error):
            await world.overrides.approve(other, view.id, "c-1")
    approved = await world.overrides.approve(ADMIN, view.id, "c-1")
    assert (approved.status, approved.approved_by) == ("active", ADMIN.principal.object_id)
    with pytest.raises(Conflict):
        await world.overrides.approve(ADMIN, view.id, "c-1")
    assert await world.actions() == [
        "privacy_override.approved",
        "privacy_override.denied",
        "privacy_override.denied",
        "privacy_override.granted",
    ]


async def test_who_profits_from_it_is_no_second_person() -> None:
    world = World()
    order = replace(ORDER, object_id=DEPUTY.principal.object_id)
    view = await world.overrides.create(MANAGER, order, "c-1")
    with pytest.raises(PolicyDenied) as refused:
        await world.overrides.approve(DEPUTY, view.id, "c-1")
    assert refused.value.problem_code == "second_person_needed"


async def test_who_is_of_the_department_profits_from_an_override_for_all_of_it() -> None:
    world = World()
    view = await world.overrides.create(MANAGER, ORDER, "c-1")
    with pytest.raises(PolicyDenied) as refused:
        await world.overrides.approve(DEPUTY, view.id, "c-1")
    assert refused.value.problem_code == "second_person_needed"
    for_one = replace(ORDER, object_id=PERSON.principal.object_id)
    view = await world.overrides.create(MANAGER, for_one, "c-1")
    assert (await world.overrides.approve(DEPUTY, view.id, "c-1")).status == "active"


@pytest.mark.parametrize("ends_at", [NOON, NOON + OVERRIDE_TIME_MAX + timedelta(seconds=1)])
async def test_an_override_ends_soon(ends_at: Any) -> None:
    with pytest.raises(Invalid) as refused:
        await World().overrides.create(MANAGER, replace(ORDER, ends_at=ends_at), "c-1")
    assert refused.value.problem_code == "invalid_ends_at"


async def test_what_has_ended_by_itself_cannot_be_approved_and_says_so() -> None:
    world = World()
    view = await world.overrides.create(MANAGER, ORDER, "c-1")
    world.clock.advance(3_601)
    assert (await world.overrides.get(MANAGER, view.id)).status == "expired"
    with pytest.raises(Conflict):
        await world.overrides.approve(DEPUTY, view.id, "c-1")
    assert (await world.overrides.list(MANAGER, None)).items == ()


async def test_others_cannot_see_change_or_grant_it() -> None:
    world = World()
    view = await world.overrides.create(ADMIN, replace(ORDER, department_id="marketing"), "c-1")
    for caller, error in ((PERSON, PolicyDenied), (STRANGER, NotFound)):
        with pytest.raises(error):
            await world.overrides.get(caller, view.id)
        with pytest.raises(error):
            await world.overrides.end(caller, view.id, "c-1")
        with pytest.raises(error):
            await world.overrides.list(caller, "marketing")
        with pytest.raises(error):
            await world.overrides.create(caller, replace(ORDER, department_id="marketing"), "c")
    with pytest.raises(NotFound):
        await world.overrides.get(ADMIN, "malformed")


async def test_a_person_of_another_department_cannot_be_named() -> None:
    order = replace(ORDER, object_id=STRANGER.principal.object_id)
    with pytest.raises(Invalid):
        await World().overrides.create(MANAGER, order, "c-1")


async def test_ending_twice_ends_once() -> None:
    world = World()
    view = await world.overrides.create(MANAGER, ORDER, "c-1")
    for _ in range(2):
        assert (await world.overrides.end(DEPUTY, view.id, "c-1")).status == "ended"
    assert await world.actions() == ["privacy_override.ended", "privacy_override.granted"]
