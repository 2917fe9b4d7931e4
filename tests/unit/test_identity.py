import pytest

from shared.domain.identity import (
    CLAIM_BY_ROLE,
    ROLE_BY_CLAIM,
    Caller,
    Ownership,
    Permission,
    Principal,
    Role,
    may,
    require,
)
from shared.errors import NotFound

OWNER = Ownership("t-1", "marketing", "t-1.owner")


def caller(
    role: Role, tenant: str = "t-1", department: str = "marketing", oid: str = "x"
) -> Caller:
    return Caller(Principal(tenant, oid, role), department)


def test_every_role_has_one_claim_and_they_are_ordered() -> None:
    assert [CLAIM_BY_ROLE[role] for role in sorted(Role)] == list(ROLE_BY_CLAIM)
    assert len(ROLE_BY_CLAIM) == len(Role)


def test_key_is_tenant_and_object_id() -> None:
    assert caller(Role.STANDARD_USER, oid="owner").key == OWNER.user_key


@pytest.mark.parametrize("role", list(Role))
def test_owner_sees_their_own_whatever_the_role(role: Role) -> None:
    assert may(caller(role, oid="owner"), Permission.GENERATIONS_READ, OWNER)


@pytest.mark.parametrize(
    ("role", "same_department", "other_department"),
    [
        (Role.STANDARD_USER, False, False),
        (Role.POWER_USER, False, False),
        (Role.DEPT_MANAGER, True, False),
        (Role.ORG_ADMIN, True, True),
        (Role.SUPER_ADMIN, True, True),
    ],
)
def test_reach_over_what_others_own_grows_with_the_role(
    role: Role, same_department: bool, other_department: bool
) -> None:
    assert may(caller(role), Permission.GENERATIONS_READ, OWNER) is same_department
    assert (
        may(caller(role, department="design"), Permission.GENERATIONS_READ, OWNER)
        is other_department
    )


@pytest.mark.parametrize("role", list(Role))
def test_nobody_sees_another_tenant(role: Role) -> None:
    assert not may(caller(role, tenant="t-2", oid="owner"), Permission.GENERATIONS_READ, OWNER)


def test_out_of_sight_answers_as_if_it_did_not_exist() -> None:
    with pytest.raises(NotFound, match="no such generation"):
        require(caller(Role.STANDARD_USER), Permission.GENERATIONS_READ, OWNER, "generation")
    require(caller(Role.DEPT_MANAGER), Permission.GENERATIONS_READ, OWNER, "generation")
