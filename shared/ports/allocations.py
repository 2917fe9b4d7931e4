"""The organisation's cap and what moves between it and the departments."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.allocations import EndStatus, Transfer
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.organisation_policies import Cap, OrganisationPolicy


class OrganisationPolicies(Protocol):
    """The standing rule of an organisation; a change is atomic with its audit event."""

    async def policy(self, tenant_id: str) -> OrganisationPolicy | None:
        """The policy as it stands; None while nothing caps this organisation."""
        ...

    async def put(self, policy: OrganisationPolicy, event: AuditEvent) -> None:
        """Write revision n in place of n - 1; PreconditionFailed if that is not what stands."""
        ...

    async def open_cap(self, policy: OrganisationPolicy, period: str) -> None:
        """Create the cap of a period; one that exists stays as it is."""
        ...

    async def follow(self, policy: OrganisationPolicy, period: str, event: AuditEvent) -> None:
        """Bring the cap of a period to a policy, forward only; nothing while it is not open."""
        ...

    async def cap(self, partition: Partition) -> Cap | None:
        """The cap of a period as it stands; None while it is not open."""
        ...


class AllocationLedger(Protocol):
    """The steps of a transfer. Each is one atomic change or none, and is safe to repeat."""

    async def ask(self, transfer: Transfer) -> Transfer:
        """Record a transfer, or return the one that stands.

        Raises BudgetExceeded (the cap does not cover it), PeriodNotOpen (there is no cap yet),
        IdempotencyKeyReused (same id, other request), or Unavailable: then it may stand.
        """
        ...

    async def take(self, transfer: Transfer, at: str) -> bool:
        """Take the amount out of the source; False, for ever, if it cannot spare it."""
        ...

    async def give(self, transfer: Transfer, at: str) -> bool:
        """Give the amount to the target; False, for ever, if it is not open or not capped."""
        ...

    async def finish(self, transfer: Transfer, status: EndStatus, at: str) -> None:
        """Mark a transfer as ended; idempotent."""
        ...

    async def transfer(self, partition: Partition, transfer_id: str) -> Transfer | None: ...

    async def unfinished(self, partition: Partition, before: str) -> Sequence[Transfer]:
        """Transfers asked for before a moment (ISO 8601) that have not ended."""
        ...

    async def transfers(
        self, partition: Partition, continuation: str | None, limit: int
    ) -> tuple[Sequence[Transfer], str | None]:
        """One page of an organisation's transfers in a period, newest first."""
        ...
