"""The first request of an organisation works once, and a repeat finishes what died half-way."""

import asyncio
import hashlib
from dataclasses import replace

import pytest

from shared.domain.permissions import Role
from shared.domain.users import UserStatus
from shared.errors import Conflict, Invalid, NotFound, Unauthenticated
from shared.services.bootstrap import Beginning, Bootstrap
from tests.builders import TENANT
from tests.people_world import SEED, World, object_id

SECRET = "once"
WANTED = Beginning(object_id(1), "operations", "Operations", 1_000_000)


@pytest.fixture
def world() -> World:
    return World()


def bootstrap(world: World, secret: str | None = SECRET) -> Bootstrap:
    digest = hashlib.sha256(secret.encode()).hexdigest() if secret else None
    return Bootstrap(world.organisation, TENANT, digest, world.clock)


async def test_first_request_names_the_super_admin_and_a_department(world: World) -> None:
    assert await bootstrap(world).begin(WANTED, "c")
    caller = await world.caller(1)
    assert (caller.role, caller.department_id) == (Role.SUPER_ADMIN, "operations")
    assert {"organisation.begun.1", "user.created.1", "department.created.1"} <= set(
        await world.actions()
    )


async def test_same_request_again_changes_nothing(world: World) -> None:
    await bootstrap(world).begin(WANTED, "c")
    told = await world.actions()
    assert not await bootstrap(world).begin(WANTED, "c")
    assert await world.actions() == told


async def test_other_request_comes_too_late(world: World) -> None:
    await bootstrap(world).begin(WANTED, "c")
    for other in (
        Beginning(object_id(2), "operations", "Operations", 1_000_000),
        Beginning(object_id(1), "design", "Design", 1_000_000),
        replace(WANTED, department_name="Everything"),
        replace(WANTED, limit_micros=999_000_000_000),
    ):
        with pytest.raises(Conflict) as refusal:
            await bootstrap(world).begin(other, "c")
        assert refusal.value.problem_code == "already_begun"


async def test_marker_of_before_lets_its_request_be_repeated(world: World) -> None:
    await bootstrap(world).begin(WANTED, "c")
    marker = await world.store.find(TENANT, "bootstrap")
    assert marker is not None
    newer = ("department_name", "limit_micros")
    world.store.plant({key: value for key, value in marker.items() if key not in newer})
    assert not await bootstrap(world).begin(WANTED, "c")
    with pytest.raises(Conflict):
        await bootstrap(world).begin(replace(WANTED, object_id=object_id(2)), "c")


async def test_department_of_another_tenant_binds_nobody_and_gets_no_budget(world: World) -> None:
    await world.store.claim_department("another-tenant", "operations")
    with pytest.raises(Conflict) as refusal:
        await bootstrap(world).begin(WANTED, "c")
    assert refusal.value.problem_code == "already_exists"
    with pytest.raises(Conflict):
        await world.organisation.seed(bootstrap(world)._file(WANTED))
    assert not await world.policies.policies("operations")
    mended = Beginning(object_id(1), "headquarters", "Headquarters", 1_000_000)
    assert await bootstrap(world).begin(mended, "c")


async def test_two_who_begin_at_once_make_one_super_admin(world: World) -> None:
    other = Beginning(object_id(2), "operations", "Operations", 1_000_000)
    ends = await asyncio.gather(
        *(bootstrap(world).begin(each, "c") for each in (WANTED, other)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in ends) == ["Conflict", "bool"]
    found = [await world.people.find(TENANT, object_id(number)) for number in (1, 2)]
    assert sum(each is not None for each in found) == 1


async def test_organisation_that_was_seeded_has_begun(world: World) -> None:
    await world.department("marketing")
    await world.enter(5, "SuperAdmin")
    with pytest.raises(Conflict):
        await bootstrap(world).begin(WANTED, "c")


@pytest.mark.parametrize("status", ["active", "disabled", "deleted"])
async def test_who_was_provisioned_before_becomes_super_admin(
    world: World, status: UserStatus
) -> None:
    await world.department("design")
    await world.enter(1, "StandardUser", "design", status=status)
    assert await bootstrap(world).begin(WANTED, "c")
    caller = await world.caller(1)
    assert (caller.role, caller.department_id) == (Role.SUPER_ADMIN, "design")
    actors = {each["actor"] for each in await world.store.events(TENANT) if "2" in each["action"]}
    assert actors == {"system:bootstrap"}


async def test_who_was_demoted_later_is_not_raised_again_by_the_same_request(world: World) -> None:
    await world.department("design")
    await world.enter(1, "StandardUser", "design")
    await bootstrap(world).begin(WANTED, "c")
    await world.enter(2, "SuperAdmin", "design")
    demoted = replace(await world.stored(1), role_id="PowerUser")
    await world.people.write(await world.stored(1), demoted, SEED)
    assert not await bootstrap(world).begin(WANTED, "c")
    assert (await world.caller(1)).role == Role.POWER_USER


async def test_pipeline_is_refused_before_anything_is_written(world: World) -> None:
    await world.department("design")
    await world.enter(1, "StandardUser", "design", kind="service")
    with pytest.raises(Invalid) as refusal:
        await bootstrap(world).begin(WANTED, "c")
    assert [each.field for each in refusal.value.faults] == ["/super_admin"]
    other = Beginning(object_id(2), "operations", "Operations", 1_000_000)
    assert await bootstrap(world).begin(other, "c")


async def test_repeat_finishes_what_died_half_way(world: World) -> None:
    calls = world.organisation.seed

    async def dies(*_: object) -> int:
        raise RuntimeError("the worker died")

    object.__setattr__(world.organisation, "seed", dies)
    with pytest.raises(RuntimeError):
        await bootstrap(world).begin(WANTED, "c")
    object.__setattr__(world.organisation, "seed", calls)
    assert not await bootstrap(world).begin(WANTED, "c")
    assert (await world.caller(1)).role == Role.SUPER_ADMIN


@pytest.mark.parametrize(
    "secret", ["", "twice", "\udcff", hashlib.sha256(SECRET.encode()).hexdigest()]
)
def test_other_secret_is_refused(world: World, secret: str) -> None:
    bootstrap(world).check_secret(SECRET)
    with pytest.raises(Unauthenticated):
        bootstrap(world).check_secret(secret)


def test_without_a_secret_there_is_nothing(world: World) -> None:
    with pytest.raises(NotFound):
        bootstrap(world, None).check_secret("")
