"""Reconciliation over the services that ship: what it opens, and that nothing happens twice."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.domain.attempts import Usage
from shared.domain.ids import Partition
from shared.errors import (
    BudgetExceeded,
    Conflict,
    EigError,
    Frozen,
    Invalid,
    NotFound,
    PolicyDenied,
)
from shared.services.cases import Closing
from tests import builders
from tests.fakes.faults import Crashed, Fault
from tests.proofs.reconciliation_bench import (
    ADMIN,
    DAY,
    FURTHER_TENANT,
    LIMIT_MICROS,
    MANAGER,
    PARTITION,
    ReconciliationBench,
)

ACCEPT = Closing("accept", "small change")
ADJUST = Closing("adjust", "the invoice is right")


async def bench(**values: object) -> ReconciliationBench:
    made = ReconciliationBench(**values)  # type: ignore[arg-type]
    await made.open()
    return made


async def close(at: ReconciliationBench, case_id: str, closing: Closing = ADJUST) -> str:
    return (await at.cases.close(ADMIN, case_id, closing, "c")).status


async def test_books_that_agree_open_nothing() -> None:
    at = await bench()
    at.bill(await at.booked("a"), 5_000)
    run = await at.run()
    assert [(figures.model, figures.drift_bp) for figures in run.models] == [("gpt-image-2", 0)]
    assert (run.opened, run.quarantined, at.case_kinds()) == ({}, (), {})
    assert len(at.events("reconciliation.completed")) == 1


async def test_day_that_is_not_exported_yet_is_a_conflict() -> None:
    at = await bench()
    with pytest.raises(Conflict) as refused:
        await at.run(DAY - timedelta(days=1))
    assert refused.value.problem_code == "export_not_ready"
    assert at.documents("reconciliation") == []


async def test_each_difference_opens_its_case_once() -> None:
    at = await bench(drift_bp_max=10**6)
    dearer, only_booked = await at.booked("a"), await at.booked("b")
    at.bill(dearer, 7_000)
    at.bill(dearer, 3_000, generation_id=None, request_id="somebody-else")
    runs = [await at.run() for _ in range(3)]
    assert runs[0].opened == {"amount_differs": 1, "booked_not_billed": 1, "billed_not_booked": 1}
    assert [run.opened for run in runs[1:]] == [{}, {}]
    kinds = {d["id"]: d["kind"] for d in at.documents("case")}
    assert kinds[f"case:{dearer.generation_id}"] == "amount_differs"
    assert kinds[f"case:{only_booked.generation_id}"] == "booked_not_billed"
    assert len(at.events("case.opened")) == 3
    at.check()


async def test_drifting_model_is_stopped_until_an_admin_lifts_the_freeze() -> None:
    at = await bench()
    at.bill(await at.booked("a"), 7_000)
    run = await at.run()
    assert run.quarantined == ("gpt-image-2",)
    for tenant_id in (builders.TENANT, FURTHER_TENANT):  # one price row, whoever spends
        standing = await at.freezes.watch.current(tenant_id)
        assert [each.target.text for each in standing] == ["model:gpt-image-2"]
    work = builders.item(builders.single_id("next"))
    refusal = await at.freezes.refusal(builders.reservation(work))
    assert isinstance(refusal, Frozen) and refusal.extra["target"] == "model:gpt-image-2"
    assert (await at.attempts.run(work, 1)).reason == "frozen"
    assert at.documents("attempt") == [], "a frozen attempt leaves no marker"
    assert (await at.run()).quarantined == (), "it stands frozen"
    await at.freezes.lift(ADMIN, "model:gpt-image-2", "understood", "c")
    assert await at.freezes.refusal(builders.reservation(work)) is None
    assert (await at.run()).quarantined == ("gpt-image-2",), "its case is open"
    (drift,) = [each for each in at.case_kinds() if ":drift:" in each]
    await close(at, drift, ACCEPT)
    await at.freezes.lift(ADMIN, "model:gpt-image-2", "understood", "c")
    assert (await at.run()).quarantined == (), "what was accepted stops the model once"
    assert await at.freezes.refusal(builders.reservation(work)) is None


async def test_unpriced_line_stops_its_model() -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 5_000)
    at.bill(work, 0, is_priced=False, item="gpt-image-2 hd")
    run = await at.run()
    assert (run.opened, run.quarantined) == ({"unpriced": 1}, ("gpt-image-2",))


async def test_unknown_outcome_is_settled_once_at_what_was_billed() -> None:
    at = await bench()
    lost, silent = await at.lost("a"), await at.lost("b")
    at.bill(lost, 4_200)
    run = await at.run()
    assert run.resolved == 1
    entry = next(d for d in at.documents("resolution"))
    assert (entry["generation_id"], entry["usd_micros"]) == (lost.generation_id, 4_200)
    assert (entry["estimated"], entry["failure"]) == (False, "timeout")
    assert (await at.budget()).reserved_micros == silent.quote.amount_micros
    again = await at.run()
    assert (again.resolved, again.opened) == (0, {})
    assert again.models[0].counts == {"matched": 1}
    at.check()


async def test_unknown_outcome_is_found_by_its_job() -> None:
    at = await bench(provider="replicate")
    lost = await at.lost("a", job_id="job-1")
    at.bill(
        lost,
        None,
        usage=Usage(seconds=Decimal(2)),
        generation_id=None,
        job_id="job-1",
    )
    assert (await at.run()).resolved == 1
    (entry,) = at.documents("resolution")
    assert (entry["usd_micros"], entry["job_id"]) == (2 * 975, "job-1")


async def test_job_that_an_attempt_recorded_belongs_to_its_generation() -> None:
    at = await bench(provider="replicate")
    work = await at.admitted("a")
    marker = builders.marker(work)
    await at.ledger.begin_attempt(marker)
    await at.ledger.record_job(marker, "job-1")
    at.bill(work, 1_950, generation_id=None, job_id="job-1")
    run = await at.run()
    assert run.models[0].counts == {"pending": 1}, "it is still running: no case"
    assert run.opened == {}


async def test_maximum_that_was_booked_blindly_learns_what_was_billed() -> None:
    at = await bench()
    work = await at.booked(
        "a", 6_000, ending="ended", failure="timeout", reason="outcome_unknown", estimated=True
    )
    with pytest.raises(Invalid):
        await close(at, work.generation_id)
    at.bill(work, 4_000)
    run = await at.run()
    assert (run.opened, run.quarantined) == ({}, ()), "an estimate is no drift, its case stands"
    shown = await at.cases.get(ADMIN, work.generation_id)
    assert (shown.kind, shown.billed_usd_micros) == ("outcome_unknown", 4_000)
    before = (await at.budget()).spent_micros
    assert await close(at, work.generation_id) == "closed"
    corrected = work.quote.settled_micros(4_000)
    assert before == work.quote.amount_micros
    assert (await at.budget()).spent_micros == corrected
    assert (await at.run()).models[0].counts == {"matched": 1}
    at.check()


async def test_adjustment_brings_the_books_to_the_invoice() -> None:
    at = await bench(drift_bp_max=10**6)
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    case_id = work.generation_id
    assert await close(at, case_id) == "closed"
    assert await close(at, case_id) == "closed", "the same decision again"
    with pytest.raises(Conflict):
        await close(at, case_id, ACCEPT)
    (adjustment,) = at.documents("adjustment")
    assert adjustment["usd_micros"] == 2_000
    assert adjustment["kind"] == "reconciliation"
    assert adjustment["user_key"] == work.owner.user_key
    assert (await at.budget()).spent_micros == work.quote.settled_micros(7_000)
    again = await at.run()
    assert again.models[0].counts == {"matched": 1}
    assert again.models[0].drift_bp == 0
    at.check()


async def test_what_was_never_billed_is_given_back() -> None:
    at = await bench(drift_bp_max=10**6)
    work = await at.booked("a")
    await at.run()
    await close(at, work.generation_id)
    assert (await at.budget()).spent_micros == 0
    at.check()


async def test_accepted_case_changes_no_money() -> None:
    at = await bench(drift_bp_max=10**6)
    work = await at.booked("a")
    await at.run()
    assert await close(at, work.generation_id, ACCEPT) == "closed"
    assert at.documents("adjustment") == []
    assert len(at.events("case.closed")) == 1


async def test_line_nobody_asked_for_is_paid_by_the_department_that_is_named() -> None:
    at = await bench(drift_bp_max=10**6)
    at.bill(await at.admitted("a"), 3_000, generation_id=None, request_id="stray")
    await at.run()
    (case_id,) = at.case_kinds()
    with pytest.raises(Invalid):
        await close(at, case_id)
    with pytest.raises(Invalid):
        await close(at, case_id, Closing("adjust", "they did it", "nowhere"))
    assert await close(at, case_id, Closing("adjust", "they did it", "design")) == "closed"
    budget = await at.budget(Partition("design", "202611"))
    assert budget.spent_micros == 3_000 * 154 // 100
    at.check()


async def test_sum_of_others_cannot_be_adjusted() -> None:
    at = await bench()
    at.bill(await at.booked("a"), 7_000)
    await at.run()
    (drift,) = [case_id for case_id in at.case_kinds() if ":drift:" in case_id]
    with pytest.raises(Invalid):
        await close(at, drift, Closing("adjust", "all of it", "design"))
    assert await close(at, drift, ACCEPT) == "closed"


async def test_closed_period_is_corrected_in_the_present_one() -> None:
    at = await bench(drift_bp_max=10**6)
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    budget = at.container.partitions[PARTITION.key]["budget:department:marketing"]
    budget["sealed"] = True
    for name in ("user",):
        user = f"budget:{name}:{work.owner.user_key}"
        at.container.partitions[PARTITION.key][user]["sealed"] = True
    at.later(20)
    assert await close(at, work.generation_id) == "closed"
    (adjustment,) = at.documents("adjustment")
    assert (adjustment["kind"], adjustment["pk"]) == ("late", "marketing|202612")
    at.check()


async def test_budget_that_is_full_refuses_the_correction_and_leaves_the_case_open() -> None:
    at = await bench(drift_bp_max=10**6)
    work = await at.booked("a")
    at.bill(work, 2 * LIMIT_MICROS)
    await at.run()
    case_id = work.generation_id
    with pytest.raises(BudgetExceeded):
        await close(at, case_id)
    assert at.case_kinds()[case_id] == "open"
    for name in ("department:marketing", f"user:{work.owner.user_key}"):
        budget = at.container.partitions[PARTITION.key][f"budget:{name}"]
        for field in ("limit_micros", "ceiling_micros", "high_micros"):
            budget[field] = 3 * LIMIT_MICROS
    assert await close(at, case_id) == "closed"
    at.check()


@pytest.mark.parametrize("shown", ["open", "closed", "all"])
async def test_cases_are_seen_by_those_they_concern(shown: str) -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    case_id = work.generation_id
    await close(at, case_id, ACCEPT)
    everything = await at.cases.pages.page(ADMIN, shown)  # type: ignore[arg-type]
    ours = await at.cases.pages.page(MANAGER, shown)  # type: ignore[arg-type]
    assert len(everything.items) == {"open": 1, "closed": 1, "all": 2}[shown]
    assert [case.id for case in ours.items] == ([] if shown == "open" else [case_id])
    with pytest.raises(PolicyDenied):
        await at.cases.pages.page(builders.caller(), shown)  # type: ignore[arg-type]


async def test_case_of_another_department_does_not_exist() -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    case_id = work.generation_id
    with pytest.raises(NotFound):
        await at.cases.get(builders.caller(7, "design", MANAGER.role), case_id)
    with pytest.raises(NotFound):
        await at.cases.get(builders.caller(), case_id)
    with pytest.raises(PolicyDenied):
        await at.cases.close(MANAGER, case_id, ACCEPT, "c")
    assert len(at.events("case.denied")) == 1
    for unknown in ("", "nonsense", f"{work.generation_id}:drift", "azure_openai:20261115:x:y"):
        with pytest.raises(NotFound):
            await at.cases.get(ADMIN, unknown)


async def test_timer_does_each_day_once_and_catches_up() -> None:
    at = await bench()
    for age in range(9):
        at.export.days[DAY - timedelta(days=age)] = []
    at.later(1)
    assert await at.reconciliation.run_due("c") == 7
    assert await at.reconciliation.run_due("c") == 0
    at.later(1)
    assert await at.reconciliation.run_due("c") == 0, "the next day is not exported yet"
    at.export.days[DAY + timedelta(days=1)] = []
    assert await at.reconciliation.run_due("c") == 1


# --- crash points ---------------------------------------------------------------------------------

Step = Callable[[ReconciliationBench], Awaitable[object]]
FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST, Fault.THROTTLED)


async def troubled() -> ReconciliationBench:
    """Every kind of finding in one day."""
    at = await bench()
    dearer, _, lost = await at.booked("a"), await at.booked("b"), await at.lost("c")
    at.bill(dearer, 9_000)
    at.bill(lost, 4_000)
    at.bill(dearer, 3_000, generation_id=None, request_id="stray")
    at.bill(dearer, 0, is_priced=False, item="hd")
    return at


async def reconcile(at: ReconciliationBench) -> None:
    await at.run()


async def adjust(at: ReconciliationBench) -> None:
    for case_id, status in sorted(at.case_kinds().items()):
        if status != "closed":
            sums_up = ":drift:" in case_id or ":unpriced:" in case_id
            decision = Closing("accept" if sums_up else "adjust", "as billed", "design")
            await close(at, case_id, decision)


async def interrupted(prepare: Sequence[Step], step: Step, at_call: int, fault: Fault) -> object:
    """The books after one faulty call and a repetition; None if there was no such call."""
    at = await troubled()
    for before in prepare:
        await before(at)
    at.faults.plan(at_call, fault)
    with contextlib.suppress(Crashed, EigError):
        await step(at)
    reached = at.faults.calls > at_call
    at.faults.heal()
    await step(at)
    at.check()
    return at.books() if reached else None


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("prepare", "step"),
    [pytest.param((), reconcile, id="run"), pytest.param((reconcile,), adjust, id="close")],
)
async def test_every_interruption_ends_in_the_same_books(
    prepare: Sequence[Step], step: Step, fault: Fault
) -> None:
    clean = await troubled()
    for each in (*prepare, step):
        await each(clean)
    clean.check()
    points = 0
    while (books := await interrupted(prepare, step, points, fault)) is not None:
        assert books == clean.books(), f"{fault} at call {points}"
        points += 1
    assert points > 10


async def test_decided_case_is_booked_by_the_timer_if_its_worker_died() -> None:
    at = await troubled()
    await reconcile(at)
    case_id = next(d["id"][5:] for d in at.documents("case") if d["kind"] == "amount_differs")
    at.faults.plan(6, Fault.CRASH_BEFORE)
    with pytest.raises(Crashed):
        await close(at, case_id)
    at.faults.heal()
    assert at.case_kinds()[case_id] == "adjusting"
    assert await at.cases.finish("c") == 1
    assert at.case_kinds()[case_id] == "closed"
    assert await at.cases.finish("c") == 0
    assert len(at.documents("adjustment")) == 1
    at.check()
