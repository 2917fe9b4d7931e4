"""The finance report: self-contained, inside its security policy, safe, a table by each plot."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

from shared.domain.anomalies import Anomaly
from shared.domain.budgets import Budget, Scope
from shared.domain.entries import Entry, read_entry
from shared.domain.finance_page import finance_page
from shared.domain.finance_reports import BY, CaseLine, FinanceReport, daily_series, shares
from shared.domain.finance_style import STYLE, page_policy
from shared.domain.forecasts import HISTORY_DAYS_MIN, Standing, burn_down
from shared.domain.spend import SpendTable
from tests.synthetic_spend import MODELS, adjustment, department_entries, resolution
from tests.synthetic_spend import daily_series as synthetic_days

START, END = date(2026, 11, 1), date(2026, 12, 1)
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOSTILE = '<script src="http://evil.example/x.js">alert(1)</script>"\'&'
LIMIT = 400_000_000


def budget(spent_micros: int, reserved_micros: int = 0) -> Budget:
    scope = Scope("department", "marketing")
    return Budget(scope, "202611", LIMIT, reserved_micros, spent_micros, LIMIT, LIMIT)


def report_of(entries: Sequence[Entry], made_at: datetime = NOW) -> FinanceReport:
    """A report over these entries alone, without a forecast."""
    table = SpendTable(BY)
    for entry in entries:
        table.add(entry)
    return FinanceReport(
        department_id="marketing",
        period="202611",
        start=START,
        end=END,
        made_at=made_at,
        table=table,
        budgets=[budget(max(0, table.total.amount_micros))],
        history_days=0,
        forecast=None,
        anomalies=[],
        adjustments=[entry for entry in entries if entry.kind != "usage"],
        cases=[],
        closed_at=None,
        statement_sha256=None,
    )


def full_report() -> FinanceReport:
    """Everything that a page can show."""
    report = report_of([*department_entries(1, START, 22, 40), read_entry(adjustment(1))])
    daily = synthetic_days(2, 84, level_micros=15_000_000)
    spent = report.total.amount_micros
    return replace(
        report,
        history_days=len(daily),
        forecast=burn_down(daily, NOW.date(), END, Standing(LIMIT, spent, 0)),
        anomalies=[
            Anomaly(START, "marketing", "flux-2-pro", 9_000_000, 2_000_000, 7.5, "much more")
        ],
        cases=[CaseLine("c", "drift", "open", "gpt-image-2", None, NOW.isoformat())],
    )


def test_page_loads_nothing_and_runs_nothing() -> None:
    page = finance_page(full_report())
    lowered = page.replace("http://www.w3.org/2000/svg", "").lower()
    for forbidden in (
        "http:",
        "https:",
        "//",
        "<script",
        "<link",
        "<img",
        "javascript:",
        "@import",
    ):
        assert forbidden not in lowered.replace("</", "<"), forbidden
    assert re.search(r"\sstyle=|\son\w+=|url\(", lowered) is None


def test_policy_allows_the_stylesheet_of_the_page_and_nothing_else() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", finance_page(full_report()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert style == STYLE
    assert f"style-src 'sha256-{digest}'" in page_policy()
    assert page_policy().startswith("default-src 'none'")
    assert "unsafe" not in page_policy()


def test_text_of_others_is_shown_never_run() -> None:
    entries = [
        read_entry(resolution(1, project_id=HOSTILE, model=HOSTILE, cost_centre_id=HOSTILE)),
        read_entry(adjustment(1, reason=HOSTILE, refers_to=HOSTILE)),
    ]
    anomaly = Anomaly(START, HOSTILE, HOSTILE, 1, 1, 9.0, HOSTILE)
    case = CaseLine("c", HOSTILE, HOSTILE, HOSTILE, 1, NOW.isoformat())
    page = finance_page(replace(report_of(entries), anomalies=[anomaly], cases=[case]))
    assert "<script" not in page
    assert "&lt;script" in page


def test_every_plot_is_well_formed_named_and_has_its_table() -> None:
    page = finance_page(full_report())
    figures = re.findall(r"<figure>(<svg.*?</svg>)<figcaption>", page, re.DOTALL)
    assert len(figures) == 2
    for figure in figures:
        drawing = ElementTree.fromstring(figure)
        assert drawing.get("role") == "img"
        assert drawing.get("aria-label")
        assert drawing[0].tag.endswith("title")
    assert page.count("<table>") >= 8
    assert page.count("<caption>") == page.count("<table>")
    assert "Every day as a table" in page and "The forecast as a table" in page
    assert '<html lang="en">' in page


def test_daily_plot_adds_up_to_the_period() -> None:
    report = full_report()
    drawn = sum(sum(amounts) for _, amounts in daily_series(report))
    assert drawn == report.total.amount_micros


def test_long_rankings_end_in_one_line_of_the_rest() -> None:
    entries = [
        read_entry(resolution(number, project_id=f"project{number:02d}")) for number in range(25)
    ]
    report = report_of(entries)
    found = shares(report.table, "project")
    assert len(found) == 11
    assert found[-1].others == 15
    assert sum(share.spend.amount_micros for share in found) == report.total.amount_micros
    assert "15 others" in finance_page(report)


def test_more_models_than_colours_are_drawn_as_one() -> None:
    entries = [read_entry(resolution(n, model=f"model-{n}")) for n in range(len(MODELS) * 3)]
    series = daily_series(report_of(entries))
    assert len(series) == 6
    assert series[-1][0] == "other models"


def test_page_without_anything_says_so() -> None:
    page = finance_page(replace(report_of([]), budgets=[]))
    assert "Nothing was spent" in page
    assert "Not enough to go on" in page
    assert f"needs {HISTORY_DAYS_MIN}" in page


def test_amounts_of_any_size_can_be_drawn() -> None:
    for micros in (1, 92, 999_999, 1_000_000, 87_654_321, 10**12, 2**52):
        documents = [resolution(1, amount_micros=micros), adjustment(1, amount_micros=-micros)]
        for entries in (documents[:1], documents[1:], documents):
            assert "<figure>" in finance_page(report_of([read_entry(each) for each in entries]))


def test_page_of_a_closed_period_names_its_checksum() -> None:
    entries = department_entries(1, START, 5, 10)
    closed = replace(
        report_of(entries, NOW + timedelta(days=30)),
        closed_at="2026-12-02T08:00:00+00:00",
        statement_sha256="abc123",
    )
    page = finance_page(closed)
    assert "closed on 2026-12-02" in page
    assert "abc123" in page
    assert "nothing is left to forecast" in page


def test_late_limit_is_said_in_the_first_lines() -> None:
    report = full_report()
    assert report.forecast is not None
    page = finance_page(replace(report, forecast=replace(report.forecast, breach_on=END)))
    assert "At this pace the limit is reached around 1 December 2026." in page
