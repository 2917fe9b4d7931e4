"""What the HTTP API shows: response models, built from stored records, described in OpenAPI."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.budgets import CURRENCY
from shared.domain.generations import GenerationRequest
from shared.domain.ids import image_id

API_PREFIX = "/api/v1"
StoredStatus = Literal[
    "awaiting_approval",
    "deferred",
    "queued",
    "succeeded",
    "refused",
    "failed",
    "canceled",
    "indeterminate",
]
ShownStatus = Literal[
    "awaiting_approval",
    "deferred",
    "queued",
    "running",
    "succeeded",
    "refused",
    "failed",
    "canceled",
    "indeterminate",
]
TERMINAL = frozenset({"succeeded", "refused", "failed", "canceled", "indeterminate"})
BatchStatus = Literal[
    "awaiting_approval",
    "deferred",
    "running",
    "completed",
    "canceled",
    "indeterminate",
    "rejected",
]


class View(BaseModel):
    """Root of all response models."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class QuoteView(View):
    """The most a request may cost."""

    amount_micros: int = Field(description="micro-AUD that are reserved", examples=[91_245])
    currency: Literal["AUD"] = CURRENCY
    usd_micros: int = Field(description="the same in the provider's micro-USD", examples=[59_250])
    price_version: str
    exchange_rate_version: str


class CostView(View):
    """What was charged."""

    amount_micros: int = Field(description="micro-AUD charged to the budgets")
    currency: Literal["AUD"] = CURRENCY
    usd_micros: int = Field(description="micro-USD that the provider bills")
    estimated: bool = Field(description="the provider bills this case without saying how much")


class FailureView(View):
    """Why no picture came, in our words."""

    code: str = Field(description="canonical failure; decide by this", examples=["rate_limited"])
    reason: str | None = Field(description="what exactly happened, as one word of ours")
    detail: str | None = Field(description="a sentence for a person")
    categories: tuple[str, ...] = Field(default=(), description="of the content filter")


class ImageView(View):
    """One picture in custody."""

    id: str
    content_url: str
    content_type: str
    size_bytes: int
    width: int
    height: int
    sha256: str
    seed: int | None = None


class PrivacyNote(View):
    """What the privacy screen found in a request, by category and place; never the text."""

    policy: str = Field(description="the policy revisions that decided")
    redacted: bool = Field(description="parts of the prompt were covered before it was sent")
    findings: tuple[dict[str, Any], ...]


class GenerationView(View):
    """One generation: what was asked, where it stands, what it cost, what came."""

    id: str
    status: ShownStatus
    request: GenerationRequest
    provider: str
    department_id: str
    requested_by: str = Field(description="object id of the person who asked")
    batch_id: str | None
    row: int | None
    item_id: str | None
    quote: QuoteView
    cost: CostView | None
    images: tuple[ImageView, ...]
    failure: FailureView | None
    privacy: PrivacyNote | None = Field(
        description="what the privacy screen found; redacted: the prompt here is what was sent"
    )
    attempts: int
    starts_at: str | None = Field(description="of deferred work: when its budget period starts")
    created_at: str
    completed_at: str | None


class GenerationList(View):
    """One page of history, newest first within a month and department."""

    items: tuple[GenerationView, ...]
    continuation: str | None


class RowCounts(View):
    """Rows of a batch."""

    total: int
    valid: int
    invalid: int
    over_budget: int = Field(description="without fault, but not covered by the budget")
    succeeded: int
    refused: int
    failed: int
    canceled: int
    indeterminate: int


class BatchView(View):
    """A batch: one quote, one reservation, and how far it is."""

    id: str
    status: BatchStatus
    department_id: str
    requested_by: str
    source: dict[str, str | None]
    acceptance: Literal["all", "as_many_as_fit", "ask_approval"]
    rows: RowCounts
    progress: float = Field(ge=0, le=1, description="share of the valid rows that have ended")
    images: int
    quoted_micros: int
    spent_micros: int
    saved_micros: int = Field(
        description="what the provider's batch price has saved against the full price"
    )
    deadline_rows: int = Field(description="valid rows that wait for the provider's batch price")
    currency: Literal["AUD"] = CURRENCY
    problem: dict[str, Any] | None
    cancel_requested: bool
    starts_at: str | None = Field(description="of deferred work: when its budget period starts")
    created_at: str
    completed_at: str | None


class BatchItemView(View):
    """One row of a batch file."""

    row: int
    item_id: str
    status: Literal[
        "invalid",
        "over_budget",
        "waiting",
        "succeeded",
        "refused",
        "failed",
        "canceled",
        "indeterminate",
    ]
    faults: tuple[dict[str, str], ...] = ()
    quoted_micros: int | None = None
    generation: GenerationView | None = None


class BatchItemList(View):
    """One page of rows in file order."""

    items: tuple[BatchItemView, ...]
    continuation: str | None


class UploadSlotView(View):
    """A place for one file, and the batches that came of it."""

    id: str
    file_name: str
    upload_url: str | None = Field(description="PUT the file here; shown once")
    expires_at: str
    batch_ids: tuple[str, ...] = ()


class ReceiptLine(View):
    """One ledger entry of a batch."""

    generation_id: str
    row: int
    item_id: str
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


class HealthView(View):
    """Whether this worker lives, or can reach what it needs."""

    status: Literal["ok", "degraded"]
    checks: dict[str, Literal["ok", "stale", "failed"]] = {}


def quote_view(quote: Mapping[str, Any]) -> QuoteView:
    return QuoteView(**{name: quote[name] for name in QuoteView.model_fields if name in quote})


def generation_view(record: Mapping[str, Any], *, started: bool = False) -> GenerationView:
    """Show a generation record; `started` tells that a provider call was begun."""
    status = "running" if started and record["status"] == "queued" else record["status"]
    generation_id = record["generation_id"]
    return GenerationView(
        id=generation_id,
        status=status,
        request=GenerationRequest.model_validate(record["request"]),
        provider=record["provider"],
        department_id=record["department_id"],
        requested_by=_person(record),
        batch_id=record["batch_id"],
        row=record["row"],
        item_id=record["item_id"],
        quote=quote_view(record["quote"]),
        cost=CostView(**record["cost"]) if record["cost"] else None,
        images=tuple(image_view(generation_id, image) for image in record["images"]),
        failure=FailureView(**record["failure"]) if record["failure"] else None,
        privacy=PrivacyNote(**record["privacy"]) if record.get("privacy") else None,
        attempts=record["attempts"],
        starts_at=record.get("starts_at"),
        created_at=record["created_at"],
        completed_at=record["completed_at"],
    )


def image_view(generation_id: str, image: Mapping[str, Any]) -> ImageView:
    name = image_id(generation_id, image["index"])
    shown = {key: value for key, value in image.items() if key != "index"}
    return ImageView(id=name, content_url=f"{API_PREFIX}/images/{name}/content", **shown)


def row_counts(batch: Mapping[str, Any]) -> RowCounts:
    return RowCounts(
        total=batch["rows"],
        valid=batch["valid_rows"],
        invalid=batch["invalid_rows"],
        over_budget=batch["over_budget_rows"],
        **batch["counts"],
    )


def batch_view(batch: Mapping[str, Any]) -> BatchView:
    ended = sum(batch["counts"].values())
    return BatchView(
        id=batch["batch_id"],
        status=batch["status"],
        department_id=batch["department_id"],
        requested_by=_person(batch),
        source=batch["source"],
        acceptance=batch["acceptance"],
        rows=row_counts(batch),
        progress=ended / batch["valid_rows"] if batch["valid_rows"] else 1.0,
        images=batch["images"],
        quoted_micros=batch["quoted_micros"],
        spent_micros=batch["spent_micros"],
        saved_micros=batch.get("saved_micros", 0),
        deadline_rows=batch.get("deadline_rows", 0),
        problem=batch["problem"],
        cancel_requested=batch["cancel_requested"],
        starts_at=batch.get("starts_at"),
        created_at=batch["created_at"],
        completed_at=batch["completed_at"],
    )


def _person(record: Mapping[str, Any]) -> str:
    return str(record["user_key"]).rpartition(".")[2]
