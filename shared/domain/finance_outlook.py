"""The second half of the finance report: forecast, unusual days, adjustments, cases."""

from datetime import date
from html import escape

from shared.domain.amounts import cents_text
from shared.domain.budgets import CURRENCY
from shared.domain.finance_charts import forecast_chart
from shared.domain.finance_reports import (
    ADJUSTMENTS_SHOWN_MAX,
    CASES_SHOWN_MAX,
    FinanceReport,
)
from shared.domain.finance_tables import day_text, plural, table
from shared.domain.forecasts import HISTORY_DAYS_MIN, INTERVAL_PERCENT, BurnDown


def outlook_sections(report: FinanceReport) -> list[str]:
    return [_forecast(report), _unusual(report), _adjustments(report), _cases(report)]


def _forecast(report: FinanceReport) -> str:
    heading = "<section><h2>Forecast</h2>"
    forecast, budget = report.forecast, report.budget
    if report.is_over:
        return heading + "<p>The period is over: nothing is left to forecast.</p></section>"
    if forecast is None or budget is None:
        why = (
            f"There are {plural(report.history_days, 'day')} of history; a forecast needs "
            f"{HISTORY_DAYS_MIN}, to be tested on some of them."
            if report.lacks_history
            else "The department has no budget in this period yet."
        )
        return f"{heading}<p>Not enough to go on. {why}</p></section>"
    past = _reached(report)
    title = f"Spend of the period in {CURRENCY}, so far and as expected, with the limit"
    chart = forecast_chart(past, forecast.days, budget.limit_micros, title)
    rows = [
        [
            day_text(band.day),
            cents_text(band.low_micros),
            cents_text(band.middle_micros),
            cents_text(band.high_micros),
        ]
        for band in forecast.days
    ]
    head = ("End of", "#Low", "#Middle", "#High")
    return (
        f"{heading}<p>{_verdict(forecast)}</p><figure>{chart}<figcaption>{title}. The band holds "
        f"{INTERVAL_PERCENT} of 100 simulated futures.</figcaption></figure>"
        f'<p class="note">{_honesty(forecast)}</p>'
        "<details><summary>The forecast as a table</summary>"
        + table(f"Spend since the start of the period, in {CURRENCY}", head, rows)
        + "</details></section>"
    )


def _reached(report: FinanceReport) -> list[tuple[date, int]]:
    """What was spent since the start, at the end of each complete day."""
    per_day = {day: spend.amount_micros for (day,), spend in report.table.narrowed("day").rows()}
    reached, past = 0, []
    for day in report.days[:-1]:
        reached += per_day.get(day.isoformat(), 0)
        past.append((day, reached))
    return past


def _verdict(forecast: BurnDown) -> str:
    end = forecast.days[-1]
    text = (
        f"Expected at the end of the period: {cents_text(end.middle_micros)} {CURRENCY}, between "
        f"{cents_text(end.low_micros)} and {cents_text(end.high_micros)}. "
    )
    if forecast.breach_on is None:
        return text + (
            f"The limit is passed in {forecast.breach_percent} of 100 simulated futures: it will "
            "probably last."
        )
    latest = "after the period ends"
    if forecast.breach_latest is not None:
        latest = day_text(forecast.breach_latest)
    return text + (
        f"<strong>The limit is expected to be reached on {day_text(forecast.breach_on)}</strong> "
        f"(between {day_text(forecast.breach_earliest or forecast.breach_on)} and {latest}; "
        f"in {forecast.breach_percent} of 100 simulated futures before the period ends)."
    )


def _honesty(forecast: BurnDown) -> str:
    test = forecast.backtest
    return (
        f"How good is this? Made on each of the last {plural(test.origins, 'possible day')}, the "
        f"same forecast missed the next {test.horizon_days} days by {test.error_percent} % on "
        f"average, and its interval held what happened in {test.coverage_percent} % of cases "
        f"({INTERVAL_PERCENT} % is right). It knows weekdays and the recent pace, not plans."
    )


def _unusual(report: FinanceReport) -> str:
    heading = "<section><h2>Unusual days</h2>"
    if not report.anomalies:
        return (
            heading
            + "<p>None stands out against the same weekdays of the weeks before.</p></section>"
        )
    rows = [
        [
            day_text(each.day),
            escape(each.model),
            cents_text(each.amount_micros),
            cents_text(each.usual_micros),
            f"{each.deviations:.1f}",
        ]
        for each in report.anomalies
    ]
    words = "".join(f"<li>{escape(each.reason)}</li>" for each in report.anomalies)
    head = ("Day", "Model", f"#{CURRENCY}", "#Usual", "#Deviations")
    caption = "Compared with the median of the same weekday, eight weeks back"
    return f'{heading}{table(caption, head, rows)}<ul class="days">{words}</ul></section>'


def _adjustments(report: FinanceReport) -> str:
    heading = "<section><h2>Adjustments</h2>"
    if not report.adjustments:
        return heading + "<p>No surcharge, correction or late charge was booked.</p></section>"
    rows = [
        [
            escape(each.booked_at[:10]),
            escape(each.kind),
            escape(each.reason or ""),
            escape(each.refers_to or ""),
            cents_text(each.amount_micros),
        ]
        for each in report.adjustments[:ADJUSTMENTS_SHOWN_MAX]
    ]
    total = sum(each.amount_micros for each in report.adjustments)
    caption = f"{plural(len(report.adjustments), 'adjustment')}, newest first"
    head = ("Booked on", "Kind", "Why", "Refers to", f"#{CURRENCY}")
    ending = ["All", "", "", "", cents_text(total)]
    return f"{heading}{table(caption, head, rows, ending)}</section>"


def _cases(report: FinanceReport) -> str:
    heading = "<section><h2>Reconciliation cases</h2>"
    if not report.cases:
        return heading + "<p>Ledger and provider invoices agree: no case was opened.</p></section>"
    rows = [
        [
            escape(each.opened_at[:10]),
            escape(each.kind.replace("_", " ")),
            escape(each.subject),
            escape(each.status),
            "not known"
            if each.difference_usd_micros is None
            else cents_text(each.difference_usd_micros),
        ]
        for each in report.cases[:CASES_SHOWN_MAX]
    ]
    head = ("Opened on", "What", "About", "State", "#Difference, USD")
    caption = "Where ledger and provider invoice differ, or nobody knows what happened"
    return f"{heading}{table(caption, head, rows)}</section>"
