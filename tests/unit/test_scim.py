"""SCIM as changes of the directory: what a provider may do to people, and what not."""

import hashlib
from typing import Any

import pytest

from shared.domain.model_rules import ModelRules
from shared.domain.scim import (
    CORE,
    ENTERPRISE,
    PATCH_OP,
    ScimUser,
    chosen,
    error_body,
    read_resource,
    resource,
)
from shared.domain.users import Personal
from shared.errors import (
    Conflict,
    NotFound,
    PolicyDenied,
    PreconditionFailed,
    ScimRefused,
    Unauthenticated,
)
from shared.services.scim import Provisioning, ScimTerms
from tests.builders import TENANT
from tests.people_world import SEED, World, object_id

TOKENS = ("first-token", "second-token")


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def operations(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(steps)}


@pytest.fixture
async def world() -> World:
    at = World()
    await at.department("marketing", "design")
    return at


@pytest.fixture
def scim(world: World) -> Provisioning:
    terms = ScimTerms(TENANT, frozenset(map(hash_of, TOKENS)), "marketing")
    return Provisioning(world.people, world.personal, terms)


def body(number: int, **fields: Any) -> ScimUser:
    return read_resource(
        {
            "schemas": [CORE, ENTERPRISE],
            "userName": f"user{number}@contoso.example",
            "externalId": object_id(number),
            **fields,
        }
    )


@pytest.mark.parametrize("token", TOKENS)
def test_each_of_two_tokens_is_valid(scim: Provisioning, token: str) -> None:
    scim.check_token(f"Bearer {token}")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer ", "Bearer x", "Basic first-token", hash_of(TOKENS[0]), "Bearer \udcff"],
)
def test_no_other_token_is_valid(scim: Provisioning, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        scim.check_token(header)


def test_without_configured_tokens_nothing_is_valid(world: World) -> None:
    for hashes in (frozenset[str](), frozenset({hash_of("")})):
        closed = Provisioning(world.people, world.personal, ScimTerms(TENANT, hashes))
        for header in (None, "Bearer ", "Bearer x"):
            with pytest.raises(Unauthenticated):
                closed.check_token(header)


async def test_provisioned_person_may_call_and_disabled_one_may_not(
    world: World, scim: Provisioning
) -> None:
    made = await scim.create(body(1, **{ENTERPRISE: {"department": "Design"}}), "c")
    assert (made.object_id, made.revision) == (object_id(1), 1)
    caller = await world.caller(1)
    assert (caller.department_id, caller.role_id, caller.tier) == (
        "design",
        "StandardUser",
        "standard",
    )
    off = operations({"op": "Replace", "path": "active", "value": "False"})
    assert (await scim.patch(object_id(1), off, None, "c")).user.active is False
    with pytest.raises(Exception, match="disabled"):
        await world.caller(1)
    assert "user.disabled.2" in await world.actions()


async def test_person_is_found_by_each_name(scim: Provisioning) -> None:
    await scim.create(body(1), "c")
    for name, value in (
        ("user_name", "USER1@contoso.example"),
        ("external_id", object_id(1)),
        ("id", object_id(1)),
    ):
        assert [each.object_id for each in await scim.find(name, value)] == [object_id(1)]
    for name in ("user_name", "external_id", "id"):
        assert not await scim.find(name, "nobody")


async def test_person_of_ours_is_found_by_the_object_id_and_by_no_claim_to_it(
    world: World, scim: Provisioning
) -> None:
    await world.enter(1)  # invited before provisioning began: no external id was written down
    await world.enter(2, external_id=object_id(1))  # somebody wrote another one's
    [found] = await scim.find("external_id", object_id(1))
    assert (found.object_id, found.user.external_id) == (object_id(1), object_id(1))
    assert not await scim.find("external_id", object_id(3))


async def test_who_is_provisioned_again_keeps_what_was_decided_about_them(
    world: World, scim: Provisioning
) -> None:
    rules = ModelRules(otherwise="deny")
    await world.enter(1, "DeptManager", tier="free", rules=rules)
    await scim.delete(object_id(1), None, "c")
    await scim.create(body(1), "c")
    back = await world.stored(1)
    assert (back.role_id, back.tier, back.rules) == ("StandardUser", "free", rules)


async def test_same_account_or_name_twice_is_a_conflict(scim: Provisioning) -> None:
    await scim.create(body(1), "c")
    for again in (body(1, userName="other"), body(2, userName="User1@contoso.example")):
        with pytest.raises(Conflict) as refusal:
            await scim.create(again, "c")
        assert error_body(refusal.value, 409)["scimType"] == "uniqueness"


async def test_name_that_two_have_keeps_neither_from_being_disabled(
    world: World, scim: Provisioning
) -> None:
    shut_out = operations({"op": "replace", "path": "active", "value": False})
    await scim.create(body(1), "c")
    namesake = await world.personal.sealed(await world.enter(2), Personal("USER1@contoso.example"))
    await world.people.write(await world.stored(2), namesake, SEED)
    await scim.patch(object_id(1), shut_out, None, "c")
    await scim.replace(
        object_id(2), body(2, userName="user1@contoso.example", active=False), None, "c"
    )
    assert [(await world.stored(n)).status for n in (1, 2)] == ["disabled", "disabled"]
    with pytest.raises(Conflict):
        await scim.create(body(3, userName="user1@contoso.example"), "c")


async def test_account_without_an_object_id_is_refused(scim: Provisioning) -> None:
    for external_id in (None, "bjensen", "2819C223-7F76-453A-919D-413861904646"):
        with pytest.raises(ScimRefused):
            await scim.create(ScimUser("u", external_id), "c")


async def test_person_without_a_department_that_is_open_is_no_conflict(world: World) -> None:
    terms = ScimTerms(TENANT, frozenset(), "nowhere")
    with pytest.raises(ScimRefused) as refusal:
        await Provisioning(world.people, world.personal, terms).create(body(1), "c")
    assert refusal.value.scim_type == "invalidValue"


async def test_replacement_clears_what_it_leaves_out_and_keeps_rights(
    world: World, scim: Provisioning
) -> None:
    await world.enter(1, "DeptManager", tier="enterprise")
    wanted = body(1, displayName="Ann")
    await scim.replace(object_id(1), wanted, None, "c")
    await scim.replace(object_id(1), body(1), 2, "c")
    user = await world.stored(1)
    assert (user.role_id, user.tier, user.department_id) == (
        "DeptManager",
        "enterprise",
        "marketing",
    )
    assert (await scim.get(object_id(1))).user.display_name is None


async def test_replacement_that_says_nothing_of_active_lets_nobody_in(
    world: World, scim: Provisioning
) -> None:
    await world.enter(1, status="disabled")
    shown = await scim.replace(object_id(1), body(1, displayName="Ann"), None, "c")
    assert shown.user.active is False
    assert (await scim.create(body(2), "c")).user.active is True
    assert (await scim.create(body(3, active=False), "c")).user.active is False


async def test_provider_takes_over_what_a_manager_had_shut(
    world: World, scim: Provisioning
) -> None:
    await scim.create(body(1), "c")
    manager = await world.entered(2, "DeptManager")
    await world.users.set_status(manager, object_id(1), "disabled", None, "c")
    named = operations({"op": "replace", "path": "displayName", "value": "Another"})
    await scim.patch(object_id(1), named, None, "c")  # says nothing of active
    assert (await world.stored(1)).shut_out_by == "department"
    off = operations({"op": "replace", "path": "active", "value": False})
    assert (await scim.patch(object_id(1), off, None, "c")).user.active is False
    with pytest.raises(PolicyDenied):
        await world.users.set_status(manager, object_id(1), "active", None, "c")
    revision = (await world.stored(1)).revision
    await scim.patch(object_id(1), off, None, "c")
    assert (await world.stored(1)).revision == revision


async def test_same_again_is_no_revision(world: World, scim: Provisioning) -> None:
    await scim.create(body(1, displayName="Ann"), "c")
    await scim.replace(object_id(1), body(1, displayName="Ann"), None, "c")
    assert (await world.stored(1)).revision == 1


async def test_version_that_is_not_the_newest_changes_nothing(scim: Provisioning) -> None:
    await scim.create(body(1), "c")
    off = operations({"op": "replace", "path": "active", "value": False})
    for change in (
        scim.patch(object_id(1), off, 7, "c"),
        scim.replace(object_id(1), body(1, displayName="x"), 7, "c"),
        scim.delete(object_id(1), 7, "c"),
    ):
        with pytest.raises(PreconditionFailed):
            await change
    assert (await scim.get(object_id(1))).user.active


async def test_external_id_never_changes(scim: Provisioning) -> None:
    await scim.create(body(1), "c")
    with pytest.raises(ScimRefused) as refusal:
        await scim.replace(object_id(1), body(2, userName="u1"), None, "c")
    assert refusal.value.scim_type == "mutability"


async def test_deleted_person_is_gone_and_may_be_provisioned_again(scim: Provisioning) -> None:
    await scim.create(body(1), "c")
    await scim.delete(object_id(1), None, "c")
    for call in (scim.get(object_id(1)), scim.delete(object_id(1), None, "c")):
        with pytest.raises(NotFound):
            await call
    assert not await scim.find("user_name", "user1@contoso.example")
    assert (await scim.create(body(1), "c")).revision == 3


async def test_last_super_admin_is_not_disabled_by_the_provider_either(
    world: World, scim: Provisioning
) -> None:
    await world.enter(1, "SuperAdmin")
    off = operations({"op": "replace", "path": "active", "value": False})
    with pytest.raises(Conflict) as refusal:
        await scim.patch(object_id(1), off, None, "c")
    assert refusal.value.problem_code == "last_super_admin"


async def test_pages_are_counted_from_one(scim: Provisioning) -> None:
    for number in range(1, 6):
        await scim.create(body(number), "c")
    total, page = await scim.list(2, 2)
    assert (total, [each.object_id for each in page]) == (5, [object_id(2), object_id(3)])
    assert await scim.list(1, 0) == (5, [])
    assert (await scim.list(9, 5))[1] == []


async def test_pipelines_are_not_the_providers_to_see(world: World, scim: Provisioning) -> None:
    await world.enter(1, kind="service")
    assert (await scim.list(1, 10))[0] == 0
    with pytest.raises(NotFound):
        await scim.get(object_id(1))


async def test_resource_shows_what_was_sent_and_only_what_was_asked_for(
    scim: Provisioning,
) -> None:
    made = await scim.create(body(1, displayName="Ann", emails=[{"value": "a@x.example"}]), "c")
    shown = resource(made, "/scim/v2/Users/1")
    assert shown["emails"] == [{"value": "a@x.example", "type": "work", "primary": True}]
    assert shown["meta"]["version"] == 'W/"1"'
    assert shown[ENTERPRISE] == {"department": "marketing"}
    assert set(chosen(shown, "userName", None)) == {"schemas", "id", "meta", "userName"}
    assert "emails" not in chosen(shown, None, "emails.value,id")
    assert set(chosen(shown, f"{CORE}:userName", None)) == {"schemas", "id", "meta", "userName"}
    assert ENTERPRISE in chosen(shown, f"{ENTERPRISE}:department", None)
    assert ENTERPRISE not in chosen(shown, None, f"{ENTERPRISE}:department")
