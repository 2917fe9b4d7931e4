"""Routing policies: what holds now, and who may change it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.routing_policies import (
    RoutingPolicy,
    RoutingRules,
    policy_object_id,
    routing_partition,
    rules_of,
    shown_in_audit,
)
from shared.domain.routing_policy_views import RoutingPolicyView, policy_view
from shared.errors import PolicyDenied, PreconditionFailed
from shared.ports import Clock, Directory, Ledger
from shared.ports.routing_policies import RoutingPolicyStore
from shared.services.department_reach import check_owner_within_reach
from shared.services.fresh_views import FreshViews

NO_SUCH = "There is no such department."


class RoutingWatch:
    """One worker's view of the policies; one that is not fresh is read again before it is used."""

    def __init__(self, store: RoutingPolicyStore, clock: Clock) -> None:
        self._store = store
        self._views = FreshViews(self._read, clock)

    async def rules(self, tenant_id: str, department_id: str) -> RoutingRules:
        """What holds for a department; raises Unavailable if nobody can say."""
        return rules_of(
            await self._views.get((tenant_id, department_id)),
            await self._views.get((tenant_id, ORGANISATION_WIDE)),
        )

    async def _read(self, key: tuple[str, str]) -> RoutingPolicy:
        tenant_id, owner = key
        return await self._store.policy(tenant_id, owner) or RoutingPolicy(owner)

    def forget(self) -> None:
        """Look again before the next use: this worker has just changed a policy."""
        self._views.forget()


@dataclass(frozen=True)
class RoutingPolicies:
    """Shows and changes routing policies; who may set budgets may say what they are spent on."""

    store: RoutingPolicyStore
    watch: RoutingWatch
    ledger: Ledger
    directory: Directory
    clock: Clock

    async def get(self, caller: Caller, owner: str) -> RoutingPolicyView:
        """An owner's policy; revision 0 shows what holds while nobody has written one."""
        if caller.reach(Permission.BUDGETS_READ) < Reach.DEPARTMENT:
            raise PolicyDenied("Only managers and administrators see routing policies.")
        await check_owner_within_reach(
            self.directory, caller, owner, Permission.BUDGETS_READ, NO_SUCH
        )
        policy = await self.store.policy(caller.tenant_id, owner) or RoutingPolicy(owner)
        return policy_view(policy, await self._with_others(caller.tenant_id, policy))

    async def put(
        self,
        caller: Caller,
        owner: str,
        wanted: RoutingPolicy,
        *,
        expected: int | None,
        correlation_id: str,
    ) -> RoutingPolicyView:
        """Create or replace an owner's policy.

        `expected` is the revision the caller has read, 0 for a policy that must not exist yet, or
        None for whichever stands.
        """
        if caller.reach(Permission.BUDGETS_WRITE) < Reach.DEPARTMENT:
            await self._note_denial(caller, correlation_id)
            raise PolicyDenied("Only managers and administrators change routing policies.")
        await check_owner_within_reach(
            self.directory, caller, owner, Permission.BUDGETS_WRITE, NO_SUCH
        )
        before = await self.store.policy(caller.tenant_id, owner)
        if expected is not None and expected != (before.revision if before else 0):
            raise PreconditionFailed("The policy was changed since you read it; read it again.")
        policy = replace(
            wanted,
            owner=owner,
            revision=before.revision + 1 if before else 1,
            updated_at=self.clock.now().isoformat(),
            change_id=self.clock.new_id(),
        )
        shown = {f"before_{k}": v for k, v in shown_in_audit(before).items()}
        shown |= {f"after_{k}": v for k, v in shown_in_audit(policy).items()}
        action = f"routing_policy.changed.{policy.revision}"
        event = self._event(caller, owner, action, "success", correlation_id, details=shown)
        await self.store.put(caller.tenant_id, policy, event)
        self.watch.forget()
        return policy_view(policy, await self._with_others(caller.tenant_id, policy))

    async def _with_others(self, tenant_id: str, policy: RoutingPolicy) -> RoutingRules:
        if policy.owner == ORGANISATION_WIDE:
            return rules_of(RoutingPolicy(policy.owner), policy)
        standing = await self.store.policy(tenant_id, ORGANISATION_WIDE)
        return rules_of(policy, standing or RoutingPolicy(ORGANISATION_WIDE))

    async def _note_denial(self, caller: Caller, correlation_id: str) -> None:
        department_id = caller.department_id
        action = f"routing_policy.denied.{self.clock.new_id()}"
        event = self._event(caller, department_id, action, "denied", correlation_id, details={})
        await self.ledger.note_event(routing_partition(department_id, caller.tenant_id), event)

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
