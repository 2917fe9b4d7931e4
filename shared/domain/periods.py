"""Budget periods: months, quarters or years from a fiscal start, under dated rules.

A period is named by its first month, 'yyyymm', whatever its length: '202607' may be a month, the
quarter July to September or the fiscal year from July. A calendar only changes at a boundary of
its new rule, so every moment lies in exactly one period and no period is ever reset.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from shared.errors import InvariantBroken

PeriodKind = Literal["month", "quarter", "year"]
MONTHS_OF: Final[dict[PeriodKind, int]] = {"month": 1, "quarter": 3, "year": 12}
MONTH_PATTERN: Final = r"2[01][0-9]{2}(?:0[1-9]|1[0-2])"  # 'yyyymm' of two centuries
FIRST_MONTH: Final = "000101"  # of a rule that was always in force
IDEMPOTENCY_CARRY_OVER: Final = timedelta(days=1)  # so long a key outlives the period of its use


@dataclass(frozen=True)
class PeriodRule:
    """How long periods are from a month on; a fiscal year starts with `fiscal_start_month`."""

    kind: PeriodKind = "month"
    fiscal_start_month: int = 1
    from_month: str = FIRST_MONTH  # 'yyyymm', itself the first month of a period of this rule

    def __post_init__(self) -> None:
        if not 1 <= self.fiscal_start_month <= 12:
            raise InvariantBroken("A fiscal year starts in a month between 1 and 12.")

    def is_start(self, month: str) -> bool:
        """Whether a period of this rule starts with this month."""
        offset = int(month[4:]) - self.fiscal_start_month
        return offset % MONTHS_OF[self.kind] == 0


@dataclass(frozen=True)
class Calendar:
    """Dated rules, oldest first; monthly from January without any."""

    rules: tuple[PeriodRule, ...] = (PeriodRule(),)

    def __post_init__(self) -> None:
        starts = [rule.from_month for rule in self.rules]
        if not starts or starts != sorted(set(starts)):
            raise InvariantBroken("The rules of a calendar are ordered by their months.")

    def period_at(self, moment: datetime | date) -> str:
        """The period that contains a UTC moment."""
        return self.period_of_month(month_of(moment))

    def period_of_month(self, month: str) -> str:
        """The period that contains a month 'yyyymm'."""
        rule = self._rule_of(month)
        start = month
        while start > rule.from_month and not rule.is_start(start):
            start = add_months(start, -1)
        return start

    def end_month(self, period: str) -> str:
        """The first month after a period."""
        rule = self._rule_of(period)
        changes = [each.from_month for each in self.rules if each.from_month > period]
        end = add_months(period, 1)
        while not rule.is_start(end) and end not in changes:
            end = add_months(end, 1)
        return end

    def start(self, period: str) -> date:
        """The first day of a period."""
        return _first_day(period)

    def end(self, period: str) -> date:
        """The day after a period's last one."""
        return _first_day(self.end_month(period))

    def previous(self, period: str) -> str:
        """The period before."""
        return self.period_of_month(add_months(period, -1))

    def following(self, period: str) -> str:
        """The period after."""
        return self.end_month(period)

    def is_period(self, month: str) -> bool:
        """Whether a period starts with this month."""
        return self.period_of_month(month) == month

    def changed(self, kind: PeriodKind, fiscal_start_month: int, now: datetime) -> "Calendar":
        """This calendar with another rule from the end of the present period on.

        The present period ends where it would have ended; if that is no boundary of the new rule,
        the first period of the new rule is a short one.
        """
        from_month = self.end_month(self.period_at(now))
        kept = tuple(rule for rule in self.rules if rule.from_month < from_month)
        return Calendar((*kept, PeriodRule(kind, fiscal_start_month, from_month)))

    def _rule_of(self, month: str) -> PeriodRule:
        found = [rule for rule in self.rules if rule.from_month <= month]
        return found[-1] if found else self.rules[0]


def month_of(moment: datetime | date) -> str:
    """The month of a UTC moment, e.g. '202611'."""
    return f"{moment.year:04d}{moment.month:02d}"


def add_months(month: str, number: int) -> str:
    """The month so many months later, or earlier."""
    count = int(month[:4]) * 12 + int(month[4:]) - 1 + number
    return f"{count // 12:04d}{count % 12 + 1:02d}"


def _first_day(month: str) -> date:
    return date(int(month[:4]), int(month[4:]), 1)
