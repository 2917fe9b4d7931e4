"""What pricing answers: one estimate, a comparison of models, a dry run of a file, the models."""

from datetime import date
from typing import Final

from pydantic import Field, RootModel

from shared.domain.capabilities import Latency, ModelCapability
from shared.domain.generations import GenerationRequest
from shared.domain.models import (
    DEPRECATION_NOTICE_DAYS,
    days_to_retirement,
)
from shared.domain.views import QuoteView, RoutingView, View
from shared.errors import Rejected

WARNINGS_EXPECTED: Final = (
    "of the generation, as far as they are known beforehand, e.g. prompt_cut: the model reads only"
    " the beginning of the prompt"
)


class LatencyView(View):
    """How long one picture usually takes, from a dated source and not from our measurements."""

    from_s: float
    to_s: float
    source: str
    as_of: str


class DeprecationView(View):
    """A model that will be refused soon."""

    retires_on: str = Field(description="the first day (UTC) on which it is refused")
    days_left: int
    successor: str | None


class ExchangeRateView(View):
    """The dated rate that quotes are converted with."""

    version: str
    as_of: str
    aud_per_usd_micros: int
    stale: bool = Field(description="older than 35 days: finance should book a new one")


class RefusalView(View):
    """One reason why a request would be refused; the code is that of the refusal."""

    code: str = Field(examples=["unsupported_by_model"])
    detail: str
    errors: tuple[dict[str, str], ...] = ()


class BudgetRoomView(View):
    """What one charged budget has left, and whether that is enough."""

    scope: str
    available_micros: int
    fits: bool


class EstimateView(View):
    """What a request would cost, without doing it."""

    model: str
    provider: str
    request: GenerationRequest
    quote: QuoteView
    fits_budget: bool
    available_micros: int = Field(description="the least that any charged budget has left")
    budgets: tuple[BudgetRoomView, ...]
    eligible: bool = Field(description="whether it would be accepted as it is")
    refusals: tuple[RefusalView, ...]
    warnings: tuple[str, ...] = Field(description=WARNINGS_EXPECTED)
    typical_latency: LatencyView | None
    residency: str
    deprecation: DeprecationView | None
    exchange_rate: ExchangeRateView
    routing: RoutingView


class CandidateView(View):
    """One model in a comparison: its price, or why it cannot serve the request, or both."""

    model: str
    provider: str | None
    eligible: bool
    refusals: tuple[RefusalView, ...]
    warnings: tuple[str, ...] = Field(description=WARNINGS_EXPECTED)
    request: GenerationRequest | None = Field(description="as this model would carry it out")
    quote: QuoteView | None
    typical_latency: LatencyView | None
    residency: str | None
    deprecation: DeprecationView | None


class ComparisonView(View):
    """The same request on several models: those that can serve it first, cheapest first."""

    candidates: tuple[CandidateView, ...]
    available_micros: int = Field(description="the least that any charged budget has left")
    budgets: dict[str, int] = Field(description="micro-AUD left, by scope")
    exchange_rate: ExchangeRateView


class DryRunRowView(View):
    """One row of a file: its price, or its faults."""

    row: int
    item_id: str
    model: str | None
    quoted_micros: int | None
    warnings: tuple[str, ...] = Field(description=WARNINGS_EXPECTED)
    faults: tuple[dict[str, str], ...] = ()


class ModelTotalView(View):
    """What a file asks of one model."""

    model: str
    rows: int
    images: int
    amount_micros: int
    usd_micros: int


class DryRunView(View):
    """What a batch would cost; nothing is kept or reserved."""

    rows: int
    valid_rows: int
    invalid_rows: int
    quoted_micros: int
    quoted_usd_micros: int
    price_version: str
    exchange_rate: ExchangeRateView
    models: tuple[ModelTotalView, ...]
    budgets: tuple[BudgetRoomView, ...]
    fits_budget: bool
    rows_that_fit: int = Field(description="valid rows, from the first on, that fit every budget")
    eligible: bool = Field(description="whether its valid rows would be accepted as they are")
    refusals: tuple[RefusalView, ...]
    items: tuple[DryRunRowView, ...]


class EstimateAnswer(RootModel[EstimateView | ComparisonView | DryRunView]):
    """One model named: an estimate; several or none: a comparison; a file: a dry run."""


class ModelView(View):
    """A model on offer and what it can do."""

    model: str
    title: str
    provider: str
    sizes: tuple[str, ...]
    qualities: tuple[str, ...]
    output_formats: tuple[str, ...]
    count_max: int
    prompt_chars_max: int
    prompt_tokens_read: int | None = Field(
        description="CLIP tokens of a prompt that it reads; what is longer is dropped and warned of"
        " (prompt_cut) when the model is named, and left to other models with auto. null: no such"
        " limit is known"
    )
    seed: bool
    negative_prompt: bool
    residency: str
    retires_on: str | None
    deprecation: DeprecationView | None = Field(description="set in the last 90 days")
    typical_latency: LatencyView | None
    price_from_micros: int = Field(description="micro-AUD of the cheapest single picture")
    price_version: str


class RetiredModelView(View):
    """A model that is refused as `model_retired`, and what to use instead."""

    model: str
    retired_on: str
    successor: str | None


class ModelList(View):
    """Every model on offer, and those that were."""

    items: tuple[ModelView, ...]
    retired: tuple[RetiredModelView, ...]


def latency_view(latency: Latency | None) -> LatencyView | None:
    return LatencyView(**vars(latency)) if latency else None


def deprecation_view(model: ModelCapability, day: date) -> DeprecationView | None:
    """The notice of a model in its last days; None before they begin."""
    days_left = days_to_retirement(model, day)
    if model.retires_on is None or days_left is None or days_left > DEPRECATION_NOTICE_DAYS:
        return None
    return DeprecationView(
        retires_on=model.retires_on, days_left=days_left, successor=model.successor
    )


def refusal_view(refusal: Rejected) -> RefusalView:
    return RefusalView(
        code=refusal.problem_code,
        detail=refusal.detail,
        errors=tuple(fault.as_json() for fault in refusal.faults),
    )
