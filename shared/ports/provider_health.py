"""Where the health of providers is kept, so that all workers see the same."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.provider_health import Breaker
from shared.domain.provider_notices import BreakerChange


class ProviderHealthStore(Protocol):
    """One small document for each provider."""

    async def breaker(self, provider: str) -> Breaker:
        """As far as a read can tell; a provider nobody has told of yet has a closed one."""
        ...

    async def put(
        self, breaker: Breaker, event: AuditEvent | None, change: BreakerChange | None = None
    ) -> bool:
        """Store the next revision, its event and what is to be announced; False if it moved on.

        The revision decides, not what was read. Raises Unavailable if nobody can say.
        """
        ...

    async def changes(self, limit: int) -> Sequence[BreakerChange]:
        """Changes that have not been announced, oldest first."""
        ...

    async def announced(self, change: BreakerChange) -> None:
        """Note that a change has been announced to everybody; more than once does no harm."""
        ...
