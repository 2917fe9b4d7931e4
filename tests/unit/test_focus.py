"""FOCUS lines and statement files: every micro comes back, the same entries give the same bytes."""

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterable
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.amounts import micros_of
from shared.domain.entries import Entry, read_entry
from shared.domain.focus import COLUMNS, canonical, charge_line, csv_lines
from shared.domain.ids import Partition
from shared.domain.statements import (
    Statement,
    StatementWriter,
    bill_of,
    read_statement,
    statement_document,
)
from tests.synthetic_spend import PEOPLE, TENANT, adjustment, department_entries, resolution

BILL = bill_of(TENANT, Partition("marketing", "202611"), date(2026, 11, 1), date(2026, 12, 1))
COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
SIGNED = st.integers(-(2**53 - 1), 2**53 - 1)
LATE = adjustment(7, kind="late", refers_to="202610-marketing-1", amount_micros=-1_540_000)


async def streamed(entries: Iterable[Entry]) -> AsyncIterator[Entry]:
    for entry in entries:
        yield entry


async def written(entries: list[Entry], file: str) -> tuple[bytes, Statement]:
    writer = StatementWriter(BILL, "202611", "2026-12-01T08:00:00+00:00", PEOPLE[0])
    body = b"".join([part async for part in writer.written(streamed(entries), file)])
    return body, writer.statement()


def from_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_line_has_every_column_in_its_order() -> None:
    for document in (resolution(1), adjustment(1)):
        assert tuple(charge_line(read_entry(document), BILL)) == COLUMNS
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert all(name.startswith("x_") or name[0].isupper() for name in COLUMNS)


def test_usage_line_says_what_was_generated_and_for_how_much() -> None:
    entry = read_entry(resolution(1, project_id="apollo", usd_micros=20_000, amount_micros=30_800))
    line = charge_line(entry, BILL)
    assert line["ChargeCategory"] == "Usage" and line["ChargeClass"] is None
    assert (line["BilledCost"], line["ListCost"]) == ("0.030800", "0.061600")
    assert line["PricingCurrencyEffectiveCost"] == "0.020000"
    assert line["ChargePeriodStart"] == "2026-11-15T00:00:00Z"
    assert line["ChargePeriodEnd"] == "2026-11-16T00:00:00Z"
    assert line["BillingPeriodEnd"] == "2026-12-01T00:00:00Z"  # exclusive, as FOCUS has it
    assert line["Tags"] == {"user": PEOPLE[0].split(".")[1], "project": "apollo"}


def test_unit_price_times_quantity_is_the_cost() -> None:
    line = charge_line(read_entry(resolution(1)), BILL)
    quantity = line["PricingQuantity"]
    assert isinstance(quantity, int)
    for price, cost in (("ContractedUnitPrice", "ContractedCost"), ("ListUnitPrice", "ListCost")):
        assert Decimal(str(line[price])) * quantity == Decimal(str(line[cost]))


@pytest.mark.parametrize(
    ("document", "category", "charge_class"),
    [
        (resolution(1), "Usage", None),
        (adjustment(1), "Adjustment", None),
        (adjustment(1, kind="surcharge", amount_micros=1), "Adjustment", None),
        (LATE, "Adjustment", "Correction"),
    ],
)
def test_only_what_corrects_an_issued_statement_is_a_correction(
    document: dict[str, object], category: str, charge_class: str | None
) -> None:
    line = charge_line(read_entry(document), BILL)
    assert (line["ChargeCategory"], line["ChargeClass"]) == (category, charge_class)


@given(st.lists(SIGNED, max_size=20))
def test_csv_carries_every_micro_back(amounts: list[int]) -> None:
    documents = [
        resolution(n, amount_micros=a, usd_micros=a, list_usd_micros=a)
        if a >= 0
        else adjustment(n, amount_micros=a, usd_micros=a)
        for n, a in enumerate(amounts)
    ]
    lines = [charge_line(read_entry(document), BILL) for document in documents]
    found = from_csv("".join(csv_lines(lines)))
    for name in COSTS:
        assert [micros_of(line[name]) for line in found] == amounts
    assert [int(line["x_AmountMicros"]) for line in found] == amounts
    for line, original in zip(found, lines, strict=True):
        assert json.loads(line["Tags"]) == original["Tags"]
        for name in ("x_EntryId", "SkuId", "ResourceId", "ChargePeriodStart", "BillingCurrency"):
            assert line[name] == (original[name] or "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_of_others_does_not_calculate_in_a_spreadsheet(start: str) -> None:
    entry = read_entry(resolution(1, model=f"{start}cmd|' /C calc'!A0", price_version=None))
    (line,) = from_csv("".join(csv_lines([charge_line(entry, BILL)])))
    assert line["SkuId"].startswith("'")
    assert line["ChargeDescription"].startswith("'")


def test_amount_below_zero_stays_a_number() -> None:
    (line,) = from_csv("".join(csv_lines([charge_line(read_entry(LATE), BILL)])))
    assert line["BilledCost"] == "-1.540000"
    assert line["x_AmountMicros"] == "-1540000"


def test_canonical_line_does_not_depend_on_the_order_of_its_fields() -> None:
    line = charge_line(read_entry(resolution(1)), BILL)
    assert canonical(dict(reversed(line.items()))) == canonical(line)


async def test_files_and_statement_say_the_same() -> None:
    entries = [*department_entries(3, date(2026, 11, 1), 6, 60), read_entry(LATE)]
    text, statement = await written(entries, "json")
    table, again = await written(entries, "csv")
    assert statement == again
    document = json.loads(text)
    total = sum(entry.amount_micros for entry in entries)
    assert statement.totals.amount_micros == total
    assert document["statement"]["totals"]["amount_micros"] == total
    assert sum(line["x_AmountMicros"] for line in document["lines"]) == total
    assert sum(micros_of(line["BilledCost"]) for line in from_csv(table.decode())) == total
    assert statement.totals.entries == len(entries) == len(document["lines"])
    assert statement.adjustments == 1
    recomputed = hashlib.sha256(b"".join(canonical(line) for line in document["lines"]))
    assert recomputed.hexdigest() == statement.lines_sha256
    assert hashlib.sha256(text).hexdigest() == statement.json_sha256
    assert hashlib.sha256(table).hexdigest() == statement.csv_sha256


async def test_writing_again_gives_the_same_bytes_and_another_entry_others() -> None:
    entries = department_entries(3, date(2026, 11, 2), 2, 20)
    first, statement = await written(entries, "json")
    assert (await written(entries, "json")) == (first, statement)
    _, other = await written(entries[:-1], "json")
    assert other.lines_sha256 != statement.lines_sha256


async def test_statement_without_entries_is_a_statement() -> None:
    text, statement = await written([], "json")
    assert json.loads(text)["lines"] == []
    assert statement.totals.amount_micros == 0
    assert from_csv((await written([], "csv"))[0].decode()) == []


async def test_stored_statement_is_read_back_as_it_was() -> None:
    _, statement = await written(department_entries(5, date(2026, 11, 2), 1, 10), "csv")
    stored = json.loads(json.dumps(statement_document(statement)))
    assert read_statement(stored) == statement
