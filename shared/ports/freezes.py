"""Freeze switches, as every worker reads them and administrators change them."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.freezes import Freeze, Target


class FreezeStore(Protocol):
    """A tenant's freezes. Each change is atomic with its audit event."""

    async def freezes(self, tenant_id: str) -> Sequence[Freeze]:
        """Every freeze that was not lifted, those whose time has passed included."""
        ...

    async def freeze(self, tenant_id: str, target: Target) -> Freeze | None:
        """The last revision of a target's freeze; None if it never had one."""
        ...

    async def put(self, tenant_id: str, freeze: Freeze, event: AuditEvent) -> bool:
        """Write revision n in place of n - 1; False if another change was there first."""
        ...
