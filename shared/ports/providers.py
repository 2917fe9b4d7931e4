"""Image providers."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.domain.attempts import (
    ImageOrder,
    ProviderOutcome,
)

JobRecorder = Callable[[str], Awaitable[None]]


class ImageProvider(Protocol):
    """One image provider; expected endings are returned, nothing is retried inside."""

    name: str

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Submit at most one paid request; await `record_job(job_id)` as soon as one is known."""
        ...

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """Ask how a job that was submitted earlier ended; never submits."""
        ...
