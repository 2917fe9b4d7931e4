"""What transfers do to the cap, what departments get under it, and which calendars fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.allocations import (
    EndStatus,
    Transfer,
    applied_micros,
    ask_operations,
    asked,
    finish_operations,
    give_operations,
    read_transfer,
    take_operations,
    under_cap,
    void_operations,
    wanted_micros,
)
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Patch
from shared.domain.organisation_policies import (
    OrganisationPolicy,
    cap_document,
    cap_partition,
    nests,
    read_cap,
)
from shared.domain.periods import Calendar, PeriodKind, PeriodRule
from shared.errors import InvariantBroken
from tests.builders import CREATED_AT, TENANT

DESIGN, MARKETING = Partition("design", "202611"), Partition("marketing", "202611")
MICROS = st.integers(min_value=0, max_value=10**12)


def transfer(source: Partition | None, target: Partition | None, amount: int = 5) -> Transfer:
    kind = "move" if source and target else "return" if source else "allocate"
    return asked(
        Transfer(
            transfer_id="one",
            tenant_id=TENANT,
            period="202610",
            kind=kind,  # type: ignore[arg-type]
            amount_micros=amount,
            source=source,
            target=target,
            reason="because",
            actor="system:test",
            actor_role="system",
            correlation_id="c-1",
            request_hash="hash",
            created_at=CREATED_AT,
        )
    )


@pytest.mark.parametrize(
    ("source", "target", "status", "applied"),
    [
        (None, DESIGN, "done", 5),
        (None, DESIGN, "returned", 0),
        (DESIGN, None, "done", -5),
        (DESIGN, None, "refused", 0),
        (DESIGN, MARKETING, "done", 0),
        (DESIGN, MARKETING, "refused", 0),
        (DESIGN, MARKETING, "returned", -5),
    ],
)
def test_finish_brings_the_cap_from_what_was_asked_to_what_is_applied(
    source: Partition | None, target: Partition | None, status: EndStatus, applied: int
) -> None:
    made = transfer(source, target)
    first, last = ask_operations(made), finish_operations(made, status, CREATED_AT)
    changes = [
        step["value"]
        for operation in (*first, *last)
        if isinstance(operation, Patch) and operation.item_id == "cap"
        for step in operation.operations
    ]
    assert sum(changes) == applied_micros(made, status) == applied


@pytest.mark.parametrize("sides", [(None, DESIGN), (DESIGN, None), (DESIGN, MARKETING)])
def test_transfer_is_read_as_it_was_written(
    sides: tuple[Partition | None, Partition | None],
) -> None:
    made = transfer(*sides)
    document = ask_operations(made)[0]
    assert isinstance(document, Create)
    assert read_transfer(document.document) == made


@pytest.mark.parametrize("sides", [(None, None), (DESIGN, DESIGN)])
def test_transfer_from_a_side_to_itself_is_an_invariant_broken(
    sides: tuple[Partition | None, Partition | None],
) -> None:
    with pytest.raises(InvariantBroken):
        transfer(*sides)


def test_transfer_of_nothing_is_an_invariant_broken() -> None:
    with pytest.raises(InvariantBroken):
        transfer(None, DESIGN, 0)


def test_every_step_leaves_one_event_of_its_own() -> None:
    made = transfer(DESIGN, MARKETING)
    steps = (
        ask_operations(made),
        take_operations(made, CREATED_AT),
        give_operations(made, CREATED_AT),
        void_operations(made, DESIGN, CREATED_AT),
        void_operations(made, MARKETING, CREATED_AT),
        finish_operations(made, "done", CREATED_AT),
    )
    events = [
        operation.document["id"]
        for operations in steps
        for operation in operations
        if isinstance(operation, Create) and operation.document["type"] == "outbox"
    ]
    assert len(events) == len(set(events)) == len(steps)


def test_side_that_is_the_organisation_has_no_entry() -> None:
    with pytest.raises(InvariantBroken):
        take_operations(transfer(None, DESIGN), CREATED_AT)
    with pytest.raises(InvariantBroken):
        give_operations(transfer(DESIGN, None), CREATED_AT)


@given(limit=MICROS, overdraft=MICROS, allocated=MICROS, mode=st.sampled_from(("soft", "warn")))
def test_budget_under_the_cap_never_promises_more_than_its_allocation(
    limit: int, overdraft: int, allocated: int, mode: str
) -> None:
    policy = BudgetPolicy(
        Scope("department", "design"),
        limit,
        mode=mode,  # type: ignore[arg-type]
        overdraft_micros=overdraft if mode == "soft" else 0,
    )
    budget = policy.opening("202611")
    covered = under_cap(budget, allocated)
    assert covered.ceiling_micros == covered.high_micros <= allocated
    assert covered.mode != "warn"
    if wanted_micros(budget) <= allocated:
        assert (covered.limit_micros, covered.overdraft_micros) == (
            budget.limit_micros,
            budget.overdraft_micros,
        )


def test_cap_is_read_as_it_was_written() -> None:
    policy = OrganisationPolicy(TENANT, 700, Calendar(), revision=3)
    cap = read_cap(cap_document(policy, "202611"))
    assert (cap.limit_micros, cap.allocated_micros, cap.revision) == (700, 0, 3)


def test_no_department_shares_the_partition_of_a_cap() -> None:
    assert "." in cap_partition(TENANT, "202611").department_id


def calendar(kind: PeriodKind, fiscal_start_month: int = 1) -> Calendar:
    return Calendar((PeriodRule(kind, fiscal_start_month),))


@pytest.mark.parametrize(
    ("inner", "outer", "fits"),
    [
        (calendar("month"), calendar("month"), True),
        (calendar("month"), calendar("quarter"), True),
        (calendar("month"), calendar("year", 7), True),
        (calendar("quarter"), calendar("year"), True),
        (calendar("quarter", 4), calendar("year"), True),
        (calendar("quarter", 2), calendar("year"), False),
        (calendar("quarter"), calendar("month"), False),
        (calendar("year"), calendar("quarter"), False),
        (calendar("year", 7), calendar("year"), False),
        (calendar("year", 7), calendar("year", 7), True),
    ],
)
def test_periods_nest_when_no_inner_one_reaches_over_an_outer_end(
    inner: Calendar, outer: Calendar, fits: bool
) -> None:
    assert nests(inner, outer, "202611") is fits


def test_periods_nest_only_if_later_rules_do() -> None:
    later = Calendar((PeriodRule(), PeriodRule("year", 7, "202807")))
    assert not nests(later, calendar("quarter"), "202611")
    assert nests(later, calendar("year", 7), "202611")


def test_department_period_is_paid_by_the_cap_that_contains_it() -> None:
    policy = OrganisationPolicy(TENANT, 1, calendar("quarter", 7))
    assert policy.partition_of("202611").period == "202610"
