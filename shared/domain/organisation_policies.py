"""The organisation's own budget: a limit for each of its periods, given out to departments.

A3  allocated <= limit at every commit that raises allocated. The limit may be lowered below what is
allocated; then nothing more is given out until the sum fits again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.budget_policies import POLICIES
from shared.domain.budgets import CURRENCY
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.money import checked_micros
from shared.domain.periods import Calendar, PeriodRule, add_months
from shared.domain.predicates import Sum, compare, equal

POLICY_ID: Final = "policy:organisation"
CAP_ID: Final = "cap"
_YEAR_MONTHS = 12  # every calendar repeats itself after a year


@dataclass(frozen=True)
class OrganisationPolicy:
    """How much an organisation gives out in each period of its calendar; micro-AUD."""

    tenant_id: str
    limit_micros: int
    calendar: Calendar
    revision: int = 1

    def partition_of(self, department_period: str) -> Partition:
        """The partition of the cap that a department's period is paid from."""
        return cap_partition(self.tenant_id, self.calendar.period_of_month(department_period))


@dataclass(frozen=True)
class Cap:
    """What an organisation may give out in one period, and what it has given out; micro-AUD."""

    tenant_id: str
    period: str
    limit_micros: int
    allocated_micros: int
    revision: int

    @property
    def available_micros(self) -> int:
        return max(0, self.limit_micros - self.allocated_micros)


def organisation_scope(tenant_id: str) -> str:
    """How refusals and audit events name an organisation's budget."""
    return f"organisation:{tenant_id}"


def cap_partition(tenant_id: str, period: str) -> Partition:
    """The dot keeps it apart from every department's partition: no department id has one."""
    return Partition(f"organisation.{tenant_id}", period)


def organisation_policies(tenant_id: str) -> Partition:
    """The ledger partition of an organisation's policy and its audit outbox."""
    return cap_partition(tenant_id, POLICIES)


def put_operation(policy: OrganisationPolicy) -> Operation:
    """Write a policy if its predecessor stands: revision 1 is created, n replaces n - 1."""
    rule = rule_of(policy)
    if policy.revision == 1:
        return Create(
            {
                "id": POLICY_ID,
                "pk": organisation_policies(policy.tenant_id).key,
                "type": "organisation_policy",
                "tenant_id": policy.tenant_id,
                "revision": 1,
                "rule": rule,
            }
        )
    steps = (
        {"op": "set", "path": "/revision", "value": policy.revision},
        {"op": "set", "path": "/rule", "value": rule},
    )
    return Patch(POLICY_ID, steps, equal({"revision": policy.revision - 1}))


def rule_of(policy: OrganisationPolicy) -> dict[str, Any]:
    """What a policy says, as JSON."""
    return {
        "currency": CURRENCY,
        "limit_micros": checked_micros(policy.limit_micros, "limit_micros"),
        "calendar": [dict(vars(rule)) for rule in policy.calendar.rules],
    }


def read_organisation_policy(document: Mapping[str, Any]) -> OrganisationPolicy:
    rule = document["rule"]
    return OrganisationPolicy(
        tenant_id=document["tenant_id"],
        limit_micros=checked_micros(int(rule["limit_micros"]), "limit_micros"),
        calendar=Calendar(tuple(PeriodRule(**each) for each in rule["calendar"])),
        revision=int(document["revision"]),
    )


def cap_document(policy: OrganisationPolicy, period: str) -> Document:
    """The document that opens a period for an organisation; it is created once, never reset."""
    return {
        "id": CAP_ID,
        "pk": cap_partition(policy.tenant_id, period).key,
        "type": "cap",
        "tenant_id": policy.tenant_id,
        "period": period,
        "currency": CURRENCY,
        "limit_micros": checked_micros(policy.limit_micros, "limit_micros"),
        "allocated_micros": 0,
        "revision": policy.revision,
    }


def read_cap(document: Mapping[str, Any]) -> Cap:
    return Cap(
        tenant_id=document["tenant_id"],
        period=document["period"],
        limit_micros=checked_micros(int(document["limit_micros"]), "limit_micros"),
        allocated_micros=checked_micros(int(document["allocated_micros"]), "allocated_micros"),
        revision=int(document["revision"]),
    )


def follow_operation(policy: OrganisationPolicy) -> Patch:
    """Bring an open cap to its policy, forward only: an older revision changes nothing."""
    steps = (
        {"op": "set", "path": "/limit_micros", "value": policy.limit_micros},
        {"op": "set", "path": "/revision", "value": policy.revision},
    )
    is_older = compare(Sum(("revision",)), "<=", Sum((), policy.revision - 1))
    return Patch(CAP_ID, steps, is_older)


def nests(inner: Calendar, outer: Calendar, month: str) -> bool:
    """Whether no period of `inner` reaches over an end of a period of `outer`, from `month` on."""
    last = max(month, inner.rules[-1].from_month, outer.rules[-1].from_month)
    until = add_months(last, _YEAR_MONTHS)
    boundary = outer.end_month(outer.period_of_month(month))
    while boundary <= until:
        if not inner.is_period(boundary):
            return False
        boundary = outer.end_month(boundary)
    return True
