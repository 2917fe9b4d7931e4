from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.attempts import Billed, Usage
from shared.domain.money import ExchangeRate
from shared.domain.prices import (
    INPUT_TOKENS_OVERHEAD,
    INPUT_TOKENS_PER_REFERENCE,
    RUN_SECONDS_MAX,
    PriceCatalogue,
    PriceRow,
    order_for,
)
from shared.errors import Invalid
from tests.builders import catalogue, request, single_id

RATE = ExchangeRate("x-1", 1_500_000, "2026-11-01", "test")


def row(**fields: Any) -> PriceRow:
    values = {
        "model": "gpt-image-2",
        "unit": "image",
        "usd_micros": 1_000,
        "source": "test",
        "as_of": "2026-11-01",
    }
    return PriceRow(**(values | fields))


def priced(*rows: PriceRow, day: date | None = None) -> PriceCatalogue:
    return PriceCatalogue("p-1", RATE, rows, day)


PER_PICTURE = priced(
    row(size="1024x1024", quality="low", usd_micros=1_000),
    row(size="1024x1024", quality="high", usd_micros=9_000),
    row(size="1536x1024", quality="low", usd_micros=2_000),
    row(size="1024x1536", quality="low", usd_micros=1_500),
    row(unit="input_token", usd_micros=5),
    row(unit="output_token", usd_micros=30),
    row(unit="input_image_token", usd_micros=8, tokens_max=100),
)


def test_quote_adds_the_output_and_the_bound_of_the_input() -> None:
    wanted = request(prompt="four", quality="low", size="1024x1024")
    quote = PER_PICTURE.quote(wanted)
    assert quote.usd_micros == 1_000 + (4 + INPUT_TOKENS_OVERHEAD) * 5
    assert quote.amount_micros == -(-quote.usd_micros * 3 // 2)
    assert (quote.price_version, quote.exchange_rate_version) == ("p-1", "x-1")


def test_quote_counts_every_picture_and_its_prompt() -> None:
    one = PER_PICTURE.quote(request(quality="low", size="1024x1024"))
    four = PER_PICTURE.quote(request(quality="low", size="1024x1024", count=4))
    assert four.usd_micros == 4 * one.usd_micros


def test_quote_counts_the_bytes_of_a_prompt_and_not_its_characters() -> None:
    plain = PER_PICTURE.quote(request(prompt="a" * 10, quality="low", size="1024x1024"))
    emoji = PER_PICTURE.quote(request(prompt="🖼" * 10, quality="low", size="1024x1024"))
    assert emoji.usd_micros - plain.usd_micros == 30 * 5


def test_quote_of_auto_is_the_dearest_that_auto_may_become() -> None:
    low = PER_PICTURE.billed_usd_micros(request(size="auto", quality="low"), Billed.OUTPUT, None)
    any_quality = PER_PICTURE.billed_usd_micros(
        request(size="auto", quality="auto"), Billed.OUTPUT, None
    )
    assert (low, any_quality) == (2_000, 9_000)


def test_quote_without_a_price_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        PER_PICTURE.quote(request(quality="medium"))
    assert refusal.value.problem_code == "unpriced"


def test_quote_of_a_time_priced_model_is_its_longest_run() -> None:
    timed = priced(row(model="sdxl", unit="second", usd_micros=975, seconds_max=60))
    assert timed.quote(request("sdxl", count=4)).usd_micros == 60 * 975
    assert (timed.run_seconds_max("sdxl"), timed.run_seconds_max("gpt-image-2")) == (60, 0)
    assert (timed.is_priced("sdxl"), timed.is_priced("flux-schnell")) == (True, False)


def test_quote_counts_every_reference_for_every_picture() -> None:
    wanted = request(quality="low", size="1024x1024", count=3)
    plain = PER_PICTURE.quote(wanted)
    with_two = PER_PICTURE.quote(wanted, reference_images=2)
    per_reference = 100 * 8 + INPUT_TOKENS_PER_REFERENCE * 5
    assert with_two.usd_micros - plain.usd_micros == 3 * 2 * per_reference


def test_quote_of_references_without_a_price_is_refused() -> None:
    timed = priced(row(model="sdxl", unit="second", usd_micros=975, seconds_max=60))
    with pytest.raises(Invalid) as refusal:
        timed.quote(request("sdxl"), reference_images=1)
    assert refusal.value.problem_code == "unpriced"
    assert [fault.field for fault in refusal.value.faults] == ["/reference_images"]


def test_quote_of_a_retired_model_is_refused_from_its_day_on() -> None:
    rows = PER_PICTURE.rows
    wanted = request(quality="low")
    assert priced(*rows, day=date(2027, 4, 20)).quote(wanted).usd_micros > 0
    with pytest.raises(Invalid) as refusal:
        priced(*rows, day=date(2027, 4, 21)).quote(wanted)
    assert refusal.value.problem_code == "model_retired"
    assert refusal.value.extra == {
        "model": "gpt-image-2",
        "retired_on": "2027-04-21",
        "successor": None,
    }


def test_quote_settles_at_its_own_rate_whatever_the_rate_is_later() -> None:
    quote = PER_PICTURE.quote(request(quality="low"))
    later = replace(quote, aud_per_usd_micros=quote.aud_per_usd_micros)
    assert later.settled_micros(quote.usd_micros) == quote.amount_micros
    assert quote.settled_micros(1) == 2


@pytest.mark.parametrize(
    ("billed", "usage", "usd_micros"),
    [
        (Billed.NOTHING, Usage(output_tokens=10), 0),
        (Billed.OUTPUT, None, 1_000),
        (Billed.USAGE, Usage(input_tokens=3, output_tokens=10), 3 * 5 + 10 * 30),
        (Billed.USAGE, None, 1_180),  # the meter said nothing: the whole quote
        (Billed.MAXIMUM, Usage(output_tokens=1), 1_180),
    ],
)
def test_billed_follows_what_the_provider_charges(
    billed: Billed, usage: Usage | None, usd_micros: int
) -> None:
    wanted = request(prompt="four", quality="low", size="1024x1024")
    assert PER_PICTURE.billed_usd_micros(wanted, billed, usage) == usd_micros


def test_billed_seconds_are_rounded_up_to_the_micro() -> None:
    wanted = request("sdxl")
    usage = Usage(seconds=Decimal("3.8012345"))
    assert catalogue().billed_usd_micros(wanted, Billed.USAGE, usage) == 3_707


def test_billed_pictures_are_counted() -> None:
    wanted = request("flux-schnell", count=4)
    assert catalogue().billed_usd_micros(wanted, Billed.USAGE, Usage(images=3)) == 9_000


def test_order_carries_the_providers_own_words() -> None:
    wanted = request("flux-schnell", size="1344x768", count=2, seed=7)
    order = order_for(single_id(), 3, wanted, catalogue(), "hash")
    assert (order.provider_model, order.provider_size) == (
        "black-forest-labs/flux-schnell",
        "16:9",
    )
    assert (order.attempt, order.count, order.seed, order.output_format) == (3, 2, 7, "webp")
    assert order.run_seconds_max == RUN_SECONDS_MAX
    assert order_for(single_id(), 1, request("sdxl"), catalogue(), "hash").run_seconds_max == 60
