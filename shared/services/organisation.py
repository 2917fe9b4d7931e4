"""Enters departments, people and their first budgets; what exists already is left as it is."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import BudgetPolicy, budget_object_id, policy_partition
from shared.domain.budgets import BudgetMode, Overage, Scope
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.ledger import Document
from shared.domain.money import MICROS_MAX
from shared.domain.organisation_policies import OrganisationPolicy, organisation_scope
from shared.domain.periods import Calendar, PeriodKind, PeriodRule, month_of
from shared.errors import Invalid, PreconditionFailed
from shared.ports import BudgetPolicies, Clock, Directory
from shared.ports.allocations import OrganisationPolicies

GUID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ALL_DEPARTMENTS_PARTITION = "departments"
FAULTS_SHOWN_MAX = 20


Limit = Annotated[int, Field(ge=0, le=MICROS_MAX)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    limit_micros: Limit  # micro-AUD for each budget period


class DepartmentEntry(_Entry):
    """A department, how long its budget periods are, and its limit in each."""

    department_id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    name: str = Field(min_length=1, max_length=100)
    period: PeriodKind = "month"
    fiscal_start_month: int = Field(default=1, ge=1, le=12)
    mode: BudgetMode = "hard"
    overdraft_micros: Limit = 0
    overage: Overage = "refuse"


class PayerEntry(_Entry):
    """A project or a cost centre of a department."""

    id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    department_id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")


class UserEntry(_Entry):
    """A person by identity key, the department that pays, and the cost centre that may as well."""

    object_id: str = Field(pattern=GUID_PATTERN)
    department_id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    cost_centre_id: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")


class CapEntry(_Entry):
    """What the organisation may spend in each of its periods; departments get shares of it."""

    period: PeriodKind = "month"
    fiscal_start_month: int = Field(default=1, ge=1, le=12)


class OrganisationFile(BaseModel):
    """What an organisation file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant_id: str = Field(pattern=GUID_PATTERN)
    organisation: CapEntry | None = None
    departments: tuple[DepartmentEntry, ...] = Field(min_length=1, max_length=1_000)
    projects: tuple[PayerEntry, ...] = Field(default=(), max_length=100_000)
    cost_centres: tuple[PayerEntry, ...] = Field(default=(), max_length=100_000)
    users: tuple[UserEntry, ...] = Field(max_length=100_000)


@dataclass(frozen=True)
class Organisation:
    """Seeds the directory and the first budget policies."""

    directory: Directory
    policies: BudgetPolicies
    organisations: OrganisationPolicies
    clock: Clock

    async def seed(self, document: Mapping[str, Any]) -> int:
        """Create what is missing; returns how many entries were new; Invalid for a bad file."""
        try:
            file = OrganisationFile.model_validate(document)
        except ValidationError as fault:
            places = {"/" + "/".join(map(str, error["loc"])) for error in fault.errors()}
            named = ", ".join(sorted(places)[:FAULTS_SHOWN_MAX])
            raise Invalid(f"The organisation file is not usable at: {named}.") from fault
        _check_departments(file)
        if file.organisation is not None:
            await self._cap_once(file.tenant_id, file.organisation)
        for department_id, policy in _policies(file):
            await self._put_once(department_id, policy)
        return await self.directory.put(_directory_documents(file))

    async def _cap_once(self, tenant_id: str, entry: CapEntry) -> None:
        """The organisation's own budget, unless it has one."""
        if await self.organisations.policy(tenant_id) is not None:
            return
        calendar = Calendar((PeriodRule(entry.period, entry.fiscal_start_month),))
        policy = OrganisationPolicy(tenant_id, entry.limit_micros, calendar)
        event = self._event(
            organisation_scope(tenant_id), {"after.limit_micros": entry.limit_micros}
        )
        with contextlib.suppress(PreconditionFailed):  # another seed was faster
            await self.organisations.put(policy, event)

    def _event(self, object_id: str, details: dict[str, str | int | bool | None]) -> AuditEvent:
        return AuditEvent(
            action="budget.changed.1",
            object_id=object_id,
            actor="system:seed",
            actor_role="system",
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id="seed",
            details=details,
        )

    async def _put_once(self, department_id: str, policy: BudgetPolicy) -> None:
        """A policy that exists stays as it is, whoever has changed it since."""
        now = self.clock.now()
        first = replace(policy, since_month=month_of(now), changed_at=now.isoformat())
        event = self._event(
            budget_object_id(policy_partition(department_id), policy.scope),
            {"after.limit_micros": policy.limit_micros, "after.mode": policy.mode},
        )
        if await self.policies.policy(department_id, policy.scope) is None:
            with contextlib.suppress(PreconditionFailed):  # another seed was faster
                await self.policies.put(department_id, first, event)


def _check_departments(file: OrganisationFile) -> None:
    known = {department.department_id for department in file.departments}
    entries: tuple[UserEntry | PayerEntry, ...] = (
        *file.users,
        *file.projects,
        *file.cost_centres,
    )
    for entry in entries:
        if entry.department_id not in known:
            raise Invalid(f"The department {entry.department_id} is named but not in the file.")
    centres = {(entry.department_id, entry.id) for entry in file.cost_centres}
    for user in file.users:
        if user.cost_centre_id and (user.department_id, user.cost_centre_id) not in centres:
            raise Invalid(f"The cost centre {user.cost_centre_id} of a user is not in the file.")


def _policies(file: OrganisationFile) -> Iterator[tuple[str, BudgetPolicy]]:
    """Every first policy, with its department."""
    for d in file.departments:
        calendar = Calendar((PeriodRule(d.period, d.fiscal_start_month),))
        yield (
            d.department_id,
            BudgetPolicy(
                scope=Scope("department", d.department_id),
                limit_micros=d.limit_micros,
                mode=d.mode,
                overdraft_micros=d.overdraft_micros,
                overage=d.overage,
                calendar=calendar,
            ),
        )
    for project in file.projects:
        scope = Scope("project", project.id)
        yield project.department_id, BudgetPolicy(scope, project.limit_micros)
    for centre in file.cost_centres:
        scope = Scope("cost_centre", centre.id)
        yield centre.department_id, BudgetPolicy(scope, centre.limit_micros)
    for user in file.users:
        scope = Scope("user", f"{file.tenant_id}.{user.object_id}")
        yield user.department_id, BudgetPolicy(scope, user.limit_micros)


def _directory_documents(file: OrganisationFile) -> list[Document]:
    departments = [
        {
            "id": f"department:{d.department_id}",
            "pk": file.tenant_id,
            "type": "department",
            "department_id": d.department_id,
            "name": d.name,
        }
        for d in file.departments
    ]
    index = [
        {
            "id": d.department_id,
            "pk": ALL_DEPARTMENTS_PARTITION,
            "type": "department_entry",
            "department_id": d.department_id,
            "tenant_id": file.tenant_id,
        }
        for d in file.departments
    ]
    users = [
        {
            "id": f"user:{u.object_id}",
            "pk": file.tenant_id,
            "type": "user",
            "object_id": u.object_id,
            "department_id": u.department_id,
            "cost_centre_id": u.cost_centre_id,
        }
        for u in file.users
    ]
    return [*departments, *index, *users]
