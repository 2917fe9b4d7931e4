"""The finance report as one page of its own: no network, no script, a table beside each plot."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape

from shared.domain.amounts import cents_text, decimal_text
from shared.domain.budgets import CURRENCY, Budget
from shared.domain.finance_charts import bar, daily_chart
from shared.domain.finance_outlook import outlook_sections
from shared.domain.finance_reports import (
    MODELS_DRAWN_MAX,
    FinanceReport,
    Share,
    daily_series,
    shares,
)
from shared.domain.finance_style import STYLE
from shared.domain.finance_tables import day_text, plural, table

_SCOPES = {"department": "Department", "user": "User", "project": "Project"}


def finance_page(report: FinanceReport) -> str:
    """The whole page; every text from outside is escaped where it enters a template."""
    name = escape(report.department_id)
    title = f"Image generation spend: {name}, {_period_text(report)}"
    body = "".join(
        [
            _header(report, name),
            f'<p class="lead">{_summary(report)}</p>',
            _cards(report),
            _budgets(report),
            _daily(report),
            _who(report),
            *outlook_sections(report),
            _footer(report),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{body}</main>\n</body>\n</html>\n"
    )


def _period_text(report: FinanceReport) -> str:
    last = report.end - timedelta(days=1)
    return f"{day_text(report.start)} to {day_text(last)}"


def _header(report: FinanceReport, name: str) -> str:
    if report.closed_at:
        state = f"closed on {escape(report.closed_at[:10])}, statement issued"
    else:
        state = "ended, not closed yet" if report.is_over else "running"
    return (
        f'<header><p class="kicker">Image generation spend</p><h1>{name}</h1><p class="meta">'
        f"<span>Period <b>{_period_text(report)}</b></span>"
        f"<span>State <b>{state}</b></span>"
        f"<span>As of <b>{report.made_at:%d %b %Y %H:%M} UTC</b></span>"
        f"<span>Currency <b>{CURRENCY}</b></span></p></header>"
    )


def _summary(report: FinanceReport) -> str:
    """The page in two sentences."""
    budget, total = report.budget, report.total
    text = (
        f"{cents_text(total.amount_micros)} {CURRENCY} spent on {plural(total.images, 'picture')}"
    )
    if budget is not None and budget.limit_micros > 0:
        used = 100 * budget.committed_micros // budget.limit_micros
        gone = 100 * len(report.days) // max(1, (report.end - report.start).days)
        text += f": {used} % of the limit is spent or held, {gone} % of the period is over"
    text += "."
    forecast = report.forecast
    if forecast is not None:
        if forecast.breach_on is not None:
            text += f" At this pace the limit is reached around {day_text(forecast.breach_on)}."
        else:
            text += " At this pace the limit will probably last."
    return text


def _cards(report: FinanceReport) -> str:
    total, budget = report.total, report.budget
    corrected = sum(
        spend.amount_micros
        for (kind,), spend in report.table.narrowed("kind").rows()
        if kind != "usage"
    )
    cards = [("Spent", cents_text(total.amount_micros), plural(total.entries, "ledger entry"))]
    if budget is not None:
        left = budget.limit_micros - budget.committed_micros
        cards += [
            ("Limit", cents_text(budget.limit_micros), f"{budget.mode} budget"),
            ("Left", cents_text(left), f"{cents_text(budget.reserved_micros)} held"),
        ]
    each = (total.amount_micros - corrected) // total.images if total.images else 0
    cards.append(("Per picture", cents_text(each), plural(total.images, "picture")))
    if report.forecast is not None:
        end = report.forecast.days[-1]
        band = f"{cents_text(end.low_micros)} to {cents_text(end.high_micros)}"
        cards.append(("Expected at end", cents_text(end.middle_micros), band))
    saved = total.list_usd_micros - total.usd_micros
    if saved > 0:
        cards.append(("Saved, USD", cents_text(saved), "against list price"))
    items = "".join(
        f"<li><span>{label}</span><strong>{amount}</strong><span>{note}</span></li>"
        for label, amount, note in cards
    )
    return f'<ul class="cards">{items}</ul>'


def _budgets(report: FinanceReport) -> str:
    if not report.budgets:
        return "<section><h2>Budgets</h2><p>Nothing was spent or held in this period.</p></section>"
    return (
        "<section><h2>Budgets</h2>"
        '<p class="note"><span class="swatch s0"></span>spent &nbsp; '
        '<span class="swatch s1"></span>held for work under way</p>'
        + table(
            f"Limits and what is committed, in {CURRENCY}",
            ("Scope", "Use", "#Spent", "#Held", "#Limit", "#Used"),
            [_budget_row(budget) for budget in report.budgets],
        )
        + "</section>"
    )


def _budget_row(budget: Budget) -> list[str]:
    limit = budget.limit_micros
    kind = _SCOPES.get(budget.scope.kind, "Cost centre")
    shown = budget.scope.scope_id.rpartition(".")[2]
    used = 100 * budget.committed_micros // limit if limit else 0
    whole = max(limit, budget.committed_micros, 1)
    within = min(budget.spent_micros, limit)
    over = budget.spent_micros - within
    parts = [("spent", within), ("over", over), ("held", budget.reserved_micros)]
    tone = "bad" if used >= 100 else "warn" if used >= 80 else "good"
    return [
        f"{kind} {escape(shown)}" + (f" ({budget.mode})" if budget.mode != "hard" else ""),
        bar(parts, whole, f"{kind} {shown}: {used} % of the limit spent or held"),
        cents_text(budget.spent_micros),
        cents_text(budget.reserved_micros),
        cents_text(limit),
        f'<span class="{tone}">{used} %</span>',
    ]


def _daily(report: FinanceReport) -> str:
    series = daily_series(report)
    heading = "<section><h2>Spend per day</h2>"
    if not series:
        return heading + "<p>Nothing was spent in this period.</p></section>"
    days = report.days
    totals = [sum(amounts[place] for _, amounts in series) for place in range(len(days))]
    highest = max(range(len(days)), key=totals.__getitem__)
    title = f"Spend per day by model in {CURRENCY}; highest on {day_text(days[highest])}"
    rows = [
        [day_text(day), *(cents_text(amounts[place]) for _, amounts in series), cents_text(total)]
        for place, (day, total) in enumerate(zip(days, totals, strict=True))
    ]
    names = [f"#{escape(name)}" for name, _ in series]
    return (
        heading
        + f"<figure>{daily_chart(days, series, title)}<figcaption>{title}. Days are UTC; a picture "
        "counts on the day it was asked for.</figcaption></figure>"
        + _models(report, [name for name, _ in series])
        + "<details><summary>Every day as a table</summary>"
        + table(f"Spend per day, in {CURRENCY}", ("Day", *names, "#All"), rows)
        + "</details></section>"
    )


def _models(report: FinanceReport, drawn: Sequence[str]) -> str:
    rows, total = [], report.total
    for share in shares(report.table, "model", MODELS_DRAWN_MAX):
        place = drawn.index(share.model_label)
        rows.append(
            [
                f'<span class="swatch s{place}"></span>{escape(share.model_label)}',
                f"{share.spend.images:,}",
                cents_text(share.spend.amount_micros),
                _percent(share, report),
            ]
        )
    ending = ["All models", f"{total.images:,}", cents_text(total.amount_micros), ""]
    head = ("Model", "#Pictures", f"#{CURRENCY}", "#Share")
    return table("By model, largest first", head, rows, ending)


def _who(report: FinanceReport) -> str:
    users = _ranking(report, "user", "Users", "nobody's own", "By object id of the person")
    projects = _ranking(report, "project", "Projects", "no project named", "Largest first")
    centres = _ranking(report, "cost_centre", "Cost centres", "none named", "Largest first")
    return (
        f'<section><h2>Who and what for</h2>{users}<div class="two">{projects}{centres}</div>'
        "</section>"
    )


def _ranking(report: FinanceReport, dimension: str, title: str, unnamed: str, note: str) -> str:
    rows = []
    for share in shares(report.table, dimension):
        others = f"{plural(share.others, 'other')}" if share.others else unnamed
        rows.append(
            [
                escape(share.name) if share.name else others,
                f"{share.spend.images:,}",
                cents_text(share.spend.amount_micros),
                _percent(share, report),
            ]
        )
    head = (title[:-1], "#Pictures", f"#{CURRENCY}", "#Share")
    ending = [
        "All",
        f"{report.total.images:,}",
        cents_text(report.total.amount_micros),
        "",
    ]
    return f"<div><h3>{title}</h3>{table(note, head, rows, ending)}</div>"


def _percent(share: Share, report: FinanceReport) -> str:
    whole = report.total.amount_micros
    return f"{100 * share.spend.amount_micros / whole:.1f} %" if whole > 0 else ""


def _footer(report: FinanceReport) -> str:
    lines: Iterable[str] = [
        f"Every figure is added up from {plural(report.total.entries, 'ledger entry')} of this "
        f"period; the exact total is {decimal_text(report.total.amount_micros)} {CURRENCY}. "
        "Amounts on this page are rounded to cents, totals are rounded last.",
        f"Statement checksum (SHA-256 over its lines): <code>{report.statement_sha256}</code>"
        if report.statement_sha256
        else "",
    ]
    return "<footer>" + "".join(f"<p>{line}</p>" for line in lines if line) + "</footer>"
