"""The Directory port: one suite on the fake and on the SDK."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.cosmos import CosmosConnection
from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies
from shared.adapters.cosmos_directory import CosmosDirectory
from shared.adapters.cosmos_directory_store import CosmosDirectoryStore
from shared.adapters.cosmos_organisation_policies import CosmosOrganisationPolicies
from shared.domain.budgets import Scope
from shared.domain.identity import Principal, Role
from shared.domain.periods import PeriodRule
from shared.errors import Conflict, Unavailable
from shared.ports import Directory
from shared.ports.directory import DirectoryStore
from shared.services.departments import Departments
from shared.services.directory_changes import DirectoryChanges
from shared.services.organisation import Organisation
from shared.services.personal_data import PersonalData
from shared.services.user_changes import UserChanges
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import Stores, silent_account
from tests.fakes.clock import FakeClock
from tests.fakes.field_keys import Sealing

stores = cosmos_stores.stores  # a fixture, found by its name

Seed = Callable[[dict[str, Any]], Awaitable[int]]
LIMIT_MICROS = 5_000_000
ENTRIES = 3  # of one file: a department and two people


@pytest.fixture
def directory(stores: Stores) -> Directory:
    return stores.directory


@pytest.fixture
def seed(stores: Stores) -> Seed:
    return organisation_over(stores.connection, stores.directory_store).seed


def organisation_over(connection: CosmosConnection, store: DirectoryStore) -> Organisation:
    """The seed over a store; names are sealed by a vault in memory."""
    clock = FakeClock()
    policies = CosmosBudgetPolicies(connection)
    return Organisation(
        Departments(store, DirectoryChanges(store, clock), policies, clock),
        UserChanges(store, clock),
        PersonalData(Sealing().vault, b"secret of the tests"),
        policies,
        CosmosOrganisationPolicies(connection),
        clock,
    )


def organisation(**changes: Any) -> dict[str, Any]:
    """A file with a department and two people nobody else has."""
    department_id = f"d{uuid.uuid4().hex[:12]}"
    users = [
        {"object_id": str(uuid.uuid4()), "department_id": department_id, "limit_micros": n}
        for n in (1_000_000, 0)
    ]
    department = {
        "department_id": department_id,
        "name": "Lighthouses",
        "limit_micros": LIMIT_MICROS,
    }
    file = {"tenant_id": str(uuid.uuid4()), "departments": [department], "users": users}
    return file | changes


def principal_of(file: dict[str, Any], number: int = 0) -> Principal:
    return Principal(file["tenant_id"], file["users"][number]["object_id"], Role.STANDARD_USER)


def department_of(file: dict[str, Any]) -> str:
    return str(file["departments"][0]["department_id"])


async def test_user_has_a_department_and_perhaps_a_cost_centre(
    directory: Directory, seed: Seed
) -> None:
    file = organisation()
    centre = {"id": "brand", "department_id": department_of(file), "limit_micros": 1}
    file["users"][0]["cost_centre_id"] = "brand"
    await seed(file | {"cost_centres": [centre]})
    department_id = department_of(file)
    for number, centre_id in ((0, "brand"), (1, None)):
        user = await directory.user(principal_of(file, number))
        assert user is not None
        assert (user.department_id, user.cost_centre_id) == (department_id, centre_id)


async def test_user_is_the_same_in_every_role(directory: Directory, seed: Seed) -> None:
    file = organisation()
    await seed(file)
    admin = replace(principal_of(file), role=Role.SUPER_ADMIN)
    assert await directory.user(admin) == await directory.user(principal_of(file))


async def test_user_who_was_never_entered_is_none(directory: Directory) -> None:
    assert await directory.user(principal_of(organisation())) is None


async def test_user_of_another_tenant_is_none(directory: Directory, seed: Seed) -> None:
    file = organisation()
    await seed(file)
    stranger = replace(principal_of(file), tenant_id=str(uuid.uuid4()))
    assert await directory.user(stranger) is None


async def test_department_belongs_to_its_tenant(directory: Directory, seed: Seed) -> None:
    file = organisation()
    department_id = department_of(file)
    await seed(file)
    assert await directory.has_department(file["tenant_id"], department_id)
    assert not await directory.has_department(str(uuid.uuid4()), department_id)
    assert not await directory.has_department(file["tenant_id"], "nobody")
    assert await directory.tenant_of(department_id) == file["tenant_id"]
    assert await directory.tenant_of("nobody") is None


async def test_seed_writes_a_policy_for_every_scope(stores: Stores, seed: Seed) -> None:
    file = organisation()
    department_id = department_of(file)
    file["departments"][0] |= {"period": "quarter", "fiscal_start_month": 2, "mode": "soft"}
    file["projects"] = [{"id": "atlas", "department_id": department_id, "limit_micros": 0}]
    await seed(file)
    policies = CosmosBudgetPolicies(stores.connection)
    department = await policies.policy(department_id, Scope("department", department_id))
    assert department is not None and department.calendar is not None
    assert (department.limit_micros, department.mode) == (LIMIT_MICROS, "soft")
    assert department.calendar.rules == (PeriodRule("quarter", 2),)
    user = await policies.policy(department_id, Scope("user", principal_of(file).key))
    assert user is not None and user.limit_micros == 1_000_000
    project = await policies.policy(department_id, Scope("project", "atlas"))
    assert project is not None and project.limit_micros == 0


async def test_departments_are_those_of_all_tenants_in_order(
    directory: Directory, seed: Seed
) -> None:
    files = [organisation(), organisation()]
    for file in files:
        await seed(file)
    found = await directory.departments()
    assert {department_of(file) for file in files} <= set(found)
    assert list(found) == sorted(set(found))


async def test_department_id_of_another_tenant_is_refused(directory: Directory, seed: Seed) -> None:
    first = organisation()
    second = organisation(departments=first["departments"], users=[])
    await seed(first)
    with pytest.raises(Conflict):
        await seed(second)
    assert await directory.tenant_of(department_of(first)) == first["tenant_id"]
    assert not await directory.has_department(second["tenant_id"], department_of(first))


async def test_seed_counts_what_was_missing(seed: Seed) -> None:
    file = organisation()
    assert await seed(file) == ENTRIES
    assert await seed(file) == 0
    more = {**file["users"][0], "object_id": str(uuid.uuid4())}
    assert await seed(file | {"users": [*file["users"], more]}) == 1


async def test_seed_gives_the_organisation_its_own_budget_once(stores: Stores, seed: Seed) -> None:
    file = organisation()
    cap = {"limit_micros": 9_000_000, "period": "year", "fiscal_start_month": 7}
    await seed(file | {"organisation": cap})
    await seed(file | {"organisation": cap | {"limit_micros": 1}})
    policy = await CosmosOrganisationPolicies(stores.connection).policy(file["tenant_id"])
    assert policy is not None
    assert (policy.limit_micros, policy.revision) == (9_000_000, 1)
    assert policy.calendar.rules == (PeriodRule("year", 7),)


async def test_seed_leaves_what_exists_as_it_is(
    stores: Stores, directory: Directory, seed: Seed
) -> None:
    file = organisation()
    await seed(file)
    user = {**file["users"][0], "limit_micros": 9}
    department = {**file["departments"][0], "limit_micros": 9}
    assert await seed(file | {"users": [user], "departments": [department]}) == 0
    found = await directory.user(principal_of(file))
    assert found is not None and found.department_id == department_of(file)
    scope = Scope("department", department_of(file))
    policy = await CosmosBudgetPolicies(stores.connection).policy(department_of(file), scope)
    assert policy is not None
    assert (policy.limit_micros, policy.revision) == (LIMIT_MICROS, 1)


async def test_directory_is_unavailable_while_the_store_does_not_answer() -> None:
    file = organisation()
    async with silent_account() as connection:
        directory = CosmosDirectory(connection)
        endings = await asyncio.gather(
            directory.user(principal_of(file)),
            directory.has_department(file["tenant_id"], department_of(file)),
            directory.departments(),
            organisation_over(connection, CosmosDirectoryStore(connection)).seed(file),
            return_exceptions=True,
        )
    assert [type(ending) for ending in endings] == [Unavailable] * 4
