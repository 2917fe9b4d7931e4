"""Custom roles and the pipelines that have them: what a role makes of somebody, from when on."""

from dataclasses import replace

import pytest

from shared.domain.identity import Permission, Principal, Reach, Role
from shared.domain.model_rules import NO_RULES, ModelRules
from shared.domain.users import caller_of
from shared.errors import Conflict, Invalid, PolicyDenied
from shared.services.roles import RoleOrder
from tests.builders import TENANT
from tests.people_world import World, object_id, order


@pytest.fixture
async def world() -> World:
    at = World()
    await at.department("marketing")
    return at


async def test_pipeline_has_no_administrators_role(world: World) -> None:
    top = await world.entered(1, "SuperAdmin")
    wanted = order(kind="service", role_id="OrgAdmin")
    with pytest.raises(Invalid):
        await world.users.create(top, object_id(2), wanted, "c")
    view = await world.users.create(top, object_id(2), order(kind="service"), "c")
    assert view.kind == "service"
    with pytest.raises(PolicyDenied):  # a person's token does not make a pipeline
        await world.caller(2)


async def test_role_of_a_pipeline_does_not_become_an_administrators(world: World) -> None:
    top = await world.entered(1, "SuperAdmin")
    role = RoleOrder("Nightly", Role.POWER_USER, {}, NO_RULES)
    higher = replace(role, rank=Role.ORG_ADMIN)
    await world.roles.put(top, "custom:nightly", role, expected=0, correlation_id="c")
    await world.users.create(
        top, object_id(2), order(kind="service", role_id="custom:nightly"), "c"
    )
    with pytest.raises(Conflict) as refusal:
        await world.roles.put(top, "custom:nightly", higher, expected=1, correlation_id="c")
    assert refusal.value.problem_code == "in_use"
    managers = replace(role, rank=Role.DEPT_MANAGER)
    await world.roles.put(top, "custom:nightly", managers, expected=1, correlation_id="c")
    await world.users.replace(
        top, object_id(2), order(kind="service"), expected=1, correlation_id="c"
    )
    await world.roles.put(top, "custom:nightly", higher, expected=2, correlation_id="c")


async def test_pipeline_that_is_given_a_role_while_it_rises_is_a_manager_at_most(
    world: World,
) -> None:
    wide = {
        Permission.GENERATIONS_READ: Reach.ORGANISATION,
        Permission.ROLES_WRITE: Reach.ORGANISATION,
        Permission.GENERATIONS_CREATE: Reach.OWN,
    }
    top = await world.entered(1, "SuperAdmin")
    await world.roles.put(
        top,
        "custom:nightly",
        RoleOrder("Nightly", Role.ORG_ADMIN, wide, NO_RULES),
        expected=0,
        correlation_id="c",
    )
    await world.enter(2, "custom:nightly", kind="service")  # as a change that raced the role's does
    service = Principal(TENANT, object_id(2), kind="service")
    pipeline = caller_of(service, await world.directory.user(service))
    assert pipeline.role == Role.DEPT_MANAGER
    assert pipeline.reaches == {
        Permission.GENERATIONS_READ: Reach.DEPARTMENT,
        Permission.GENERATIONS_CREATE: Reach.OWN,
    }
    admin = await world.entered(3, "OrgAdmin")  # who can stop it, as a manager
    stopped = await world.users.set_status(admin, object_id(2), "disabled", None, "c")
    assert stopped.status == "disabled"


async def test_custom_role_is_all_that_its_holder_may_do(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    role = RoleOrder(
        "Watcher",
        Role.STANDARD_USER,
        {Permission.GENERATIONS_READ: Reach.ORGANISATION},
        ModelRules(models={"a": "deny"}),
    )
    await world.roles.put(admin, "custom:watcher", role, expected=0, correlation_id="c")
    await world.users.create(admin, object_id(2), order(role_id="custom:watcher"), "c")
    watcher = await world.caller(2)
    assert watcher.reach(Permission.GENERATIONS_READ) == Reach.ORGANISATION
    assert watcher.reach(Permission.GENERATIONS_CREATE) == Reach.NONE
    assert watcher.model_refusal("a", "p") is not None
    narrower = replace(role, reaches={})
    await world.roles.put(admin, "custom:watcher", narrower, expected=1, correlation_id="c")
    assert (await world.caller(2)).reach(Permission.GENERATIONS_READ) == Reach.NONE
    with pytest.raises(Conflict):
        await world.roles.delete(admin, "custom:watcher", expected=2, correlation_id="c")


async def test_role_that_is_gone_allows_nothing(world: World) -> None:
    await world.enter(2, "custom:never-was")
    lost = await world.caller(2)
    assert all(lost.reach(each) == Reach.NONE for each in Permission)
