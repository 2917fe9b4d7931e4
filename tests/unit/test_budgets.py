from typing import Any

import pytest

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import (
    Scope,
    budget_document,
    charged_scopes,
    read_budget,
)
from shared.domain.ids import Partition
from shared.errors import InvariantBroken

PARTITION = Partition("marketing", "202611")
SCOPE = Scope("department", "marketing")


def document(**changes: Any) -> dict[str, Any]:
    return budget_document(PARTITION, BudgetPolicy(SCOPE, 1_000).opening("202611")) | changes


def test_charged_scopes_are_the_department_and_then_the_user() -> None:
    scopes = charged_scopes("marketing", "t.u")
    assert [scope.name for scope in scopes] == ["department:marketing", "user:t.u"]
    assert scopes[1].document_id == "budget:user:t.u"


def test_a_budget_that_was_opened_reads_back_with_nothing_used() -> None:
    budget = read_budget(document())
    assert budget == BudgetPolicy(SCOPE, 1_000).opening("202611")
    assert budget.available_micros == 1_000


def test_available_is_what_neither_holds_nor_costs_have_taken() -> None:
    assert read_budget(document(reserved_micros=300, spent_micros=600)).available_micros == 100


def test_whole_doubles_read_as_integers() -> None:
    assert read_budget(document(spent_micros=5.0)).spent_micros == 5


@pytest.mark.parametrize("name", ["limit_micros", "reserved_micros", "spent_micros"])
@pytest.mark.parametrize("value", [None, "5", 0.5, -1, 2**53, True])
def test_a_counter_that_is_no_amount_is_an_invariant_broken(name: str, value: object) -> None:
    with pytest.raises(InvariantBroken):
        read_budget(document(**{name: value}))


def test_a_budget_over_its_limit_is_an_invariant_broken() -> None:
    with pytest.raises(InvariantBroken, match="I1"):
        read_budget(document(reserved_micros=500, spent_micros=501))


def test_opening_with_a_negative_limit_is_an_invariant_broken() -> None:
    with pytest.raises(InvariantBroken):
        budget_document(PARTITION, BudgetPolicy(SCOPE, -1).opening("202611"))
