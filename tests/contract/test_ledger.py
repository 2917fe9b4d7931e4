"""The Ledger port, setting money aside and leave to call: one suite on the fake and on the SDK."""

import asyncio

import pytest

from shared.errors import (
    BudgetExceeded,
    IdempotencyKeyReused,
    InvariantBroken,
    PeriodNotOpen,
    Unavailable,
)
from tests import builders
from tests.contract import ledger_bench
from tests.contract.ledger_bench import LIMIT_MICROS, PRICE_MICROS, Bench

connection, bench = ledger_bench.connection, ledger_bench.bench  # fixtures, found by their names

RACERS = 64


async def test_reserve_moves_the_price_to_reserved_in_every_scope(bench: Bench) -> None:
    await bench.open()
    assert await bench.reserve(bench.single()) is True
    assert await bench.counters() == [(PRICE_MICROS, 0), (PRICE_MICROS, 0)]


async def test_reserve_writes_hold_record_and_event_together(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    hold = await bench.ledger.hold(work.operation_id)
    assert hold == builders.hold(work)
    assert (await bench.must_read(f"g:{work.generation_id}"))["status"] == "queued"
    event = (await bench.must_read(f"e:{work.generation_id}:generation.admitted"))["event"]
    assert event["outcome"] == "success"


async def test_reserve_repeated_with_the_same_hash_changes_nothing(bench: Bench) -> None:
    await bench.open()
    await bench.reserve(bench.single())
    assert await bench.reserve(bench.single()) is False
    assert await bench.counters() == [(PRICE_MICROS, 0), (PRICE_MICROS, 0)]


async def test_reserve_repeated_with_another_hash_is_refused(bench: Bench) -> None:
    await bench.open()
    await bench.reserve(bench.single())
    with pytest.raises(IdempotencyKeyReused):
        await bench.reserve(bench.single(), request_hash="another")
    assert await bench.counters() == [(PRICE_MICROS, 0), (PRICE_MICROS, 0)]


async def test_reserve_repeated_after_the_budget_is_used_up_is_still_a_repeat(
    bench: Bench,
) -> None:
    await bench.open(department_micros=PRICE_MICROS)
    await bench.reserve(bench.single())
    assert await bench.reserve(bench.single()) is False


async def test_reserve_fits_exactly_to_the_last_micro(bench: Bench) -> None:
    await bench.open(department_micros=2 * PRICE_MICROS)
    assert await bench.reserve(bench.single("one"))
    assert await bench.reserve(bench.single("two"))
    with pytest.raises(BudgetExceeded):
        await bench.reserve(bench.single("three", price_micros=1))


@pytest.mark.parametrize(
    ("department_micros", "user_micros", "kind"),
    [(PRICE_MICROS - 1, LIMIT_MICROS, "department"), (LIMIT_MICROS, PRICE_MICROS - 1, "user")],
)
async def test_reserve_over_a_limit_names_the_scope_and_writes_nothing(
    bench: Bench, department_micros: int, user_micros: int, kind: str
) -> None:
    await bench.open(department_micros, user_micros)
    work = bench.single()
    with pytest.raises(BudgetExceeded) as refusal:
        await bench.reserve(work)
    scope = next(scope for scope in bench.scopes if scope.kind == kind)
    assert refusal.value.extra == {
        "scope": scope.name,
        "period": "202611",
        "needed_micros": PRICE_MICROS,
        "available_micros": PRICE_MICROS - 1,
        "currency": "AUD",
        "overage": "refuse",
    }
    assert await bench.counters() == [(0, 0), (0, 0)]
    assert await bench.ledger.hold(work.operation_id) is None
    assert await bench.read(f"g:{work.generation_id}") is None


async def test_reserve_before_the_period_is_open_is_refused(bench: Bench) -> None:
    with pytest.raises(PeriodNotOpen):
        await bench.reserve(bench.single())
    assert await bench.ledger.hold(bench.single().operation_id) is None


async def test_reserve_without_the_users_budget_names_the_user(bench: Bench) -> None:
    limits = {bench.scopes[0]: LIMIT_MICROS}
    await builders.open_budgets(bench.connection, bench.partition, limits)
    with pytest.raises(PeriodNotOpen, match="user:"):
        await bench.reserve(bench.single())


async def test_reserve_of_nothing_is_an_invariant_broken(bench: Bench) -> None:
    await bench.open()
    with pytest.raises(InvariantBroken):
        await bench.reserve(bench.single(price_micros=0))


async def test_reserve_by_many_at_once_never_exceeds_the_limit(bench: Bench) -> None:
    fits = 10
    await bench.open(department_micros=fits * PRICE_MICROS + PRICE_MICROS // 2)
    answers = await asyncio.gather(
        *(bench.reserve(bench.single(f"racer-{n}")) for n in range(RACERS)),
        return_exceptions=True,
    )
    assert answers.count(True) == fits
    assert sum(isinstance(answer, BudgetExceeded) for answer in answers) == RACERS - fits
    assert await bench.counters() == [(fits * PRICE_MICROS, 0)] * 2


async def test_reserve_of_one_key_by_many_at_once_holds_once(bench: Bench) -> None:
    await bench.open()
    answers = await asyncio.gather(*(bench.reserve(bench.single()) for _ in range(16)))
    assert answers.count(True) == 1
    assert await bench.counters() == [(PRICE_MICROS, 0)] * 2


async def test_open_period_again_keeps_limit_and_counters(bench: Bench) -> None:
    await bench.open()
    await bench.reserve(bench.single())
    await bench.open(department_micros=5, user_micros=5)
    budget = await bench.ledger.budget(bench.partition, bench.scopes[0])
    assert budget is not None
    assert (budget.limit_micros, budget.reserved_micros) == (LIMIT_MICROS, PRICE_MICROS)


async def test_budget_of_a_closed_period_is_none(bench: Bench) -> None:
    assert await bench.ledger.budget(bench.partition, bench.scopes[0]) is None


async def test_barred_operation_is_never_reserved(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    for _ in range(2):
        assert await bench.ledger.bar(work.operation_id, builders.CREATED_AT)
    with pytest.raises(Unavailable):
        await bench.reserve(work)
    assert await bench.ledger.hold(work.operation_id) is None
    assert await bench.counters() == [(0, 0)] * 2


async def test_operation_that_was_reserved_is_not_barred(bench: Bench) -> None:
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    assert not await bench.ledger.bar(work.operation_id, builders.CREATED_AT)
    assert await bench.ledger.hold(work.operation_id) is not None


async def test_hold_of_an_unknown_operation_is_none(bench: Bench) -> None:
    assert await bench.ledger.hold(bench.single().operation_id) is None


async def test_begin_attempt_returns_the_marker_that_was_made(bench: Bench) -> None:
    marker = builders.marker(bench.single())
    assert await bench.ledger.begin_attempt(marker) == marker


async def test_begin_attempt_against_a_standing_marker_returns_the_first(bench: Bench) -> None:
    work = bench.single()
    first = builders.marker(work, owner="sweeper", holder="s-1")
    await bench.ledger.begin_attempt(first)
    assert await bench.ledger.begin_attempt(builders.marker(work, holder="w-2")) == first


async def test_begin_attempt_by_many_at_once_has_one_winner(bench: Bench) -> None:
    work = bench.single()
    markers = [builders.marker(work, holder=f"w-{n}") for n in range(16)]
    standing = await asyncio.gather(*(bench.ledger.begin_attempt(m) for m in markers))
    assert len({marker.holder for marker in standing}) == 1


async def test_attempts_of_one_generation_have_markers_of_their_own(bench: Bench) -> None:
    work = bench.single()
    await bench.ledger.begin_attempt(builders.marker(work, attempt=1))
    second = builders.marker(work, attempt=2, holder="w-2")
    assert await bench.ledger.begin_attempt(second) == second


async def test_record_job_and_outcome_stay_with_the_marker(bench: Bench) -> None:
    work = bench.single()
    marker = await bench.ledger.begin_attempt(builders.marker(work))
    await bench.ledger.record_job(marker, "job-1")
    await bench.ledger.record_outcome(marker, {"ending": "ended", "usd_micros": 5})
    standing = await bench.ledger.begin_attempt(builders.marker(work, holder="w-2"))
    assert standing.job_id == "job-1"
    assert standing.outcome == {"ending": "ended", "usd_micros": 5}
