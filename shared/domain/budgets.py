"""Budgets: one document per scope and period, holding a limit and two counters.

I1  reserved + spent <= limit at every commit.   I2  counters are integers >= 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.domain.ids import Partition
from shared.domain.money import checked_micros
from shared.errors import InvariantBroken

CURRENCY: Final = "AUD"
ScopeKind = Literal["department", "user"]


@dataclass(frozen=True)
class Scope:
    """Who pays: a department, or a user inside the department of the same partition."""

    kind: ScopeKind
    scope_id: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.scope_id}"

    @property
    def document_id(self) -> str:
        return f"budget:{self.name}"


def charged_scopes(department_id: str, user_key: str) -> tuple[Scope, ...]:
    """Every scope that a request is charged to, in the order in which they are asked."""
    return (Scope("department", department_id), Scope("user", user_key))


@dataclass(frozen=True)
class Budget:
    """A budget as it stands; amounts in micro-AUD."""

    scope: Scope
    period: str
    limit_micros: int
    reserved_micros: int
    spent_micros: int

    @property
    def available_micros(self) -> int:
        return max(0, self.limit_micros - self.reserved_micros - self.spent_micros)


def opening_document(partition: Partition, scope: Scope, limit_micros: int) -> dict[str, Any]:
    """The document that opens a period for a scope; it is created once and never reset."""
    return {
        "id": scope.document_id,
        "pk": partition.key,
        "type": "budget",
        "scope_kind": scope.kind,
        "scope_id": scope.scope_id,
        "period": partition.period,
        "currency": CURRENCY,
        "mode": "hard",
        "limit_micros": checked_micros(limit_micros, "limit_micros"),
        "reserved_micros": 0,
        "spent_micros": 0,
    }


def read_budget(document: Mapping[str, Any]) -> Budget:
    """Check I1 and I2 on a stored budget; raise InvariantBroken on numbers that break them."""
    counters = {}
    for name in ("limit_micros", "reserved_micros", "spent_micros"):
        value = document.get(name)
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if not isinstance(whole, int):
            raise InvariantBroken(f"A budget has no integer {name}.")
        counters[name] = checked_micros(whole, name)
    budget = Budget(
        scope=Scope(document["scope_kind"], document["scope_id"]),
        period=document["period"],
        **counters,
    )
    if budget.reserved_micros + budget.spent_micros > budget.limit_micros:
        raise InvariantBroken(f"The budget {budget.scope.name} is over its hard limit (I1).")
    return budget
