"""What a batch cost, line by line: the receipt as it is signed and shown."""

from typing import Literal

from pydantic import Field

from shared.domain.budgets import CURRENCY
from shared.domain.views import RowCounts, View


class ReceiptLine(View):
    """One attempt at a row of a batch, as its ledger entry books it."""

    generation_id: str
    row: int
    item_id: str
    attempt: int
    status: str
    provider: str
    model: str
    images: int
    amount_micros: int
    usd_micros: int
    list_usd_micros: int = Field(description="without the discount of the provider's batch price")
    estimated: bool
    request_id: str | None
    job_id: str | None


class ProviderTotal(View):
    """The sum over one provider."""

    provider: str
    images: int
    amount_micros: int
    usd_micros: int


class OverBudgetRow(View):
    """A row without fault that the budget did not cover; nothing was charged for it."""

    row: int
    item_id: str
    quoted_micros: int


class ReceiptView(View):
    """What a batch cost: every line is a ledger entry and the totals are their sums."""

    batch_id: str
    department_id: str
    currency: Literal["AUD"] = CURRENCY
    price_version: str
    quoted_micros: int
    amount_micros: int
    usd_micros: int
    list_usd_micros: int = Field(description="of the same work on the synchronous path")
    saved_micros: int = Field(description="micro-AUD that the provider's batch price has saved")
    rows: RowCounts
    providers: tuple[ProviderTotal, ...]
    lines: tuple[ReceiptLine, ...]
    over_budget: tuple[OverBudgetRow, ...] = ()
    completed_at: str | None = Field(description="when its last entry was booked")
