"""The per-worker gate in front of each provider: so many at a time, so many starts a minute."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.ports import Clock

SLOT_WAIT_S = 2.0  # longer waits belong in the orchestrator's durable timer, not in an activity
SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True)
class GateLimit:
    """What one worker may ask of a provider; the provider's own 429 is the last word."""

    concurrent_max: int
    starts_per_minute: int


class ProviderGate:
    """A semaphore and a token bucket per provider; a bucket holds one minute of starts."""

    def __init__(self, limits: Mapping[str, GateLimit], clock: Clock) -> None:
        self._limits = dict(limits)
        self._clock = clock
        self._slots = {
            name: asyncio.Semaphore(limit.concurrent_max) for name, limit in limits.items()
        }
        self._tokens = {name: float(limit.starts_per_minute) for name, limit in limits.items()}
        self._filled_at: dict[str, datetime] = {}

    async def enter(self, provider: str) -> float | None:
        """None when admitted (call `leave` after); otherwise the seconds to wait before asking."""
        wait_s = self._token_wait_s(provider)
        if wait_s > 0:
            return wait_s
        self._tokens[provider] -= 1  # before the wait, so that others see it is taken
        try:
            await asyncio.wait_for(self._slots[provider].acquire(), SLOT_WAIT_S)
        except BaseException as stopped:
            self._tokens[provider] += 1
            if isinstance(stopped, TimeoutError):
                return SLOT_WAIT_S
            raise
        return None

    def leave(self, provider: str) -> None:
        """Give the slot back; the start stays counted."""
        self._slots[provider].release()

    def _token_wait_s(self, provider: str) -> float:
        limit = self._limits[provider].starts_per_minute
        now = self._clock.now()
        elapsed_s = (now - self._filled_at.get(provider, now)).total_seconds()
        self._filled_at[provider] = now
        earned = elapsed_s * limit / SECONDS_PER_MINUTE
        self._tokens[provider] = min(float(limit), self._tokens[provider] + earned)
        if self._tokens[provider] >= 1:
            return 0.0
        return (1 - self._tokens[provider]) * SECONDS_PER_MINUTE / limit
