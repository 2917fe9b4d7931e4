"""People from CSV files: what can be read, what is wrong with a row, what a repeat does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.identity import Caller
from shared.domain.model_rules import NO_RULES
from shared.domain.permissions import Role
from shared.domain.user_imports import ROWS_MAX, read_import
from shared.domain.user_views import ImportView
from shared.domain.users import Personal
from shared.errors import Invalid, PolicyDenied
from shared.services.roles import RoleOrder
from shared.services.user_imports import UserImports
from tests.builders import TENANT
from tests.people_world import World, object_id

HEADER = "object_id,department,role,tier,cost_centre,user_name,display_name,email"


@pytest.fixture
async def world() -> World:
    at = World()
    await at.department("marketing", "design")
    await at.enter(1, "OrgAdmin")
    return at


def file(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join((header, *rows)).encode()


async def imported(
    world: World, content: bytes, caller: Caller | None = None, *, dry_run: bool = False
) -> ImportView:
    who = caller or await world.caller(1)
    return await UserImports(world.users).run(who, content, "c", dry_run=dry_run)


async def test_rows_come_to_be_people(world: World) -> None:
    rows = [
        f"{object_id(2)},marketing,PowerUser,enterprise,,ann@x.example,Ann,ann@x.example",
        f"{object_id(3)},design,,,,,,",
    ]
    view = await imported(world, file(*rows))
    assert (view.created, view.failed) == (2, 0)
    ann = await world.stored(2)
    assert (ann.role_id, ann.tier, ann.source) == ("PowerUser", "enterprise", "csv")
    assert (await world.stored(3)).role_id == "StandardUser"


def test_cell_takes_as_many_characters_as_a_name() -> None:
    rows = [
        f"{object_id(2 + n)},marketing,,,,,{'山' * length}," for n, length in ((0, 256), (1, 257))
    ]
    faults = [[fault.field for fault in row.faults] for row in read_import(file(*rows))]
    assert faults == [[], ["display_name"]]


async def test_file_that_a_spreadsheet_saved_is_read(world: World) -> None:
    content = b"\xef\xbb\xbf" + file(f"{object_id(2)},marketing,,,,,,").replace(b"\n", b"\r\n")
    assert (await imported(world, content)).created == 1


async def test_dry_run_says_the_same_and_changes_nothing(world: World) -> None:
    content = file(f"{object_id(2)},marketing,,,,,,", f"{object_id(3)},nowhere,,,,,,")
    commits = world.connection.container("directory").commits
    tried = await imported(world, content, dry_run=True)
    assert world.connection.container("directory").commits == commits
    done = await imported(world, content)
    assert tried.model_dump() == done.model_dump() | {"dry_run": True}


async def test_empty_cells_leave_what_stands(world: World) -> None:
    await imported(world, file(f"{object_id(2)},marketing,PowerUser,free,,a@x,Ann,a@x"))
    view = await imported(world, file(f"{object_id(2)},design,,,,,,"))
    assert (view.updated, view.unchanged) == (1, 0)
    ann = await world.stored(2)
    assert (ann.department_id, ann.role_id, ann.tier) == ("design", "PowerUser", "free")
    shown = await world.users.get(await world.caller(1), object_id(2))
    assert shown.display_name == "Ann"
    again = await imported(world, file(f"{object_id(2)},design,,,,,,"))
    assert (again.unchanged, again.updated) == (1, 0)
    assert (await world.stored(2)).revision == 2


async def test_each_row_obeys_the_rules_of_a_single_change(world: World) -> None:
    manager = await world.entered(5, "DeptManager")
    rows = [
        f"{object_id(2)},marketing,,,,,,",
        f"{object_id(3)},design,,,,,,",
        f"{object_id(4)},marketing,DeptManager,,,,,",
        f"{object_id(5)},marketing,StandardUser,,,,,",
        f"{object_id(6)},marketing,,enterprise,,,,",
        f"{object_id(7)},marketing,custom:none,,,,,",
        f"{object_id(8)},marketing,,,ghost,,,",
    ]
    view = await imported(world, file(*rows), manager)
    assert (view.created, view.failed) == (1, 6)
    assert [each.row for each in view.errors] == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("dry_run", [True, False])
async def test_sign_in_name_belongs_to_one_person(world: World, dry_run: bool) -> None:
    await world.enter(2, personal=Personal("eve@x.example"))
    rows = [
        f"{object_id(3)},marketing,,,,Eve@x.example,,",
        f"{object_id(4)},marketing,,,,ann@x.example,,",
        f"{object_id(5)},marketing,,,,ANN@x.example,,",
    ]
    view = await imported(world, file(*rows), dry_run=dry_run)
    assert [(each.row, each.field) for each in view.errors] == [(2, "user_name"), (4, "user_name")]
    own = f"{object_id(2)},marketing,,,,EVE@x.example,Eve,"
    assert (await imported(world, file(own), dry_run=dry_run)).updated == 1


async def test_dry_run_knows_which_names_the_rows_before_freed_and_took(world: World) -> None:
    await world.enter(2, personal=Personal("eve@x.example"))
    await world.enter(3, personal=Personal("ann@x.example"))
    rows = [
        f"{object_id(2)},marketing,,,,eva@x.example,,",
        f"{object_id(4)},marketing,,,,eve@x.example,,",  # free by now
        f"{object_id(3)},nowhere,,,,anna@x.example,,",  # fails, so that the name stays
        f"{object_id(5)},marketing,,,,ann@x.example,,",
    ]
    tried = await imported(world, file(*rows), dry_run=True)
    done = await imported(world, file(*rows))
    assert tried.model_dump() == done.model_dump() | {"dry_run": True}
    assert (done.updated, done.created, done.failed) == (1, 1, 2)


async def test_whoever_may_import_nobody_is_refused_once(world: World) -> None:
    nobody = await world.entered(9)
    with pytest.raises(PolicyDenied):
        await imported(world, file(f"{object_id(2)},marketing,,,,,,"), nobody)
    denied = [each for each in await world.store.events(TENANT) if each["outcome"] == "denied"]
    assert len(denied) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        file(),
        file(f"{object_id(2)},x", header="object_id,departement"),
        file(f"{object_id(2)}", header="object_id"),
        file("a,b,c", header="object_id,department,object_id"),
        b'object_id,department\n"unclosed',
        file(*[f"{object_id(n)},marketing" for n in range(ROWS_MAX + 1)], header=HEADER[:20]),
        b"object_id,department\n\x00,x",
    ],
)
def test_file_that_cannot_be_used_is_refused_as_a_whole(content: bytes) -> None:
    with pytest.raises(Invalid):
        read_import(content)


def test_faults_of_rows_are_named() -> None:
    rows = read_import(
        file(
            f"{object_id(2)},marketing,,,,,,",
            f"{object_id(2)},marketing,,,,,,",
            "nobody,M!,Boss,gold,C C,,,",
            "short,row",
            "",
            f"{object_id(3)},marketing,,,,{'x' * 257},,",
        )
    )
    assert [(row.number, [fault.field for fault in row.faults]) for row in rows] == [
        (2, []),
        (3, ["object_id"]),
        (4, ["object_id", "department", "role", "tier", "cost_centre"]),
        (5, ["row"]),
        (7, ["user_name"]),
    ]


@given(text=st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for content in (text.encode("utf-8", "surrogatepass"), file(text, f"{object_id(1)},x,{text}")):
        try:
            rows = read_import(content)
        except Invalid:
            continue
        assert all(row.faults or row.cells for row in rows)


async def test_row_of_a_custom_role_that_exists_is_taken(world: World) -> None:
    admin = await world.caller(1)
    role = RoleOrder("Hand", Role.STANDARD_USER, {}, NO_RULES)
    await world.roles.put(admin, "custom:hand", role, expected=0, correlation_id="c")
    view = await imported(world, file(f"{object_id(2)},marketing,custom:hand,,,,,"))
    assert view.created == 1
