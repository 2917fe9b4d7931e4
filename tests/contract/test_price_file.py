"""The price catalogue that ships, and files that must not be taken for one."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.price_file import PRICES_PATH, load_catalogues
from shared.domain.models import MODELS
from shared.errors import InvariantBroken
from tests import builders


@pytest.fixture
def document() -> dict[str, Any]:
    """The document that ships, to be damaged."""
    loaded: dict[str, Any] = json.loads(PRICES_PATH.read_text("utf-8"))
    return loaded


# Quotes name these versions and are billed by them: they may never be edited. A new price is a new
# version with a line of its own here.
PINNED = {
    "2026-08-11": "f68c1517ff4e4859",
    "2026-10-07": "8a0e6dd28a61420c",
    "2026-11-14": "ccc93fb9c1c00adb",
}
RATES_PINNED = {"2026-08-01": 1_540_000, "2026-11-20": 1_540_000}


def test_catalogues_that_ship_are_the_ones_the_other_suites_use() -> None:
    assert load_catalogues() == builders.catalogues()


def test_versions_that_shipped_are_as_they_were(document: dict[str, Any]) -> None:
    digests = {
        each["version"]: hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest()[:16]
        for each in document["prices"]
    }
    assert digests == PINNED
    rates = {each["version"]: each["aud_per_usd_micros"] for each in document["exchange_rates"]}
    assert rates == RATES_PINNED


def test_catalogues_that_ship_price_every_model_at_its_defaults() -> None:
    catalogue = load_catalogues().at(datetime(2026, 11, 22, tzinfo=UTC))
    for model in MODELS:
        assert catalogue.quote(builders.request(model)).amount_micros > 0


def test_catalogues_that_ship_say_where_every_price_is_from() -> None:
    for version in load_catalogues().prices:
        for row in version.rows:
            assert row.model in MODELS
            assert row.source
            assert row.as_of <= version.as_of


def test_catalogues_that_ship_hold_no_float() -> None:
    def refuse(number: str) -> float:
        raise AssertionError(f"{number} is a float")

    json.loads(PRICES_PATH.read_text("utf-8"), parse_float=refuse)


def test_catalogues_are_read_from_another_path(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "prices.json"
    document["prices"][0]["version"] = "größer"
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    assert load_catalogues(path).prices[0].version == "größer"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"prices"',
        b"{}",
        b"\xff\xfe",
        b'{"prices": [], "exchange_rates": []}',
    ],
)
def test_catalogue_that_is_no_catalogue_is_a_broken_invariant(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(body)
    with pytest.raises(InvariantBroken):
        load_catalogues(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"usd_micros": 0},
        {"usd_micros": -1},
        {"usd_micros": 0.5},
        {"usd_micros": "5"},
        {"usd_micros": True},
        {"usd_micros": None},
        {"colour": "red"},
        {"unit": "second", "seconds_max": None},
    ],
)
def test_catalogue_with_a_row_that_is_no_price_is_a_broken_invariant(
    tmp_path: Path, document: dict[str, Any], changes: dict[str, Any]
) -> None:
    path = tmp_path / "prices.json"
    document["prices"][0]["rows"][0] |= changes
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(InvariantBroken):
        load_catalogues(path)


def test_catalogue_that_is_missing_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"prices\.json"):
        load_catalogues(tmp_path / "prices.json")
