"""People of the directory: who may change whom, what stays true whatever happens."""

import asyncio
import json
from dataclasses import replace

import pytest

from shared.domain.directory import PeopleFilter
from shared.domain.identity import Permission, PrincipalKind, Reach, Role
from shared.domain.model_rules import ModelRules
from shared.domain.users import Personal, UserStatus
from shared.errors import Conflict, Invalid, NotFound, PolicyDenied, PreconditionFailed
from shared.services.roles import RoleOrder
from tests.builders import TENANT
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, ScriptedFaults
from tests.people_world import SEED, World, object_id, order

MIA = Personal("mia@contoso.example", "Mia Rossi", "mia@contoso.example")
EVERYBODY = PeopleFilter()


@pytest.fixture
async def world() -> World:
    at = World()
    await at.department("marketing", "design")
    return at


async def test_created_person_has_a_role_of_the_store_at_once(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    view = await world.users.create(admin, object_id(2), order(role_id="PowerUser"), "c")
    assert (view.role, view.status, view.revision) == ("PowerUser", "active", 1)
    assert (await world.caller(2)).role == Role.POWER_USER


async def test_change_of_role_holds_from_the_next_request(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.enter(2, "DeptManager")
    changed = order(role_id="StandardUser")
    await world.users.replace(admin, object_id(2), changed, expected=1, correlation_id="c")
    assert (await world.caller(2)).reach(Permission.BUDGETS_WRITE) == Reach.NONE


@pytest.mark.parametrize("status", ["disabled", "deleted"])
async def test_person_without_an_active_status_is_refused(world: World, status: UserStatus) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.enter(2)
    await world.users.set_status(admin, object_id(2), status, "left", "c")
    with pytest.raises(PolicyDenied):
        await world.caller(2)
    if status == "disabled":
        await world.users.set_status(admin, object_id(2), "active", None, "c")
        assert (await world.caller(2)).department_id == "marketing"


@pytest.mark.parametrize("role", ["DeptManager", "OrgAdmin", "SuperAdmin"])
async def test_nobody_gives_a_role_at_or_above_their_own(world: World, role: str) -> None:
    manager = await world.entered(1, "DeptManager")
    admin = await world.entered(2, "OrgAdmin")
    for giver, above in (
        (manager, {"DeptManager", "OrgAdmin", "SuperAdmin"}),
        (admin, {"OrgAdmin", "SuperAdmin"}),
    ):
        if role in above:
            with pytest.raises(PolicyDenied) as refusal:
                await world.users.create(giver, object_id(9), order(role_id=role), "c")
            assert refusal.value.problem_code == "role_too_high"
    assert await world.people.find(TENANT, object_id(9)) is None


async def test_super_admin_makes_no_other_super_admin(world: World) -> None:
    top = await world.entered(1, "SuperAdmin")
    with pytest.raises(PolicyDenied):
        await world.users.create(top, object_id(2), order(role_id="SuperAdmin"), "c")


async def test_nobody_changes_their_own_account(world: World) -> None:
    for number, role in enumerate(("DeptManager", "OrgAdmin", "SuperAdmin"), 1):
        person = await world.entered(number, role)
        with pytest.raises(PolicyDenied):
            await world.users.set_status(person, object_id(number), "disabled", "x", "c")
        with pytest.raises(PolicyDenied):
            await world.users.replace(
                person, object_id(number), order(tier="enterprise"), expected=1, correlation_id="c"
            )


async def test_manager_changes_people_of_the_own_department_alone(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    await world.enter(2, "StandardUser", "design")
    await world.enter(3, "OrgAdmin", "marketing")
    await world.enter(4, "DeptManager", "marketing")
    with pytest.raises(NotFound):
        await world.users.set_status(manager, object_id(2), "disabled", "x", "c")
    for number in (3, 4):
        with pytest.raises(PolicyDenied):
            await world.users.set_status(manager, object_id(number), "disabled", "x", "c")
    with pytest.raises(NotFound):
        await world.users.create(manager, object_id(5), order("design"), "c")
    view = await world.users.create(manager, object_id(6), order(), "c")
    assert view.department_id == "marketing"
    with pytest.raises(NotFound):  # nor is anybody pushed into another department
        await world.users.replace(
            manager, object_id(6), order("design"), expected=1, correlation_id="c"
        )


async def test_manager_changes_neither_tiers_nor_rules_of_models(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    for wanted in (order(tier="enterprise"), order(rules=ModelRules(otherwise="allow"))):
        with pytest.raises(PolicyDenied):
            await world.users.create(manager, object_id(2), wanted, "c")


async def test_denial_leaves_an_event_and_no_change(world: World) -> None:
    nobody = await world.entered(1)
    with pytest.raises(PolicyDenied):
        await world.users.create(nobody, object_id(2), order(), "c")
    denied = [e for e in await world.store.events(TENANT) if e["outcome"] == "denied"]
    assert [(each["object_id"], each["reason"]) for each in denied] == [
        (f"user:{object_id(2)}", "policy_denied")
    ]


async def test_last_super_admin_stays_whoever_tries(world: World) -> None:
    first, second = await world.entered(1, "SuperAdmin"), await world.entered(2, "SuperAdmin")
    ends = await asyncio.gather(
        world.users.set_status(first, object_id(2), "disabled", "x", "c"),
        world.users.set_status(second, object_id(1), "deleted", "x", "c"),
        return_exceptions=True,
    )
    refused = [end for end in ends if isinstance(end, Exception)]
    assert [type(end) for end in refused] == [Conflict]
    assert isinstance(refused[0], Conflict) and refused[0].problem_code == "last_super_admin"
    acting = [(await world.stored(n)).is_acting_super_admin for n in (1, 2)]
    assert sorted(acting) == [False, True]


async def test_last_super_admin_keeps_the_role(world: World) -> None:
    await world.entered(1, "SuperAdmin")
    user = await world.stored(1)
    for after in (replace(user, role_id="OrgAdmin"), replace(user, status="disabled")):
        with pytest.raises(Conflict):
            await world.people.write(user, after, SEED)


async def test_super_admins_are_counted_over_every_way_in_and_out(world: World) -> None:
    for number in range(1, 5):
        await world.enter(number, "SuperAdmin")
    top = await world.caller(1)
    await world.users.set_status(top, object_id(2), "disabled", "x", "c")
    await world.users.set_status(top, object_id(2), "active", None, "c")
    await world.users.replace(
        top, object_id(3), order(role_id="OrgAdmin"), expected=1, correlation_id="c"
    )
    await world.users.set_status(top, object_id(4), "deleted", "x", "c")
    counted = await world.store.find(TENANT, "super_admins")
    acting = [(await world.stored(n)).is_acting_super_admin for n in range(1, 5)]
    assert counted is not None and counted["acting"] == sum(acting) == 2


async def test_stale_revision_changes_nothing(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.enter(2)
    await world.users.replace(admin, object_id(2), order("design"), expected=1, correlation_id="c")
    with pytest.raises(PreconditionFailed):
        await world.users.replace(admin, object_id(2), order(), expected=1, correlation_id="c")
    assert (await world.stored(2)).department_id == "design"


@pytest.mark.parametrize("status", ["disabled", "deleted", "active"])
async def test_status_is_changed_under_a_revision_if_one_is_named(
    world: World, status: UserStatus
) -> None:
    admin = await world.entered(1, "OrgAdmin")
    standing = await world.enter(2)
    for wrong in (0, standing.revision + 1):
        with pytest.raises(PreconditionFailed):
            await world.users.set_status(admin, object_id(2), status, None, "c", expected=wrong)
    assert await world.stored(2) == standing
    view = await world.users.set_status(
        admin, object_id(2), status, None, "c", expected=standing.revision
    )
    assert view.status == status


async def test_two_changes_of_one_revision_do_not_both_happen(world: World) -> None:
    user = await world.enter(2)
    ends = await asyncio.gather(
        world.people.write(user, replace(user, tier="free"), SEED),
        world.people.write(user, replace(user, tier="enterprise"), SEED),
        return_exceptions=True,
    )
    assert [type(end) for end in ends if isinstance(end, Exception)] == [PreconditionFailed]
    assert (await world.stored(2)).revision == 2


async def test_sight_of_everybody_is_no_right_to_change_them(world: World) -> None:
    top = await world.entered(1, "SuperAdmin")
    reaches = {
        Permission.USERS_READ: Reach.ORGANISATION,
        Permission.USERS_WRITE: Reach.DEPARTMENT,
    }
    role = RoleOrder("Registrar", Role.DEPT_MANAGER, reaches, ModelRules())
    await world.roles.put(top, "custom:registrar", role, expected=0, correlation_id="c")
    registrar = await world.entered(2, "custom:registrar")
    await world.enter(3, department="design")
    assert (await world.users.get(registrar, object_id(3))).department_id == "design"
    for change in (
        world.users.set_status(registrar, object_id(3), "disabled", "x", "c"),
        world.users.replace(registrar, object_id(3), order(), expected=1, correlation_id="c"),
    ):
        with pytest.raises(PolicyDenied):
            await change


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REFUSED])
async def test_change_whose_answer_was_lost_happens_once(fault: Fault) -> None:
    calm = World()
    await calm.department("marketing")
    connection = FakeConnection(ScriptedFaults("batch", fault))
    stormy = World(connection)
    for name, container in calm.connection.containers.items():
        connection.container(name).partitions = container.partitions
    user = await stormy.enter(2)
    assert user.revision == 1
    assert (await stormy.actions()).count("user.created.1") == 1


async def test_names_are_stored_sealed_and_found_by_words(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.users.create(admin, object_id(2), order(personal=MIA), "c")
    stored = json.dumps(world.connection.container("directory").partitions)
    for word in ("mia", "Rossi", "contoso"):
        assert word.casefold() not in stored.casefold()
    for search in ("rossi", "MIA rossi", "mia@contoso.example"):
        page = await world.users.list(admin, EVERYBODY, search, None, 10)
        assert [each.display_name for each in page.items] == ["Mia Rossi"]
    for nobody in ("ross", "!!!", "rossi anders"):
        assert (await world.users.list(admin, EVERYBODY, nobody, None, 10)).items == ()


async def test_nobody_takes_the_sign_in_name_of_another(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    eve = await world.enter(2, department="design", personal=Personal("eve@contoso.example"))
    taken = order(personal=Personal("EVE@contoso.example"))
    await world.enter(3)
    with pytest.raises(Conflict) as refusal:
        await world.users.create(manager, object_id(4), taken, "c")
    assert refusal.value.problem_code == "already_exists"
    assert [each.field for each in refusal.value.faults] == ["/user_name"]
    with pytest.raises(Conflict):
        await world.users.replace(manager, object_id(3), taken, expected=None, correlation_id="c")
    assert await world.people.find(TENANT, object_id(4)) is None
    admin = await world.entered(5, "OrgAdmin")
    named = order("design", personal=Personal("Eve@contoso.example", "Eve"))
    await world.users.replace(admin, object_id(2), named, expected=eve.revision, correlation_id="c")
    await world.users.set_status(admin, object_id(2), "deleted", None, "c")
    assert (await world.users.create(manager, object_id(4), taken, "c")).id == object_id(4)


async def test_deleted_person_loses_names_and_may_come_back(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.users.create(admin, object_id(2), order(personal=MIA, external_id="x"), "c")
    await world.users.set_status(admin, object_id(2), "deleted", "left", "c")
    gone = await world.stored(2)
    assert (gone.sealed, gone.lookups, gone.search_keys, gone.external_id) == (None, {}, (), None)
    with pytest.raises(NotFound):
        await world.users.get(admin, object_id(2))
    back = await world.users.create(admin, object_id(2), order("design"), "c")
    assert (back.status, back.revision, back.department_id) == ("active", 3, "design")


async def test_own_account_is_shown_to_everybody_and_others_to_nobody(world: World) -> None:
    ava = await world.entered(1)
    await world.enter(2)
    assert (await world.users.get(ava, "me")).id == object_id(1)
    with pytest.raises(NotFound):
        await world.users.get(ava, object_id(2))
    with pytest.raises(PolicyDenied):
        await world.users.list(ava, EVERYBODY, None, None, 10)


async def test_manager_lists_the_own_department(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    await world.enter(2)
    await world.enter(3, department="design")
    page = await world.users.list(manager, EVERYBODY, None, None, 10)
    assert [each.id for each in page.items] == [object_id(1), object_id(2)]
    with pytest.raises(NotFound):
        await world.users.list(manager, PeopleFilter(department_id="design"), None, None, 10)


async def test_history_tells_each_change_and_names_nobody(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.users.create(admin, object_id(2), order(personal=MIA), "c")
    await world.users.replace(
        admin, object_id(2), order("design", personal=MIA), expected=1, correlation_id="c"
    )
    await world.users.set_status(admin, object_id(2), "disabled", "on leave", "c")
    told = (await world.users.history(admin, object_id(2), None)).items
    assert [each.action for each in told] == ["user.disabled", "user.moved", "user.created"]
    assert told[1].details["before.department"] == "marketing"
    assert told[1].details["after.department"] == "design"
    assert told[0].reason == "on leave"
    assert "rossi" not in json.dumps([each.model_dump() for each in told]).casefold()


async def test_history_of_a_deleted_account_is_for_who_sees_everybody(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    manager = await world.entered(3, "DeptManager")
    await world.users.create(admin, object_id(2), order(personal=MIA), "c")
    await world.users.set_status(admin, object_id(2), "deleted", "left", "c")
    told = (await world.users.history(admin, object_id(2), None)).items
    assert [each.action for each in told] == ["user.deleted", "user.created"]
    for asking, wanted in ((manager, object_id(2)), (admin, object_id(9))):
        with pytest.raises(NotFound):
            await world.users.history(asking, wanted, None)
    with pytest.raises(NotFound):
        await world.users.get(admin, object_id(2))


@pytest.mark.parametrize(("was", "wanted"), [("person", "service"), ("service", "person")])
async def test_person_never_becomes_a_pipeline_nor_a_pipeline_a_person(
    world: World, was: PrincipalKind, wanted: PrincipalKind
) -> None:
    admin = await world.entered(1, "OrgAdmin")
    standing = await world.enter(2, kind=was)
    with pytest.raises(Invalid) as refusal:
        await world.users.replace(
            admin, object_id(2), order(kind=wanted), expected=None, correlation_id="c"
        )
    assert [each.field for each in refusal.value.faults] == ["/kind"]
    assert await world.stored(2) == standing


async def test_closed_department_takes_nobody(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.departments.close(admin, "design", expected=1, correlation_id="c")
    with pytest.raises(NotFound):
        await world.users.create(admin, object_id(2), order("design"), "c")
    with pytest.raises(Conflict):  # also when it was closed after somebody looked
        await world.enter(2, department="design")


async def test_rules_of_the_organisation_hold_at_once_for_who_has_none(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    await world.enter(2)
    await world.enter(3, rules=ModelRules(models={"m": "allow"}))
    rules = ModelRules(providers={"p": "deny"})
    view = await world.rules.put(admin, rules, expected=0, correlation_id="c")
    assert view.revision == 1
    assert (await world.caller(2)).model_refusal("m", "p") is not None
    assert (await world.caller(3)).model_refusal("m", "p") is None
    with pytest.raises(PreconditionFailed):
        await world.rules.put(admin, rules, expected=0, correlation_id="c")
