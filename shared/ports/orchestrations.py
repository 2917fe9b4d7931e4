"""Durable work."""

from typing import Protocol


class Orchestrations(Protocol):
    """Starts durable work and tells whether it is still running."""

    async def start_generation(self, generation_id: str) -> None:
        """Start under the generation's id; one that runs already is left alone."""
        ...

    async def start_batch(self, batch_id: str, rows: int) -> None:
        """Start under the batch's id; one that runs already is left alone."""
        ...

    async def is_running(self, operation_id: str) -> bool: ...
