"""How the numbers of an open budget move: the increments of a patch, and the predicate they need.

A raise is taken back from the limit and from the ceiling alike, so that an overdraft stays on top;
`high_micros` never falls.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.domain.budgets import CEILING_OF_WARN, Budget
from shared.domain.money import checked_micros
from shared.domain.predicates import Sum, at_least, compare, every

Steps = tuple[Mapping[str, Any], ...]
# Far above every limit, and below every ceiling out of reach, whatever rolled over out of it.
WARNS_FROM: Final = CEILING_OF_WARN // 2
WARNS: Final = at_least({"ceiling_micros": WARNS_FROM})


def lowering(budget: Budget, lowered_micros: int) -> tuple[dict[str, int], str]:
    """Take a raise back: what changes by how much, while the budget is of the kind that was read.

    Less is taken only if a policy has cut the limit meanwhile: it ends at 0.
    """
    lowered = checked_micros(lowered_micros, "lowered_micros")
    taken = min(lowered, budget.limit_micros)
    changes = {"limit_micros": -taken, "granted_micros": -lowered}
    left = {"limit_micros": taken}
    if budget.mode == "warn":
        allowed = every(WARNS, at_least(left))
    else:
        changes |= {"ceiling_micros": -taken}
        left |= {"ceiling_micros": taken}
        allowed = every(has_limit(0), at_least(left))
    if taken < lowered:
        allowed = every(allowed, compare(Sum(("limit_micros",)), "<=", Sum((), taken)))
    return changes, allowed


def settling(held_micros: int, spent_micros: int, raised: Budget | None) -> tuple[Steps, str]:
    """Book what was held as spent; in a budget that was `raised` for it the rest of the raise goes.

    So nobody spends what was approved for something else. Committed and limit fall by the same
    amount: a budget that covered all that is committed still does.
    """
    changes = {"reserved_micros": -held_micros, "spent_micros": spent_micros}
    covered = at_least({"reserved_micros": held_micros, "spent_micros": 0})
    if raised is None or held_micros == spent_micros:
        return increments(changes), covered
    lowered, allowed = lowering(raised, held_micros - spent_micros)
    return increments(changes | lowered), every(covered, allowed)


def has_limit(raised_micros: int) -> str:
    """The budget does more than warn, also when its ceiling has risen by so much."""
    return compare(Sum(("ceiling_micros",), raised_micros), "<=", Sum((), WARNS_FROM - 1))


def increments(changes: Mapping[str, int]) -> Steps:
    """Steps of a patch that add to fields."""
    return tuple(
        {"op": "incr", "path": f"/{name}", "value": value} for name, value in changes.items()
    )
