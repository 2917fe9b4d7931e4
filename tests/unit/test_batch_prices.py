"""The provider's batch price as data, and what it means for an entry and its batch."""

import pytest

from shared.domain.ledger import OPERATIONS_MAX, Patch, resolve_operations
from shared.domain.price_catalogues import parse_catalogues
from shared.errors import InvariantBroken
from tests import builders

ROW = {"model": "gpt-image-2", "unit": "output_token", "usd_micros": 30, "source": "s"}


@pytest.mark.parametrize(("list_usd_micros", "batch"), [(0, 0), (1, 1), (10, 5), (11, 6)])
def test_batch_price_is_half_rounded_up(list_usd_micros: int, batch: int) -> None:
    assert builders.catalogue().batch_usd_micros("gpt-image-2", list_usd_micros) == batch


def test_batch_price_of_a_model_without_one_is_the_full_price() -> None:
    assert builders.catalogue().batch_usd_micros("sdxl", 11) == 11


@pytest.mark.parametrize("percent", [0, 101, -50])
def test_catalogue_with_a_batch_price_that_is_no_part_is_refused(percent: int) -> None:
    row = {**ROW, "as_of": "2026-08-11", "batch_percent": percent}
    rate = {"version": "x", "aud_per_usd_micros": 1, "as_of": "2026-08-11", "source": "s"}
    prices = [{"version": "p", "as_of": "2026-08-11", "rows": [row]}]
    with pytest.raises(InvariantBroken):
        parse_catalogues({"prices": prices, "exchange_rates": [rate]})


def test_entry_keeps_the_full_price_and_the_batch_adds_up_what_was_saved() -> None:
    batch_id = builders.single_id("batch")
    work = builders.rows(batch_id, [1_000, 1_000])
    cheap = builders.resolution(work[0], usd_micros=400, list_usd_micros=800)
    plain = builders.resolution(work[1], usd_micros=700)
    assert (cheap.saved_micros, plain.saved_micros) == (400, 0)
    operations = resolve_operations(batch_id, (), [cheap, plain], {})
    assert len(operations) < OPERATIONS_MAX
    entries = [op.document for op in operations[:2] if not isinstance(op, Patch)]  # type: ignore[union-attr]
    assert [entry["list_usd_micros"] for entry in entries] == [800, 700]
    progress = operations[-1]
    assert isinstance(progress, Patch)
    assert {"op": "incr", "path": "/saved_micros", "value": 400} in progress.operations
    assert len(progress.operations) <= 10  # Cosmos DB: operations of one patch
