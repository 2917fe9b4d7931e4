"""Where the health of providers is kept, so that all workers see the same."""

from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.provider_health import Breaker


class ProviderHealthStore(Protocol):
    """One small document for each provider."""

    async def breaker(self, provider: str) -> Breaker:
        """As far as a read can tell; a provider nobody has told of yet has a closed one."""
        ...

    async def put(self, breaker: Breaker, event: AuditEvent | None) -> bool:
        """Store the next revision, with its event if its state changed; False if it has moved on.

        The revision decides, not what was read. Raises Unavailable if nobody can say.
        """
        ...
