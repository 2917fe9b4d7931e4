"""A batch as a plan: rows in file order, cut into chunks; each valid row has its own quote."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest
from shared.domain.identity import Ownership
from shared.domain.ids import row_generation_id
from shared.domain.ledger import batch_document_id, partition_for
from shared.domain.prices import Quote
from shared.domain.provider_batches import Deadline
from shared.domain.routes import read_route
from shared.domain.work import WorkItem

Acceptance = Literal["all", "as_many_as_fit", "ask_approval"]
COUNTED_STATUSES = ("succeeded", "refused", "failed", "canceled", "indeterminate")


class PlannedFault(BaseModel):
    """What is wrong with one field of one row."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    field: str
    message: str


class PlannedQuote(BaseModel):
    """The price of one row at worst, in micro-USD and micro-AUD."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    usd_micros: int
    amount_micros: int


class PlannedRow(BaseModel):
    """One row of a batch: either a request with its quote, or the faults that exclude it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    row: Annotated[int, Field(ge=1)]
    line: int = 0  # where it began in the file
    item_id: str
    request: GenerationRequest | None = None
    quote: PlannedQuote | None = None
    route: dict[str, Any] | None = None  # who may carry it out; None: its own model, and no other
    deadline: Deadline | None = None  # set only where the provider has a batch price
    faults: tuple[PlannedFault, ...] = ()
    privacy: dict[str, Any] | None = None  # what the privacy screen found and covered
    sealed: dict[str, dict[str, Any]] | None = None  # the texts of `request`, as they are stored


class BatchChunk(BaseModel):
    """A slice of the plan as it is kept in blob storage: what each row needs to be carried out."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    batch_id: str
    plan: str
    tenant_id: str
    department_id: str
    user_key: str
    project_id: str | None = None
    cost_centre_id: str | None = None
    actor_role: str
    correlation_id: str
    created_at: str
    price_version: str
    exchange_rate_version: str
    aud_per_usd_micros: int
    rows: tuple[PlannedRow, ...]

    def work_item(self, row: PlannedRow) -> WorkItem:
        """The work item of a valid row; raises ValueError for a faulty or a sealed one."""
        if row.request is None or row.quote is None or row.sealed is not None:
            raise ValueError(f"row {row.row} is faulty or sealed")
        return WorkItem(
            generation_id=row_generation_id(self.batch_id, row.row),
            request=row.request,
            quote=Quote(
                usd_micros=row.quote.usd_micros,
                amount_micros=row.quote.amount_micros,
                price_version=self.price_version,
                exchange_rate_version=self.exchange_rate_version,
                aud_per_usd_micros=self.aud_per_usd_micros,
            ),
            owner=Ownership(self.tenant_id, self.department_id, self.user_key),
            actor_role=self.actor_role,
            correlation_id=self.correlation_id,
            created_at=self.created_at,
            item_id=row.item_id,
            project_id=self.project_id,
            cost_centre_id=self.cost_centre_id,
            privacy=row.privacy,
            may_wait=row.deadline is not None,
            planned_route=read_route(row.route) if row.route else None,
        )


@dataclass(frozen=True)
class BatchSource:
    """Where the rows came from: an uploaded file or the body of a request."""

    kind: str
    slot_id: str | None = None
    file_name: str | None = None
    etag: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return dict(vars(self))


@dataclass(frozen=True)
class BatchTotals:
    """Counts over the planned rows and the worst-case price of the valid ones."""

    rows: int
    valid_rows: int
    usd_micros: int
    amount_micros: int
    deadline_rows: int = 0  # of the valid rows, those that go by a provider batch
    images: int = 0  # of the valid rows
    over_budget_rows: int = 0  # without fault, but beyond what the budgets cover
    last_row: int | None = None  # the last row that was admitted; None: all of them
    models: frozenset[str] = frozenset()  # of the valid rows

    @property
    def invalid_rows(self) -> int:
        return self.rows - self.valid_rows - self.over_budget_rows


def batch_record(
    batch_id: str,
    owner: Ownership,
    charge: Charge,
    source: BatchSource,
    totals: BatchTotals,
    *,
    created_at: str,
    correlation_id: str,
    price_version: str,
    plan: str,
    acceptance: Acceptance = "all",
) -> dict[str, Any]:
    """The batch document at admission; `problem` is set when a file is refused as a whole."""
    return {
        "id": batch_document_id(batch_id),
        "pk": partition_for(batch_id).key,
        "type": "batch",
        "batch_id": batch_id,
        "tenant_id": owner.tenant_id,
        "department_id": owner.department_id,
        "user_key": owner.user_key,
        "project_id": charge.project_id,
        "cost_centre_id": charge.cost_centre_id,
        "source": source.as_json(),
        "status": "running",
        "problem": None,
        "rows": totals.rows,
        "valid_rows": totals.valid_rows,
        "invalid_rows": totals.invalid_rows,
        "over_budget_rows": totals.over_budget_rows,
        "last_row": totals.last_row,
        "acceptance": acceptance,
        "approvals": [],
        "deadline_rows": totals.deadline_rows,
        "images_asked": totals.images,
        "models": sorted(totals.models),
        "quoted_usd_micros": totals.usd_micros,
        "quoted_micros": totals.amount_micros,
        "price_version": price_version,
        "plan": plan,
        "counts": dict.fromkeys(COUNTED_STATUSES, 0),
        "images": 0,
        "spent_micros": 0,
        "saved_micros": 0,
        "progress_at": None,
        "cancel_requested": False,
        "created_at": created_at,
        "completed_at": None,
        "correlation_id": correlation_id,
    }


def is_accepted(row: int, last_row: int | None) -> bool:
    """Whether a row is within what was reserved; `last_row` is the batch record's."""
    return last_row is None or row <= last_row


def totals_of(rows: Sequence[PlannedRow]) -> BatchTotals:
    """Add up a plan."""
    quotes = [row.quote for row in rows if row.quote is not None]
    return BatchTotals(
        rows=len(rows),
        valid_rows=len(quotes),
        usd_micros=sum(quote.usd_micros for quote in quotes),
        amount_micros=sum(quote.amount_micros for quote in quotes),
        deadline_rows=sum(row.quote is not None and row.deadline is not None for row in rows),
        images=sum(row.request.count for row in rows if row.request and row.quote),
        models=frozenset(row.request.model for row in rows if row.request and row.quote),
    )
