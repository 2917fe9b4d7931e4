"""Overrides of privacy warnings: who may grant one, and who must agree."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.identifiers import DataClass
from shared.domain.identity import (
    CLAIM_BY_ROLE,
    Caller,
    Ownership,
    Permission,
    Principal,
    Reach,
    Role,
    require,
)
from shared.domain.privacy_overrides import (
    OVERRIDE_TIME_MAX,
    PrivacyOverride,
    department_of_override,
    needs_second_person,
    override_document_id,
    overrides_partition,
)
from shared.domain.privacy_views import PrivacyOverrideList, PrivacyOverrideView, override_view
from shared.errors import Conflict, FieldFault, Invalid, NotFound, PolicyDenied, PreconditionFailed
from shared.ports import Clock, Directory, Ledger
from shared.ports.privacy import PrivacyStore
from shared.services.department_reach import department_within_reach

NO_SUCH = "There is no such override."
MANAGERS_ONLY = "Only managers and administrators decide about overrides."
_READ, _WRITE = Permission.PRIVACY_OVERRIDES_READ, Permission.PRIVACY_OVERRIDES_WRITE


@dataclass(frozen=True)
class OverrideOrder:
    """An override as it is asked for."""

    data_classes: tuple[DataClass, ...]
    reason: str
    ends_at: datetime
    department_id: str | None = None  # the caller's own otherwise
    object_id: str | None = None  # the one person it is for; None: the whole department


@dataclass(frozen=True)
class PrivacyOverrides:
    """Grants, approves and ends overrides; managers of their department, Org Admins of all."""

    store: PrivacyStore
    ledger: Ledger
    directory: Directory
    clock: Clock

    async def create(
        self, caller: Caller, order: OverrideOrder, correlation_id: str
    ) -> PrivacyOverrideView:
        """Grant an override; one of health information waits for a second person."""
        await self._require_manager(caller, correlation_id)
        department_id = await self._department(caller, order.department_id, _WRITE)
        now = self.clock.now()
        if not now < order.ends_at <= now + OVERRIDE_TIME_MAX:
            hours = int(OVERRIDE_TIME_MAX.total_seconds() // 3_600)
            fault = FieldFault("/ends_at", f"within the next {hours} hours")
            raise Invalid("The override cannot end then.", code="invalid_ends_at", faults=[fault])
        override = PrivacyOverride(
            override_id=f"{department_id}-{self.clock.new_id().replace('-', '')}",
            tenant_id=caller.tenant_id,
            department_id=department_id,
            data_classes=order.data_classes,
            reason=order.reason,
            granted_by=caller.key,
            created_at=now.isoformat(),
            ends_at=order.ends_at.isoformat(),
            status="pending" if needs_second_person(order.data_classes) else "active",
            user_key=await self._person(caller, department_id, order.object_id),
            change_id=self.clock.new_id(),
        )
        await self._put(caller, override, "granted", correlation_id)
        return self._view(override)

    async def list(self, caller: Caller, department_id: str | None) -> PrivacyOverrideList:
        """The overrides of a department that have not ended."""
        _check_manager(caller)
        department = await self._department(caller, department_id, _READ)
        found = await self.store.overrides(department, self.clock.now().isoformat())
        return PrivacyOverrideList(items=tuple(self._view(each) for each in found))

    async def get(self, caller: Caller, override_id: str) -> PrivacyOverrideView:
        """One override of a department the caller manages."""
        _check_manager(caller)
        return self._view(await self._visible(caller, override_id, _READ))

    async def approve(
        self, caller: Caller, override_id: str, correlation_id: str
    ) -> PrivacyOverrideView:
        """The second person's word: from now on the override lets data through."""
        await self._require_manager(caller, correlation_id)
        override = await self._visible(caller, override_id, _WRITE)
        if override.status != "pending" or self._is_over(override):
            raise Conflict("It does not wait for an approval.", code="already_decided")
        # Neither who granted it nor who profits from it is a second person.
        profits = override.profits(caller.key, caller.department_id)
        if profits or caller.key == override.granted_by:
            refusal = PolicyDenied("Somebody else must approve this.", code="second_person_needed")
            await self._note_denial(caller, override.override_id, refusal, correlation_id)
            raise refusal
        approved = replace(override, status="active", approved_by=caller.key)
        return await self._change(caller, approved, "approved", correlation_id)

    async def end(
        self, caller: Caller, override_id: str, correlation_id: str
    ) -> PrivacyOverrideView:
        """End an override before its time."""
        await self._require_manager(caller, correlation_id)
        override = await self._visible(caller, override_id, _WRITE)
        if override.status == "ended":
            return self._view(override)
        ended = replace(override, status="ended", ended_by=caller.key)
        return await self._change(caller, ended, "ended", correlation_id)

    async def _change(
        self, caller: Caller, changed: PrivacyOverride, verb: str, correlation_id: str
    ) -> PrivacyOverrideView:
        following = replace(changed, revision=changed.revision + 1, change_id=self.clock.new_id())
        try:
            await self._put(caller, following, verb, correlation_id)
        except PreconditionFailed:
            raise Conflict("Somebody else was faster.", code="already_decided") from None
        return self._view(following)

    async def _put(
        self, caller: Caller, override: PrivacyOverride, verb: str, correlation_id: str
    ) -> None:
        event = self._event(
            caller,
            override.override_id,
            f"privacy_override.{verb}.{override.revision}",
            "success",
            correlation_id,
            reason=override.reason,
            details={
                "data_classes": ",".join(override.data_classes),
                "status": override.status,
                "user": override.user_key,
                "ends_at": override.ends_at,
            },
        )
        await self.store.put_override(override, event)

    async def _visible(
        self, caller: Caller, override_id: str, permission: Permission
    ) -> PrivacyOverride:
        if department_of_override(override_id) is None:
            raise NotFound(NO_SUCH)
        override = await self.store.override(override_id)
        if override is None:
            raise NotFound(NO_SUCH)
        owner = Ownership(override.tenant_id, override.department_id, override.granted_by)
        require(caller, permission, owner, "override")
        return override

    async def _department(
        self, caller: Caller, department_id: str | None, permission: Permission
    ) -> str:
        return await department_within_reach(
            self.directory, caller, department_id, permission, "There is no such department."
        )

    async def _person(
        self, caller: Caller, department_id: str, object_id: str | None
    ) -> str | None:
        if object_id is None:
            return None
        person = Principal(caller.tenant_id, object_id, Role.STANDARD_USER)
        user = await self.directory.user(person)
        if user is None or user.department_id != department_id:
            raise Invalid(
                "This person is not of the department.",
                faults=[FieldFault("/user", "name a person of the department")],
            )
        return person.key

    def _view(self, override: PrivacyOverride) -> PrivacyOverrideView:
        return override_view(override, expired=self._is_over(override))

    def _is_over(self, override: PrivacyOverride) -> bool:
        return datetime.fromisoformat(override.ends_at) <= self.clock.now()

    async def _require_manager(self, caller: Caller, correlation_id: str) -> None:
        if caller.reach(_WRITE) < Reach.DEPARTMENT:
            refusal = PolicyDenied(MANAGERS_ONLY)
            await self._note_denial(caller, caller.department_id, refusal, correlation_id)
            raise refusal

    async def _note_denial(
        self, caller: Caller, name: str, refusal: PolicyDenied, correlation_id: str
    ) -> None:
        action = f"privacy_override.denied.{self.clock.new_id()}"
        event = self._event(
            caller, name, action, "denied", correlation_id, reason=refusal.problem_code
        )
        await self.ledger.note_event(overrides_partition(caller.department_id), event)

    def _event(
        self,
        caller: Caller,
        name: str,
        action: str,
        outcome: Outcome,
        correlation_id: str,
        *,
        reason: str | None = None,
        details: dict[str, str | int | bool | None] | None = None,
    ) -> AuditEvent:
        return AuditEvent(
            action=action,
            object_id=override_document_id(name),
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome=outcome,
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            reason=reason,
            details=details or {},
        )


def _check_manager(caller: Caller) -> None:
    if caller.reach(_READ) < Reach.DEPARTMENT:
        raise PolicyDenied(MANAGERS_ONLY)
