"""Budgets: one document per scope and period, holding a limit and two counters.

A reservation is checked against the ceiling: the limit, plus the overdraft of a soft budget; a
budget that only warns has a ceiling out of reach. `high_micros` is the highest ceiling that a
budget ever had in its period, because a limit may be lowered below what is committed.

I1  no reservation commits above the ceiling, so reserved + spent <= high at every commit.
I2  counters are integers >= 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from shared.domain.ids import Partition
from shared.domain.money import checked_micros
from shared.errors import InvariantBroken

CURRENCY: Final = "AUD"
CEILING_OF_WARN: Final = 2**52  # out of reach, and still exact when a grant is added to it
ALERT_THRESHOLDS: Final = (80, 90, 100)  # percent of the limit, unless a policy says otherwise

ScopeKind = Literal["department", "user", "project", "cost_centre"]
BudgetMode = Literal["hard", "soft", "warn"]
Overage = Literal["refuse", "queue", "approval"]


@dataclass(frozen=True)
class Scope:
    """Who pays: a department, or a user, project or cost centre inside the same department."""

    kind: ScopeKind
    scope_id: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.scope_id}"

    @property
    def document_id(self) -> str:
        return f"budget:{self.name}"


@dataclass(frozen=True)
class Charge:
    """Who is charged: always a department, and a person unless it is nobody's own doing."""

    department_id: str
    user_key: str | None
    project_id: str | None = None
    cost_centre_id: str | None = None

    def scopes(self) -> tuple[Scope, ...]:
        """Every budget that is charged, in the order in which they are asked."""
        return charged_scopes(
            self.department_id, self.user_key, self.project_id, self.cost_centre_id
        )


def charged_scopes(
    department_id: str,
    user_key: str | None,
    project_id: str | None = None,
    cost_centre_id: str | None = None,
) -> tuple[Scope, ...]:
    """Every scope that a request is charged to, in the order in which they are asked."""
    named: tuple[tuple[ScopeKind, str | None], ...] = (
        ("department", department_id),
        ("user", user_key),
        ("project", project_id),
        ("cost_centre", cost_centre_id),
    )
    return tuple(Scope(kind, scope_id) for kind, scope_id in named if scope_id is not None)


@dataclass(frozen=True)
class Budget:
    """A budget as it stands; amounts in micro-AUD."""

    scope: Scope
    period: str
    limit_micros: int
    reserved_micros: int
    spent_micros: int
    ceiling_micros: int
    high_micros: int
    mode: BudgetMode = "hard"
    overdraft_micros: int = 0
    base_micros: int = 0  # the policy's limit when it was last applied: the rest was added to it
    granted_micros: int = 0  # of what was added, for this period only: it is never carried over
    allocated_micros: int | None = None  # of a department under an organisation's cap
    overage: Overage = "refuse"
    alert_thresholds: tuple[int, ...] = ALERT_THRESHOLDS
    policy_revision: int = 0
    ended: int = 0  # 1 once its policy was ended: nothing is reserved from it, grants or not
    sealed: int = 0  # of a department: above 0 its period takes no entries, see statements.py

    @property
    def committed_micros(self) -> int:
        """What is spent or may still be: the figure that limits and alerts look at."""
        return self.reserved_micros + self.spent_micros

    @property
    def unused_micros(self) -> int:
        """What of the lasting limit nobody has committed; grants are for this period only."""
        return max(0, self.limit_micros - self.granted_micros - self.committed_micros)

    @property
    def available_micros(self) -> int:
        """What may still be reserved."""
        return 0 if self.ended else max(0, self.ceiling_micros - self.committed_micros)


def ceiling_of(mode: BudgetMode, limit_micros: int, overdraft_micros: int) -> int:
    """Up to where a budget lets reservations pass."""
    if mode == "warn":
        return CEILING_OF_WARN
    return checked_micros(limit_micros + overdraft_micros, "ceiling_micros")


def budget_document(partition: Partition, budget: Budget) -> dict[str, Any]:
    """The document that opens a period for a scope; it is created once and never reset."""
    return {
        "id": budget.scope.document_id,
        "pk": partition.key,
        "type": "budget",
        "scope_kind": budget.scope.kind,
        "scope_id": budget.scope.scope_id,
        "period": partition.period,
        "currency": CURRENCY,
        "mode": budget.mode,
        "limit_micros": checked_micros(budget.limit_micros, "limit_micros"),
        "overdraft_micros": checked_micros(budget.overdraft_micros, "overdraft_micros"),
        "ceiling_micros": checked_micros(budget.ceiling_micros, "ceiling_micros"),
        "high_micros": checked_micros(budget.high_micros, "high_micros"),
        "base_micros": checked_micros(budget.base_micros, "base_micros"),
        "granted_micros": checked_micros(budget.granted_micros, "granted_micros"),
        "allocated_micros": budget.allocated_micros,
        "reserved_micros": 0,
        "spent_micros": 0,
        "overage": budget.overage,
        "alert_thresholds": list(budget.alert_thresholds),
        "policy_revision": budget.policy_revision,
        "ended": 0,
        "sealed": 0,
    }


def read_budget(document: Mapping[str, Any]) -> Budget:
    """Check I1 and I2 on a stored budget; raise InvariantBroken on numbers that break them."""
    names = (
        "limit_micros",
        "overdraft_micros",
        "ceiling_micros",
        "high_micros",
        "reserved_micros",
        "spent_micros",
        "base_micros",
        "granted_micros",
    )
    numbers = {name: _micros(document, name) for name in names}
    allocated = document["allocated_micros"]
    budget = Budget(
        scope=Scope(document["scope_kind"], document["scope_id"]),
        period=document["period"],
        mode=cast(BudgetMode, document["mode"]),
        allocated_micros=None if allocated is None else _micros(document, "allocated_micros"),
        overage=cast(Overage, document["overage"]),
        alert_thresholds=tuple(document["alert_thresholds"]),
        policy_revision=document["policy_revision"],
        ended=int(document["ended"]),
        sealed=int(document["sealed"]),
        **numbers,
    )
    if budget.committed_micros > budget.high_micros:
        raise InvariantBroken(f"The budget {budget.scope.name} is over its hard limit (I1).")
    return budget


def _micros(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(whole, int):
        raise InvariantBroken(f"A budget has no integer {name}.")
    return checked_micros(whole, name)
