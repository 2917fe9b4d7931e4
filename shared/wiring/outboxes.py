"""Where audit events wait to be copied: one list, for the relay and for whoever measures it."""

from typing import TYPE_CHECKING

from shared.wiring.evidence import Evidencing
from shared.wiring.identifying import Identifying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.ids import Partition
    from shared.services.audit_relay import AuditRelay


class Outboxes(Evidencing, Identifying):
    """Every container that has an outbox, with its partitions."""

    async def relays(self, *, thorough: bool) -> "list[tuple[AuditRelay, Sequence[Partition]]]":
        """Each relay with its partitions; `thorough`: also of periods closed long ago."""
        ledger = [
            *await self.calendars.outbox_partitions(thorough=thorough),
            *await self.allocations.outbox_partitions(thorough=thorough),
            *self.reconciliation.outbox_partitions(),
            *self.provider_health.outbox_partitions(),
            *self.deletion_partitions(),
        ]
        return [
            (self.audit_relay, ledger),
            (self.data_key_relay, self.key_partitions()),
            (self.session_relay, self.session_partitions()),
            (self.directory_relay(self.audit_relay), self.directory_partitions()),
        ]
