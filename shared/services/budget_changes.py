"""What a change of a budget policy may be: by whom, on what, and how an audit event shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.identity import Caller, Permission, Reach
from shared.domain.periods import Calendar, PeriodKind, PeriodRule
from shared.errors import FieldFault, Invalid, NotFound, PolicyDenied, PreconditionFailed

NO_SUCH = "There is no such budget."
CALENDAR_RULES_MAX = 20  # changes of how long a department's periods are


@dataclass(frozen=True)
class BudgetChange:
    """What a policy shall say; `period` None leaves a department's calendar as it is."""

    policy: BudgetPolicy  # its revision, since_month and calendar are set when it is written
    period: PeriodKind | None = None
    fiscal_start_month: int = 1


def expected_policy(standing: BudgetPolicy | None, expected: int | None) -> BudgetPolicy | None:
    """What stands, if it is what the caller expects."""
    exists = standing is not None and not standing.deleted
    if expected == 0 and exists:
        raise PreconditionFailed("This budget exists already; send If-Match to change it.")
    if expected != 0 and not exists:
        raise NotFound(NO_SUCH)
    if expected and standing is not None and standing.revision != expected:
        raise PreconditionFailed("The budget was changed since you read it; read it again.")
    return standing


def check_may_change(caller: Caller, scope: Scope) -> None:
    """Managers set budgets inside their department, Org Admins all; nobody sets their own."""
    if scope.kind == "user" and scope.scope_id == caller.key:
        raise PolicyDenied("Nobody may set their own budget; ask somebody else.")
    least = Reach.ORGANISATION if scope.kind == "department" else Reach.DEPARTMENT
    if caller.reach(Permission.BUDGETS_WRITE) < least:
        raise PolicyDenied("Your role may not change this budget.")


def calendar_after(
    scope: Scope, standing: BudgetPolicy | None, change: BudgetChange, now: datetime
) -> Calendar | None:
    """The calendar a policy goes on with; only departments have one. Raises Invalid."""
    if scope.kind != "department":
        if change.period is not None:
            raise Invalid(
                "The period is the department's: all its budgets share it.",
                faults=[FieldFault("/period", "set it on the department's budget")],
            )
        return None
    if standing is None or standing.calendar is None:
        return Calendar((PeriodRule(change.period or "month", change.fiscal_start_month),))
    calendar = standing.calendar
    if change.period is None:
        return calendar
    last = calendar.rules[-1]
    if (last.kind, last.fiscal_start_month) == (change.period, change.fiscal_start_month):
        return calendar
    changed = calendar.changed(change.period, change.fiscal_start_month, now)
    if len(changed.rules) > CALENDAR_RULES_MAX:
        raise Invalid(
            f"The period of a department may change {CALENDAR_RULES_MAX - 1} times.",
            faults=[FieldFault("/period", "leave it out")],
        )
    return changed


def differences(
    standing: Mapping[str, Any] | None, revised: Mapping[str, Any]
) -> dict[str, str | int | bool | None]:
    """Every figure of a rule that changed, before and after."""
    before = standing or {}
    details: dict[str, str | int | bool | None] = {}
    for name, value in revised.items():
        if before.get(name) != value:
            details[f"before.{name}"] = _scalar(before.get(name))
            details[f"after.{name}"] = _scalar(value)
    return details


def _scalar(value: Any) -> str | int | bool | None:
    """A list in the letters that the verifiable log shows as they are."""
    return ",".join(map(_word, value)) if isinstance(value, list) else value


def _word(value: Any) -> str:
    return ":".join(map(str, value.values())) if isinstance(value, dict) else str(value)
