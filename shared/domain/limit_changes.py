"""Patches that raise or lower the limit of an open budget, for grants and for approved overage.

`granted_micros` counts what stands in a limit for this period only, so that it is never carried
into the next one. A budget that only warns keeps its ceiling, which is out of reach anyway.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.domain.budgets import CEILING_OF_WARN, Budget, read_budget
from shared.domain.ledger import Operation, Patch
from shared.domain.money import checked_micros
from shared.domain.predicates import Sum, at_least, compare, every, has_no, unsealed
from shared.errors import AllocationTooSmall, PeriodClosed

LIMIT_TRIES_MAX: Final = 8  # of a change whose budget was changed between the read and the write
_WARNS: Final = at_least({"ceiling_micros": CEILING_OF_WARN})


def raise_limit(
    budget: Budget, raised_micros: int, *, reserved_micros: int = 0, spent_micros: int = 0
) -> Patch:
    """Raise a limit, and in the same step use a part of what was added.

    It applies while the budget is of the kind that was read, and only up to its allocation.
    """
    raised = checked_micros(raised_micros, "raised_micros")
    steps = {"limit_micros": raised, "granted_micros": raised}
    if budget.mode == "warn":
        allowed = _WARNS
    else:
        steps |= {"ceiling_micros": raised, "high_micros": raised}
        allowed = every(_below(CEILING_OF_WARN - 1, raised), _inside_allocation(budget, raised))
    steps |= {"reserved_micros": reserved_micros, "spent_micros": spent_micros}
    return Patch(budget.scope.document_id, _increments(steps), every(allowed, unsealed()))


def lower_limit(budget: Budget, lowered_micros: int) -> Patch:
    """Take a raise back, also if that leaves less than is committed; new holds are refused then."""
    lowered = checked_micros(lowered_micros, "lowered_micros")
    taken = min(lowered, budget.limit_micros)  # less only if a policy has cut the limit meanwhile
    steps = {"limit_micros": -taken, "granted_micros": -lowered}
    left = {"limit_micros": taken}
    if budget.mode == "warn":
        allowed = every(_WARNS, at_least(left))
    else:
        steps |= {"ceiling_micros": -taken}
        left |= {"ceiling_micros": taken}
        allowed = every(_below(CEILING_OF_WARN - 1, 0), at_least(left))
    if taken < lowered:
        allowed = every(allowed, compare(Sum(("limit_micros",)), "<=", Sum((), taken)))
    return Patch(budget.scope.document_id, _increments(steps), allowed)


def check_open(budget: Budget) -> None:
    """Raise PeriodClosed if the period of a budget takes no entries any more."""
    if budget.sealed:
        raise PeriodClosed(f"The period {budget.period} is closed: nothing is booked in it.")


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


def _below(ceiling_micros: int, raised: int) -> str:
    return compare(Sum(("ceiling_micros",), raised), "<=", Sum((), ceiling_micros))


def _inside_allocation(budget: Budget, raised: int) -> str:
    if budget.allocated_micros is None:
        return has_no("allocated_micros")
    return compare(Sum(("ceiling_micros",), raised), "<=", Sum(("allocated_micros",)))


def _increments(steps: Mapping[str, int]) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {"op": "incr", "path": f"/{name}", "value": value} for name, value in steps.items() if value
    )


def budgets_after(
    operations: Sequence[Operation], answers: Sequence[Mapping[str, Any]]
) -> tuple[Budget, ...]:
    """The budgets that a transaction has patched as it left them, from its own answers."""
    return tuple(
        read_budget(answer["resourceBody"])
        for operation, answer in zip(operations, answers, strict=True)
        if isinstance(operation, Patch) and operation.item_id.startswith("budget:")
    )
