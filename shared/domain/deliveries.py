"""Bringing a message to a channel: what one try came to, and when to try again."""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

# Waits between tries, in seconds, after the schedule that Standard Webhooks recommends: three days.
RETRY_WAITS_S: Final = (
    5,
    5 * 60,
    30 * 60,
    2 * 3_600,
    5 * 3_600,
    10 * 3_600,
    14 * 3_600,
    20 * 3_600,
    24 * 3_600,
)
ATTEMPTS_MAX: Final = len(RETRY_WAITS_S) + 1
WAIT_S_MAX: Final = 24 * 3_600  # a receiver may ask for more time, but not for ever
JITTER_PERCENT: Final = 10  # so that what failed together does not come back together

Ending = Literal[
    "delivered",
    "accepted",  # taken over by a mail service that works on it: ask it again how that ended
    "later",  # a new try may help
    "refused",  # no try will help
    "gone",  # the receiver wants no more messages: the channel is switched off
]


@dataclass(frozen=True)
class Outcome:
    """What one try to deliver came to; `reason` is a word of ours for people and for logs."""

    ending: Ending
    reason: str
    retry_after_s: int | None = None


def wait_s(attempt: int, seed: str, retry_after_s: int | None) -> int:
    """How long to wait after try `attempt` (1-based): the schedule's wait, or what was asked for.

    The jitter comes from the seed and the number, so that a replay waits as long as the first run.
    """
    scheduled = RETRY_WAITS_S[min(attempt, len(RETRY_WAITS_S)) - 1]
    digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
    jitter = scheduled * JITTER_PERCENT * int.from_bytes(digest[:2]) // (100 * 65_535)
    return min(max(scheduled + jitter, retry_after_s or 0), WAIT_S_MAX)


@dataclass(frozen=True)
class Mail:
    """A plain-text message; the same `mail_id` is the same message, however often it is sent."""

    mail_id: str
    to: tuple[str, ...]
    subject: str
    text: str
