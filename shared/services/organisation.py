"""Enters departments, people and their first budgets; what exists already is left as it is."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import BudgetPolicy, budget_object_id, policy_partition
from shared.domain.budgets import BudgetMode, Overage, Scope
from shared.domain.departments import department_document_id
from shared.domain.directory import Actor
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.money import MICROS_MAX
from shared.domain.organisation_policies import OrganisationPolicy, organisation_scope
from shared.domain.periods import Calendar, PeriodKind, PeriodRule, month_of
from shared.domain.users import DEFAULT_TIER, NAME_CHARS_MAX, Personal, Tier, User
from shared.errors import Conflict, Invalid, PreconditionFailed
from shared.ports import BudgetPolicies, Clock
from shared.ports.allocations import OrganisationPolicies
from shared.services.departments import Departments, already_exists
from shared.services.personal_data import PersonalData
from shared.services.user_changes import UserChanges

GUID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
SEED = Actor("system:seed", "system", "seed")
BuiltInRole = Literal["StandardUser", "PowerUser", "DeptManager", "OrgAdmin", "SuperAdmin"]
FAULTS_SHOWN_MAX = 20


Limit = Annotated[int, Field(ge=0, le=MICROS_MAX)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    limit_micros: Limit  # micro-AUD for each budget period


class DepartmentEntry(_Entry):
    """A department, how long its budget periods are, and its limit in each."""

    department_id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    name: str = Field(min_length=1, max_length=100)
    parent_id: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
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
    """Somebody by identity key: the department that pays, the role, and perhaps a name."""

    object_id: str = Field(pattern=GUID_PATTERN)
    kind: Literal["person", "service"] = "person"
    department_id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    cost_centre_id: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    role: BuiltInRole = "StandardUser"
    tier: Tier = DEFAULT_TIER
    user_name: str | None = Field(default=None, max_length=NAME_CHARS_MAX)
    display_name: str | None = Field(default=None, max_length=NAME_CHARS_MAX)
    email: str | None = Field(default=None, max_length=NAME_CHARS_MAX)


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
    """Seeds the directory and the first budget policies; only this way and the bootstrap make
    Super Admins, because nobody gives a role as high as their own.
    """

    departments: Departments
    people: UserChanges
    personal: PersonalData
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
        for department in file.departments:  # before a budget lies with another tenant's
            store = self.departments.store
            if not await store.claim_department(file.tenant_id, department.department_id):
                raise already_exists()
        if file.organisation is not None:
            await self._cap_once(file.tenant_id, file.organisation)
        for department_id, policy in _policies(file):
            await self._put_once(department_id, policy)
        entered = 0
        for department in file.departments:
            entered += await self._enter_department(file.tenant_id, department)
        for user in file.users:
            entered += await self._enter_user(file.tenant_id, user)
        return entered

    async def _enter_department(self, tenant_id: str, entry: DepartmentEntry) -> bool:
        store = self.departments.store
        if await store.find(tenant_id, department_document_id(entry.department_id)):
            return False
        try:
            await self.departments.enter(
                tenant_id, entry.department_id, entry.name, entry.parent_id, SEED
            )
        except Conflict as taken:
            if taken.problem_code != "already_exists" or not await store.find(
                tenant_id, department_document_id(entry.department_id)
            ):
                raise
            return False  # another seed was faster
        return True

    async def _enter_user(self, tenant_id: str, entry: UserEntry) -> bool:
        """Somebody whom version 1 of the directory knew had no role there: the file gives it."""
        standing = await self.people.find(tenant_id, entry.object_id)
        if standing is not None and standing.revision > 0:
            return False
        user = User(
            tenant_id=tenant_id,
            object_id=entry.object_id,
            kind=entry.kind,
            department_id=entry.department_id,
            role_id=entry.role,
            tier=entry.tier,
            cost_centre_id=entry.cost_centre_id,
            source="seed",
        )
        personal = Personal(entry.user_name, entry.display_name, entry.email)
        sealed = await self.personal.sealed(user, personal)
        try:
            await self.people.write(standing, sealed, SEED)
        except (Conflict, PreconditionFailed):
            found = await self.people.find(tenant_id, entry.object_id)
            if found is None or found.revision == 0:
                raise
            return False  # another seed was faster
        return True

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
    for department in file.departments:
        if department.parent_id is not None and department.parent_id not in known:
            raise Invalid(f"The department {department.parent_id} is named but not in the file.")
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
