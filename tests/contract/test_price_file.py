"""The price catalogue that ships, and files that must not be taken for one."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.price_file import PRICES_PATH, load_catalogue
from shared.domain.models import MODELS
from shared.errors import InvariantBroken
from tests import builders


@pytest.fixture
def document() -> dict[str, Any]:
    """The document that ships, to be damaged."""
    loaded: dict[str, Any] = json.loads(PRICES_PATH.read_text("utf-8"))
    return loaded


def test_catalogue_that_ships_is_the_one_the_other_suites_use() -> None:
    assert load_catalogue() == builders.catalogue()


def test_catalogue_that_ships_prices_every_model_at_its_defaults() -> None:
    catalogue = load_catalogue()
    for model in MODELS:
        assert catalogue.quote(builders.request(model)).amount_micros > 0


def test_catalogue_that_ships_says_where_every_price_is_from() -> None:
    for row in load_catalogue().rows:
        assert row.model in MODELS
        assert row.source
        assert row.as_of


def test_catalogue_is_read_from_another_path(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "prices.json"
    document["version"] = "größer"
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    assert load_catalogue(path).version == "größer"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"prices"', b"{}", b"\xff\xfe", b'{"rows": []}'],
)
def test_catalogue_that_is_no_catalogue_is_a_broken_invariant(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(body)
    with pytest.raises(InvariantBroken):
        load_catalogue(path)


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
    document["rows"][0] |= changes
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(InvariantBroken):
        load_catalogue(path)


def test_catalogue_that_is_missing_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"prices\.json"):
        load_catalogue(tmp_path / "prices.json")
