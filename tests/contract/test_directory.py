"""The Directory port: one suite on the fake and on the SDK."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.cosmos_directory import CosmosDirectory
from shared.domain.identity import Principal, Role
from shared.errors import Unavailable
from shared.ports import Directory, DirectoryUser
from shared.services.organisation import Organisation
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import Stores, silent_account

stores = cosmos_stores.stores  # a fixture, found by its name

LIMIT_MICROS = 5_000_000
ENTRIES = 4  # of one file: a department, its entry in the index, and two people


@pytest.fixture
def directory(stores: Stores) -> Directory:
    return stores.directory


def organisation(**changes: Any) -> dict[str, Any]:
    """A file with a department and two people nobody else has."""
    department_id = f"d{uuid.uuid4().hex[:12]}"
    users = [
        {"object_id": str(uuid.uuid4()), "department_id": department_id, "monthly_limit_micros": n}
        for n in (1_000_000, 0)
    ]
    department = {
        "department_id": department_id,
        "name": "Lighthouses",
        "monthly_limit_micros": LIMIT_MICROS,
    }
    file = {"tenant_id": str(uuid.uuid4()), "departments": [department], "users": users}
    return file | changes


def principal_of(file: dict[str, Any], number: int = 0) -> Principal:
    return Principal(file["tenant_id"], file["users"][number]["object_id"], Role.STANDARD_USER)


def department_of(file: dict[str, Any]) -> str:
    return str(file["departments"][0]["department_id"])


async def test_user_has_a_department_and_a_limit(directory: Directory) -> None:
    file = organisation()
    await Organisation(directory).seed(file)
    expected = DirectoryUser(department_of(file), 1_000_000)
    assert await directory.user(principal_of(file)) == expected
    assert await directory.user(principal_of(file, 1)) == replace(expected, monthly_limit_micros=0)


async def test_user_is_the_same_in_every_role(directory: Directory) -> None:
    file = organisation()
    await Organisation(directory).seed(file)
    admin = replace(principal_of(file), role=Role.SUPER_ADMIN)
    assert await directory.user(admin) == await directory.user(principal_of(file))


async def test_user_who_was_never_entered_is_none(directory: Directory) -> None:
    assert await directory.user(principal_of(organisation())) is None


async def test_user_of_another_tenant_is_none(directory: Directory) -> None:
    file = organisation()
    await Organisation(directory).seed(file)
    stranger = replace(principal_of(file), tenant_id=str(uuid.uuid4()))
    assert await directory.user(stranger) is None


async def test_department_limit_belongs_to_one_tenant(directory: Directory) -> None:
    file = organisation()
    department_id = department_of(file)
    await Organisation(directory).seed(file)
    found = await directory.department_limit_micros(file["tenant_id"], department_id)
    assert found == LIMIT_MICROS
    assert await directory.department_limit_micros(str(uuid.uuid4()), department_id) is None
    assert await directory.department_limit_micros(file["tenant_id"], "nobody") is None


async def test_department_limit_of_nothing_is_zero_and_not_none(directory: Directory) -> None:
    file = organisation()
    file["departments"][0]["monthly_limit_micros"] = 0
    await Organisation(directory).seed(file)
    found = await directory.department_limit_micros(file["tenant_id"], department_of(file))
    assert found == 0


async def test_departments_are_those_of_all_tenants_in_order(directory: Directory) -> None:
    files = [organisation(), organisation()]
    for file in files:
        await Organisation(directory).seed(file)
    found = await directory.departments()
    assert {department_of(file) for file in files} <= set(found)
    assert list(found) == sorted(set(found))


async def test_departments_of_the_same_name_in_two_tenants_are_listed_once(
    directory: Directory,
) -> None:
    first = organisation()
    second = organisation(departments=first["departments"], users=[])
    for file in (first, second):
        await Organisation(directory).seed(file)
    assert list(await directory.departments()).count(department_of(first)) == 1
    for file in (first, second):
        limit = await directory.department_limit_micros(file["tenant_id"], department_of(first))
        assert limit == LIMIT_MICROS


async def test_put_counts_what_was_missing(directory: Directory) -> None:
    file = organisation()
    assert await Organisation(directory).seed(file) == ENTRIES
    assert await Organisation(directory).seed(file) == 0
    more = {**file["users"][0], "object_id": str(uuid.uuid4())}
    assert await Organisation(directory).seed(file | {"users": [*file["users"], more]}) == 1
    assert await directory.put([]) == 0


async def test_put_leaves_what_exists_as_it_is(directory: Directory) -> None:
    file = organisation()
    await Organisation(directory).seed(file)
    user = {**file["users"][0], "monthly_limit_micros": 9}
    department = {**file["departments"][0], "monthly_limit_micros": 9}
    changed = file | {"users": [user], "departments": [department]}
    assert await Organisation(directory).seed(changed) == 0
    found = await directory.user(principal_of(file))
    assert found == DirectoryUser(department_of(file), 1_000_000)
    limit = await directory.department_limit_micros(file["tenant_id"], department_of(file))
    assert limit == LIMIT_MICROS


async def test_put_of_the_same_id_in_two_tenants_creates_both(directory: Directory) -> None:
    first = organisation()
    second = first | {"tenant_id": str(uuid.uuid4())}
    assert await Organisation(directory).seed(first) == ENTRIES
    assert await Organisation(directory).seed(second) == ENTRIES - 1  # one index entry for both
    assert await directory.user(principal_of(second)) == await directory.user(principal_of(first))


async def test_directory_is_unavailable_while_the_store_does_not_answer() -> None:
    file = organisation()
    async with silent_account() as connection:
        directory = CosmosDirectory(connection)
        endings = await asyncio.gather(
            directory.user(principal_of(file)),
            directory.department_limit_micros(file["tenant_id"], department_of(file)),
            directory.departments(),
            Organisation(directory).seed(file),
            return_exceptions=True,
        )
    assert [type(ending) for ending in endings] == [Unavailable] * 4
