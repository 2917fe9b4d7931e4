"""Where routing policies are kept."""

from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.routing_policies import RoutingPolicy


class RoutingPolicyStore(Protocol):
    """Routing policies; each change is atomic with its audit event."""

    async def policy(self, tenant_id: str, owner: str) -> RoutingPolicy | None:
        """An owner's policy as it stands; None if nobody has written one."""
        ...

    async def put(self, tenant_id: str, policy: RoutingPolicy, event: AuditEvent) -> None:
        """Write revision n in place of n - 1; raises PreconditionFailed if another was first."""
        ...
