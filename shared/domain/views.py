"""What the HTTP API shows: response models, built from stored records, described in OpenAPI."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.budgets import CURRENCY
from shared.domain.generations import GenerationRequest
from shared.domain.ids import image_id
from shared.domain.routes import ExclusionCode, Route, read_route
from shared.domain.routing_wishes import Strategy

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


class UsageView(View):
    """The tokens that the provider counted for the pictures that came."""

    input_tokens: int
    output_tokens: int


class ImageView(View):
    """One picture in custody."""

    id: str
    content_url: str
    content_type: str
    size_bytes: int
    width: int
    height: int
    sha256: str
    seed: int | None = Field(
        default=None,
        description="that it was drawn with, if the provider tells; of several pictures of a run at"
        " Replicate that of the run, the same for each",
    )


class PrivacyNote(View):
    """What the privacy screen found in a request, by category and place; never the text."""

    policy: str = Field(description="the policy revisions that decided")
    redacted: bool = Field(description="parts of the prompt were covered before it was sent")
    findings: tuple[dict[str, Any], ...]


class RoutingCandidateView(View):
    """A model that may serve the request, and why it has this place."""

    model: str
    provider: str
    quoted_micros: int = Field(description="micro-AUD that it costs at most")
    reason: str


class RoutingExclusionView(View):
    """A model that may not serve the request; the first reason that was found."""

    model: str
    code: ExclusionCode
    reason: str


class RoutingAttemptView(View):
    """One attempt and what the ledger booked for it."""

    attempt: int
    model: str
    provider: str
    outcome: str = Field(description="delivered, canceled, or the failure", examples=["transient"])
    amount_micros: int
    estimated: bool


class RoutingView(View):
    """Who serves a request, who else may, who may not, and why."""

    strategy: Strategy
    chosen: str = Field(description="the first choice; at the end: who carried it out last")
    candidates: tuple[RoutingCandidateView, ...] = Field(description="in the order of attempts")
    excluded: tuple[RoutingExclusionView, ...]
    cost_max_micros: int = Field(description="micro-AUD at most, with every fallback")
    attempts: tuple[RoutingAttemptView, ...] = Field(
        description="those that have ended, one for each line of the ledger entry"
    )


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
    usage: UsageView | None = Field(description="null where the provider counts no tokens")
    images: tuple[ImageView, ...]
    warnings: tuple[str, ...] = Field(
        default=(),
        description="what came otherwise than asked: prompt_cut (from the admission on): the model"
        " reads only the beginning of the prompt; fewer_pictures: fewer were kept than asked for;"
        " prompt_has_denied_words: the provider left words out",
    )
    failure: FailureView | None
    routing: RoutingView | None = Field(description="null: admitted before there was routing")
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


class HealthView(View):
    """Whether this worker lives, or can reach what it needs."""

    status: Literal["ok", "degraded"]
    checks: dict[str, Literal["ok", "stale", "failed"]] = {}


def routing_view(
    route: Route, lines: Sequence[Mapping[str, Any]] = (), served_by: str | None = None
) -> RoutingView:
    """Show a route; `lines` are those of the ledger entry."""
    return RoutingView(
        strategy=route.strategy,
        chosen=served_by or route.candidates[0].model,
        candidates=tuple(
            RoutingCandidateView(
                model=each.model,
                provider=each.provider,
                quoted_micros=each.amount_micros,
                reason=each.place_reason,
            )
            for each in route.candidates
        ),
        excluded=tuple(RoutingExclusionView(**each.as_json()) for each in route.excluded),
        cost_max_micros=route.cost_max_micros,
        attempts=tuple(
            RoutingAttemptView(
                attempt=line["attempt"],
                model=line["model"],
                provider=line["provider"],
                outcome=line["failure"] or line["status"],
                amount_micros=line["amount_micros"],
                estimated=line["estimated"],
            )
            for line in lines
        ),
    )


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
        usage=UsageView(**record["usage"]) if record.get("usage") else None,
        images=tuple(image_view(generation_id, image) for image in record["images"]),
        warnings=tuple(record.get("warnings", ())),
        failure=FailureView(**record["failure"]) if record["failure"] else None,
        routing=routing_of(record),
        privacy=PrivacyNote(**record["privacy"]) if record.get("privacy") else None,
        attempts=record["attempts"],
        starts_at=record.get("starts_at"),
        created_at=record["created_at"],
        completed_at=record["completed_at"],
    )


def routing_of(record: Mapping[str, Any]) -> RoutingView | None:
    """How a generation was routed; None if it was admitted before there was routing."""
    route = record.get("route")
    if not route:
        return None
    return routing_view(read_route(route), record.get("lines", ()), record["model"])


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
