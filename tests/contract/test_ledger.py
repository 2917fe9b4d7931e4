"""The Ledger port: one suite over the fake container and over the real SDK with an account."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection, read_or_none
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.attempts import Failure
from shared.domain.budgets import Scope, charged_scopes
from shared.domain.identity import Caller
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import RESOLVE_ROWS_MAX, Document, Resolution
from shared.domain.settlements import unknown_event, unknown_record
from shared.domain.work import WorkItem
from shared.errors import (
    BudgetExceeded,
    IdempotencyKeyReused,
    InvariantBroken,
    PeriodNotOpen,
)
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.fakes.cosmos_container import FakeConnection

LIMIT_MICROS = 1_000_000
PRICE_MICROS = 60_000
RACERS = 64


@dataclass
class Bench:
    """A ledger and a department of its own, so that no test sees another's money."""

    ledger: CosmosLedger
    connection: CosmosConnection
    partition: Partition
    owner: Caller

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return charged_scopes(self.partition.department_id, self.owner.key)

    def single(self, seed: str = "one", price_micros: int = PRICE_MICROS) -> WorkItem:
        generation_id = operation_id(self.partition, seed)
        return builders.item(generation_id, quote=builders.quote(price_micros), owner=self.owner)

    def batch(self, *prices_micros: int, seed: str = "batch") -> tuple[str, list[WorkItem]]:
        batch_id = operation_id(self.partition, seed)
        return batch_id, builders.rows(batch_id, list(prices_micros), self.owner)

    async def open(
        self, department_micros: int = LIMIT_MICROS, user_micros: int = LIMIT_MICROS
    ) -> None:
        limits = dict(zip(self.scopes, (department_micros, user_micros), strict=True))
        await self.ledger.open_period(self.partition, limits)

    async def reserve(self, work: WorkItem, **changes: Any) -> bool:
        return await self.ledger.reserve(builders.reservation(work, **changes))

    async def reserve_batch(self, *prices_micros: int) -> tuple[str, list[WorkItem]]:
        await self.open()
        batch_id, work = self.batch(*prices_micros)
        await self.ledger.reserve(builders.batch_reservation(batch_id, work))
        return batch_id, work

    async def resolve(self, operation: str, *resolutions: Resolution) -> None:
        await self.ledger.resolve(operation, resolutions)

    async def note_unknown(self, work: WorkItem) -> None:
        report = builders.report(work, "unknown", reason="no answer")
        event = unknown_event(work, report, builders.CLOSED_AT)
        await self.ledger.note_unknown(unknown_record(work, report), event)

    async def read(self, document_id: str) -> Document | None:
        container = self.connection.container("ledger")
        return await read_or_none(container, document_id, self.partition.key)

    async def must_read(self, document_id: str) -> Document:
        found = await self.read(document_id)
        assert found is not None, document_id
        return found

    async def counters(self) -> list[tuple[int, int]]:
        """(reserved, spent) of the department and of the user."""
        found = [await self.ledger.budget(self.partition, scope) for scope in self.scopes]
        return [(each.reserved_micros, each.spent_micros) for each in found if each]


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[CosmosConnection]:
    if request.param == "fake":
        yield FakeConnection().as_connection()
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        opened = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield opened
        await opened.aclose()


@pytest.fixture
def bench(connection: CosmosConnection) -> Bench:
    department_id = f"d{uuid.uuid4().hex[:12]}"
    owner = builders.caller(1, department_id)
    partition = Partition(department_id, "202611")
    return Bench(CosmosLedger(connection), connection, partition, owner)


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
    }
    assert await bench.counters() == [(0, 0), (0, 0)]
    assert await bench.ledger.hold(work.operation_id) is None
    assert await bench.read(f"g:{work.generation_id}") is None


async def test_reserve_before_the_period_is_open_is_refused(bench: Bench) -> None:
    with pytest.raises(PeriodNotOpen):
        await bench.reserve(bench.single())
    assert await bench.ledger.hold(bench.single().operation_id) is None


async def test_reserve_without_the_users_budget_names_the_user(bench: Bench) -> None:
    await bench.ledger.open_period(bench.partition, {bench.scopes[0]: LIMIT_MICROS})
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


async def test_resolve_without_a_hold_is_an_invariant_broken(bench: Bench) -> None:
    work = bench.single()
    with pytest.raises(InvariantBroken):
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
    await _relay(bench, f"e:{work[0].generation_id}:generation.indeterminate")
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


async def _relay(bench: Bench, outbox_id: str) -> None:
    """What the audit relay does once it has copied an event."""
    await bench.connection.container("ledger").delete_item(
        outbox_id, partition_key=bench.partition.key
    )
