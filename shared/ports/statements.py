"""Chargeback statements."""

from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.statements import Closing, Statement


class Statements(Protocol):
    """Closes a department's period, once; each call is one atomic change or none."""

    async def closing(self, partition: Partition) -> Closing | None:
        """How far a period is closed; None if nothing was ever booked in it."""
        ...

    async def statement(self, partition: Partition) -> Statement | None: ...

    async def seal(self, partition: Partition, event: AuditEvent) -> bool:
        """Let nothing be booked any more; False while a hold is open. Idempotent."""
        ...

    async def issue(self, statement: Statement, event: AuditEvent) -> Statement:
        """Issue, or return the statement that stands.

        Raises InvariantBroken if the counters do not say what the lines add up to.
        """
        ...
