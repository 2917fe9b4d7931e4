"""Waiting for the end of a provider's job by looking at it again and again."""

from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Any, Final

from shared.adapters.providers.failures import text_of
from shared.domain.attempts import Unknown

UNREADABLE_LOOKS_MAX: Final = 3  # in a row: then the service has a fault that waiting cannot mend
# (HTTP status, or None if none came; body; seconds to wait at least)
Look = tuple[int | None, object, float]


async def ended_job(
    job_id: str,
    endings: Set[str],
    look: Callable[[str], Awaitable[Look]],
    pause: Callable[[float], Awaitable[None]],
) -> Mapping[str, Any] | Unknown:
    """The job once its `status` is one of `endings`; the caller sets the deadline."""
    unreadable = 0
    while True:
        status, answer, wait_s = await look(job_id)
        if status == 200 and isinstance(answer, Mapping):
            unreadable = 0
            if text_of(answer, "status") in endings:
                return answer
        elif status == 200:
            unreadable += 1
            if unreadable >= UNREADABLE_LOOKS_MAX:
                return Unknown("unreadable_job", job_id)
        elif status is not None and status < 500 and status != 429:
            return Unknown(f"poll_http_{status}", job_id)
        await pause(wait_s)
