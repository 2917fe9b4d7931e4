"""Privacy policies: what holds now, and who may change it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.privacy_policies import (
    EffectivePolicy,
    PrivacyPolicy,
    policy_object_id,
    privacy_partition,
    shown_in_audit,
)
from shared.domain.privacy_rules import check_rules
from shared.domain.privacy_views import PrivacyPolicyView, policy_view
from shared.errors import PolicyDenied, PreconditionFailed
from shared.ports import Clock, Directory, Ledger
from shared.ports.privacy import PrivacyStore
from shared.services.department_reach import check_owner_within_reach
from shared.services.fresh_views import FreshViews

NO_SUCH = "There is no such department."
ADMINS_ONLY = "Only Org Admins change privacy policies."


class PolicyWatch:
    """One worker's view of the policies; one that is not fresh is read again before it is used."""

    def __init__(self, store: PrivacyStore, clock: Clock) -> None:
        self._store = store
        self._views = FreshViews(self._read, clock)

    async def effective(self, tenant_id: str, department_id: str) -> EffectivePolicy:
        """What holds for a department; raises Unavailable if nobody can say."""
        return EffectivePolicy(
            department=await self._views.get((tenant_id, department_id)),
            organisation=await self._views.get((tenant_id, ORGANISATION_WIDE)),
        )

    async def _read(self, key: tuple[str, str]) -> PrivacyPolicy:
        tenant_id, owner = key
        return await self._store.policy(tenant_id, owner) or PrivacyPolicy(owner)

    def forget(self) -> None:
        """Look again before the next use: this worker has just changed a policy."""
        self._views.forget()


@dataclass(frozen=True)
class PrivacyPolicies:
    """Shows and changes policies: Org Admins all, managers see their department's."""

    store: PrivacyStore
    watch: PolicyWatch
    ledger: Ledger
    directory: Directory
    clock: Clock

    async def get(self, caller: Caller, owner: str) -> PrivacyPolicyView:
        """An owner's policy; revision 0 shows what holds while nobody has written one."""
        if caller.reach(Permission.PRIVACY_READ) < Reach.DEPARTMENT:
            raise PolicyDenied("Only managers and administrators see privacy policies.")
        await check_owner_within_reach(
            self.directory, caller, owner, Permission.PRIVACY_READ, NO_SUCH
        )
        policy = await self.store.policy(caller.tenant_id, owner) or PrivacyPolicy(owner)
        return policy_view(policy, await self._with_others(caller.tenant_id, policy))

    async def put(
        self,
        caller: Caller,
        owner: str,
        wanted: PrivacyPolicy,
        *,
        expected: int | None,
        correlation_id: str,
    ) -> PrivacyPolicyView:
        """Create or replace an owner's policy.

        `expected` is the revision the caller has read, 0 for a policy that must not exist yet, or
        None for whichever stands.
        """
        if caller.reach(Permission.PRIVACY_WRITE) < Reach.ORGANISATION:
            await self._note_denial(caller, correlation_id)
            raise PolicyDenied(ADMINS_ONLY)
        await check_owner_within_reach(
            self.directory, caller, owner, Permission.PRIVACY_WRITE, NO_SUCH
        )
        await asyncio.to_thread(check_rules, wanted.rules, wanted.synonyms)
        before = await self.store.policy(caller.tenant_id, owner)
        _check_expected(before, expected)
        policy = replace(
            wanted,
            owner=owner,
            revision=before.revision + 1 if before else 1,
            updated_at=self.clock.now().isoformat(),
            change_id=self.clock.new_id(),
        )
        shown = {f"before_{k}": v for k, v in shown_in_audit(before).items()}
        shown |= {f"after_{k}": v for k, v in shown_in_audit(policy).items()}
        action = f"privacy_policy.changed.{policy.revision}"
        event = self._event(caller, owner, action, "success", correlation_id, details=shown)
        await self.store.put_policy(caller.tenant_id, policy, event)
        self.watch.forget()
        return policy_view(policy, await self._with_others(caller.tenant_id, policy))

    async def _with_others(self, tenant_id: str, policy: PrivacyPolicy) -> EffectivePolicy:
        if policy.owner == ORGANISATION_WIDE:
            return EffectivePolicy(PrivacyPolicy(policy.owner), policy)
        standing = await self.store.policy(tenant_id, ORGANISATION_WIDE)
        return EffectivePolicy(policy, standing or PrivacyPolicy(ORGANISATION_WIDE))

    async def _note_denial(self, caller: Caller, correlation_id: str) -> None:
        department_id = caller.department_id
        action = f"privacy_policy.denied.{self.clock.new_id()}"
        event = self._event(caller, department_id, action, "denied", correlation_id, details={})
        partition = privacy_partition(department_id, caller.tenant_id)
        await self.ledger.note_event(partition, event)

    def _event(
        self,
        caller: Caller,
        owner: str,
        action: str,
        outcome: Outcome,
        correlation_id: str,
        *,
        details: Mapping[str, str | int | bool | None],
    ) -> AuditEvent:
        return AuditEvent(
            action=action,
            object_id=policy_object_id(owner),
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome=outcome,
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            details=details,
        )


def _check_expected(standing: PrivacyPolicy | None, expected: int | None) -> None:
    """Raise unless what stands is what the caller expects."""
    revision = standing.revision if standing else 0
    if expected is not None and revision != expected:
        raise PreconditionFailed("The policy was changed since you read it; read it again.")
