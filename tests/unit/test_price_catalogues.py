from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from shared.domain.attempts import Billed, Usage
from shared.domain.price_catalogues import (
    RATE_DAYS_MAX,
    RATE_STALE_DAYS,
    PriceCatalogues,
    parse_catalogues,
)
from shared.errors import Invalid, InvariantBroken
from tests.builders import request

ROW = {"model": "gpt-image-2", "unit": "image", "source": "test", "as_of": "2026-01-01"}


def rate(as_of: str, aud_per_usd_micros: int) -> dict[str, Any]:
    return {
        "version": f"x-{as_of}",
        "aud_per_usd_micros": aud_per_usd_micros,
        "as_of": as_of,
        "source": "test",
    }


def version(as_of: str, usd_micros: int) -> dict[str, Any]:
    rows = [
        ROW | {"usd_micros": usd_micros},
        ROW | {"unit": "output_token", "usd_micros": usd_micros // 100},
    ]
    return {"version": f"p-{as_of}", "as_of": as_of, "rows": rows}


DOCUMENT: dict[str, Any] = {
    "prices": [version("2026-03-01", 1_000), version("2026-03-15", 2_000)],
    "exchange_rates": [rate("2026-02-20", 1_500_000), rate("2026-03-10", 2_000_000)],
}
CATALOGUES = parse_catalogues(DOCUMENT)


def day(month: int, number: int, hour: int = 12) -> datetime:
    return datetime(2026, month, number, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "prices", "exchange_rate", "amount_micros"),
    [
        (day(3, 1, 0), "p-2026-03-01", "x-2026-02-20", 1_500),
        (day(3, 9, 23), "p-2026-03-01", "x-2026-02-20", 1_500),
        (day(3, 10, 0), "p-2026-03-01", "x-2026-03-10", 2_000),
        (day(3, 14, 23), "p-2026-03-01", "x-2026-03-10", 2_000),
        (day(3, 15, 0), "p-2026-03-15", "x-2026-03-10", 4_000),
    ],
)
def test_quote_names_the_versions_in_force_at_its_moment(
    moment: datetime, prices: str, exchange_rate: str, amount_micros: int
) -> None:
    quote = CATALOGUES.at(moment).quote(request())
    assert (quote.price_version, quote.exchange_rate_version) == (prices, exchange_rate)
    assert quote.amount_micros == amount_micros


def test_versions_change_at_midnight_utc_wherever_the_moment_was_written() -> None:
    sydney = timezone(timedelta(hours=11))
    assert CATALOGUES.at(datetime(2026, 3, 15, 9, tzinfo=sydney)).version == "p-2026-03-01"
    assert CATALOGUES.at(datetime(2026, 3, 15, 11, tzinfo=sydney)).version == "p-2026-03-15"


@pytest.mark.parametrize(
    "moment",
    [
        day(2, 19),  # before any rate
        day(2, 28),  # before any price
        day(3, 10) + timedelta(days=RATE_DAYS_MAX + 1),  # the last rate is a year old
    ],
)
def test_pricing_fails_closed_without_a_version_in_force(moment: datetime) -> None:
    with pytest.raises(Invalid) as refusal:
        CATALOGUES.at(moment)
    assert refusal.value.problem_code == "unpriced"


def test_rate_goes_stale_before_it_ends() -> None:
    last = day(3, 10)
    assert CATALOGUES.rate_is_stale(last + timedelta(days=RATE_STALE_DAYS)) is False
    assert CATALOGUES.rate_is_stale(last + timedelta(days=RATE_STALE_DAYS + 1)) is True
    assert CATALOGUES.rate_is_stale(day(2, 1)) is True
    assert CATALOGUES.at(last + timedelta(days=RATE_DAYS_MAX)).version == "p-2026-03-15"


def test_attempt_is_billed_by_the_version_of_its_quote() -> None:
    quote = CATALOGUES.at(day(3, 9)).quote(request())
    later = CATALOGUES.at(day(3, 20))
    own = CATALOGUES.of(quote)
    usage = Usage(output_tokens=100)
    assert own.billed_usd_micros(request(), Billed.USAGE, usage) == 1_000 == quote.usd_micros
    assert own.billed_usd_micros(request(), Billed.MAXIMUM, None) == quote.usd_micros
    assert own.quote(request()) == quote
    assert later.billed_usd_micros(request(), Billed.USAGE, usage) == 2_000 > quote.usd_micros


def test_attempt_at_a_model_retired_meanwhile_is_still_billed() -> None:
    catalogues = parse_catalogues(
        {"prices": [version("2027-04-01", 1_000)], "exchange_rates": [rate("2027-04-01", 1)]}
    )
    quote = catalogues.at(datetime(2027, 4, 20, tzinfo=UTC)).quote(request())
    retired = catalogues.at(datetime(2027, 4, 21, tzinfo=UTC))
    with pytest.raises(Invalid, match="retired"):
        retired.quote(request())
    assert catalogues.of(quote).billed_usd_micros(request(), Billed.MAXIMUM, None) == 1_000


def test_quote_of_a_version_that_was_removed_is_a_broken_invariant() -> None:
    quote = CATALOGUES.at(day(3, 9)).quote(request())
    pruned = PriceCatalogues(CATALOGUES.prices[1:], CATALOGUES.exchange_rates)
    with pytest.raises(InvariantBroken):
        pruned.of(quote)


@pytest.mark.parametrize("kind", ["prices", "exchange_rates"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda versions: versions.clear(),
        lambda versions: versions.reverse(),
        lambda versions: versions[1].update(version=versions[0]["version"]),
        lambda versions: versions[1].update(as_of=versions[0]["as_of"]),
        lambda versions: versions[0].update(as_of="soon"),
        lambda versions: versions[0].pop("as_of"),
    ],
)
def test_versions_that_do_not_follow_each_other_are_refused(kind: str, damage: Any) -> None:
    document = deepcopy(DOCUMENT)
    damage(document[kind])
    with pytest.raises(InvariantBroken):
        parse_catalogues(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"usd_micros": 0},
        {"usd_micros": 0.5},
        {"colour": "red"},
        {"unit": "second"},
        {"unit": "input_image_token"},
    ],
)
def test_row_that_is_no_price_is_refused(changes: dict[str, Any]) -> None:
    document = deepcopy(DOCUMENT)
    document["prices"][0]["rows"][0].update(changes)
    with pytest.raises(InvariantBroken):
        parse_catalogues(document)


@pytest.mark.parametrize("aud_per_usd_micros", [0, 1.5, "1500000", None])
def test_exchange_rate_that_is_no_rate_is_refused(aud_per_usd_micros: Any) -> None:
    document = deepcopy(DOCUMENT)
    document["exchange_rates"][0]["aud_per_usd_micros"] = aud_per_usd_micros
    with pytest.raises(InvariantBroken):
        parse_catalogues(document)
