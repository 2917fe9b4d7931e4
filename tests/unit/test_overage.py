"""The rules of grants and approvals: limits that rise and fall, who decides, what would fit."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.approvals import Approval, Vote, may_decide, voted
from shared.domain.budgets import CEILING_OF_WARN, Budget, Scope
from shared.domain.grants import surcharge_micros
from shared.domain.identity import Role
from shared.domain.ledger import Patch
from shared.domain.limit_changes import check_allocation, lower_limit, raise_limit
from shared.domain.limit_steps import settling
from shared.domain.parked_work import moved_id
from shared.domain.would_fit import would_fit
from shared.errors import AllocationTooSmall
from tests import builders
from tests.fakes.cosmos_predicates import compile_predicate

SCOPE = Scope("department", "marketing")
MICROS = st.integers(min_value=0, max_value=10**13)
NEXT = replace(builders.PARTITION, period="202612")


def budget(limit: int, *, mode: Any = "hard", overdraft: int = 0, **changes: int) -> Budget:
    ceiling = CEILING_OF_WARN if mode == "warn" else limit + overdraft
    values: dict[str, Any] = {"reserved_micros": 0, "spent_micros": 0} | changes
    return Budget(
        SCOPE, "202611", limit, ceiling_micros=ceiling, high_micros=ceiling, mode=mode,
        overdraft_micros=overdraft, **values,
    )  # fmt: skip


def applied(patch: Patch, before: Budget) -> Budget | None:
    """The budget after a patch; None if its predicate refuses."""
    document = vars(before) | {"sealed": before.sealed}
    assert patch.predicate is not None
    if not compile_predicate(patch.predicate)(document):
        return None
    steps = {step["path"][1:]: step["value"] for step in patch.operations}
    return replace(before, **{name: getattr(before, name) + by for name, by in steps.items()})


@given(limit=MICROS, amount=st.integers(1, 10**13), mode=st.sampled_from(["hard", "soft", "warn"]))
def test_raise_and_lower_leave_the_limit_as_it_was(limit: int, amount: int, mode: str) -> None:
    before = budget(limit, mode=mode, overdraft=7 if mode == "soft" else 0)
    raised = applied(raise_limit(before, amount), before)
    assert raised is not None
    assert raised.limit_micros == limit + amount
    assert (raised.ceiling_micros == CEILING_OF_WARN) is (mode == "warn")
    after = applied(lower_limit(raised, amount), raised)
    assert after is not None
    assert after == replace(before, high_micros=raised.high_micros)


@given(limit=MICROS, spent=MICROS, amount=st.integers(1, 10**13))
def test_raise_that_is_used_at_once_never_passes_the_highest_ceiling(
    limit: int, spent: int, amount: int
) -> None:
    lowered = budget(limit, spent_micros=spent)
    before = replace(lowered, high_micros=max(limit, spent))  # the limit was cut below it once
    after = applied(raise_limit(before, amount, reserved_micros=amount), before)
    assert after is not None
    assert after.committed_micros <= after.high_micros
    assert after.available_micros == before.available_micros


@given(
    limit=MICROS,
    others=MICROS,
    held=st.integers(1, 10**13),
    used=st.integers(0, 100),
    mode=st.sampled_from(["hard", "soft", "warn"]),
)
def test_settlement_leaves_to_others_what_they_had_before_the_raise(
    limit: int, others: int, held: int, used: int, mode: str
) -> None:
    before = budget(limit, mode=mode, overdraft=7 if mode == "soft" else 0, spent_micros=others)
    raised = applied(raise_limit(before, held, reserved_micros=held), before)
    assert raised is not None
    spent = held * used // 100
    after = applied(Patch(SCOPE.document_id, *settling(held, spent, raised)), raised)
    assert after is not None
    assert (after.reserved_micros, after.spent_micros) == (0, others + spent)
    assert after.limit_micros == limit + spent
    assert after.granted_micros == spent
    assert mode == "warn" or after.available_micros == before.available_micros
    assert after.high_micros == raised.high_micros


@given(
    held=st.integers(1, 10**13),
    limit=MICROS,
    mode=st.sampled_from(["hard", "soft", "warn"]),
    ended=st.integers(0, 1),
    sealed=st.integers(0, 1),
)
def test_settlement_stands_whatever_a_policy_has_made_of_the_budget(
    held: int, limit: int, mode: str, ended: int, sealed: int
) -> None:
    overdraft = 7 if mode == "soft" else 0
    stands = budget(
        limit, mode=mode, overdraft=overdraft, reserved_micros=held, granted_micros=held
    )
    stands = replace(stands, ended=ended, sealed=sealed)
    after = applied(Patch(SCOPE.document_id, *settling(held, 0, stands)), stands)
    assert after is not None
    assert after.limit_micros == max(0, limit - held)
    assert after.granted_micros == after.reserved_micros == 0
    assert mode == "warn" or after.ceiling_micros == after.limit_micros + overdraft


def test_raise_of_a_budget_that_warns_is_taken_back_after_a_rollover_out_of_it() -> None:
    warns = budget(100, mode="warn", reserved_micros=9, granted_micros=9)
    rolled = replace(warns, ceiling_micros=warns.ceiling_micros - 10**15)
    assert applied(lower_limit(rolled, 9), rolled) is not None
    after = applied(Patch(SCOPE.document_id, *settling(9, 1, rolled)), rolled)
    assert after is not None and after.limit_micros == 92


def test_settlement_made_for_another_mode_is_refused() -> None:
    warns, hard = (budget(100, mode=mode, reserved_micros=9) for mode in ("warn", "hard"))
    assert applied(Patch(SCOPE.document_id, *settling(9, 1, warns)), hard) is None
    assert applied(Patch(SCOPE.document_id, *settling(9, 1, hard)), warns) is None
    assert applied(Patch(SCOPE.document_id, *settling(9, 9, hard)), warns) is not None


@pytest.mark.parametrize("mode", ["hard", "warn"])
def test_change_made_for_another_mode_is_refused(mode: str) -> None:
    read = budget(100, mode=mode)
    stands = budget(100, mode="warn" if mode == "hard" else "hard")
    assert applied(raise_limit(read, 10), stands) is None
    assert applied(lower_limit(read, 10), stands) is None


def test_raise_stops_at_the_allocation() -> None:
    capped = replace(budget(90), allocated_micros=100)
    assert applied(raise_limit(capped, 10), capped) is not None
    assert applied(raise_limit(capped, 11), capped) is None
    with pytest.raises(AllocationTooSmall):
        check_allocation(capped, 11)
    check_allocation(capped, 10)


def test_raise_meant_for_a_free_department_is_refused_once_it_is_capped() -> None:
    free = budget(90)
    assert applied(raise_limit(free, 5), replace(free, allocated_micros=1_000)) is None


def test_closed_period_is_not_raised() -> None:
    read = budget(90)
    assert applied(raise_limit(read, 5), replace(read, sealed=1)) is None


def test_budget_that_was_ended_is_not_raised() -> None:
    for read in (budget(90), budget(90, mode="warn")):
        assert applied(raise_limit(read, 5), replace(read, ended=1)) is None
        assert applied(raise_limit(read, 5), read) is not None


@given(amount=st.integers(1, 10**13), percent=st.integers(0, 100))
def test_surcharge_is_rounded_up_by_less_than_a_micro(amount: int, percent: int) -> None:
    surcharge = surcharge_micros(amount, percent)
    assert 0 <= surcharge * 100 - amount * percent < 100


def approval(**changes: object) -> Approval:
    work = builders.item()
    made = Approval(
        kind="generation",
        hold=builders.hold(work),
        raised=(SCOPE,),
        department_id="marketing",
        required=1,
        created_at=builders.CREATED_AT,
        escalates_at=builders.CLOSED_AT,
        expires_at=builders.CLOSED_AT,
        correlation_id="c-1",
        summary={},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "department", "role", "before", "after"),
    [
        (1, "marketing", Role.ORG_ADMIN, False, False),  # the requester, whatever their role
        (2, "marketing", Role.STANDARD_USER, False, False),
        (2, "marketing", Role.POWER_USER, False, False),
        (2, "marketing", Role.DEPT_MANAGER, True, False),
        (2, "design", Role.DEPT_MANAGER, False, False),
        (2, "design", Role.ORG_ADMIN, True, True),
        (2, "design", Role.SUPER_ADMIN, True, True),
    ],
)
def test_who_may_decide_before_and_after_the_escalation(
    number: int, department: str, role: Role, before: bool, after: bool
) -> None:
    person = builders.caller(number, department, role)
    assert may_decide(person, approval()) is before
    assert may_decide(person, approval(escalations=1)) is after


def test_votes_count_up_to_what_is_required() -> None:
    vote = Vote("o", "v", "p", "DeptManager", "approve", "", builders.CLOSED_AT)
    once = voted(approval(required=2), vote)
    assert (once.status, once.approvals, once.decided_at) == ("pending", 1, None)
    twice = voted(once, vote)
    assert (twice.status, twice.approvals) == ("approved", 2)
    assert voted(once, replace(vote, decision="reject")).status == "rejected"


def test_moved_request_has_one_id_in_each_period() -> None:
    here = builders.single_id()
    assert moved_id(here, NEXT) == moved_id(here, NEXT) != here
    assert moved_id(here, NEXT).startswith("202612-marketing-")
    assert moved_id(builders.single_id("two"), NEXT) != moved_id(here, NEXT)


def test_would_fit_names_the_most_pictures_and_the_best_cheaper_quality() -> None:
    prices = builders.catalogue()
    wanted = builders.request(count=4, quality="high")
    low = prices.quote(wanted.model_copy(update={"quality": "low"})).amount_micros
    three = prices.quote(wanted.model_copy(update={"count": 3})).amount_micros
    four = prices.quote(wanted).amount_micros
    assert would_fit(wanted, prices, four - 1) == {"count": 3, "quality": "medium"}
    assert would_fit(wanted, prices, three)["count"] == 3
    assert would_fit(wanted, prices, low) == {"count": 0, "quality": "low"}
    assert would_fit(wanted, prices, low - 1) == {"count": 0, "quality": None}
    assert would_fit(builders.request("flux-schnell"), prices, 0) == {"count": 0, "quality": None}
