"""The DirectoryStore port: one suite on the fake and on the SDK."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.directory import Actor, PeopleFilter
from shared.domain.document_versions import current_version
from shared.domain.ledger import Create, Patch
from shared.domain.user_changes import user_change
from shared.domain.users import User, read_user
from shared.errors import Conflict, Invalid, InvariantBroken
from shared.ports.directory import DirectoryStore
from shared.services.user_changes import UserChanges
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import Stores
from tests.fakes.clock import FakeClock

stores = cosmos_stores.stores  # a fixture, found by its name
ACTOR = Actor("system:test", "system", "c")
Enter = Callable[..., Awaitable[User]]


@pytest.fixture
def store(stores: Stores) -> DirectoryStore:
    return stores.directory_store


@pytest.fixture
def tenant() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def changes(store: DirectoryStore) -> UserChanges:
    return UserChanges(store, FakeClock())


@pytest.fixture
def enter(store: DirectoryStore, changes: UserChanges, tenant: str) -> Enter:
    """Enters people; a department is planted as one that was there before."""

    async def enter(number: int, department_id: str = "marketing", **fields: Any) -> User:
        document: dict[str, Any] = {
            "id": f"department:{department_id}",
            "pk": tenant,
            "type": "department",
            "department_id": department_id,
            "name": department_id,
        }
        await store.commit(tenant, [Create(document)])
        object_id = f"00000000-0000-4000-8000-{number:012d}"
        user = User(tenant, object_id, department_id, **fields)
        return await changes.write(None, user, ACTOR)

    return enter


async def test_change_commits_with_history_and_event_or_not_at_all(
    store: DirectoryStore, tenant: str, enter: Enter
) -> None:
    user = await enter(1)
    after = replace(user, tier="free", revision=2, change_id="x", changed_at="t")
    stale = replace(after, revision=3)
    assert await store.commit(tenant, user_change(user, stale, ACTOR).operations) == 0
    assert await store.commit(tenant, user_change(user, after, ACTOR).operations) is None
    found = await store.find(tenant, user.document_id)
    assert found is not None and read_user(found) == after
    told = await store.history(tenant, user.document_id, None, 10)
    assert [each["revision"] for each in told] == [2, 1]
    assert [each["revision"] for each in await store.history(tenant, user.document_id, 2, 9)] == [1]
    assert await store.find(str(uuid.uuid4()), user.document_id) is None


async def test_last_super_admin_is_kept_by_the_store(changes: UserChanges, enter: Enter) -> None:
    first = await enter(1, role_id="SuperAdmin")
    second = await enter(2, role_id="SuperAdmin")
    await changes.write(second, replace(second, status="disabled"), ACTOR)
    with pytest.raises(Conflict) as refusal:
        await changes.write(first, replace(first, role_id="OrgAdmin"), ACTOR)
    assert refusal.value.problem_code == "last_super_admin"


async def test_last_two_super_admins_do_not_go_at_the_same_moment(
    changes: UserChanges, enter: Enter
) -> None:
    first = await enter(1, role_id="SuperAdmin")
    second = await enter(2, role_id="SuperAdmin")
    ends = await asyncio.gather(
        changes.write(first, replace(first, status="deleted"), ACTOR),
        changes.write(second, replace(second, role_id="OrgAdmin"), ACTOR),
        return_exceptions=True,
    )
    [refusal] = [each for each in ends if isinstance(each, Conflict)]
    assert refusal.problem_code == "last_super_admin"


async def test_closed_department_takes_nobody(
    store: DirectoryStore, changes: UserChanges, tenant: str, enter: Enter
) -> None:
    user = await enter(1)
    step = {"op": "set", "path": "/closed", "value": 1}
    await store.commit(tenant, [Patch("department:marketing", (step,))])
    with pytest.raises(Conflict):
        await enter(2)
    with pytest.raises(Conflict):  # nor is there a department that never was
        await changes.write(user, replace(user, department_id="nowhere"), ACTOR)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (PeopleFilter(), [1, 2, 3]),
        (PeopleFilter(department_id="design"), [3]),
        (PeopleFilter(role_id="DeptManager"), [2]),
        (PeopleFilter(kind="service"), [3]),
        (PeopleFilter(status="disabled"), [2]),
        (PeopleFilter(with_deleted=True), [1, 2, 3, 4]),
        (PeopleFilter(search_keys=("aa", "bb")), [1]),
        (PeopleFilter(search_keys=("bb",)), [1, 2]),
        (PeopleFilter(user_name_key="k2"), [2]),
        (PeopleFilter(external_id="x' OR '1'='1"), []),
        (PeopleFilter(external_id="e1"), [1]),
        (PeopleFilter(department_id="' OR true OR c.id = '"), []),
    ],
)
async def test_people_are_found_by_every_condition(
    store: DirectoryStore, tenant: str, enter: Enter, wanted: PeopleFilter, numbers: list[int]
) -> None:
    await enter(1, search_keys=("aa", "bb"), external_id="e1")
    await enter(
        2,
        role_id="DeptManager",
        status="disabled",
        search_keys=("bb",),
        lookups={"user_name": "k2"},
    )
    await enter(3, "design", kind="service")
    await enter(4, status="deleted")
    page = await store.people(tenant, wanted, None, 100)
    found = [int(read_user(each).object_id[-3:]) for each in page.documents]
    assert found == numbers
    assert await store.count_people(tenant, wanted) == len(numbers)
    other = await store.people(str(uuid.uuid4()), wanted, None, 100)
    assert other.documents == []


async def test_pages_follow_one_another_and_end(
    store: DirectoryStore, tenant: str, enter: Enter
) -> None:
    for number in range(1, 6):
        await enter(number)
    found: list[str] = []
    continuation: str | None = None
    for _ in range(5):
        page = await store.people(tenant, PeopleFilter(), continuation, 2)
        found += [each["object_id"][-1] for each in page.documents]
        continuation = page.continuation
        if continuation is None:
            break
    assert found == ["1", "2", "3", "4", "5"]
    placed = await store.people_from(tenant, PeopleFilter(), 3, 2)
    assert [each["object_id"][-1] for each in placed] == ["4", "5"]


async def test_continuation_that_cannot_travel_in_a_header_is_refused(
    store: DirectoryStore, tenant: str
) -> None:
    if type(store).__name__.startswith("Fake"):
        pytest.skip("the fake has continuations of its own")
    with pytest.raises(Invalid):
        await store.people(tenant, PeopleFilter(), "a\nb", 2)


async def test_departments_and_roles_are_listed_apart(
    store: DirectoryStore, tenant: str, enter: Enter
) -> None:
    await enter(1, "design")
    await enter(2, "marketing")
    listed = await store.listed(tenant, "department")
    assert [each["department_id"] for each in listed] == ["design", "marketing"]
    assert await store.listed(tenant, "role") == []


async def test_department_id_is_claimed_by_one_tenant(store: DirectoryStore, tenant: str) -> None:
    name = f"d{uuid.uuid4().hex[:12]}"
    assert await store.claim_department(tenant, name)
    assert await store.claim_department(tenant, name)
    assert not await store.claim_department(str(uuid.uuid4()), name)


async def test_stored_document_says_its_version_and_a_newer_one_is_refused(
    store: DirectoryStore, tenant: str, enter: Enter
) -> None:
    user = await enter(1)
    found = await store.find(tenant, user.document_id)
    assert found is not None and found["schema_version"] == current_version("user")
    next_version = current_version("user") + 1
    newer = {"op": "set", "path": "/schema_version", "value": next_version}
    await store.commit(tenant, [Patch(user.document_id, (newer,))])
    with pytest.raises(InvariantBroken, match=f"reads versions 1 to {next_version - 1}"):
        await store.find(tenant, user.document_id)
