"""What a scope may spend in each period: the standing rule from which budgets are opened.

A policy is kept per department in its own partition and outlives every period; a budget is opened
from it once. Changing a policy changes the open budget too, by `policy_revision`: only forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from shared.domain.budgets import (
    ALERT_THRESHOLDS,
    CURRENCY,
    Budget,
    BudgetMode,
    Overage,
    Scope,
    ceiling_of,
)
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.money import checked_micros
from shared.domain.periods import FIRST_MONTH, Calendar, PeriodRule
from shared.domain.predicates import Sum, at_least, compare, equal, every, has_no
from shared.errors import AllocationTooSmall

CARRIED_MICROS_MAX: Final = 10**15  # so that what adds up over the years keeps below 2^52
POLICIES: Final = "policies"  # in place of a period: the partition of a department's policies

Rollover = Literal["none", "unused", "capped"]


@dataclass(frozen=True)
class BudgetPolicy:
    """One scope's standing rule; `calendar` is set for departments only, the rest follows it."""

    scope: Scope
    limit_micros: int
    mode: BudgetMode = "hard"
    overdraft_micros: int = 0
    rollover: Rollover = "none"
    rollover_cap_micros: int = 0
    overage: Overage = "refuse"
    alert_thresholds: tuple[int, ...] = ALERT_THRESHOLDS
    calendar: Calendar | None = None
    revision: int = 1
    since_month: str = FIRST_MONTH  # 'yyyymm': nothing is carried over from before
    changed_at: str = ""  # ISO 8601
    deleted: bool = False  # kept, so that its revision goes on when it comes back

    @property
    def ceiling_micros(self) -> int:
        return ceiling_of(self.mode, self.limit_micros, self.overdraft_micros)

    def opening(
        self, period: str, *, carried_micros: int = 0, allocated_micros: int | None = None
    ) -> Budget:
        """The budget that opens a period, with what rolled over from the one before."""
        limit_micros = self.limit_micros + carried_micros
        ceiling_micros = ceiling_of(self.mode, limit_micros, self.overdraft_micros)
        return Budget(
            scope=self.scope,
            period=period,
            limit_micros=limit_micros,
            reserved_micros=0,
            spent_micros=0,
            ceiling_micros=ceiling_micros,
            high_micros=ceiling_micros,
            mode=self.mode,
            overdraft_micros=self.overdraft_micros,
            base_micros=self.limit_micros,
            allocated_micros=allocated_micros,
            overage=self.overage,
            alert_thresholds=self.alert_thresholds,
            policy_revision=self.revision,
        )

    def rolls_over_micros(self, unused_micros: int) -> int:
        """How much of what was left unused goes on into the next period."""
        if self.rollover == "none":
            return 0
        if self.rollover == "capped":
            return min(unused_micros, self.rollover_cap_micros)
        return min(unused_micros, CARRIED_MICROS_MAX)


def policy_partition(department_id: str) -> Partition:
    """The ledger partition that holds a department's policies and their audit outbox."""
    return Partition(department_id, POLICIES)


def budget_object_id(partition: Partition, scope: Scope) -> str:
    """What audit events call a budget of one period, or the policy behind all periods."""
    return f"budget:{partition.department_id}:{partition.period}:{scope.name}"


def policy_document_id(scope: Scope) -> str:
    return f"policy:{scope.name}"


def policy_document(department_id: str, policy: BudgetPolicy) -> Document:
    return {
        "id": policy_document_id(policy.scope),
        "pk": policy_partition(department_id).key,
        "type": "policy",
        "scope_kind": policy.scope.kind,
        "scope_id": policy.scope.scope_id,
        "revision": policy.revision,
        "pending": 0,  # the first one: there is no open budget yet
        "changed_at": policy.changed_at,
        "rule": rule_of(policy),
    }


def rule_of(policy: BudgetPolicy) -> dict[str, Any]:
    """What a policy says, as JSON; audit events show it before and after a change."""
    rules = policy.calendar.rules if policy.calendar else ()
    return {
        "currency": CURRENCY,
        "limit_micros": checked_micros(policy.limit_micros, "limit_micros"),
        "mode": policy.mode,
        "overdraft_micros": checked_micros(policy.overdraft_micros, "overdraft_micros"),
        "rollover": policy.rollover,
        "rollover_cap_micros": checked_micros(policy.rollover_cap_micros, "rollover_cap_micros"),
        "overage": policy.overage,
        "alert_thresholds": list(policy.alert_thresholds),
        "calendar": [dict(vars(rule)) for rule in rules] or None,
        "since_month": policy.since_month,
        "deleted": policy.deleted,
    }


def put_operation(department_id: str, policy: BudgetPolicy) -> Operation:
    """Write a policy if its predecessor stands: revision 1 is created, n replaces n - 1."""
    if policy.revision == 1:
        return Create(policy_document(department_id, policy))
    steps = (
        {"op": "set", "path": "/revision", "value": policy.revision},
        {"op": "set", "path": "/pending", "value": 1},
        {"op": "set", "path": "/changed_at", "value": policy.changed_at},
        {"op": "set", "path": "/rule", "value": rule_of(policy)},
    )
    return Patch(policy_document_id(policy.scope), steps, equal({"revision": policy.revision - 1}))


def applied_operation(policy: BudgetPolicy) -> Patch:
    """Note that the open budget follows a policy, unless it was changed again."""
    step = {"op": "set", "path": "/pending", "value": 0}
    return Patch(policy_document_id(policy.scope), (step,), equal({"revision": policy.revision}))


def read_policy(document: Mapping[str, Any]) -> BudgetPolicy:
    rule = document["rule"]
    calendar = rule["calendar"]
    return BudgetPolicy(
        scope=Scope(document["scope_kind"], document["scope_id"]),
        limit_micros=int(rule["limit_micros"]),
        mode=rule["mode"],
        overdraft_micros=int(rule["overdraft_micros"]),
        rollover=rule["rollover"],
        rollover_cap_micros=int(rule["rollover_cap_micros"]),
        overage=rule["overage"],
        alert_thresholds=tuple(rule["alert_thresholds"]),
        calendar=Calendar(tuple(PeriodRule(**each) for each in calendar)) if calendar else None,
        revision=int(document["revision"]),
        since_month=rule["since_month"],
        changed_at=document["changed_at"],
        deleted=bool(rule["deleted"]),
    )


def apply_operation(policy: BudgetPolicy, budget: Budget) -> Patch:
    """Bring an open budget to its policy; what grants and rollover added to its limit stays.

    It applies only if the limits stand as they were read, so that it commutes with grants and is
    done once; the counters are not touched and may change meanwhile. A policy that was ended takes
    its part out of the limit and marks the budget: nothing more is reserved, grants or not.
    """
    effective = replace(policy, limit_micros=0, overdraft_micros=0, mode="hard")
    effective = effective if policy.deleted else policy
    limit_micros = max(0, budget.limit_micros + effective.limit_micros - budget.base_micros)
    ceiling_micros = ceiling_of(effective.mode, limit_micros, effective.overdraft_micros)
    values: dict[str, Any] = {
        "mode": effective.mode,
        "limit_micros": limit_micros,
        "overdraft_micros": effective.overdraft_micros,
        "ceiling_micros": ceiling_micros,
        "high_micros": max(budget.high_micros, ceiling_micros),
        "base_micros": effective.limit_micros,
        "overage": policy.overage,
        "alert_thresholds": list(policy.alert_thresholds),
        "policy_revision": policy.revision,
        "ended": int(policy.deleted),
    }
    unchanged = equal(
        {
            "policy_revision": budget.policy_revision,
            "limit_micros": budget.limit_micros,
            "high_micros": budget.high_micros,
        }
    )
    covered = (
        has_no("allocated_micros")
        if budget.allocated_micros is None
        else at_least({"allocated_micros": ceiling_micros})
    )
    steps = tuple({"op": "set", "path": f"/{k}", "value": v} for k, v in values.items())
    return Patch(budget.scope.document_id, steps, every(unchanged, covered))


def check_allocation(policy: BudgetPolicy, budget: Budget) -> None:
    """Raise AllocationTooSmall if the policy would lift a capped department over its share."""
    needed = budget.limit_micros - budget.base_micros + policy.ceiling_micros
    if budget.allocated_micros is not None and budget.allocated_micros < needed:
        raise AllocationTooSmall(
            "The organisation's allocation to this department does not cover the new limit: "
            "allocate more first (POST /organisation/allocations).",
            extra={
                "scope": budget.scope.name,
                "period": budget.period,
                "allocated_micros": budget.allocated_micros,
                "needed_micros": needed,
            },
        )


def carry_over_document_id(scope: Scope) -> str:
    """The create-only entry that fixes how much of a budget went on into the next period."""
    return f"carry:{scope.name}"


def carry_over_operation(budget: Budget, amount_micros: int) -> Patch:
    """Take what rolls over out of the budget it was left in: only what is not committed."""
    committed = Sum(("reserved_micros", "spent_micros"), constant=amount_micros)
    lowered = ("limit_micros",) if budget.mode == "warn" else ("limit_micros", "ceiling_micros")
    taken = tuple({"op": "incr", "path": f"/{name}", "value": -amount_micros} for name in lowered)
    allowed = every(
        compare(committed, "<=", Sum(("limit_micros",))),
        equal({"policy_revision": budget.policy_revision}),  # the mode is the one that was read
    )
    return Patch(budget.scope.document_id, taken, allowed)
