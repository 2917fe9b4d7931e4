"""What is shown of chargeback statements."""

from datetime import date
from typing import Literal

from shared.domain.budgets import CURRENCY
from shared.domain.report_views import SpendView, spend_view
from shared.domain.statements import Statement
from shared.domain.views import View

PeriodState = Literal["unused", "running", "ended", "sealed", "issued"]


class StatementView(View):
    """A statement that was issued: totals are the sum of its lines and of the ledger's entries."""

    statement_id: str
    department_id: str
    period: str
    starts_on: date
    ends_before: date
    currency: Literal["AUD"] = CURRENCY
    totals: SpendView
    adjustments: int
    closed_at: str
    closed_by: str
    lines_sha256: str
    csv_sha256: str
    json_sha256: str


class PeriodView(View):
    """How far a department's period is closed."""

    department_id: str
    period: str
    starts_on: date
    ends_before: date
    state: PeriodState
    reserved_micros: int
    spent_micros: int
    statement: StatementView | None


class PeriodList(View):
    """Periods, newest first."""

    items: tuple[PeriodView, ...]


def statement_view(statement: Statement) -> StatementView:
    bill = statement.bill
    return StatementView(
        statement_id=bill.statement_id,
        department_id=bill.department_id,
        period=statement.period,
        starts_on=bill.start,
        ends_before=bill.end,
        totals=spend_view(statement.totals),
        adjustments=statement.adjustments,
        closed_at=statement.closed_at,
        closed_by=statement.closed_by.rpartition(".")[2],
        lines_sha256=statement.lines_sha256,
        csv_sha256=statement.csv_sha256,
        json_sha256=statement.json_sha256,
    )
