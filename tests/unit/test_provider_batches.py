"""Provider batches over a fake store and provider: half the price, and what happens otherwise."""

import asyncio

import pytest

from shared.domain.attempt_markers import AttemptMarker
from shared.domain.attempts import Billed, Failure, NotDelivered, Unknown
from shared.domain.ids import row_generation_id
from shared.domain.provider_batches import (
    ProviderBatch,
    batched_marker,
    custom_id_of,
    provider_batch_key,
)
from shared.errors import Unavailable
from shared.services import provider_batches
from shared.services.provider_batch_results import SEARCH_TIME
from shared.services.provider_batches import SUBMITS_MAX, Look
from tests import builders
from tests.fakes.faults import Crashed, Fault, ScriptedFaults
from tests.fakes.providers import NOT_A_PICTURE, Work
from tests.unit.provider_batches_bench import (
    BATCH_ID,
    BUSY,
    DELIVERED,
    HALF_USD_MICROS,
    REFUSED,
    USD_MICROS,
    WINDOW,
    Bench,
    Interleaved,
)


async def test_rows_are_booked_at_half_the_price_with_what_they_saved() -> None:
    bench = await Bench().open()
    await bench.whole()
    bench.check_books()
    (job_id,) = bench.provider.jobs
    entries = bench.documents("x:")
    for entry in entries:
        assert (entry["usd_micros"], entry["list_usd_micros"]) == (HALF_USD_MICROS, USD_MICROS)
        assert entry["job_id"] == f"{job_id}/{custom_id_of(BATCH_ID, entry['row'])}"
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
    assert [line.custom_id for line in job.lines] == [
        custom_id_of(BATCH_ID, 1),
        custom_id_of(BATCH_ID, 2),
    ]
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
    bench.provider.finish(job_id, "expired", [custom_id_of(BATCH_ID, 2)])
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
    bench.provider.jobs[job_id].done = {custom_id_of(BATCH_ID, 1)}
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
    bench.provider.jobs[job_id].done = {custom_id_of(BATCH_ID, 3)}
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
        script=lambda line: BUSY if line.custom_id == custom_id_of(BATCH_ID, 2) else DELIVERED
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
    assert [x.custom_id for x in bench.provider.jobs["batch-1"].lines] == [
        custom_id_of(BATCH_ID, 1),
        custom_id_of(BATCH_ID, 3),
    ]
    assert await bench.collect() == [(2, 1)]
    await bench.go_on([(2, 1)])
    bench.check_books()
    assert bench.documents("x:")[1]["status"] == "canceled"


async def test_line_that_a_complete_job_does_not_list_is_booked_at_the_most() -> None:
    bench = await Bench().open()
    await bench.submit()
    bench.provider.jobs["batch-1"].unlisted = {custom_id_of(BATCH_ID, 2)}
    assert await bench.collect() == []
    entry = bench.documents("x:")[1]
    assert (entry["status"], entry["estimated"]) == ("failed", True)
    assert HALF_USD_MICROS < entry["usd_micros"] == -(-entry["list_usd_micros"] // 2)
    record = bench.document(f"g:{row_generation_id(BATCH_ID, 2)}")
    assert record["failure"]["reason"] == "no_line_in_the_results"


async def test_row_that_is_not_in_the_file_that_was_sent_costs_nothing() -> None:
    bench = await Bench(rows=2).open()
    await bench.submit()
    bench.provider.jobs["batch-1"].is_counted = False
    outcome = await bench.results.outcome_of(BATCH_ID, 0, 3, 1)
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "not_in_the_batch")


async def test_line_whose_answer_says_nothing_is_booked_at_the_most() -> None:
    silent = Work(Unknown("gateway_error"), 0)
    bench = await Bench(rows=1, script=lambda line: silent).open()
    await bench.submit()
    assert await bench.collect() == []
    (entry,) = bench.documents("x:")
    assert (entry["status"], entry["estimated"]) == ("failed", True)
    assert entry["usd_micros"] >= HALF_USD_MICROS


async def test_submits_at_the_same_time_send_once() -> None:
    bench = await Bench(faults=Interleaved()).open()
    looks = await asyncio.gather(*(bench.submit() for _ in range(4)))
    assert {look.stage for look in looks} <= {"running", "searching"}
    assert len(bench.provider.jobs) == 1
    await bench.whole()
    bench.check_books()


async def test_sweep_ends_rows_by_the_job_when_the_orchestration_is_gone() -> None:
    bench = await Bench(
        script=lambda line: BUSY if line.custom_id == custom_id_of(BATCH_ID, 3) else DELIVERED
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


async def test_results_that_cannot_be_read_are_unknown_when_the_batch_is_given_up() -> None:
    bench = await Bench(faults=ScriptedFaults("results", Fault.REFUSED), cancel=True).open()
    bench.cancel = False
    await bench.submit()
    bench.cancel = True
    assert await bench.collect() == []
    records = bench.documents("g:")
    assert [record["status"] for record in records] == ["indeterminate"] * 3
    assert records[1]["failure"]["reason"] == "job_unreadable"
    assert records[1]["provider_refs"]["job_id"] == f"batch-1/{custom_id_of(BATCH_ID, 2)}"
    await bench.collect()
    bench.check_books()


async def test_pictures_that_were_not_stored_are_fetched_again_from_the_results() -> None:
    bench = await Bench(faults=ScriptedFaults("keep", *[Fault.REFUSED] * 2)).open()
    await bench.submit()
    assert await bench.collect() == []
    assert [entry["row"] for entry in bench.documents("x:")] == [3]
    for row in (1, 2):
        item = await bench.work.find(row_generation_id(BATCH_ID, row))
        report = await bench.attempts.stop(item, "sweeper")
        await bench.settlements.settle(BATCH_ID, [report])
    bench.check_books()
    assert [entry["status"] for entry in bench.documents("x:")] == ["succeeded"] * 3
