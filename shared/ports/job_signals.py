"""Word that a provider's job has ended, passed from whoever hears it to whoever waits for it."""

from typing import Protocol


class JobSignals(Protocol):
    """Hints only: what a job ended in is always asked of its provider."""

    async def expect(self, job_id: str) -> None:
        """Begin to wait for a job; the same when repeated."""
        ...

    async def tell(self, job_id: str, event_id: str) -> bool:
        """Note that it has ended; False if nobody waits for it or it was told before."""
        ...

    async def is_told(self, job_id: str) -> bool:
        """Whether the job that is waited for has ended."""
        ...

    async def forget(self, job_id: str) -> None:
        """Wait no longer; the same when repeated."""
        ...
