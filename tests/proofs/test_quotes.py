"""The quote is never below the cost: for every row of the catalogue and every usage in bounds."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.attempts import Billed, Usage
from shared.domain.capabilities import AUTO
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import MODELS
from shared.domain.prices import (
    INPUT_TOKENS_OVERHEAD,
    INPUT_TOKENS_PER_REFERENCE,
    PriceCatalogue,
    PriceRow,
)
from shared.domain.sealed_fields import ERASED
from tests.builders import catalogues

# Each version as it is in force on the first day on which it can be quoted from.
VERSIONS = [
    catalogues().at(datetime.fromisoformat(f"{version.as_of}T00:00:00+00:00"))
    for version in catalogues().prices
]
# Lone surrogates cannot be sent and control characters are refused; all else can be in a prompt.
PROMPTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200)
QUALITIES = ("low", "medium", "high", "xhigh", "max")
# A row that later versions repeat is proven once, in the first version that has it.
REQUESTED = [
    (prices, row)
    for number, prices in enumerate(VERSIONS)
    for row in prices.rows
    if row.unit in ("image", "second") and all(row not in old.rows for old in VERSIONS[:number])
]
# There are some seventy rows: together they get as many examples as one property usually does.
few = settings(max_examples=30)
Priced = tuple[PriceCatalogue, PriceRow]


def _name(case: Priced) -> str:
    prices, row = case
    return "-".join(filter(None, (prices.version, row.model, row.unit, row.size, row.quality)))


@st.composite
def _requests(draw: st.DrawFn, row: PriceRow) -> GenerationRequest:
    """A request that this row prices; `auto` may stand for its size or quality."""
    model = MODELS[row.model]
    sizes = [row.size] if row.size else list(model.sizes)
    request = GenerationRequest(
        model=row.model,
        prompt=draw(PROMPTS.filter(lambda text: text.strip() not in ("", ERASED))),
        size=draw(st.sampled_from([*sizes, *([AUTO] if AUTO in model.sizes else [])])),
        quality=draw(st.sampled_from([row.quality, AUTO])) if row.quality else None,
        count=draw(st.integers(1, model.count_max)),
    )
    return resolve_request(request)[0]


def _price(prices: PriceCatalogue, model: str, unit: str) -> PriceRow | None:
    return next((r for r in prices.rows if (r.model, r.unit) == (model, unit)), None)


@st.composite
def _usages(draw: st.DrawFn, case: Priced, request: GenerationRequest) -> Usage:
    """What the provider may meter for a request that this row prices."""
    prices, row = case
    if row.unit == "second":
        longest = Decimal(row.seconds_max or 0)
        return Usage(seconds=draw(st.decimals(0, longest, allow_nan=False)))
    per_token = _price(prices, row.model, "output_token")
    if per_token is None:
        return Usage(images=draw(st.integers(0, request.count)))
    input_bound = len(request.prompt.encode()) + INPUT_TOKENS_OVERHEAD
    return Usage(
        input_tokens=draw(st.integers(0, input_bound * request.count)),
        output_tokens=draw(st.integers(0, row.usd_micros // per_token.usd_micros * request.count)),
    )


@pytest.mark.parametrize("case", REQUESTED, ids=_name)
@few
@given(data=st.data())
def test_quote_covers_every_usage_within_the_bounds(case: Priced, data: st.DataObject) -> None:
    prices, row = case
    request = data.draw(_requests(row))
    usage = data.draw(_usages(case, request))
    quote = prices.quote(request)
    actual = prices.billed_usd_micros(request, Billed.USAGE, usage)
    assert type(actual) is type(quote.usd_micros) is type(quote.amount_micros) is int
    assert actual <= quote.usd_micros
    assert quote.settled_micros(actual) <= quote.amount_micros


@pytest.mark.parametrize("case", REQUESTED, ids=_name)
@pytest.mark.parametrize("billed", list(Billed))
@few
@given(data=st.data())
def test_quote_covers_every_ending_without_a_meter(
    case: Priced, billed: Billed, data: st.DataObject
) -> None:
    prices, row = case
    request = data.draw(_requests(row))
    assert prices.billed_usd_micros(request, billed, None) <= prices.quote(request).usd_micros


@pytest.mark.parametrize("case", REQUESTED, ids=_name)
@few
@given(data=st.data())
def test_quote_is_billed_alike_under_every_later_version(case: Priced, data: st.DataObject) -> None:
    prices, row = case
    request = data.draw(_requests(row))
    usage = data.draw(_usages(case, request))
    quote = prices.quote(request)
    own = catalogues().of(quote)
    for billed in Billed:
        actual = own.billed_usd_micros(request, billed, usage)
        assert actual == prices.billed_usd_micros(request, billed, usage) <= quote.usd_micros


@pytest.mark.parametrize("case", REQUESTED, ids=_name)
@few
@given(data=st.data())
def test_quote_grows_with_everything_that_is_asked_for(case: Priced, data: st.DataObject) -> None:
    prices, row = case
    request = data.draw(_requests(row))
    base = prices.quote(request).amount_micros
    longer = request.model_copy(update={"prompt": request.prompt + data.draw(PROMPTS)})
    assert prices.quote(longer).amount_micros >= base
    if request.count < MODELS[row.model].count_max:
        more = request.model_copy(update={"count": request.count + 1})
        assert prices.quote(more).amount_micros >= base
    dearer_rate = replace(
        prices.exchange_rate, aud_per_usd_micros=prices.exchange_rate.aud_per_usd_micros + 1
    )
    assert replace(prices, exchange_rate=dearer_rate).quote(request).amount_micros >= base
    qualities = [each for each in QUALITIES if each in MODELS[row.model].qualities]
    if request.quality in qualities[:-1]:
        better = qualities[qualities.index(request.quality) + 1]
        assert prices.quote(request.model_copy(update={"quality": better})).amount_micros >= base
    for name in ("size", "quality"):
        if AUTO in (MODELS[row.model].sizes if name == "size" else MODELS[row.model].qualities):
            automatic = request.model_copy(update={name: AUTO})
            assert prices.quote(automatic).amount_micros >= base


@given(data=st.data(), references=st.integers(0, 16))
def test_quote_with_references_covers_every_picture_token(
    data: st.DataObject, references: int
) -> None:
    prices, row = next(case for case in REQUESTED if case[1].model == "gpt-image-2")
    request = data.draw(_requests(row))
    quote = prices.quote(request, references)
    pictures = _price(prices, row.model, "input_image_token")
    text = _price(prices, row.model, "input_token")
    assert pictures is not None and pictures.tokens_max is not None and text is not None
    tokens = data.draw(st.integers(0, references * pictures.tokens_max * request.count))
    words = data.draw(st.integers(0, references * INPUT_TOKENS_PER_REFERENCE * request.count))
    actual = prices.billed_usd_micros(request, Billed.OUTPUT, None)
    assert actual + tokens * pictures.usd_micros + words * text.usd_micros <= quote.usd_micros
    if references:
        assert quote.amount_micros > prices.quote(request, references - 1).amount_micros


def test_every_row_of_every_version_is_covered_here() -> None:
    proven = {row for _, row in REQUESTED}
    for prices in VERSIONS:
        requested = {row for row in prices.rows if row.unit in ("image", "second")}
        assert requested <= proven
        assert {row.model for row in prices.rows} == {row.model for row in requested}
    assert {row.model for row in VERSIONS[-1].rows} == set(MODELS)
