"""What reports show."""

from datetime import date
from typing import Literal

from pydantic import Field

from shared.domain.anomalies import Anomaly
from shared.domain.budgets import CURRENCY
from shared.domain.forecasts import HISTORY_DAYS_MIN, INTERVAL_PERCENT, BurnDown
from shared.domain.spend import SpendSum, SpendTable
from shared.domain.views import View


class SpendView(View):
    """A sum of ledger entries; micro-AUD charged, micro-USD billed, micro-USD at list price."""

    entries: int
    images: int
    amount_micros: int
    usd_micros: int
    list_usd_micros: int


class SpendRow(View):
    """One group: the values of `by`, in the same order, and their sum."""

    group: tuple[str | None, ...]
    spend: SpendView


class SpendReport(View):
    """Spend from ledger entries. Days are UTC; a generation counts on the day of its admission."""

    by: tuple[str, ...]
    since: date
    until: date = Field(description="exclusive")
    currency: Literal["AUD"] = CURRENCY
    rows: tuple[SpendRow, ...]
    total: SpendView


class BandView(View):
    """Spend since the start of the period, at the end of a day; micro-AUD."""

    day: date
    low_micros: int
    middle_micros: int
    high_micros: int


class BacktestView(View):
    """How the same forecast did on the past: each day of it is tried as a starting point."""

    origins: int
    horizon_days: int
    error_percent: int = Field(description="mean absolute error of the middle, in percent")
    coverage_percent: int = Field(description="how often the interval held what happened")


class ForecastView(View):
    """An expectation with its interval; dates are null if not within the period."""

    interval_percent: int = INTERVAL_PERCENT
    breach_percent: int = Field(description="of simulated futures that pass the limit in time")
    breach_on: date | None
    breach_earliest: date | None
    breach_latest: date | None
    days: tuple[BandView, ...]
    backtest: BacktestView


class BurnDownReport(View):
    """Where a department's budget stands and when it is expected to be used up."""

    department_id: str
    period: str
    starts_on: date
    ends_before: date
    currency: Literal["AUD"] = CURRENCY
    limit_micros: int
    reserved_micros: int
    spent_micros: int
    history_days: int
    forecast: ForecastView | None
    no_forecast_because: str | None


class AnomalyView(View):
    """One unusual day, with the reason in words; micro-AUD."""

    day: date
    department_id: str
    model: str
    amount_micros: int
    usual_micros: int
    deviations: float
    reason: str


class AnomalyReport(View):
    """Days that stand out against the same weekdays of the weeks before."""

    since: date
    until: date = Field(description="exclusive")
    currency: Literal["AUD"] = CURRENCY
    items: tuple[AnomalyView, ...]


def spend_report(table: SpendTable, since: date, until: date) -> SpendReport:
    return SpendReport(
        by=table.by,
        since=since,
        until=until,
        rows=tuple(SpendRow(group=key, spend=spend_view(each)) for key, each in table.rows()),
        total=spend_view(table.total),
    )


def spend_view(spend: SpendSum) -> SpendView:
    return SpendView(**vars(spend))


def forecast_view(forecast: BurnDown) -> ForecastView:
    return ForecastView(
        breach_percent=forecast.breach_percent,
        breach_on=forecast.breach_on,
        breach_earliest=forecast.breach_earliest,
        breach_latest=forecast.breach_latest,
        days=tuple(BandView(**vars(band)) for band in forecast.days),
        backtest=BacktestView(**vars(forecast.backtest)),
    )


def no_forecast_because(history_days: int, *, is_over: bool, has_budget: bool) -> str | None:
    """Why there is no forecast; None if there is one."""
    if is_over:
        return "The period is over."
    if history_days < HISTORY_DAYS_MIN:
        return (
            f"Not enough history: {history_days} complete days since the first spend, "
            f"{HISTORY_DAYS_MIN} are needed."
        )
    return None if has_budget else "The department has no budget in this period yet."


def anomaly_report(found: list[Anomaly], since: date, until: date) -> AnomalyReport:
    items = tuple(AnomalyView(**vars(each)) for each in found)
    return AnomalyReport(since=since, until=until, items=items)
