"""SCIM bodies: examples of the RFCs, and what Entra sends instead."""

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.scim import (
    CORE,
    ENTERPRISE,
    PATCH_OP,
    ScimUser,
    error_body,
    patched,
    read_filter,
    read_resource,
    read_version,
)
from shared.errors import ScimRefused
from tests.people_world import object_id

BARBARA = ScimUser("bjensen", object_id(1), True, "Barbara Jensen", "b@contoso.example", "design")
OWN_ID = object_id(1)


def operations(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(steps)}


def body(number: int, **fields: Any) -> ScimUser:
    return read_resource(
        {
            "schemas": [CORE, ENTERPRISE],
            "userName": f"user{number}@contoso.example",
            "externalId": object_id(number),
            **fields,
        }
    )


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
    "name",
    ["山田\u3000太郎", "Jean\u00a0Luc", "علی\u200cرضا", "x" * 256, "\U0001f9d1\u200d\U0001f4bb"],
)
def test_name_as_people_have_them_is_taken_with_the_lock_out_beside_it(name: str) -> None:
    assert body(1, displayName=name).display_name == name
    steps = operations(
        {"op": "Replace", "path": "displayName", "value": name},
        {"op": "Replace", "path": "active", "value": "False"},
    )
    after = patched(OWN_ID, BARBARA, steps)
    assert (after.display_name, after.active) == (name, False)


@pytest.mark.parametrize("name", ["", "x" * 257, "a\tb", "a\x85b", "a\ud800b"])
def test_text_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ScimRefused) as refusal:
        patched(
            OWN_ID, BARBARA, operations({"op": "replace", "path": "displayName", "value": name})
        )
    assert refusal.value.scim_type == "invalidValue"


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
        assert patched(OWN_ID, BARBARA, operations(step)).active is active


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
        ({"op": "remove", "path": ENTERPRISE}, "department", None),
        ({"op": "add", "value": {"shoeSize": 9, "displayName": "B"}}, "display_name", "B"),
        ({"op": "replace", "value": {"name": {"formatted": "B"}}}, "display_name", "B"),
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
    assert getattr(patched(OWN_ID, BARBARA, operations(step)), field) == value


@pytest.mark.parametrize(
    ("path", "email"),
    [
        ("emails", "n@x.example"),
        ("emails.value", "n@x.example"),
        ('emails[type eq "work"]', "n@x.example"),
        ('emails[type eq "work"].value', "n@x.example"),
        ('Emails[ Type EQ "Work" ].value', "n@x.example"),
        ("emails[primary eq true].value", "n@x.example"),
        (f'{CORE}:emails[type eq "work"].value', "n@x.example"),
        ('emails[type eq "home"]', "bjensen@x.example"),
        ('emails[type eq "home"].value', "bjensen@x.example"),
        ('emails[type eq "work" and value ew "example.com"]', "bjensen@x.example"),
        ('emails[value eq "a]b"].value', "bjensen@x.example"),
        ("emails[primary eq false].value", "bjensen@x.example"),
        *((f'emails[type eq "work"].{part}', "bjensen@x.example") for part in ("type", "display")),
        ("emails[primary eq true].primary", "bjensen@x.example"),
        ("emails.type", "bjensen@x.example"),
    ],
)
def test_path_into_addresses_means_the_one_that_is_kept_or_is_passed_over(
    path: str, email: str
) -> None:
    known = replace(BARBARA, email="bjensen@x.example")
    for verb in ("add", "replace"):
        step = {"op": verb, "path": path, "value": "n@x.example"}
        assert patched(OWN_ID, known, operations(step)) == replace(known, email=email)
    kept = email if email == known.email else None
    assert patched(OWN_ID, known, operations({"op": "remove", "path": path})).email == kept


def test_address_at_work_goes_before_others_unless_another_is_primary() -> None:
    home, work = {"value": "h@x.example", "type": "home"}, {"value": "w@x.example", "type": "work"}
    assert body(1, emails=[home, work]).email == "w@x.example"
    assert body(1, emails=[work, {**home, "primary": True}]).email == "h@x.example"
    plain = {"value": "p@x.example"}
    assert body(1, emails=[home, plain]).email == "p@x.example"
    assert body(1, emails=[plain, work]).email == "w@x.example"
    assert body(1, emails=[home]).email is None


@pytest.mark.parametrize("verb", ["add", "replace"])
@pytest.mark.parametrize("path", ["emails", None])
def test_private_address_that_is_added_leaves_the_one_at_work(verb: str, path: str | None) -> None:
    # RFC 7644, section 3.5.2.1, for one
    added = [{"value": "babs@jensen.org", "type": "home"}]
    step: dict[str, Any] = {"op": verb, "path": path, "value": added if path else {"emails": added}}
    assert patched(OWN_ID, BARBARA, operations(step)) == BARBARA
    added.append({"value": "b@x.example", "type": "work"})
    assert patched(OWN_ID, BARBARA, operations(step)).email == "b@x.example"
    emptied = {"op": verb, "path": "emails", "value": []}
    assert patched(OWN_ID, BARBARA, operations(emptied)).email is None


@pytest.mark.parametrize(
    "step",
    [
        {"op": "replace", "path": "id", "value": object_id(2)},
        {"op": "add", "path": f"{CORE}:ID", "value": object_id(1)},
        {"op": "remove", "path": "id"},
        {"op": "replace", "path": "meta.created", "value": "x"},
        {"op": "replace", "value": {"id": object_id(2), "displayName": "B"}},
    ],
)
def test_what_is_ours_to_set_is_not_changed(step: dict[str, Any]) -> None:
    with pytest.raises(ScimRefused) as refusal:
        patched(OWN_ID, BARBARA, operations(step))
    assert refusal.value.scim_type == "mutability"


def test_own_id_may_stand_beside_a_change() -> None:
    step = {"op": "replace", "value": {"id": OWN_ID, "displayName": "B"}}
    assert patched(OWN_ID, BARBARA, operations(step)).display_name == "B"


@pytest.mark.parametrize(
    ("wrong", "scim_type"),
    [
        ({"schemas": [CORE], "Operations": []}, "invalidSyntax"),
        (operations(), "tooMany"),
        (operations({"op": "move", "path": "active", "value": True}), "invalidSyntax"),
        (operations({"op": "remove"}), "noTarget"),
        (operations({"op": "replace", "value": "x"}), "invalidValue"),
        (operations({"op": "replace", "path": "shoeSize", "value": 9}), "invalidPath"),
        (operations({"op": "replace", "path": "emails.shoeSize", "value": 9}), "invalidPath"),
        (operations({"op": "remove", "path": 'emails[type eq "work"'}), "invalidPath"),
        (operations({"op": "replace", "path": "active", "value": "maybe"}), "invalidValue"),
        (operations({"op": "replace", "path": "displayName", "value": 7}), "invalidValue"),
        (operations({"op": "replace", "path": "displayName", "value": "a\nb"}), "invalidValue"),
        (operations({"op": "replace", "path": "active"}), "invalidValue"),
        (operations({"op": "remove", "path": "userName"}), "mutability"),
        (operations({"op": "replace", "path": 7, "value": 1}), "invalidPath"),
    ],
)
def test_patch_that_is_wrong_is_refused_in_the_words_of_the_protocol(
    wrong: dict[str, Any], scim_type: str
) -> None:
    with pytest.raises(ScimRefused) as refusal:
        patched(OWN_ID, BARBARA, wrong)
    assert refusal.value.scim_type == scim_type
    shown = error_body(refusal.value, 400)
    assert (shown["status"], shown["scimType"]) == ("400", scim_type)
    assert "maybe" not in json.dumps(shown)


def test_attributes_of_nobodys_schema_are_passed_over_in_a_resource() -> None:
    custom = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User"
    more = {"shoeSize": 9, custom: {"tag": "701984"}, ENTERPRISE: {"room": "1", "department": "d"}}
    assert body(1, **more) == body(1, **{ENTERPRISE: {"department": "d"}})


@pytest.mark.parametrize("name", [None, "", {}])
def test_user_without_a_name_is_refused(name: object) -> None:
    with pytest.raises(ScimRefused) as refusal:
        body(1, userName=name)
    assert refusal.value.scim_type == "invalidValue"


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
        lambda: patched(OWN_ID, BARBARA, {"schemas": [PATCH_OP], "Operations": [step]}),
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
        (f'{CORE}:userName eq "bjensen"', ("user_name", "bjensen")),
        (f'{CORE.upper()}:userName eq "bjensen"', ("user_name", "bjensen")),
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
        f'{ENTERPRISE}:userName eq "b"',
        'userName eq "a" or userName eq "b"',
        "userName eq bjensen",
        'userName eq "\\x"',
        'userName eq "\\ud800"',
        "userName eq 'bjensen'",
        'userName eq "a" OR 1=1',
        "id eq 1",
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
