"""Which department a request is about: one's own, or any of the tenant's for who reaches so far."""

from dataclasses import replace

import pytest

from shared.domain.identity import Permission, Role
from shared.errors import NotFound
from shared.services.department_reach import department_within_reach
from tests.builders import DEPARTMENT, caller
from tests.fakes.directory import FakeDirectory

OTHER = "finance"
DIRECTORY = FakeDirectory(departments=[DEPARTMENT, OTHER])
READ = Permission.BUDGETS_READ


@pytest.mark.parametrize("named", [None, DEPARTMENT])
async def test_own_department_is_meant_unless_another_is_named(named: str | None) -> None:
    assert await department_within_reach(DIRECTORY, caller(), named, READ, "none") == DEPARTMENT


async def test_administrator_reaches_every_department_of_the_organisation() -> None:
    admin = caller(role=Role.ORG_ADMIN)
    assert await department_within_reach(DIRECTORY, admin, OTHER, READ, "none") == OTHER


@pytest.mark.parametrize("role", [Role.STANDARD_USER, Role.DEPT_MANAGER])
async def test_department_out_of_reach_is_refused_like_one_that_does_not_exist(role: Role) -> None:
    for named in (OTHER, "nowhere"):
        with pytest.raises(NotFound, match="no such budget"):
            await department_within_reach(
                DIRECTORY, caller(role=role), named, READ, "no such budget"
            )


async def test_administrator_reaches_no_department_of_another_tenant() -> None:
    admin = caller(role=Role.ORG_ADMIN)
    stranger = replace(admin, principal=replace(admin.principal, tenant_id="another"))
    with pytest.raises(NotFound):
        await department_within_reach(DIRECTORY, stranger, OTHER, READ, "none")
