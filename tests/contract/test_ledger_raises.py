"""Raises of a hold by an attempt that may cost more: one suite on the fake and on the SDK."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.attempt_markers import AttemptMarker
from shared.domain.work import WorkItem
from shared.errors import BudgetExceeded, Unavailable
from tests import builders
from tests.contract import ledger_bench
from tests.contract.ledger_bench import PRICE_MICROS, Bench

connection, bench = ledger_bench.connection, ledger_bench.bench  # fixtures, found by their names

RAISED = 300


def raising(work: WorkItem, holder: str = "w-1", attempt: int = 2) -> AttemptMarker:
    marker = builders.marker(work, attempt, holder=holder)
    return replace(
        marker, candidate=1, raised_micros=RAISED, held_micros=PRICE_MICROS + RAISED, lines=({},)
    )


async def test_a_raise_is_committed_with_its_marker(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    marker = raising(work)
    assert await bench.ledger.begin_attempt(marker) == marker
    assert await bench.ledger.begin_attempt(raising(work, "w-2")) == marker
    hold = await bench.must_read(f"h:{work.operation_id}")
    held = PRICE_MICROS + RAISED
    assert (hold["amount_micros"], hold["remaining_micros"], hold["open_rows"]) == (held, held, 1)
    assert await bench.counters() == [(held, 0), (held, 0)]
    event = (await bench.must_read(f"e:{work.generation_id}:generation.raised.2"))["event"]
    assert event["correlation_id"] == work.correlation_id
    assert event["details"] == {
        "attempt": 2,
        "candidate": 1,
        "raised_micros": RAISED,
        "held_micros": held,
    }


async def test_a_raise_beyond_a_budget_changes_nothing(bench: Bench) -> None:
    await bench.open(user_micros=PRICE_MICROS + RAISED - 1)
    work = bench.single()
    await bench.reserve(work)
    with pytest.raises(BudgetExceeded) as refusal:
        await bench.ledger.begin_attempt(raising(work))
    assert refusal.value.extra["scope"].startswith("user:")
    assert refusal.value.extra["needed_micros"] == RAISED
    assert await bench.read(raising(work).document_id) is None
    assert await bench.read(f"e:{work.generation_id}:generation.raised.2") is None
    hold = await bench.must_read(f"h:{work.operation_id}")
    assert hold["remaining_micros"] == PRICE_MICROS
    assert await bench.counters() == [(PRICE_MICROS, 0), (PRICE_MICROS, 0)]
    stopped = builders.marker(work, 2, "canceller", "c-1")
    assert await bench.ledger.begin_attempt(stopped) == stopped


async def test_a_raise_by_many_at_once_is_made_once(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    markers = [raising(work, f"w-{n}") for n in range(12)]
    standing = await asyncio.gather(*(bench.ledger.begin_attempt(each) for each in markers))
    assert len({each.holder for each in standing}) == 1
    assert (await bench.counters())[0] == (PRICE_MICROS + RAISED, 0)


async def test_a_raise_after_the_place_was_taken_raises_nothing(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    stopped = builders.marker(work, 2, "sweeper", "s-1")
    await bench.ledger.begin_attempt(stopped)
    assert await bench.ledger.begin_attempt(raising(work)) == stopped
    assert (await bench.counters())[0] == (PRICE_MICROS, 0)


async def test_a_raise_without_a_hold_is_refused(bench: Bench) -> None:
    await bench.open()
    with pytest.raises(Unavailable):
        await bench.ledger.begin_attempt(raising(bench.single()))


async def test_a_raised_hold_is_settled_as_a_whole(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    await bench.ledger.begin_attempt(raising(work))
    line = builders.resolution(work, usd_micros=PRICE_MICROS).lines[0]
    end = builders.resolution(
        work,
        usd_micros=RAISED,
        attempt=2,
        lines=(line,),
        held_micros=PRICE_MICROS + RAISED,
    )
    await bench.resolve(work.operation_id, end)
    assert await bench.counters() == [(0, PRICE_MICROS + RAISED)] * 2
    entry = await bench.must_read(f"x:{work.generation_id}")
    assert entry["raised_micros"] == RAISED
    assert [each["amount_micros"] for each in entry["lines"]] == [PRICE_MICROS, RAISED]
    record = await bench.must_read(f"g:{work.generation_id}")
    assert [each["attempt"] for each in record["lines"]] == [1, 2]
