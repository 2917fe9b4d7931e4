"""What roles allow, as data: no ability is lost by climbing, nobody gives what they lack."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.identity import (
    Caller,
    Ownership,
    Permission,
    Principal,
    Reach,
    Rights,
    Role,
    may,
)
from shared.domain.model_rules import ModelRules, refusal_of
from shared.domain.permissions import BUILT_IN, includes
from shared.domain.roles import check_may_give, check_outranks
from shared.errors import PolicyDenied
from tests.builders import caller

PERMISSIONS = st.sampled_from(Permission)
REACHES = st.dictionaries(PERMISSIONS, st.sampled_from(Reach), max_size=len(Permission))
OWNERS = st.builds(
    Ownership,
    st.sampled_from(["t-1", "t-2"]),
    st.sampled_from(["marketing", "design"]),
    st.sampled_from(["t-1.me", "t-1.you", "t-2.me"]),
)
WORDS = st.sampled_from(["allow", "deny"])
NAMES = st.sampled_from(["a", "b"])
RULES = st.builds(
    ModelRules,
    st.dictionaries(NAMES, WORDS),
    st.dictionaries(NAMES, WORDS),
    st.none() | WORDS,
)


def somebody(reaches: dict[Permission, Reach], rank: Role = Role.STANDARD_USER) -> Caller:
    return Caller(Principal("t-1", "me", rank), "marketing", rights=Rights("custom:x", reaches))


def test_every_permission_stands_in_the_table_and_somebody_has_it() -> None:
    assert set(BUILT_IN[Role.SUPER_ADMIN]) == set(Permission)
    assert all(name == name.lower() and name.count(".") == 1 for name in Permission)


@pytest.mark.parametrize("role", [role for role in Role if role < Role.SUPER_ADMIN])
def test_higher_role_may_do_all_that_a_lower_one_may(role: Role) -> None:
    assert includes(BUILT_IN[Role(role + 1)], BUILT_IN[role])


@given(reaches=REACHES, added=PERMISSIONS, wider=st.sampled_from(Reach), owner=OWNERS)
def test_adding_a_permission_never_removes_an_ability(
    reaches: dict[Permission, Reach], added: Permission, wider: Reach, owner: Ownership
) -> None:
    more = reaches | {added: max(wider, reaches.get(added, Reach.NONE))}
    for permission in Permission:
        if may(somebody(reaches), permission, owner):
            assert may(somebody(more), permission, owner)


@given(reaches=REACHES, permission=PERMISSIONS, owner=OWNERS)
def test_nothing_reaches_into_another_tenant(
    reaches: dict[Permission, Reach], permission: Permission, owner: Ownership
) -> None:
    if owner.tenant_id != "t-1":
        assert not may(somebody(reaches), permission, owner)


@given(theirs=REACHES, given_away=REACHES, rank=st.sampled_from(Role), own=st.sampled_from(Role))
def test_what_may_be_given_is_narrower_and_lower_than_the_giver(
    theirs: dict[Permission, Reach],
    given_away: dict[Permission, Reach],
    rank: Role,
    own: Role,
) -> None:
    giver = somebody(theirs, own)
    try:
        check_may_give(giver, rank, given_away)
    except PolicyDenied:
        return
    assert rank < own
    receiver = somebody(given_away, rank)
    for permission in Permission:
        assert receiver.reach(permission) <= giver.reach(permission)


def test_super_admins_may_change_one_another_and_nobody_else_a_peer() -> None:
    check_outranks(caller(role=Role.SUPER_ADMIN), Role.SUPER_ADMIN)
    for role in Role:
        if role != Role.SUPER_ADMIN:
            with pytest.raises(PolicyDenied):
                check_outranks(caller(role=role), role)


@given(levels=st.lists(RULES, max_size=3), model=NAMES, provider=NAMES)
def test_nearest_rules_that_speak_decide_and_a_denial_wins_among_them(
    levels: list[ModelRules], model: str, provider: str
) -> None:
    refusal = refusal_of([(str(n), rules) for n, rules in enumerate(levels)], model, provider)
    for rules in levels:
        said = {rules.models.get(model), rules.providers.get(provider)} - {None}
        said = said or ({rules.otherwise} - {None})
        if said:
            assert (refusal is not None) == ("deny" in said)
            return
    assert refusal is None


def test_person_is_asked_before_role_and_role_before_organisation() -> None:
    deny, allow = ModelRules(providers={"p": "deny"}), ModelRules(models={"m": "allow"})
    rights = Rights("custom:x", {}, NO, allow, deny)
    assert rights.model_refusal("m", "p") is None
    assert rights.model_refusal("other", "p") == (
        "The rules of your organisation do not allow the model other of p."
    )
    assert replace(rights, rules=deny).model_refusal("m", "p") is not None


def test_caller_without_rights_of_the_directory_has_those_of_the_built_in_role() -> None:
    for role in Role:
        person = caller(role=role)
        assert person.reaches == BUILT_IN[role]
        assert person.model_refusal("m", "p") is None


NO = ModelRules()
