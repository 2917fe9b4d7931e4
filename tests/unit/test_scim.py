"""SCIM: examples of the RFCs and what Entra sends, as bodies and as changes of the directory."""

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.scim import (
    CORE,
    ENTERPRISE,
    PATCH_OP,
    ScimUser,
    chosen,
    error_body,
    patched,
    read_filter,
    read_resource,
    read_version,
    resource,
)
from shared.errors import Conflict, NotFound, PreconditionFailed, ScimRefused, Unauthenticated
from shared.services.scim import Provisioning, ScimTerms
from tests.builders import TENANT
from tests.people_world import World, object_id

TOKENS = ("first-token", "second-token")
BARBARA = ScimUser("bjensen", object_id(1), True, "Barbara Jensen", "b@contoso.example", "design")


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


# --- bodies ------------------------------------------------------------------------------------


def test_resource_of_the_rfc_is_read() -> None:
    # RFC 7643, section 8.2 (shortened), with an object id for an external id.
    user = read_resource(
        {
            "schemas": [CORE],
            "id": "2819c223-7f76-453a-919d-413861904646",
            "externalId": object_id(701984),
            "userName": "bjensen@example.com",
            "name": {
                "formatted": "Ms. Barbara J Jensen, III",
                "familyName": "Jensen",
                "givenName": "Barbara",
            },
            "displayName": "Babs Jensen",
            "nickName": "Babs",
            "emails": [
                {"value": "babs@jensen.org", "type": "home"},
                {"value": "bjensen@example.com", "type": "work", "primary": True},
            ],
            "addresses": [{"type": "work", "locality": "Hollywood"}],
            "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
            "userType": "Employee",
            "active": True,
            "password": "t1meMa$heen",
            "x509Certificates": [{"value": "MIID"}],
            ENTERPRISE: {"employeeNumber": "701984", "department": "Tour Operations"},
        }
    )
    assert user == ScimUser(
        "bjensen@example.com",
        object_id(701984),
        True,
        "Babs Jensen",
        "bjensen@example.com",
        "Tour Operations",
    )


def test_name_stands_in_for_a_missing_display_name() -> None:
    assert body(1, name={"givenName": "Ada", "familyName": "Lane"}).display_name == "Ada Lane"
    assert body(1, name={"formatted": "Ada L."}, displayName="A").display_name == "A"


@pytest.mark.parametrize(
    ("value", "active"),
    [(False, False), ("False", False), ("false", False), (True, True), ("True", True)],
)
def test_active_is_understood_as_entra_writes_it(value: object, active: bool) -> None:
    for step in (
        {"op": "Replace", "path": "active", "value": value},
        {"op": "replace", "value": {"active": value}},
        {"op": "Add", "path": "Active", "value": value},
    ):
        assert patched(BARBARA, operations(step)).active is active


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        (
            {"op": "Add", "path": 'emails[type eq "work"].value', "value": "n@x.example"},
            "email",
            "n@x.example",
        ),
        (
            {"op": "replace", "path": "emails", "value": [{"value": "n@x.example"}]},
            "email",
            "n@x.example",
        ),
        ({"op": "Replace", "path": "displayName", "value": "B"}, "display_name", "B"),
        ({"op": "Replace", "path": "name.formatted", "value": "B"}, "display_name", "B"),
        ({"op": "remove", "path": "displayName"}, "display_name", None),
        ({"op": "Remove", "path": 'emails[type eq "work"]'}, "email", None),
        (
            {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "marketing"},
            "department",
            "marketing",
        ),
        ({"op": "add", "value": {f"{ENTERPRISE}:department": "x"}}, "department", "x"),
        ({"op": "add", "value": {ENTERPRISE: {"department": "x"}}}, "department", "x"),
        ({"op": "Replace", "path": f"{CORE}:userName", "value": "bj"}, "user_name", "bj"),
        ({"op": "Add", "path": "name.givenName", "value": "Babs"}, "user_name", "bjensen"),
        ({"op": "Replace", "path": f"{ENTERPRISE}:manager", "value": "x"}, "user_name", "bjensen"),
        (
            {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "1"},
            "user_name",
            "bjensen",
        ),
    ],
)
def test_patch_sets_what_its_path_names(step: dict[str, Any], field: str, value: object) -> None:
    assert getattr(patched(BARBARA, operations(step)), field) == value


@pytest.mark.parametrize(
    ("wrong", "scim_type"),
    [
        ({"schemas": [CORE], "Operations": []}, "invalidSyntax"),
        (operations(), "tooMany"),
        (operations({"op": "move", "path": "active", "value": True}), "invalidSyntax"),
        (operations({"op": "remove"}), "noTarget"),
        (operations({"op": "replace", "value": "x"}), "invalidValue"),
        (operations({"op": "replace", "path": "shoeSize", "value": 9}), "invalidPath"),
        (operations({"op": "replace", "path": "active", "value": "maybe"}), "invalidValue"),
        (operations({"op": "replace", "path": "displayName", "value": 7}), "invalidValue"),
        (operations({"op": "replace", "path": "displayName", "value": "a\nb"}), "invalidValue"),
        (operations({"op": "remove", "path": "userName"}), "mutability"),
        (operations({"op": "replace", "path": 7, "value": 1}), "invalidPath"),
    ],
)
def test_patch_that_is_wrong_is_refused_in_the_words_of_the_protocol(
    wrong: dict[str, Any], scim_type: str
) -> None:
    with pytest.raises(ScimRefused) as refusal:
        patched(BARBARA, wrong)
    assert refusal.value.scim_type == scim_type
    shown = error_body(refusal.value, 400)
    assert (shown["status"], shown["scimType"]) == ("400", scim_type)
    assert "maybe" not in json.dumps(shown)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["op", "path", "value", "active", "emails", "Operations", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(step=JSON, more=JSON)
def test_no_body_does_anything_but_change_or_be_refused(step: object, more: object) -> None:
    for read in (
        lambda: patched(BARBARA, {"schemas": [PATCH_OP], "Operations": [step]}),
        lambda: read_resource({"schemas": [CORE], "userName": more, "emails": step}),
    ):
        with contextlib.suppress(ScimRefused):
            assert isinstance(read(), ScimUser)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('userName eq "bjensen"', ("user_name", "bjensen")),
        ('username EQ "b\\"j"', ("user_name", 'b"j')),
        ('externalId eq "x"', ("external_id", "x")),
    ],
)
def test_filter_by_one_name_is_read(text: str, found: tuple[str, str]) -> None:
    assert read_filter(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        'userName co "b"',
        'displayName eq "b"',
        'userName eq "a" or userName eq "b"',
        "userName eq bjensen",
        'userName eq "\\x"',
        'userName eq "' + "a" * 2_000 + '"',
    ],
)
def test_other_filter_is_refused(text: str) -> None:
    with pytest.raises(ScimRefused) as refusal:
        read_filter(text)
    assert refusal.value.scim_type == "invalidFilter"


@pytest.mark.parametrize(
    ("header", "revision"),
    [(None, None), ("*", None), ('W/"3"', 3), ('"3"', 3), ("3", 0), ('W/"0"', 0)],
)
def test_version_of_a_header(header: str | None, revision: int | None) -> None:
    assert read_version(header) == revision


# --- changes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("token", TOKENS)
def test_each_of_two_tokens_is_valid(scim: Provisioning, token: str) -> None:
    scim.check_token(f"Bearer {token}")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer ", "Bearer x", "Basic first-token", hash_of(TOKENS[0])]
)
def test_no_other_token_is_valid(scim: Provisioning, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        scim.check_token(header)


def test_without_configured_tokens_nothing_is_valid(world: World) -> None:
    closed = Provisioning(world.people, world.personal, ScimTerms(TENANT, frozenset()))
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


async def test_same_account_or_name_twice_is_a_conflict(scim: Provisioning) -> None:
    await scim.create(body(1), "c")
    for again in (body(1, userName="other"), body(2, userName="User1@contoso.example")):
        with pytest.raises(Conflict) as refusal:
            await scim.create(again, "c")
        assert error_body(refusal.value, 409)["scimType"] == "uniqueness"


async def test_account_without_an_object_id_is_refused(scim: Provisioning) -> None:
    for external_id in (None, "bjensen", "2819C223-7F76-453A-919D-413861904646"):
        with pytest.raises(ScimRefused):
            await scim.create(ScimUser("u", external_id), "c")


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
