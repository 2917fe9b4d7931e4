"""Departments: a tree without a ring, closed only when empty, whoever else is at work."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.departments import DEPTH_MAX, TREE_ID, DepartmentTree, read_tree
from shared.domain.identity import Role
from shared.domain.model_rules import NO_RULES
from shared.errors import Conflict, Invalid, NotFound, PolicyDenied, PreconditionFailed
from shared.ports.budgets import POLICIES_PER_PAGE_MAX
from shared.services.roles import RoleOrder
from tests import builders
from tests.builders import TENANT
from tests.people_world import World, object_id

NAMES = st.sampled_from("abcdef")
MOVES = st.lists(st.tuples(NAMES, st.none() | NAMES), max_size=20)


@pytest.fixture
async def world() -> World:
    at = World()
    await at.department("marketing", "design")
    await at.enter(1, "OrgAdmin")
    return at


def climb(parents: Mapping[str, str], start: str) -> int:
    """Steps to the top; a ring would never end."""
    steps, place = 0, parents.get(start)
    while place is not None:
        steps, place = steps + 1, parents.get(place)
        assert steps <= DEPTH_MAX
    return steps


@given(moves=MOVES)
def test_no_sequence_of_moves_makes_a_ring(moves: list[tuple[str, str | None]]) -> None:
    tree = DepartmentTree({})
    for child, parent in moves:
        before = tree
        try:
            tree = tree.moved(child, parent)
        except Conflict:
            tree = before
        for name in tree.parents:
            climb(tree.parents, name)


async def test_ring_is_called_by_its_name(world: World) -> None:
    admin = await world.caller(1)
    await world.department("packaging", parent="design")
    for parent in ("design", "packaging"):
        with pytest.raises(Conflict) as refusal:
            await world.departments.replace(
                admin, "design", "Design", parent, expected=None, correlation_id="c"
            )
        assert refusal.value.problem_code == "department_ring"


async def test_two_moves_at_once_do_not_make_a_ring(world: World) -> None:
    admin = await world.caller(1)
    ends = await asyncio.gather(
        world.departments.replace(
            admin, "marketing", "Marketing", "design", expected=1, correlation_id="c"
        ),
        world.departments.replace(
            admin, "design", "Design", "marketing", expected=1, correlation_id="c"
        ),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in ends) in (
        ["DepartmentView", "PreconditionFailed"],
        ["Conflict", "DepartmentView"],
    )
    tree = read_tree(await world.store.find(TENANT, TREE_ID))
    assert len(tree.parents) == 1


async def test_departments_created_at_once_all_come_to_be(world: World) -> None:
    names = [f"d{number}x" for number in range(5)]
    await asyncio.gather(*(world.department(name, parent="design") for name in names))
    tree = read_tree(await world.store.find(TENANT, TREE_ID))
    assert tree.children("design") == names


async def test_id_of_another_tenants_department_is_taken(world: World) -> None:
    assert await world.store.claim_department("t-2", "theirs")
    with pytest.raises(Conflict):
        await world.department("theirs")
    assert await world.store.claim_department(TENANT, "marketing")
    assert not await world.store.claim_department("t-2", "marketing")


async def test_creation_that_died_half_way_is_finished_by_a_repeat(world: World) -> None:
    await world.store.claim_department(TENANT, "packaging")  # and then the worker died
    await world.department("packaging")
    assert await world.directory.has_department(TENANT, "packaging")


async def test_department_does_not_close_under_somebody_who_arrives(world: World) -> None:
    admin = await world.caller(1)
    view = await world.departments.get(admin, "design")
    closing = world.departments.close(admin, "design", expected=view.revision, correlation_id="c")
    count = world.store.count_people

    async def count_then_arrive(*arguments: object) -> int:
        found = await count(*arguments)  # type: ignore[arg-type]
        await world.enter(7, department="design")
        return found

    object.__setattr__(world.store, "count_people", count_then_arrive)
    with pytest.raises(PreconditionFailed):
        await closing
    assert (await world.departments.get(admin, "design")).status != "closed"
    assert (await world.caller(7)).department_id == "design"


async def test_department_that_closes_meanwhile_gets_no_parts(world: World) -> None:
    admin = await world.caller(1)
    claim = world.store.claim_department

    async def claim_then_close(*arguments: object) -> bool:
        await world.departments.close(admin, "design", expected=1, correlation_id="c")
        return await claim(*arguments)  # type: ignore[arg-type]

    object.__setattr__(world.store, "claim_department", claim_then_close)
    with pytest.raises(Invalid):
        await world.department("packaging", parent="design")
    assert not await world.directory.has_department(TENANT, "packaging")


async def test_department_with_people_or_parts_stays_open(world: World) -> None:
    admin = await world.caller(1)
    await world.department("packaging", parent="design")
    for name, code in (("marketing", "has_people"), ("design", "has_parts")):
        with pytest.raises(Conflict) as refusal:
            await world.departments.close(admin, name, expected=None, correlation_id="c")
        assert refusal.value.problem_code == code
    await world.departments.close(admin, "packaging", expected=1, correlation_id="c")
    await world.departments.close(admin, "packaging", expected=2, correlation_id="c")  # no change
    assert await world.directory.has_department(TENANT, "packaging")  # its books stay
    with pytest.raises(Invalid):
        await world.department("boxes", parent="packaging")


async def test_only_administrators_change_departments(world: World) -> None:
    manager = await world.entered(2, "DeptManager", "design")
    for change in (
        world.departments.create(manager, "mine", "Mine", None, "c"),
        world.departments.replace(manager, "design", "x", None, expected=1, correlation_id="c"),
        world.departments.close(manager, "design", expected=1, correlation_id="c"),
    ):
        with pytest.raises(PolicyDenied):
            await change
    with pytest.raises(NotFound):
        await world.departments.get(manager, "marketing")
    denied = [e for e in await world.store.events(TENANT) if e["outcome"] == "denied"]
    assert len(denied) == 3


async def test_managers_are_the_people_of_such_roles_in_it(world: World) -> None:
    for number, role in ((2, "DeptManager"), (3, "StandardUser"), (4, "OrgAdmin")):
        await world.enter(number, role, "design")
    await world.enter(5, "DeptManager", "design", status="disabled")
    lead = RoleOrder("Lead", Role.DEPT_MANAGER, {}, NO_RULES)
    admin = await world.caller(1)
    await world.roles.put(admin, "custom:lead", lead, expected=0, correlation_id="c")
    await world.enter(6, "custom:lead", "design")
    view = await world.departments.get(admin, "design")
    assert view.managers == (object_id(2), object_id(4), object_id(6))


async def test_all_projects_are_shown_and_none_that_has_ended(world: World) -> None:
    count = POLICIES_PER_PAGE_MAX + 2
    scopes = [Scope("project", f"p{number:03}") for number in range(count)]
    for scope in (*scopes, Scope("user", "x.y"), Scope("cost_centre", "cc7")):
        policy = BudgetPolicy(scope, 1, deleted=scope.scope_id == "p007")
        await world.policies.put("design", policy, builders.event(scope.name))
    view = await world.departments.get(await world.caller(1), "design")
    assert view.projects == tuple(f"p{number:03}" for number in range(count) if number != 7)
    assert view.cost_centres == ("cc7",)


async def test_departments_are_listed_in_pages_and_searched(world: World) -> None:
    await world.department("brand-design", "media")
    admin = await world.caller(1)
    found: list[str] = []
    after = None
    while True:
        page = await world.departments.list(admin, None, after, 3)
        found += [each.id for each in page.items]
        after = page.continuation
        if after is None:
            break
    assert found == ["brand-design", "design", "marketing", "media"]
    searched = await world.departments.list(admin, "DESIGN", None, 50)
    assert [each.id for each in searched.items] == ["brand-design", "design"]
    assert not (await world.departments.list(admin, "nothing", None, 50)).items
