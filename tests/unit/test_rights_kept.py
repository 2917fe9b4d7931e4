"""Ways around the rules of who gives what: coming back, being let in, roles with rules, imports."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from functions.http_roles_models import RoleRequest
from functions.http_users_models import ModelRulesRequest, UserChange
from shared.domain.identity import Caller, Permission, Reach, Rights, Role
from shared.domain.model_rules import NO_RULES, ModelRules
from shared.domain.models import MODELS
from shared.domain.permissions import BUILT_IN, Reaches
from shared.domain.user_views import ImportView
from shared.errors import PolicyDenied
from shared.services.roles import RoleOrder
from shared.services.user_imports import UserImports
from tests.builders import TENANT
from tests.people_world import World, object_id, order

MODEL = next(iter(MODELS.values()))
DENIED = ModelRules(models={MODEL.model: "deny"})
OPENED = ModelRules(models={MODEL.model: "allow"})


@pytest.fixture
async def world() -> World:
    at = World()
    await at.department("marketing", "design")
    return at


async def imported(world: World, caller: Caller, *rows: str, dry_run: bool = False) -> ImportView:
    content = "\n".join(("object_id,department,role", *rows)).encode()
    return await UserImports(world.users).run(caller, content, "c", dry_run=dry_run)


async def role(world: World, name: str, reaches: Reaches, rules: ModelRules = NO_RULES) -> None:
    admin = await world.entered(90, "OrgAdmin")
    wanted = RoleOrder(name, Role.STANDARD_USER, reaches, rules)
    await world.roles.put(admin, f"custom:{name}", wanted, expected=0, correlation_id="c")


@pytest.mark.parametrize("left", [{"tier": "free"}, {"rules": DENIED}])
async def test_manager_frees_nobody_by_deleting_and_inviting_again(
    world: World, left: dict[str, Any]
) -> None:
    manager = await world.entered(1, "DeptManager")
    before = await world.enter(2, **left)
    await world.users.set_status(manager, object_id(2), "deleted", "left", "c")
    with pytest.raises(PolicyDenied):
        await world.users.create(manager, object_id(2), order(), "c")
    view = await imported(world, manager, f"{object_id(2)},marketing,")
    assert view.failed == 1
    same = order(tier=before.tier, rules=before.rules)
    if before.rules == NO_RULES:  # the same tier may be given again
        assert (await world.users.create(manager, object_id(2), same, "c")).tier == "free"
    admin = await world.entered(3, "OrgAdmin")
    if before.rules != NO_RULES:
        assert (await world.users.create(admin, object_id(2), order(), "c")).status == "active"


async def test_manager_lets_nobody_in_whose_role_allows_more(world: World) -> None:
    await role(world, "auditor", {Permission.AUDIT_READ: Reach.ORGANISATION})
    manager = await world.entered(1, "DeptManager")
    await world.enter(2, "custom:auditor", status="disabled")
    await world.enter(3, "custom:gone", status="disabled")
    with pytest.raises(PolicyDenied) as refusal:
        await world.users.set_status(manager, object_id(2), "active", None, "c")
    assert refusal.value.problem_code == "role_too_wide"
    assert (await world.stored(2)).status == "disabled"
    assert (await world.users.set_status(manager, object_id(3), "active", None, "c")).status


async def test_whom_the_organisation_shut_out_no_manager_lets_in(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    admin = await world.entered(2, "OrgAdmin")
    await world.enter(3)
    await world.users.set_status(admin, object_id(3), "disabled", "left", "c")

    async def refused() -> None:
        with pytest.raises(PolicyDenied) as refusal:
            await world.users.set_status(manager, object_id(3), "active", None, "c")
        assert refusal.value.problem_code == "shut_out_by_organisation"

    await refused()
    await world.users.set_status(manager, object_id(3), "deleted", None, "c")
    with pytest.raises(PolicyDenied):  # nor by entering them anew
        await world.users.create(manager, object_id(3), order(), "c")
    assert (await imported(world, manager, f"{object_id(3)},marketing,")).failed == 1
    assert (await world.users.create(admin, object_id(3), order(), "c")).status == "active"
    await world.users.set_status(manager, object_id(3), "disabled", None, "c")
    assert (await world.users.set_status(manager, object_id(3), "active", None, "c")).status


async def test_organisation_takes_over_what_a_manager_had_shut(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    admin = await world.entered(2, "OrgAdmin")
    await world.enter(3)
    await world.users.set_status(manager, object_id(3), "disabled", None, "c")
    for _ in range(2):  # said twice, it is one change
        await world.users.set_status(admin, object_id(3), "disabled", "left", "c")
    assert (await world.stored(3)).revision == 3
    await world.users.set_status(manager, object_id(3), "disabled", None, "c")
    assert (await world.stored(3)).revision == 3
    with pytest.raises(PolicyDenied) as refusal:
        await world.users.set_status(manager, object_id(3), "active", None, "c")
    assert refusal.value.problem_code == "shut_out_by_organisation"


async def test_role_that_denies_a_model_is_not_a_managers_to_take_away(world: World) -> None:
    await role(world, "no-flux", BUILT_IN[Role.STANDARD_USER], DENIED)
    manager = await world.entered(1, "DeptManager")
    admin = await world.entered(2, "OrgAdmin")
    await world.enter(3, "custom:no-flux")
    with pytest.raises(PolicyDenied) as refusal:
        await world.users.replace(manager, object_id(3), order(), expected=1, correlation_id="c")
    assert refusal.value.problem_code == "role_too_wide"
    await world.users.set_status(manager, object_id(3), "deleted", None, "c")
    with pytest.raises(PolicyDenied):  # nor by a detour
        await world.users.create(manager, object_id(3), order(), "c")
    same = order(role_id="custom:no-flux")
    assert (await world.users.create(manager, object_id(3), same, "c")).role == "custom:no-flux"
    view = await world.users.replace(admin, object_id(3), order(), expected=3, correlation_id="c")
    assert view.role == "StandardUser"


@pytest.mark.parametrize(
    "rules",
    [
        {"models": {"gpt-image2": "deny"}},
        {"models": {MODEL.model.upper(): "deny"}},
        {"models": {MODEL.provider: "deny"}},
        {"providers": {MODEL.model: "deny"}},
        {"providers": {"replicat": "allow"}},
    ],
)
def test_rules_that_name_nothing_on_offer_are_refused(rules: dict[str, Any]) -> None:
    """A misspelt denial would deny nothing."""
    role = {"name": "x", "rank": "StandardUser", "permissions": {}, "model_rules": rules}
    for reads, request in (
        (ModelRulesRequest, rules),
        (UserChange, {"department": "marketing", "model_rules": rules}),
        (RoleRequest, role),
    ):
        with pytest.raises(ValidationError, match="there is no such"):
            reads.model_validate(request)


def test_rules_of_models_and_providers_on_offer_are_taken() -> None:
    named = {"models": dict.fromkeys(MODELS, "deny"), "providers": {MODEL.provider: "allow"}}
    assert ModelRulesRequest.model_validate(named).rules().models == named["models"]


async def test_role_opens_no_model_that_its_giver_may_not_use(world: World) -> None:
    await role(world, "painter", BUILT_IN[Role.STANDARD_USER], OPENED)
    await world.enter(1, "DeptManager", rules=DENIED)
    shut_out, manager = await world.caller(1), await world.entered(2, "DeptManager")
    wanted = order(role_id="custom:painter")
    with pytest.raises(PolicyDenied) as refusal:
        await world.users.create(shut_out, object_id(3), wanted, "c")
    assert refusal.value.problem_code == "role_too_wide"
    assert (await world.users.create(manager, object_id(3), wanted, "c")).role == "custom:painter"


async def test_who_may_write_roles_alone_writes_no_rules_of_models(world: World) -> None:
    admin = await world.entered(1, "OrgAdmin")
    reaches: Reaches = {k: v for k, v in admin.reaches.items() if k != Permission.MODEL_RULES_WRITE}
    narrow = replace(admin, rights=Rights("custom:roles-only", reaches))
    wanted = RoleOrder("x", Role.STANDARD_USER, {}, OPENED)
    with pytest.raises(PolicyDenied):
        await world.roles.put(narrow, "custom:x-ray", wanted, expected=0, correlation_id="c")
    plain = replace(wanted, rules=NO_RULES)
    view = await world.roles.put(narrow, "custom:x-ray", plain, expected=0, correlation_id="c")
    assert view.revision == 1


async def test_role_of_ones_own_rank_is_not_ones_own_to_lower_or_delete(world: World) -> None:
    above, admin = await world.entered(1, "SuperAdmin"), await world.entered(2, "OrgAdmin")
    high = RoleOrder("Chief", Role.ORG_ADMIN, {Permission.USERS_READ: Reach.ORGANISATION}, NO_RULES)
    made = await world.roles.put(above, "custom:chief", high, expected=0, correlation_id="c")
    low = replace(high, rank=Role.STANDARD_USER, reaches={})
    with pytest.raises(PolicyDenied) as refusal:
        await world.roles.put(admin, "custom:chief", low, expected=None, correlation_id="c")
    assert refusal.value.problem_code == "role_too_high"
    with pytest.raises(PolicyDenied):
        await world.roles.delete(admin, "custom:chief", expected=None, correlation_id="c")
    assert await world.roles.get(above, "custom:chief") == made
    lowered = await world.roles.put(above, "custom:chief", low, expected=None, correlation_id="c")
    assert lowered.rank == "StandardUser"


async def test_name_of_a_deleted_role_may_be_used_again(world: World) -> None:
    await role(world, "painter", {})
    admin = await world.caller(90)
    await world.roles.delete(admin, "custom:painter", expected=1, correlation_id="c")
    again = RoleOrder("Painter", Role.STANDARD_USER, {}, NO_RULES)
    view = await world.roles.put(admin, "custom:painter", again, expected=0, correlation_id="c")
    assert view.revision == 3


async def test_import_does_not_tell_where_people_of_others_are(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    await world.enter(2, department="design")
    told = {
        place: (await imported(world, manager, f"{object_id(2)},{place},", dry_run=True)).errors
        for place in ("design", "marketing")
    }
    assert told["design"] == told["marketing"] != ()


async def test_refused_row_leaves_an_event_and_a_tried_one_does_not(world: World) -> None:
    manager = await world.entered(1, "DeptManager")
    row = f"{object_id(2)},marketing,SuperAdmin"
    for dry_run, events in ((True, 0), (False, 1)):
        assert (await imported(world, manager, row, dry_run=dry_run)).failed == 1
        denied = [e for e in await world.store.events(TENANT) if e["outcome"] == "denied"]
        assert len(denied) == events


async def test_role_without_sight_of_departments_lists_none(world: World) -> None:
    await role(world, "painter", {Permission.GENERATIONS_CREATE: Reach.OWN})
    await world.enter(1, "custom:painter")
    with pytest.raises(PolicyDenied):
        await world.departments.list(await world.caller(1), None, None, 50)
    standard = await world.entered(2)
    shown = await world.departments.list(standard, None, None, 50)
    assert [each.id for each in shown.items] == ["marketing"]
