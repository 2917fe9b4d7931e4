"""Provider batches over a fake store and provider: half the price, once, whatever dies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_provider_batches import CosmosProviderBatchClaims
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Usage
from shared.domain.batch_plans import BatchChunk, PlannedQuote, PlannedRow
from shared.domain.budgets import charged_scopes
from shared.domain.ids import operation_id, row_generation_id
from shared.domain.ledger import AttemptMarker
from shared.domain.provider_batches import (
    BatchLine,
    ProviderBatch,
    batched_marker,
    provider_batch_key,
)
from shared.errors import Unavailable
from shared.services.attempts import Attempts
from shared.services.provider_batch_results import SEARCH_TIME, ProviderBatchResults
from shared.services.provider_batches import (
    SUBMITS_MAX,
    Look,
    ProviderBatches,
    ProviderBatchTimes,
)
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.settlements import Settlements
from shared.services.work import WorkItems
from tests import builders
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.batch_provider import FakeBatchProvider
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Crashed, Fault, NoFaults, ScriptedFaults
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import NOT_A_PICTURE, PNG, FakeProvider, Work
from tests.fakes.records import FakeRecords

BATCH_ID = operation_id(builders.PARTITION, "test", "batch")
USD_MICROS = 5_880 + 25  # 196 output tokens and 5 of the prompt
HALF_USD_MICROS = 2_953  # rounded up
USAGE = Usage(input_tokens=5, output_tokens=196, images=1)
DELIVERED = Work(Delivered((), USAGE, request_id="r-1"), USD_MICROS, (PNG,))
BUSY = Work(NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "http_429"), 0)
REFUSED = Work(NotDelivered(Failure.CONTENT_REJECTED, Billed.OUTPUT, "prompt_refused"), 5_880)
WINDOW = timedelta(hours=23)
LIMIT_MICROS = 10_000_000


class Restarts(NoFaults):
    """The process dies at call number `at`, before or after its work; every other call works."""

    def __init__(self, at: int | None = None, fault: Fault = Fault.CRASH_BEFORE) -> None:
        self.calls: list[str] = []
        self._at, self._fault = at, fault

    async def next(self, call: str) -> Fault:
        self.calls.append(call)
        if len(self.calls) - 1 != self._at:
            return Fault.NONE
        if self._fault is Fault.CRASH_BEFORE:
            raise Crashed(call)
        return self._fault


@dataclass
class Bench:
    """The service with a batch of `rows` rows that may wait, reserved at the full price."""

    rows: int = 3
    script: Callable[[BatchLine], Work] = lambda line: DELIVERED
    faults: Any = field(default_factory=NoFaults)
    instant: bool = True
    cancel: bool = False
    frozen_s: float | None = None
    plain_rows: int = 0

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.connection = FakeConnection(self.faults)
        self.container = self.connection.container("ledger")
        connection = self.connection.as_connection()
        self.ledger = CosmosLedger(connection)
        self.records = FakeRecords(self.connection)
        self.files = FakeBatchFiles()
        self.images = FakeImageStore(self.faults)
        self.work = WorkItems(self.records, self.files)
        self.sync = FakeProvider("azure_openai", lambda _: DELIVERED, faults=self.faults)
        self.provider = FakeBatchProvider(
            self.script, self.clock, self.faults, self.instant, before_work=self._check_markers
        )
        claims = CosmosProviderBatchClaims(connection)
        self.results = ProviderBatchResults(self.provider, claims, self.clock)
        self.attempts = Attempts(
            ledger=self.ledger,
            images=self.images,
            providers={"azure_openai": self.sync},
            catalogues=builders.catalogues(),
            gate=ProviderGate({"azure_openai": GateLimit(100, 60_000)}, self.clock),
            clock=self.clock,
            end_user_salt="salt",
            batched=self.results.outcome_of,
        )
        self.settlements = Settlements(self.ledger, self.work, self.clock)
        self.batches = ProviderBatches(
            results=self.results,
            ledger=self.ledger,
            work=self.work,
            attempts=self.attempts,
            settlements=self.settlements,
            is_cancel_requested=self._is_canceled,
            pause_s=self._pause_s,
            times=ProviderBatchTimes(WINDOW, timedelta(seconds=60)),
            clock=self.clock,
        )

    async def _is_canceled(self, batch_id: str) -> bool:
        return self.cancel

    async def _pause_s(self, item: object) -> float | None:
        return self.frozen_s

    def _check_markers(self, line: BatchLine) -> None:
        """I8: nothing is sent without a durable marker that says where its evidence is."""
        found = self.document(f"a:{line.order.generation_id}:{line.order.attempt}")
        assert found["owner"] == "worker"
        assert found["job_id"] == "batch:0"

    async def open(self) -> "Bench":
        wanted = builders.request(quality="low")
        quote = builders.catalogue().quote(wanted)
        priced = PlannedQuote(usd_micros=quote.usd_micros, amount_micros=quote.amount_micros)
        planned = tuple(
            PlannedRow(
                row=number,
                item_id=f"row-{number}",
                request=wanted,
                quote=priced,
                deadline="24h" if number <= self.rows else None,
            )
            for number in range(1, self.rows + self.plain_rows + 1)
        )
        items = [
            builders.item(row_generation_id(BATCH_ID, row.row), wanted, quote, item_id=row.item_id)
            for row in planned
        ]
        owner = items[0].owner
        chunk = BatchChunk(
            batch_id=BATCH_ID,
            plan="plan-1",
            tenant_id=owner.tenant_id,
            department_id=owner.department_id,
            user_key=owner.user_key,
            actor_role="StandardUser",
            correlation_id="c-1",
            created_at=builders.CREATED_AT,
            price_version=quote.price_version,
            exchange_rate_version=quote.exchange_rate_version,
            aud_per_usd_micros=quote.aud_per_usd_micros,
            rows=planned,
        )
        await self.files.put_chunk(0, chunk)
        limits = dict.fromkeys(charged_scopes(owner.department_id, owner.user_key), LIMIT_MICROS)
        connection = self.connection.as_connection()
        await builders.open_budgets(connection, builders.PARTITION, limits)
        await self.ledger.reserve(builders.batch_reservation(BATCH_ID, items))
        return self

    def document(self, document_id: str) -> dict[str, Any]:
        found = self.container.peek(builders.PARTITION.key, document_id)
        assert found is not None, document_id
        return found

    def documents(self, prefix: str) -> list[dict[str, Any]]:
        found = self.container.partitions[builders.PARTITION.key]
        return [found[name] for name in sorted(found) if name.startswith(prefix)]

    async def submit(self) -> Look:
        return await self.batches.submit(BATCH_ID, 0)

    async def look(self, *, stop: bool = False) -> Look:
        return await self.batches.look(BATCH_ID, 0, stop=stop)

    async def collect(self) -> list[tuple[int, int]]:
        return list(await self.batches.collect(BATCH_ID, 0))

    async def go_on(self, left: list[tuple[int, int]], *, stop: bool = False) -> None:
        """What the orchestrator does with the rows that a provider batch left."""
        reports = []
        for row, first in left:
            attempt = first
            item = await self.work.find(row_generation_id(BATCH_ID, row))
            if stop:
                reports.append(await self.attempts.stop(item, "canceller"))
            else:
                report = await self.attempts.run(item, attempt)
                while report.ending in ("retry", "again"):
                    attempt += report.ending == "retry"
                    report = await self.attempts.run(item, attempt)
                reports.append(report)
        if reports:
            await self.settlements.settle(BATCH_ID, reports)

    async def whole(self) -> None:
        """The orchestration from its beginning, as the sweep starts it again after a crash."""
        looked = await self.submit()
        for _ in range(100):
            if looked.stage == "over":
                break
            self.clock.advance(60)
            looked = await self.look()
        await self.go_on(await self.collect())

    def check_books(self) -> None:
        """Each row ended once; the ledger is the invoices; nothing is reserved any more."""
        entries = self.documents("x:")
        assert [entry["row"] for entry in entries] == list(range(1, self.rows + 1))
        synchronous = sum(self.sync.invoice.values())
        billed = sum(self.provider.invoice.values()) + synchronous
        assert sum(entry["usd_micros"] for entry in entries) == billed
        spent = sum(entry["amount_micros"] for entry in entries)
        for budget in self.documents("budget:"):
            assert (budget["reserved_micros"], budget["spent_micros"]) == (0, spent)
        assert self.document(f"h:{BATCH_ID}")["remaining_micros"] == 0


async def test_rows_are_booked_at_half_the_price_with_what_they_saved() -> None:
    bench = await Bench().open()
    await bench.whole()
    bench.check_books()
    (job_id,) = bench.provider.jobs
    entries = bench.documents("x:")
    for entry in entries:
        assert (entry["usd_micros"], entry["list_usd_micros"]) == (HALF_USD_MICROS, USD_MICROS)
        assert entry["job_id"] == f"{job_id}/{entry['row']:05d}-1"
        assert (entry["attempt"], entry["status"], entry["images"]) == (1, "succeeded", 1)
    batch = bench.document(f"batch:{BATCH_ID}")
    rate = entries[0]["aud_per_usd_micros"]
    full = -(-USD_MICROS * rate // 1_000_000)
    assert batch["saved_micros"] == 3 * (full - entries[0]["amount_micros"]) > 0
    assert bench.sync.submitted == {}


async def test_submit_sends_only_the_rows_that_may_wait_under_our_key() -> None:
    bench = await Bench(rows=2, plain_rows=3).open()
    look = await bench.submit()
    assert look == Look("running", False, 60.0, WINDOW.total_seconds())
    (job,) = bench.provider.jobs.values()
    assert job.key == provider_batch_key(BATCH_ID, 0)
    assert [line.custom_id for line in job.lines] == ["00001-1", "00002-1"]
    assert await bench.work.valid_rows(BATCH_ID, 0) == [3, 4, 5]


async def test_submit_delivered_twice_sends_once() -> None:
    bench = await Bench().open()
    first, second = await bench.submit(), await bench.submit()
    assert first.stage == second.stage == "running"
    assert len(bench.provider.jobs) == 1


async def test_lost_answer_is_looked_for_and_not_sent_again() -> None:
    bench = await Bench(faults=ScriptedFaults("submit", Fault.LOST)).open()
    assert (await bench.submit()).stage == "searching"
    assert (await bench.submit()).stage == "running"
    assert len(bench.provider.jobs) == 1
    await bench.whole()
    bench.check_books()


async def test_job_that_is_never_found_goes_on_synchronously_after_the_search_time() -> None:
    bench = await Bench(faults=ScriptedFaults("submit", Fault.CRASH_BEFORE)).open()
    with pytest.raises(Crashed):
        await bench.submit()
    assert (await bench.submit()).stage == "searching"
    assert await bench.collect() == []  # unknown: the money stays reserved
    assert bench.document(f"h:{BATCH_ID}")["remaining_micros"] > 0
    bench.clock.advance(SEARCH_TIME.total_seconds() + 1)
    assert (await bench.look()).stage == "over"
    assert bench.document(f"pb:{BATCH_ID}:0")["status"] == "lost"
    assert await bench.collect() == [(1, 2), (2, 2), (3, 2)]
    await bench.go_on([(1, 2), (2, 2), (3, 2)])
    bench.check_books()
    assert len(bench.sync.submitted) == 3


async def test_expired_rows_go_on_in_the_same_reservation_at_the_full_price() -> None:
    bench = await Bench(instant=False).open()
    await bench.submit()
    (job_id,) = bench.provider.jobs
    bench.provider.finish(job_id, "expired", ["00002-1"])
    assert (await bench.look()).stage == "over"
    left = await bench.collect()
    assert left == [(1, 2), (3, 2)]
    await bench.go_on(left)
    bench.check_books()
    costs = {entry["row"]: entry["usd_micros"] for entry in bench.documents("x:")}
    assert costs == {1: USD_MICROS, 2: HALF_USD_MICROS, 3: USD_MICROS}
    assert [entry["attempt"] for entry in bench.documents("x:")] == [2, 1, 2]
    assert bench.documents("x:")[0]["list_usd_micros"] == USD_MICROS


async def test_window_that_is_over_cancels_the_job_and_keeps_what_it_did() -> None:
    bench = await Bench(instant=False).open()
    await bench.submit()
    (job_id,) = bench.provider.jobs
    bench.provider.jobs[job_id].done = {"00001-1"}
    assert (await bench.look(stop=True)).stage == "running"
    assert bench.provider.canceled == [job_id]
    assert (await bench.look(stop=True)).stage == "over"
    await bench.go_on(await bench.collect())
    bench.check_books()
    assert [entry["usd_micros"] for entry in bench.documents("x:")] == [
        HALF_USD_MICROS, USD_MICROS, USD_MICROS,
    ]  # fmt: skip


async def test_window_is_counted_from_the_claim() -> None:
    bench = await Bench(instant=False).open()
    await bench.submit()
    bench.clock.advance(3_600)
    assert (await bench.submit()).window_s == WINDOW.total_seconds() - 3_600
    bench.clock.advance(86_400)
    assert (await bench.look()).window_s == 0


async def test_cancel_of_ours_cancels_the_job_and_releases_what_was_not_done() -> None:
    bench = await Bench(instant=False).open()
    await bench.submit()
    (job_id,) = bench.provider.jobs
    bench.provider.jobs[job_id].done = {"00003-1"}
    bench.cancel = True
    assert (await bench.look()).cancel_requested
    await bench.go_on(await bench.collect(), stop=True)
    bench.check_books()
    assert [e["status"] for e in bench.documents("x:")] == ["canceled", "canceled", "succeeded"]
    assert bench.sync.submitted == {}


async def test_cancel_before_anything_is_sent_sends_nothing() -> None:
    bench = await Bench().open()
    bench.cancel = True
    assert (await bench.submit()).stage == "over"
    await bench.go_on(await bench.collect(), stop=True)
    bench.check_books()
    assert bench.provider.files == {}


async def test_freeze_sends_nothing_until_it_is_lifted() -> None:
    bench = await Bench().open()
    bench.frozen_s = 30.0
    look = await bench.submit()
    assert (look.stage, look.pause_s) == ("frozen", 30.0)
    assert bench.documents("a:") == []
    bench.frozen_s = None
    assert (await bench.submit()).stage == "running"


@pytest.mark.parametrize(
    ("work", "status", "usd_micros"),
    [
        (REFUSED, "refused", 2_940),
        (Work(DELIVERED.outcome, USD_MICROS, (NOT_A_PICTURE,)), "failed", HALF_USD_MICROS),
        (Work(NotDelivered(Failure.INVALID_REQUEST, Billed.NOTHING, "http_400"), 0), "failed", 0),
    ],
)
async def test_line_that_ends_for_good_is_booked_as_the_batch_bills_it(
    work: Work, status: str, usd_micros: int
) -> None:
    bench = await Bench(script=lambda line: work).open()
    await bench.whole()
    bench.check_books()
    entries = bench.documents("x:")
    assert {(e["status"], e["usd_micros"]) for e in entries} == {(status, usd_micros)}
    assert bench.sync.submitted == {}


async def test_line_that_may_be_tried_again_goes_on_synchronously() -> None:
    bench = await Bench(
        script=lambda line: BUSY if line.custom_id == "00002-1" else DELIVERED
    ).open()
    await bench.whole()
    bench.check_books()
    assert [entry["attempt"] for entry in bench.documents("x:")] == [1, 2, 1]


async def test_job_that_fails_as_a_whole_goes_on_synchronously() -> None:
    bench = await Bench(instant=False).open()
    await bench.submit()
    bench.provider.finish("batch-1", "failed", [])
    await bench.whole()
    bench.check_books()
    assert len(bench.sync.submitted) == 3


async def test_refused_submission_goes_on_synchronously_at_once() -> None:
    bench = await Bench().open()
    bench.provider.refusal = NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "http_404")
    assert (await bench.submit()).stage == "over"
    assert bench.document(f"pb:{BATCH_ID}:0")["reason"] == "http_404"
    await bench.whole()
    bench.check_books()


async def test_busy_provider_is_asked_a_few_times_then_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from shared.services import provider_batches

    monkeypatch.setattr(provider_batches, "SUBMIT_PAUSE_S", 0.0)
    faults = ScriptedFaults("submit", *[Fault.REFUSED] * SUBMITS_MAX)
    bench = await Bench(faults=faults).open()
    assert (await bench.submit()).stage == "over"
    assert faults.calls.count("submit") == SUBMITS_MAX
    assert bench.document(f"pb:{BATCH_ID}:0")["status"] == "refused"


async def test_row_that_somebody_else_took_is_not_sent() -> None:
    bench = await Bench().open()
    taken = AttemptMarker(row_generation_id(BATCH_ID, 2), 1, "sweeper", "s-1", builders.CREATED_AT)
    await bench.ledger.begin_attempt(taken)
    await bench.submit()
    assert [x.custom_id for x in bench.provider.jobs["batch-1"].lines] == ["00001-1", "00003-1"]
    assert await bench.collect() == [(2, 1)]
    await bench.go_on([(2, 1)])
    bench.check_books()
    assert bench.documents("x:")[1]["status"] == "canceled"


async def test_line_that_a_complete_job_does_not_list_stays_unknown() -> None:
    bench = await Bench().open()
    await bench.submit()
    bench.provider.jobs["batch-1"].unlisted = {"00002-1"}
    assert await bench.collect() == []
    assert [entry["row"] for entry in bench.documents("x:")] == [1, 3]
    record = bench.document(f"g:{row_generation_id(BATCH_ID, 2)}")
    assert record["status"] == "indeterminate"
    assert record["failure"]["reason"] == "no_line_in_the_results"


async def test_sweep_ends_rows_by_the_job_when_the_orchestration_is_gone() -> None:
    bench = await Bench(
        script=lambda line: BUSY if line.custom_id == "00003-1" else DELIVERED
    ).open()
    await bench.submit()
    for row in (1, 2, 3):
        item = await bench.work.find(row_generation_id(BATCH_ID, row))
        report = await bench.attempts.stop(item, "sweeper")
        await bench.settlements.settle(BATCH_ID, [report])
    bench.check_books()
    statuses = [entry["status"] for entry in bench.documents("x:")]
    assert statuses == ["succeeded", "succeeded", "canceled"]


async def test_sweep_leaves_a_running_job_unknown() -> None:
    bench = await Bench(instant=False).open()
    await bench.submit()
    item = await bench.work.find(row_generation_id(BATCH_ID, 1))
    report = await bench.attempts.stop(item, "sweeper")
    assert (report.ending, report.reason) == ("unknown", "batch_runs")


async def test_sweep_that_comes_before_the_sending_takes_the_right_to_send() -> None:
    bench = await Bench().open()
    marker = batched_marker(BATCH_ID, 0, 1, builders.CREATED_AT)
    await bench.ledger.begin_attempt(marker)
    item = await bench.work.find(marker.generation_id)
    assert (await bench.attempts.stop(item, "sweeper")).ending == "canceled"
    assert (await bench.submit()).stage == "over"
    assert bench.provider.jobs == {}


async def test_job_that_was_given_up_and_sent_after_all_is_canceled() -> None:
    bench = await Bench(instant=False).open()
    created_at = bench.clock.now().isoformat()
    claim = ProviderBatch(BATCH_ID, 0, "slow-worker", (1,), created_at, "file-1")
    await bench.results.claims.claim(claim)
    await bench.results.settled(claim, "lost", reason="never_sent")
    await bench.provider.upload(claim.key, [])
    sent = await bench.provider.submit(claim.key, "file-1")
    assert isinstance(sent, str)
    standing = await bench.results.settled(claim, "submitted", job_id=sent)
    assert (standing.status, standing.job_id) == ("lost", None)
    assert bench.provider.canceled == [sent]


async def test_claims_and_their_ends_leave_one_audit_event() -> None:
    bench = await Bench().open()
    await bench.whole()
    events = [document["event"] for document in bench.documents("e:")]
    found = [event for event in events if event["action"].startswith("provider_batch.")]
    assert [event["action"] for event in found] == ["provider_batch.submitted"]
    assert found[0]["details"] == {"batch_id": BATCH_ID, "rows": 3, "job_id": "batch-1"}


async def test_silent_provider_leaves_everything_as_it_was() -> None:
    bench = await Bench(faults=ScriptedFaults("results", Fault.REFUSED)).open()
    await bench.submit()
    with pytest.raises(Unavailable):
        await bench.collect()
    assert bench.documents("x:") == []
    await bench.whole()
    bench.check_books()


CALLS_MAX = 60  # more than one whole run makes


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
async def test_process_that_dies_anywhere_pays_once_and_books_what_was_billed(
    fault: Fault,
) -> None:
    for at in range(CALLS_MAX):
        if not await _dies_and_recovers(fault, at):
            break
    assert 20 < at < CALLS_MAX - 1  # every call was a point to die at, and the run ended


async def _dies_and_recovers(fault: Fault, at: int) -> bool:
    """One run with a crash at call `at` and a restart; False if it makes fewer calls."""
    opening = Restarts()
    bench = await Bench(rows=2, faults=opening).open()
    faults = Restarts(len(opening.calls) + at, fault)
    faults.calls = opening.calls
    bench.container._faults = bench.images._faults = faults
    bench.provider.faults = bench.sync.faults = faults
    try:
        await bench.whole()
        return False
    except Crashed:
        await bench.whole()
    jobs = bench.provider.jobs
    assert len(jobs) <= 1
    bench.check_books()
    for row in (1, 2):
        alone = bench.sync.submitted.get((row_generation_id(BATCH_ID, row), 2), 0)
        in_batch = sum(f"{row:05d}-1" in job.done for job in jobs.values())
        assert alone + in_batch == 1, (faults.calls[-1], at)
    return True
