"""How long an answer asks to wait: `Retry-After` in each of its forms, from whatever service."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from shared.adapters.system_clock import SystemClock
from shared.ports import Clock

RETRY_AFTER_S_MAX: Final = 86_400.0  # nothing of ours waits longer; most give up long before
_NUMBER: Final = re.compile(r"\d+(?:\.\d{1,6})?")
_WAIT_TEXT: Final = re.compile(
    r"(?:retry after|resets in)\s+~?(\d{1,6}(?:\.\d{1,3})?)\s*s", re.IGNORECASE
)
_CLOCK: Final = SystemClock()


def parse_retry_after_s(
    headers: Mapping[str, str], text: str = "", clock: Clock = _CLOCK
) -> float | None:
    """Seconds to wait, or None: `retry-after-ms`, `retry-after` (seconds or date), or the words.

    A date is compared with the answer's own `date`, so that our clock does not matter, and with
    our clock only if the answer has none.
    """
    wait_ms = _number(headers.get("retry-after-ms"))
    if wait_ms is not None:
        return _bounded(wait_ms / 1_000)
    retry_after = headers.get("retry-after")
    seconds = _number(retry_after)
    if seconds is None and (until := _moment(retry_after)) is not None:
        answered = _moment(headers.get("date")) or clock.now()
        seconds = (until - answered).total_seconds()
    if seconds is None and (match := _WAIT_TEXT.search(text)):
        seconds = float(match[1])
    return None if seconds is None else _bounded(seconds)


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), RETRY_AFTER_S_MAX)


def _number(text: str | None) -> float | None:
    text = (text or "").strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str | None) -> datetime | None:
    """A date in one of the three forms of RFC 9110, or in ISO 8601 with a zone."""
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.replace(tzinfo=moment.tzinfo or UTC)  # HTTP's are in UTC; asctime's never say
    except (ValueError, OverflowError):  # no such date, or too far off
        pass
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment
