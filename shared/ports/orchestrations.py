"""Durable work."""

from typing import Protocol


class Orchestrations(Protocol):
    """Starts durable work and tells whether it is still running."""

    async def start_generation(self, generation_id: str) -> None:
        """Start under the generation's id; one that runs already is left alone."""
        ...

    async def start_batch(self, batch_id: str, rows: int, deadline_rows: int = 0) -> None:
        """Start under the batch's id; one that runs already is left alone."""
        ...

    async def is_running(self, operation_id: str) -> bool: ...

    async def start_approval(self, operation_id: str, escalates_at: str, expires_at: str) -> None:
        """Watch over an approval; one that is watched already is left alone."""
        ...

    async def approval_decided(self, operation_id: str) -> None:
        """Wake the watch over an approval; may be lost."""
        ...

    async def start_deferred(self, operation_id: str, due: str) -> None:
        """Start work when its period does (`due`, ISO 8601); one that waits is left alone."""
        ...
