"""What a finance report says about one department and period, before it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from shared.domain.anomalies import Anomaly
from shared.domain.budgets import Budget
from shared.domain.entries import Entry
from shared.domain.forecasts import HISTORY_DAYS_MIN, BurnDown
from shared.domain.spend import SpendSum, SpendTable

BY: Final = ("day", "model", "provider", "user", "project", "cost_centre", "kind")
TOP_MAX: Final = 10  # users or projects named; the rest is one line
MODELS_DRAWN_MAX: Final = 5  # colours that stay apart, also in print; the rest is one series
ADJUSTMENTS_SHOWN_MAX: Final = 50
CASES_SHOWN_MAX: Final = 50
OTHER_MODELS: Final = "other models"
NO_MODEL: Final = "adjustments"  # entries that no model stands behind


@dataclass(frozen=True)
class CaseLine:
    """A reconciliation case as finance sees it; micro-USD, signed, None while nobody knows."""

    case_id: str
    kind: str
    status: str
    subject: str
    difference_usd_micros: int | None
    opened_at: str


@dataclass(frozen=True)
class FinanceReport:
    """Everything on the page; micro-AUD. `table` is by BY and holds this period only."""

    department_id: str
    period: str
    start: date
    end: date  # the day after the last one
    made_at: datetime
    table: SpendTable
    budgets: Sequence[Budget]  # the department's first
    history_days: int
    forecast: BurnDown | None
    anomalies: Sequence[Anomaly]
    adjustments: Sequence[Entry]
    cases: Sequence[CaseLine]
    closed_at: str | None
    statement_sha256: str | None

    @property
    def total(self) -> SpendSum:
        return self.table.total

    @property
    def budget(self) -> Budget | None:
        """The department's own budget."""
        return self.budgets[0] if self.budgets else None

    @property
    def is_over(self) -> bool:
        """Whether the period has ended."""
        return self.made_at.date() >= self.end

    @property
    def days(self) -> list[date]:
        """The days of the period so far."""
        last = min(self.end, self.made_at.date() + timedelta(days=1))
        return [self.start + timedelta(days=n) for n in range(max(0, (last - self.start).days))]

    @property
    def lacks_history(self) -> bool:
        return self.history_days < HISTORY_DAYS_MIN


@dataclass(frozen=True)
class Share:
    """One name's part of the spend; None is what nobody named, or the rest of a long list."""

    name: str | None
    spend: SpendSum
    others: int = 0  # how many names this line stands for besides the ones above it

    @property
    def model_label(self) -> str:
        """What a share of a model is called."""
        return OTHER_MODELS if self.others else self.name or NO_MODEL


def shares(table: SpendTable, dimension: str, names_max: int = TOP_MAX) -> list[Share]:
    """The largest first; what is beyond `names_max` is added up in one last line."""
    rows = sorted(table.narrowed(dimension).rows(), key=lambda row: -row[1].amount_micros)
    found = [Share(key[0], spend) for key, spend in rows[:names_max]]
    if rows[names_max:]:
        rest = SpendSum()
        for _, spend in rows[names_max:]:
            rest.add_sum(spend)
        found.append(Share(None, rest, len(rows) - names_max))
    return found


def daily_series(report: FinanceReport) -> list[tuple[str, list[int]]]:
    """Spend per day of each model, largest first; days as in `report.days`."""
    drawn = [share.model_label for share in shares(report.table, "model", MODELS_DRAWN_MAX)]
    places = {day.isoformat(): place for place, day in enumerate(report.days)}
    series = {label: [0] * len(places) for label in drawn}
    for (day, model), spend in report.table.narrowed("day", "model").rows():
        label = model or NO_MODEL
        amounts = series[label if label in series else OTHER_MODELS]
        if day in places:
            amounts[places[day]] += spend.amount_micros
    return list(series.items())
