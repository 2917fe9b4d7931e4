"""How grants look over HTTP."""

from typing import Literal

from pydantic import Field

from shared.domain.budgets import CURRENCY
from shared.domain.grants import Grant, GrantKind, GrantStatus
from shared.domain.views import View


class GrantView(View):
    """A raise of some limits that ends by itself; micro-AUD."""

    id: str
    kind: GrantKind
    status: GrantStatus
    department_id: str
    period: str
    scopes: tuple[str, ...]
    amount_micros: int
    surcharge_percent: int
    surcharge_micros: int = Field(description="booked at once, and not taken out of the amount")
    currency: Literal["AUD"] = CURRENCY
    reason: str
    requested_by: str | None = Field(description="object id")
    granted_by: str = Field(description="object id")
    created_at: str
    ends_at: str
    ended_at: str | None
    ended_by: str | None


class GrantList(View):
    """Grants, newest first within a department and period."""

    items: tuple[GrantView, ...]


def grant_view(grant: Grant) -> GrantView:
    return GrantView(
        id=grant.grant_id,
        kind=grant.kind,
        status=grant.status,
        department_id=grant.partition.department_id,
        period=grant.partition.period,
        scopes=tuple(scope.name for scope in grant.scopes),
        amount_micros=grant.amount_micros,
        surcharge_percent=grant.surcharge_percent,
        surcharge_micros=grant.surcharge_micros,
        reason=grant.reason,
        requested_by=grant.requested_by,
        granted_by=_person(grant.granted_by),
        created_at=grant.created_at,
        ends_at=grant.ends_at,
        ended_at=grant.ended_at,
        ended_by=_person(grant.ended_by) if grant.ended_by else None,
    )


def _person(key: str) -> str:
    """The object id in an identity key; a system's name stays as it is."""
    return key.rpartition(".")[2]
