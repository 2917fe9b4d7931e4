"""Storage prices: dated, exact, and rounded up once; and the forecast that is made from them."""

import csv
import io
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.lifecycle_file import load_lifecycle
from shared.adapters.storage_price_file import STORAGE_PRICES_PATH, load_storage_prices
from shared.domain.storage_forecasts import MONTHS, Inventory
from shared.domain.storage_prices import GIB, StorageCosts, parse_storage_prices
from shared.domain.storage_tiers import TIERS, StoredBlob, Tier
from shared.errors import Invalid, InvariantBroken

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
PRICES = load_storage_prices().at(NOW)
POLICY = load_lifecycle(tracks_access=False)
TAGS = {"retention": "seven-years", "hold": "none"}


def test_shipped_prices_say_that_they_are_planning_figures() -> None:
    assert PRICES.status == "planning"
    assert "planning" in PRICES.source


def test_prices_are_in_force_from_their_day() -> None:
    with pytest.raises(Invalid):
        load_storage_prices().at(datetime(2026, 7, 31, 23, 59, tzinfo=UTC))
    assert load_storage_prices().at(datetime(2026, 8, 1, tzinfo=UTC)) == PRICES


def test_a_month_of_one_gib_costs_the_price_of_its_tier() -> None:
    for tier, price in PRICES.usd_micros_per_gib_month.items():
        assert PRICES.month_usd_micros(tier, GIB * 30, 30) == price
        assert PRICES.month_usd_micros(tier, 1, 31) == 1  # a started micro
        assert PRICES.month_usd_micros(tier, 0, 28) == 0


def test_rehydration_adds_retrieval_operation_early_deletion_and_days_online() -> None:
    # 22,000 a GiB, 550 for the operation, 90 of 180 days at 2,000 a month, 90 days at 4,500.
    expected = 22_000 + 550 + 6_000 + 13_500
    assert PRICES.rehydration_usd_micros(GIB, "standard", 90, 28) == expected
    assert PRICES.rehydration_usd_micros(GIB, "standard", 90, 120) == expected + 4_500
    assert PRICES.rehydration_usd_micros(GIB, "standard", 400, 28) == expected - 6_000
    assert PRICES.rehydration_usd_micros(0, "high", 0, 28) == 6_500


@given(st.integers(0, 50 * 1024**2), st.integers(0, 400), st.integers(0, 90))
def test_high_priority_is_never_cheaper_and_waiting_never_dearer(
    size_bytes: int, archived_days: int, online_days: int
) -> None:
    one = PRICES.rehydration_usd_micros(size_bytes, "standard", archived_days, online_days)
    assert one > 0
    assert PRICES.rehydration_usd_micros(size_bytes, "high", archived_days, online_days) >= one
    assert (
        PRICES.rehydration_usd_micros(size_bytes, "standard", archived_days + 1, online_days) <= one
    )


def _changed(**changes: Any) -> dict[str, Any]:
    import json

    document = deepcopy(json.loads(STORAGE_PRICES_PATH.read_text("utf-8")))
    document["versions"][0] |= changes
    result: dict[str, Any] = document
    return result


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"versions": []},
        {"versions": _changed()["versions"] * 2},
        _changed(as_of="soon"),
        _changed(status="true"),
        _changed(usd_micros_per_gib_month={"hot": 1}),
        _changed(usd_micros_per_gib_month=dict.fromkeys(TIERS, 1.5)),
        _changed(retrieval={}),
        _changed(more=1),
        _changed(archive_days_min="180"),
    ],
)
def test_malformed_prices_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvariantBroken):
        parse_storage_prices(document)


def stored(
    age_days: int, tier: Tier = "hot", size_bytes: int = 1_000, tags: Mapping[str, str] = TAGS
) -> StoredBlob:
    made = NOW - timedelta(days=age_days)
    return StoredBlob("images/m/p/g/0", tier, size_bytes, made, made, tags)


def inventory(*blobs: StoredBlob) -> Inventory:
    found = Inventory(NOW)
    for each in blobs:
        found.add(each)
    return found


def test_forecast_follows_pictures_from_tier_to_tier() -> None:
    months = inventory(stored(0), stored(0)).forecast(POLICY, "seven-years")
    assert len(months) == MONTHS
    assert (months[0].starts_on, months[-1].ends_before) == (date(2026, 11, 22), date(2027, 11, 22))
    # 22 Nov to 22 Dec: 30 days hot. In the second month day 31 is still hot, then 30 days cool.
    assert months[0].byte_days == {"hot": 2_000 * 30, "cool": 0, "cold": 0, "archive": 0}
    assert months[1].byte_days == {"hot": 2_000, "cool": 2_000 * 30, "cold": 0, "archive": 0}
    assert months[-1].byte_days["archive"] == 2_000 * months[-1].days


def test_forecast_forgets_what_is_deleted_and_keeps_what_is_held() -> None:
    short = TAGS | {"retention": "ninety-days"}
    gone = inventory(stored(0, tags=short)).forecast(POLICY, "indefinite")
    assert sum(gone[4].byte_days.values()) == 0
    held = inventory(stored(0, tags=short | {"hold": "legal"}))
    assert held.held_blobs == 1
    assert sum(held.forecast(POLICY, "indefinite")[-1].byte_days.values()) > 0


def test_growth_repeats_the_last_thirty_days_each_month() -> None:
    found = inventory(stored(10, size_bytes=500), stored(40, size_bytes=9_000))
    assert found.recent_bytes == 500
    months = found.forecast(POLICY, "seven-years")
    for number, month in enumerate(months, start=1):
        added = sum(month.byte_days_with_growth.values()) - sum(month.byte_days.values())
        assert added == 500 * number * month.days


@given(
    st.lists(
        st.tuples(st.integers(0, 3_000), st.sampled_from(TIERS), st.integers(0, 10**9)), max_size=12
    )
)
@settings(max_examples=40, deadline=None)
def test_nothing_is_forecast_that_is_not_stored(blobs: list[tuple[int, Tier, int]]) -> None:
    found = inventory(*(stored(age, tier, size) for age, tier, size in blobs))
    total = sum(size for _, _, size in blobs)
    assert sum(found.size_bytes.values()) == total
    before = total
    for month in found.forecast(POLICY, "seven-years"):
        mean = sum(month.byte_days.values()) // month.days
        assert 0 <= mean <= before  # the rules only take away
        before = mean + 1


def test_costs_are_micro_aud_rounded_up_by_tier() -> None:
    costs = StorageCosts(PRICES, 1_500_000)
    byte_days = {"hot": GIB * 30, "cool": 1, "cold": 0, "archive": 0}
    assert costs.month(byte_days, 30) == 30_000 + 2  # type: ignore[arg-type]  # 1 USD micro is 1.5


def test_csv_can_be_read_back() -> None:
    from shared.domain.storage_views import StorageReport, month_view, storage_csv, tier_views

    found, costs = inventory(stored(0, size_bytes=GIB)), StorageCosts(PRICES, 1_500_000)
    tiers = tier_views(found, costs)
    report = StorageReport(
        department_id="marketing",
        as_of=NOW,
        price_version=PRICES.version,
        price_status=PRICES.status,
        exchange_rate_version="x",
        complete=True,
        tiers=tiers,
        size_bytes=GIB,
        amount_micros=sum(each.amount_micros for each in tiers),
        held_blobs=0,
        growth_bytes_per_month=GIB,
        forecast=tuple(month_view(m, costs) for m in found.forecast(POLICY, "seven-years")),
    )
    rows = list(csv.DictReader(io.StringIO(storage_csv(report))))
    assert [row["month"] for row in rows] == [str(number) for number in range(13)]
    assert (rows[0]["hot_bytes"], rows[0]["amount_micros"]) == (str(GIB), "30000")
