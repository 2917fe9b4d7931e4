"""The Ledger port, how holds end: the same suite on the fake and on the SDK."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.attempts import Failure
from shared.domain.ledger import RESOLVE_ROWS_MAX
from shared.errors import InvariantBroken, Unavailable
from tests import builders
from tests.contract import ledger_bench
from tests.contract.ledger_bench import LIMIT_MICROS, PRICE_MICROS, Bench

connection, bench = ledger_bench.connection, ledger_bench.bench  # fixtures, found by their names


async def test_resolve_settles_the_cost_and_frees_the_rest(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    await bench.resolve(work.operation_id, builders.resolution(work, usd_micros=20_000))
    assert await bench.counters() == [(0, 20_000), (0, 20_000)]
    record = await bench.must_read(f"g:{work.generation_id}")
    assert (record["status"], record["cost"]["amount_micros"]) == ("succeeded", 20_000)
    hold = await bench.must_read(f"h:{work.operation_id}")
    assert (hold["remaining_micros"], hold["open_rows"]) == (0, 0)


async def test_resolve_at_no_cost_frees_everything(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    ended = builders.resolution(work, "ended", failure=Failure.INVALID_REQUEST)
    await bench.resolve(work.operation_id, ended)
    assert await bench.counters() == [(0, 0), (0, 0)]


async def test_resolve_twice_counts_once_and_keeps_the_first_end(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    await bench.resolve(work.operation_id, builders.resolution(work, usd_micros=20_000))
    await bench.resolve(work.operation_id, builders.resolution(work, usd_micros=50_000))
    assert await bench.counters() == [(0, 20_000), (0, 20_000)]


async def test_resolve_by_many_at_once_counts_once(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    end = builders.resolution(work, usd_micros=20_000)
    await asyncio.gather(*(bench.resolve(work.operation_id, end) for _ in range(8)))
    assert await bench.counters() == [(0, 20_000), (0, 20_000)]


async def test_resolve_without_a_readable_hold_is_unavailable(bench: Bench) -> None:
    work = bench.single()
    with pytest.raises(Unavailable):
        await bench.resolve(work.operation_id, builders.resolution(work))


async def test_resolve_of_more_than_was_held_is_an_invariant_broken(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    end = replace(builders.resolution(work), held_micros=PRICE_MICROS + 1)
    with pytest.raises(InvariantBroken):
        await bench.resolve(work.operation_id, end)
    assert await bench.counters() == [(PRICE_MICROS, 0)] * 2


async def test_resolve_of_a_whole_batch_counts_rows_images_and_cost(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(10_000, 20_000, 30_000)
    ends = [
        builders.resolution(work[0], usd_micros=9_000),
        builders.resolution(work[1], "ended", failure=Failure.CONTENT_REJECTED, usd_micros=1_000),
        builders.resolution(work[2], "canceled", failure=Failure.CANCELED),
    ]
    await bench.resolve(batch_id, *ends)
    batch = await bench.must_read(f"batch:{batch_id}")
    assert batch["counts"] == {
        "succeeded": 1,
        "refused": 1,
        "failed": 0,
        "canceled": 1,
        "indeterminate": 0,
    }
    assert (batch["images"], batch["spent_micros"]) == (1, 10_000)
    assert await bench.counters() == [(0, 10_000), (0, 10_000)]


async def test_resolve_of_one_row_leaves_the_others_reserved(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(10_000, 20_000, 30_000)
    await bench.resolve(batch_id, builders.resolution(work[1], usd_micros=20_000))
    assert await bench.counters() == [(40_000, 20_000)] * 2
    hold = await bench.must_read(f"h:{batch_id}")
    assert (hold["remaining_micros"], hold["open_rows"]) == (40_000, 2)


async def test_resolve_of_a_partly_resolved_wave_ends_the_rest(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(10_000, 20_000, 30_000)
    ends = [builders.resolution(each, usd_micros=each.quote.usd_micros) for each in work]
    await bench.resolve(batch_id, ends[1])
    await bench.resolve(batch_id, *ends)
    assert await bench.counters() == [(0, 60_000)] * 2
    assert (await bench.must_read(f"batch:{batch_id}"))["counts"]["succeeded"] == 3


async def test_resolve_of_the_largest_wave_fits_one_transaction(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(*[10_000] * RESOLVE_ROWS_MAX)
    ends = [
        builders.resolution(each, usd_micros=20_000)  # above the hold: each opens a case
        for each in work
    ]
    await bench.resolve(batch_id, *ends)
    assert await bench.counters() == [(0, RESOLVE_ROWS_MAX * 10_000)] * 2
    assert (await bench.must_read(f"case:{work[0].generation_id}"))["open"] is True


async def test_overlapping_waves_at_once_count_every_row_once(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(*[10_000] * 6)
    ends = [builders.resolution(each, usd_micros=5_000) for each in work]
    await asyncio.gather(
        bench.resolve(batch_id, *ends[:4]),
        bench.resolve(batch_id, *ends[2:]),
        bench.resolve(batch_id, *ends),
    )
    assert await bench.counters() == [(0, 30_000)] * 2
    assert (await bench.must_read(f"batch:{batch_id}"))["counts"]["succeeded"] == 6


async def test_note_unknown_keeps_the_money_reserved(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    await bench.note_unknown(work)
    assert await bench.counters() == [(PRICE_MICROS, 0)] * 2
    assert (await bench.must_read(f"g:{work.generation_id}"))["status"] == "indeterminate"


async def test_note_unknown_of_a_row_twice_counts_it_once(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(10_000, 20_000)
    await bench.note_unknown(work[0])
    await bench.note_unknown(work[0])
    assert (await bench.must_read(f"batch:{batch_id}"))["counts"]["indeterminate"] == 1


async def test_note_unknown_again_after_the_relay_took_its_event_changes_nothing(
    bench: Bench,
) -> None:
    batch_id, work = await bench.reserve_batch(10_000, 20_000)
    await bench.note_unknown(work[0])
    await bench.relay(f"e:{work[0].generation_id}:generation.indeterminate")
    await bench.note_unknown(work[0])
    assert (await bench.must_read(f"batch:{batch_id}"))["counts"]["indeterminate"] == 1


async def test_note_unknown_of_a_row_that_has_ended_changes_nothing(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(10_000, 20_000)
    await bench.resolve(batch_id, builders.resolution(work[0], usd_micros=10_000))
    await bench.note_unknown(work[0])
    assert (await bench.must_read(f"batch:{batch_id}"))["counts"]["indeterminate"] == 0
    assert (await bench.must_read(f"g:{work[0].generation_id}"))["status"] == "succeeded"


async def test_note_unknown_of_a_generation_that_has_ended_changes_nothing(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    await bench.resolve(work.operation_id, builders.resolution(work, usd_micros=20_000))
    await bench.note_unknown(work)
    assert (await bench.must_read(f"g:{work.generation_id}"))["status"] == "succeeded"


async def test_resolve_of_an_unknown_row_moves_its_count(bench: Bench) -> None:
    batch_id, work = await bench.reserve_batch(10_000, 20_000)
    await bench.note_unknown(work[0])
    ends = [builders.resolution(each, usd_micros=each.quote.usd_micros) for each in work]
    await bench.resolve(batch_id, *ends)
    batch = await bench.must_read(f"batch:{batch_id}")
    assert (batch["counts"]["succeeded"], batch["counts"]["indeterminate"]) == (2, 0)
    assert (await bench.must_read(f"g:{work[0].generation_id}"))["status"] == "succeeded"
    assert await bench.counters() == [(0, 30_000)] * 2


async def test_resolve_of_an_unknown_single_generation_ends_it(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    await bench.note_unknown(work)
    await bench.resolve(work.operation_id, builders.resolution(work, usd_micros=20_000))
    assert await bench.counters() == [(0, 20_000)] * 2
    assert (await bench.must_read(f"g:{work.generation_id}"))["status"] == "succeeded"


async def test_note_event_is_kept_once(bench: Bench) -> None:
    event = builders.event(bench.single().operation_id, "admission.denied")
    await bench.ledger.note_event(bench.partition, event)
    await bench.ledger.note_event(bench.partition, event)
    kept = await bench.must_read(f"e:{event.event_id}")
    assert kept["event"] == event.as_json()


async def test_counters_are_the_sum_of_the_entries_after_mixed_work(bench: Bench) -> None:
    await bench.open(department_micros=LIMIT_MICROS, user_micros=LIMIT_MICROS)
    singles = [bench.single(f"s-{n}", price_micros=10_000 + n) for n in range(8)]
    await asyncio.gather(*(bench.reserve(work) for work in singles))
    await asyncio.gather(
        *(
            bench.resolve(work.operation_id, builders.resolution(work, usd_micros=1_000 + n))
            for n, work in enumerate(singles[:5])
        )
    )
    reserved = sum(work.quote.amount_micros for work in singles[5:])
    spent = sum(1_000 + n for n in range(5))
    assert await bench.counters() == [(reserved, spent)] * 2
    held = [await bench.must_read(f"h:{work.operation_id}") for work in singles]
    assert sum(hold["remaining_micros"] for hold in held) == reserved
    entries = [await bench.must_read(f"x:{work.generation_id}") for work in singles[:5]]
    assert sum(entry["amount_micros"] for entry in entries) == spent
