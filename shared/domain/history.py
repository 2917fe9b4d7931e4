"""Where a history listing stands: months newest first, departments in order, then a store token."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shared.domain.periods import add_months, month_of
from shared.errors import FieldFault, Invalid

MONTHS_MAX = 24  # how far back one listing may reach
CONTINUATION_CHARS_MAX = 4_096


@dataclass(frozen=True)
class GenerationFilter:
    """What a history listing is narrowed to; dates are ISO 8601 prefixes, `until` exclusive."""

    tenant_id: str
    status: str | None = None
    provider: str | None = None
    user_key: str | None = None
    batch_id: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class HistoryRange:
    """The months a listing covers, `newest` first down to `oldest`; both 'yyyymm'."""

    newest: str
    oldest: str

    @staticmethod
    def of(since: date | None, until: date | None, today: date) -> "HistoryRange":
        """The months between two days; by default this month and the two before."""
        newest = month_of(until or today)
        oldest = month_of(since) if since else add_months(newest, -2)
        if not add_months(newest, 1 - MONTHS_MAX) <= oldest <= newest:
            raise Invalid(
                f"The dates must be in order and at most {MONTHS_MAX} months apart.",
                faults=[FieldFault("/since", "choose an earlier `until` or a later `since`")],
            )
        return HistoryRange(newest, oldest)


@dataclass(frozen=True)
class HistoryCursor:
    """The partition to read next, and the store's own token inside it."""

    period: str
    department_id: str
    store_token: str | None

    @staticmethod
    def parse(
        text: str | None, window: HistoryRange, departments: Sequence[str]
    ) -> "HistoryCursor | None":
        """The cursor in a continuation token, checked against what the caller may see."""
        if not departments:
            return None
        if text is None:
            return HistoryCursor(window.newest, departments[0], None)
        try:
            if len(text) > CONTINUATION_CHARS_MAX:
                raise ValueError("too long")
            padded = text + "=" * (-len(text) % 4)
            period, department_id, token = json.loads(base64.urlsafe_b64decode(padded))
            cursor = HistoryCursor(period, department_id, token)
            is_month = re.fullmatch(r"[0-9]{4}(0[1-9]|1[0-2])", period) is not None
            in_window = is_month and window.oldest <= period <= window.newest
            known = department_id in departments and in_window
            if not known or not (token is None or isinstance(token, str)):
                raise ValueError("not ours")
        except (ValueError, TypeError, RecursionError) as fault:
            raise Invalid(
                "The continuation token is not one of this listing's; start again without it.",
                faults=[FieldFault("/continuation", "use the value of the last answer unchanged")],
            ) from fault
        return cursor

    def after(
        self, store_token: str | None, window: HistoryRange, departments: Sequence[str]
    ) -> "HistoryCursor | None":
        """Where to go on after a page: same partition, next department, or month before."""
        if store_token is not None:
            return HistoryCursor(self.period, self.department_id, store_token)
        following = departments.index(self.department_id) + 1
        if following < len(departments):
            return HistoryCursor(self.period, departments[following], None)
        period = add_months(self.period, -1)
        return HistoryCursor(period, departments[0], None) if period >= window.oldest else None

    def text(self) -> str:
        """The token given to the caller."""
        body = json.dumps([self.period, self.department_id, self.store_token])
        return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")
