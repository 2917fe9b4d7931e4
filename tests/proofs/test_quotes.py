"""The quote is never below the cost: for every row of the catalogue and every usage in bounds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.attempts import Billed, Usage
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import AUTO, MODELS
from shared.domain.prices import INPUT_TOKENS_OVERHEAD, PriceRow
from tests.builders import catalogue

PRICES = catalogue()
# Lone surrogates cannot be sent and control characters are refused; all else can be in a prompt.
PROMPTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200)
REQUESTED = [row for row in PRICES.rows if row.unit in ("image", "second")]


def _name(row: PriceRow) -> str:
    return "-".join(filter(None, (row.model, row.unit, row.size, row.quality)))


@st.composite
def _requests(draw: st.DrawFn, row: PriceRow) -> GenerationRequest:
    """A request that this row prices; `auto` may stand for its size or quality."""
    model = MODELS[row.model]
    automatic = [None, AUTO] if AUTO in model.sizes else [None]
    request = GenerationRequest(
        model=row.model,
        prompt=draw(PROMPTS.filter(lambda text: text.strip() != "")),
        size=draw(st.sampled_from([row.size, *automatic[1:]])),
        quality=draw(st.sampled_from([row.quality, AUTO])) if row.quality else None,
        count=draw(st.integers(1, model.count_max)),
    )
    return resolve_request(request)[0]


@st.composite
def _usages(draw: st.DrawFn, row: PriceRow, request: GenerationRequest) -> Usage:
    """What the provider may meter for a request that this row prices."""
    if row.unit == "second":
        longest = Decimal(row.seconds_max or 0)
        return Usage(seconds=draw(st.decimals(0, longest, allow_nan=False)))
    per_token = next(
        (r for r in PRICES.rows if r.model == row.model and r.unit == "output_token"), None
    )
    if per_token is None:
        return Usage(images=draw(st.integers(0, request.count)))
    input_bound = len(request.prompt.encode()) + INPUT_TOKENS_OVERHEAD
    return Usage(
        input_tokens=draw(st.integers(0, input_bound * request.count)),
        output_tokens=draw(st.integers(0, row.usd_micros // per_token.usd_micros * request.count)),
    )


@pytest.mark.parametrize("row", REQUESTED, ids=_name)
@given(data=st.data())
def test_quote_covers_every_usage_within_the_bounds(row: PriceRow, data: st.DataObject) -> None:
    request = data.draw(_requests(row))
    usage = data.draw(_usages(row, request))
    quote = PRICES.quote(request)
    actual = PRICES.billed_usd_micros(request, Billed.USAGE, usage)
    assert actual <= quote.usd_micros
    assert quote.settled_micros(actual) <= quote.amount_micros


@pytest.mark.parametrize("row", REQUESTED, ids=_name)
@pytest.mark.parametrize("billed", list(Billed))
@given(data=st.data())
def test_quote_covers_every_ending_without_a_meter(
    row: PriceRow, billed: Billed, data: st.DataObject
) -> None:
    request = data.draw(_requests(row))
    assert PRICES.billed_usd_micros(request, billed, None) <= PRICES.quote(request).usd_micros


def test_every_row_of_the_catalogue_is_covered_here() -> None:
    metered = {row.model for row in PRICES.rows if row.unit.endswith("token")}
    requested = {row.model for row in REQUESTED}
    assert metered <= requested == set(MODELS)
