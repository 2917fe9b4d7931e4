"""Schema versions: every stored version is read as the newest, and a newer one is refused."""

from typing import Any

import pytest

from shared.domain.departments import read_department
from shared.domain.document_versions import MIGRATIONS, current_version, stamped, upgrade
from shared.domain.permissions import Role
from shared.domain.users import read_user
from shared.errors import InvariantBroken
from tests.builders import TENANT
from tests.people_world import World, object_id, order

SLOT: dict[str, Any] = {
    "id": "slot:202611-marketing-00000000000000000000000000000001",
    "pk": "marketing|202611",
    "type": "slot",
    "tenant_id": TENANT,
    "object_id": object_id(1),
    "role": "StandardUser",
    "department_id": "marketing",
}

SINCE_3: dict[str, Any] = {
    "role_id": "OrgAdmin",
    "changed_at": "2026-11-22T02:00:00+00:00",
    "inactive_at": "2026-11-22T01:00:00+00:00",
}
SINCE_4: dict[str, Any] = {**SINCE_3, "status": "disabled", "shut_out_by": "department"}


def person(
    version: int, revision: int, since: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """A user as an app of this version wrote it."""
    state = {
        "kind": "person",
        "department_id": "marketing",
        "role_id": "DeptManager",
        "status": "active",
        "tier": "free",
        "cost_centre_id": "cc4711",
        "rules": {"models": {"m": "deny"}, "providers": {}, "otherwise": None},
        "external_id": None,
        "sealed": None,
        "lookups": {},
        "search_keys": [],
        "source": "api",
        "created_at": "2026-11-22T00:00:00+00:00",
        "changed_at": "2026-11-22T00:00:00+00:00",
        "change_id": "c",
    }
    return {
        "id": f"user:{object_id(1)}",
        "pk": TENANT,
        "type": "user",
        "schema_version": version,
        "object_id": object_id(1),
        "revision": revision,
        "user": {**state, **(since or {}), **fields},
    }


# One document of each version of each type, as the app of its day wrote it.
EXAMPLES: dict[tuple[str, int], dict[str, Any]] = {
    ("user", 1): {
        "id": f"user:{object_id(1)}",
        "pk": TENANT,
        "type": "user",
        "object_id": object_id(1),
        "department_id": "marketing",
        "cost_centre_id": "cc4711",
    },
    ("user", 2): person(2, 3),
    ("user", 3): person(3, 4, SINCE_3),
    ("user", 4): person(4, 5, SINCE_4),
    ("user", 5): person(5, 6, SINCE_4, left={"design": "2026-11-22T02:00:00+00:00"}),
    ("department", 1): {
        "id": "department:marketing",
        "pk": TENANT,
        "type": "department",
        "department_id": "marketing",
        "name": "Marketing",
    },
    ("department", 2): {
        "id": "department:marketing",
        "pk": TENANT,
        "type": "department",
        "schema_version": 2,
        "department_id": "marketing",
        "arrivals": 4,
        "revision": 1,
        "department": {
            "name": "Marketing",
            "created_at": "2026-11-22T00:00:00+00:00",
            "changed_at": "2026-11-22T00:00:00+00:00",
            "change_id": "c",
        },
    },
    ("slot", 1): SLOT,
    ("slot", 2): SLOT | {"schema_version": 2, "kind": "service"},
}


def test_there_is_an_example_of_every_version() -> None:
    wanted = {
        (kind, version) for kind in MIGRATIONS for version in range(1, current_version(kind) + 1)
    }
    assert set(EXAMPLES) == wanted


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_user_of_each_version_is_read(version: int) -> None:
    user = read_user(upgrade(EXAMPLES["user", version]))
    assert (user.department_id, user.cost_centre_id, user.kind) == ("marketing", "cc4711", "person")
    assert user.status == ("disabled" if version >= 4 else "active")
    roles = {1: "StandardUser", 2: "DeptManager"}
    assert user.role_id == roles.get(version, "OrgAdmin")
    assert user.revision == (0, 3, 4, 5, 6)[version - 1]
    assert user.inactive_at == (None if version < 3 else "2026-11-22T01:00:00+00:00")
    assert user.shut_out_by == ("department" if version >= 4 else None)
    assert list(user.left) == (["design"] if version == 5 else [])


@pytest.mark.parametrize("status", ["disabled", "deleted"])
def test_user_who_was_shut_out_by_an_older_app_has_been_since_the_last_change(status: str) -> None:
    old = EXAMPLES["user", 2]
    user = read_user(upgrade(old | {"user": old["user"] | {"status": status}}))
    assert user.inactive_at == "2026-11-22T00:00:00+00:00"
    assert user.shut_out_by == "organisation"


@pytest.mark.parametrize("version", [1, 2])
def test_department_of_each_version_is_read(version: int) -> None:
    department = read_department(upgrade(EXAMPLES["department", version]))
    assert (department.department_id, department.name) == ("marketing", "Marketing")
    assert not department.closed
    assert department.arrivals == {1: None, 2: 4}[version]


@pytest.mark.parametrize(("version", "kind"), [(1, "person"), (2, "service")])
def test_slot_of_each_version_says_who_asked_for_it(version: int, kind: str) -> None:
    assert upgrade(EXAMPLES["slot", version])["kind"] == kind


@pytest.mark.parametrize(("kind", "version"), EXAMPLES)
def test_upgrade_leaves_the_stored_document_alone_and_the_newest_as_it_is(
    kind: str, version: int
) -> None:
    stored = EXAMPLES[kind, version]
    copy = dict(stored)
    upgraded = upgrade(stored)
    assert stored == copy
    assert upgraded["schema_version"] == current_version(kind)
    assert upgrade(upgraded) is upgraded


@pytest.mark.parametrize("version", [6, 99, 0, -1, "2", 2.5, True, None])
def test_version_that_is_not_known_is_refused_readably(version: object) -> None:
    document = EXAMPLES["user", 2] | {"schema_version": version}
    with pytest.raises(InvariantBroken, match="this app reads versions 1 to 5"):
        upgrade(document)


def test_newer_version_of_a_type_that_never_changed_is_refused() -> None:
    with pytest.raises(InvariantBroken, match="type hold"):
        upgrade({"type": "hold", "schema_version": 2})
    assert upgrade({"type": "hold"}) == {"type": "hold"}


def test_created_document_says_its_version() -> None:
    assert stamped({"type": "user"})["schema_version"] == 5
    assert stamped({"type": "hold"})["schema_version"] == 1
    assert stamped({"event": {}}) == {"event": {}}  # of the audit log


@pytest.fixture
async def old_world() -> World:
    """A tenant whose documents are of version 1, beside people of today."""
    at = World()
    await at.store.claim_department(TENANT, "marketing")
    at.store.plant(dict(EXAMPLES["department", 1]))
    at.store.plant(dict(EXAMPLES["user", 1]))
    await at.department("design")
    await at.enter(2, "OrgAdmin")
    return at


async def test_person_of_version_1_is_let_in_with_the_least_role(old_world: World) -> None:
    caller = await old_world.caller(1)
    assert (caller.role, caller.cost_centre_id) == (Role.STANDARD_USER, "cc4711")


async def test_first_change_of_a_person_of_version_1_makes_it_the_newest(old_world: World) -> None:
    admin = await old_world.caller(2)
    view = await old_world.users.replace(
        admin, object_id(1), order("design"), expected=None, correlation_id="c"
    )
    assert view.revision == 1
    stored = old_world.connection.container("directory").peek(TENANT, f"user:{object_id(1)}")
    assert stored is not None and stored["schema_version"] == 5
    assert (await old_world.caller(1)).department_id == "design"
    again = await old_world.users.replace(
        admin, object_id(1), order("marketing"), expected=1, correlation_id="c"
    )
    assert again.revision == 2


async def test_first_change_of_a_department_of_version_1_makes_it_version_2(
    old_world: World,
) -> None:
    admin = await old_world.caller(2)
    view = await old_world.departments.replace(
        admin, "marketing", "Market", None, expected=None, correlation_id="c"
    )
    assert (view.name, view.revision) == ("Market", 1)
    await old_world.enter(3)  # arrives in it
    assert (await old_world.departments.get(admin, "marketing")).name == "Market"


async def test_seed_gives_people_of_version_1_the_role_of_the_file(old_world: World) -> None:
    file = {
        "tenant_id": TENANT,
        "departments": [{"department_id": "marketing", "name": "Marketing", "limit_micros": 1_000}],
        "users": [
            {
                "object_id": object_id(1),
                "department_id": "marketing",
                "role": "DeptManager",
                "limit_micros": 0,
            }
        ],
    }
    assert await old_world.organisation.seed(file) == 1
    assert (await old_world.caller(1)).role == Role.DEPT_MANAGER
    assert await old_world.organisation.seed(file) == 0
