"""Patches that raise or lower the limit of an open budget, for grants and for approved overage.

`granted_micros` counts what stands in a limit for this period only, so that it is never carried
into the next one. A budget that only warns keeps its ceiling, which is out of reach anyway.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.domain.budgets import Budget, read_budget
from shared.domain.ledger import Operation, Patch
from shared.domain.limit_steps import WARNS, has_limit, increments, lowering
from shared.domain.money import checked_micros
from shared.domain.predicates import Sum, compare, every, has_no, takes_holds
from shared.errors import AllocationTooSmall, Conflict, PeriodClosed

LIMIT_TRIES_MAX: Final = 8  # of a change whose budget was changed between the read and the write


def raise_limit(
    budget: Budget, raised_micros: int, *, reserved_micros: int = 0, spent_micros: int = 0
) -> Patch:
    """Raise a limit, and in the same step use a part of what was added.

    It applies while the budget is of the kind that was read, and only up to its allocation.
    """
    raised = checked_micros(raised_micros, "raised_micros")
    steps = {"limit_micros": raised, "granted_micros": raised}
    if budget.mode == "warn":
        allowed = WARNS
    else:
        steps |= {"ceiling_micros": raised, "high_micros": raised}
        allowed = every(has_limit(raised), _inside_allocation(budget, raised))
    steps |= {"reserved_micros": reserved_micros, "spent_micros": spent_micros}
    return Patch(budget.scope.document_id, increments(steps), every(allowed, takes_holds()))


def lower_limit(budget: Budget, lowered_micros: int) -> Patch:
    """Take a raise back, also if that leaves less than is committed; new holds are refused then."""
    changes, allowed = lowering(budget, lowered_micros)
    return Patch(budget.scope.document_id, increments(changes), allowed)


def check_open(budget: Budget) -> None:
    """Raise PeriodClosed or Conflict if a budget takes no holds any more, and so no raise."""
    if budget.sealed:
        raise PeriodClosed(f"The period {budget.period} is closed: nothing is booked in it.")
    if budget.ended:
        raise Conflict(f"The budget {budget.scope.name} was ended.", code="budget_ended")


def check_allocation(budget: Budget, raised_micros: int) -> None:
    """Raise AllocationTooSmall if the organisation's allocation does not cover a raise."""
    needed = budget.ceiling_micros + raised_micros
    if budget.allocated_micros is not None and budget.allocated_micros < needed:
        raise AllocationTooSmall(
            "The organisation's allocation to this department does not cover the raise: "
            "allocate more first (POST /organisation/allocations).",
            extra={
                "scope": budget.scope.name,
                "period": budget.period,
                "allocated_micros": budget.allocated_micros,
                "needed_micros": needed,
            },
        )


def _inside_allocation(budget: Budget, raised: int) -> str:
    if budget.allocated_micros is None:
        return has_no("allocated_micros")
    return compare(Sum(("ceiling_micros",), raised), "<=", Sum(("allocated_micros",)))


def budgets_after(
    operations: Sequence[Operation], answers: Sequence[Mapping[str, Any]]
) -> tuple[Budget, ...]:
    """The budgets that a transaction has patched as it left them, from its own answers."""
    return tuple(
        read_budget(answer["resourceBody"])
        for operation, answer in zip(operations, answers, strict=True)
        if isinstance(operation, Patch) and operation.item_id.startswith("budget:")
    )
