"""Cases of one generation: whatever is found, decided or interrupted, the books end at the invoice.

One of them is open at most; it says what the last export says, and what closed ones booked counts.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.attempts import Failure
from shared.domain.cases import organisation_cases
from shared.domain.identity import Role
from shared.domain.ids import Partition
from shared.domain.work import WorkItem
from shared.errors import BudgetExceeded, Conflict, EigError, Invalid, NotFound, PolicyDenied
from shared.services import case_pages
from shared.services.cases import Closing
from tests import builders
from tests.fakes.cosmos_container import Item
from tests.fakes.faults import Crashed, Fault
from tests.proofs.reconciliation_bench import (
    ADMIN,
    DAY,
    LIMIT_MICROS,
    MANAGER,
    PARTITION,
    ReconciliationBench,
)

ADJUST = Closing("adjust", "as billed", "design", 1)
QUIET_BP = 10**6  # no model drifts
OUTCOMES = ("delivered", "unknown", "never asked for")


async def bench(**values: object) -> ReconciliationBench:
    made = ReconciliationBench(drift_bp_max=QUIET_BP, **values)  # type: ignore[arg-type]
    await made.open()
    return made


async def generation(at: ReconciliationBench, outcome: str) -> WorkItem:
    if outcome == "delivered":
        return await at.booked("a")
    if outcome == "unknown":
        return await at.booked(
            "a", 6_000, ending="ended", failure=Failure.TIMEOUT, reason="outcome_unknown"
        )
    return builders.item(builders.single_id("stranger"))


def booked_usd_micros(at: ReconciliationBench, work: WorkItem) -> int:
    return sum(entry["usd_micros"] for entry in entries_about(at, work))


def entries_about(at: ReconciliationBench, work: WorkItem) -> list[Item]:
    booked = [d for d in at.documents("resolution") if d["generation_id"] == work.generation_id]
    adjusted = [d for d in at.documents("adjustment") if d["refers_to"] == work.generation_id]
    return [*booked, *adjusted]


def open_cases(at: ReconciliationBench) -> list[str]:
    return sorted(case_id for case_id, status in at.case_kinds().items() if status != "closed")


async def decide(at: ReconciliationBench, case_id: str, closing: Closing = ADJUST) -> str:
    """The status after a decision, which names what was billed only where nobody knows it."""
    if (await at.cases.get(ADMIN, case_id)).billed_usd_micros is not None:
        closing = replace(closing, billed_usd_micros=None)
    return (await at.cases.close(ADMIN, case_id, closing, "c")).status


async def adjust_all(at: ReconciliationBench, closing: Closing = ADJUST) -> None:
    for case_id in open_cases(at):
        assert await decide(at, case_id, closing) == "closed"


async def test_two_exports_about_one_generation_have_one_case() -> None:
    at = await bench()
    work = await at.booked("a")
    assert (await at.run()).opened == {"booked_not_billed": 1}
    at.rebill(work, 5_250)
    assert (await at.run()).opened == {}
    (case_id,) = open_cases(at)
    shown = await at.cases.get(ADMIN, case_id)
    assert (shown.kind, shown.billed_usd_micros) == ("amount_differs", 5_250)
    assert len(at.events("case.learned")) == 1
    await adjust_all(at)
    assert booked_usd_micros(at, work) == 5_250
    assert (await at.budget()).spent_micros == work.quote.settled_micros(5_250)
    at.check()


async def test_case_that_matches_by_now_is_closed_by_the_system() -> None:
    at = await bench()
    work = await at.booked("a")
    await at.run()
    at.rebill(work, 5_000)
    assert (await at.run()).opened == {}
    (case_id,) = at.case_kinds()
    shown = await at.cases.get(ADMIN, case_id)
    assert shown.status == "closed" and shown.ruling is not None
    assert (shown.ruling.decision, shown.ruling.by) == ("matched", "system:reconciliation")
    assert len(at.events("case.matched")) == 1
    with pytest.raises(Conflict):
        await decide(at, case_id)
    assert at.documents("adjustment") == []


@pytest.mark.parametrize("decision", ["adjust", "accept"])
async def test_export_that_changes_after_a_decision_opens_the_next_case(decision: str) -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    await adjust_all(at, Closing(decision, "as billed"))  # type: ignore[arg-type]
    assert (await at.run()).opened == {}, "this was decided"
    at.rebill(work, 8_000)
    assert (await at.run()).opened == {"amount_differs": 1}
    assert open_cases(at) == [f"{work.generation_id}:1"]
    await adjust_all(at)
    assert booked_usd_micros(at, work) == 8_000
    at.check()


async def test_line_that_vanishes_after_it_was_adjusted_is_given_back() -> None:
    at = await bench()
    at.bill(await at.booked("a"), 5_000)
    stray = builders.item(builders.single_id("b"))
    at.bill(stray, 3_000, generation_id=None, request_id="stray")
    await at.run()
    await adjust_all(at)
    design = Partition("design", "202611")
    assert (await at.budget(design)).spent_micros > 0
    at.export.days[DAY].pop()
    assert (await at.run()).opened == {"billed_not_booked": 1}
    await adjust_all(at, Closing("adjust", "it was withdrawn"))
    assert (await at.budget(design)).spent_micros == 0
    at.check()


async def test_case_in_the_middle_of_its_booking_is_told_by_the_next_run() -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    await crashed_close(at, work.generation_id)
    at.rebill(work, 8_000)
    with pytest.raises(Conflict) as refused:
        await at.run()
    assert refused.value.problem_code == "case_being_booked"
    assert await at.cases.finish("c") == 1
    assert (await at.run()).opened == {"amount_differs": 1}
    await adjust_all(at)
    assert booked_usd_micros(at, work) == 8_000
    at.check()


async def crashed_close(at: ReconciliationBench, case_id: str) -> None:
    """A worker that dies between the decision and the entry."""
    for call in range(20):
        at.faults.plan(call, Fault.CRASH_BEFORE)
        with contextlib.suppress(Crashed):
            await decide(at, case_id)
        at.faults.heal()
        if at.case_kinds()[case_id] == "adjusting":
            return
    raise AssertionError("no crash left the case decided and not booked")


async def troubled_step(at: ReconciliationBench, work: WorkItem, draw: random.Random) -> None:
    """One thing that happens: an export, a run, a decision or the timer; a fault may end it."""
    if draw.random() < 0.4:
        at.faults.plan(draw.randrange(25), draw.choice([*Fault]))
    step = draw.choice(["bill", "run", "run", "decide", "decide", "finish"])
    with contextlib.suppress(Crashed, EigError):
        if step == "bill":
            at.rebill(work, draw.choice([None, 5_000, 6_000, 7_000, 8_000]))
        elif step == "run":
            await at.run()
        elif step == "finish":
            await at.cases.finish("c")
        elif cases := open_cases(at):
            await decide(at, draw.choice(cases))
    at.faults.heal()


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("seed", range(40))
async def test_books_end_at_the_invoice_in_any_order_of_runs_and_decisions(
    outcome: str, seed: int
) -> None:
    draw = random.Random(f"{outcome} {seed}")  # a history to repeat, no secret
    at = await bench()
    work = await generation(at, outcome)
    at.bill(work, draw.choice([5_000, 7_000]))
    for _ in range(14):
        await troubled_step(at, work, draw)
        subjects = Counter(case_id.split(":")[0] for case_id in open_cases(at))
        assert all(number == 1 for number in subjects.values()), "one open case at most"
    await at.cases.finish("c")
    await at.run()
    await adjust_all(at)
    billed = sum(line.usd_micros or 0 for line in at.export.days[DAY])
    assert booked_usd_micros(at, work) == billed
    assert (await at.run()).opened == {}
    assert (await at.budget()).spent_micros == work.quote.settled_micros(billed)
    at.check()


async def test_drift_that_grows_after_its_case_was_closed_stops_the_model_again() -> None:
    at = ReconciliationBench()
    await at.open()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    (drift,) = [each for each in at.case_kinds() if ":drift:" in each]
    await at.cases.close(ADMIN, drift, Closing("accept", "we know"), "c")
    await at.freezes.lift(ADMIN, "model:gpt-image-2", "understood", "c")
    at.rebill(work, 9_000)
    run = await at.run()
    assert (run.opened, run.quarantined) == ({"drift": 1}, ("gpt-image-2",))
    assert at.case_kinds()[drift.removesuffix("1") + "2"] == "open"


# --- what a budget refuses ------------------------------------------------------------------------


async def refused(at: ReconciliationBench, case_id: str, closing: Closing) -> None:
    with pytest.raises(BudgetExceeded):
        await at.cases.close(ADMIN, case_id, closing, "c")
    (event,) = at.events("case.refused")
    assert (event["outcome"], event["actor"]) == ("denied", ADMIN.key)


async def test_refused_department_pays_nothing_when_another_is_named() -> None:
    at = await bench()
    at.bill(builders.item(builders.single_id("b")), 4_000, generation_id=None, request_id="stray")
    await at.run()
    (case_id,) = open_cases(at)
    before = await at.store.case(organisation_cases(builders.TENANT), case_id)
    assert before is not None
    await at.cases.periods.open(Partition("design", "202611"), at.scopes("design"))
    at.set_limit(Partition("design", "202611"), 0)
    await refused(at, case_id, Closing("adjust", "they did it", "design"))
    standing = await at.store.case(before.partition, case_id)
    assert standing == replace(before, refused=standing.refused, revision=3)  # type: ignore[union-attr]
    closed = await at.cases.close(ADMIN, case_id, Closing("adjust", "no, they", "marketing"), "c")
    assert (closed.status, closed.department_id) == ("closed", "marketing")
    (entry,) = at.documents("adjustment")
    assert (entry["department_id"], entry["pk"]) == ("marketing", "marketing|202611")
    at.check()


async def test_refused_amount_is_forgotten_when_another_is_named() -> None:
    at = await bench()
    work = await generation(at, "unknown")
    await refused(at, work.generation_id, Closing("adjust", "typo", None, 2 * LIMIT_MICROS))
    closing = Closing("adjust", "corrected", None, 900)
    assert (await at.cases.close(ADMIN, work.generation_id, closing, "c")).status == "closed"
    assert booked_usd_micros(at, work) == 900
    at.check()


async def test_entry_that_was_booked_by_another_worker_after_all_counts() -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    case_id = work.generation_id
    await crashed_close(at, case_id)
    behind = await at.store.case(PARTITION, case_id)
    assert behind is not None and behind.ruling is not None and behind.ruling.adjusting
    adjusting = behind.ruling.adjusting
    limits = at.set_limit(PARTITION, 0)
    assert await at.cases.finish("c") == 0, "refused: the case is open again"
    at.set_limit(PARTITION, limits)
    await at.cases._adjust(behind, behind.ruling, adjusting, "c")  # it had read the case before
    assert booked_usd_micros(at, work) == 7_000
    await adjust_all(at)
    assert booked_usd_micros(at, work) == 7_000
    at.rebill(work, 9_000)
    await at.run()
    await adjust_all(at)
    assert booked_usd_micros(at, work) == 9_000
    at.check()


# --- which cases are seen -------------------------------------------------------------------------


async def test_case_of_an_old_period_is_finished_and_listed() -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    await crashed_close(at, work.generation_id)
    at.clock.advance(timedelta(days=380).total_seconds())
    (listed,) = (await at.cases.pages.page(MANAGER, "open")).items
    assert listed.status == "adjusting"
    assert await at.cases.finish("c") == 1
    assert open_cases(at) == []
    at.check()


async def test_pages_show_each_case_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_pages, "PARTITIONS_PER_PAGE_MAX", 2)
    at = await bench()
    for seed in "abcde":
        await at.booked(seed)
    at.bill(builders.item(builders.single_id("x")), 1, generation_id=None, request_id="stray")
    await at.run()
    seen: list[str] = []
    continuation = None
    while True:
        page = await at.cases.pages.page(ADMIN, "open", continuation, 2)
        seen += [case.id for case in page.items]
        continuation = page.continuation
        if continuation is None:
            break
    assert sorted(seen) == open_cases(at) and len(seen) == 6
    with pytest.raises(Invalid):
        await at.cases.pages.page(MANAGER, "open", "design|202611")


@pytest.mark.parametrize("case_id", ["a/b", "a?b", "a#b", "a\\b", "a b", "", "x" * 200, "\u0161"])
async def test_text_that_is_no_case_id_is_not_found(case_id: str) -> None:
    at = await bench()
    with pytest.raises(NotFound):
        await at.cases.get(ADMIN, case_id)
    with pytest.raises(NotFound):
        await at.cases.close(ADMIN, case_id, ADJUST, "c")


async def test_nobody_adjusts_their_own_charge() -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 4_000)
    await at.run()
    (case_id,) = open_cases(at)
    themself = builders.caller(role=Role.ORG_ADMIN)
    assert themself.key == work.owner.user_key
    with pytest.raises(PolicyDenied) as refusal:
        await at.cases.close(themself, case_id, Closing("adjust", "I am sure"), "c")
    assert refusal.value.problem_code == "self_adjustment"
    assert (at.documents("adjustment"), len(at.events("case.denied"))) == ([], 1)
    assert await decide(at, case_id) == "closed"
    at.check()


async def test_another_amount_is_another_decision() -> None:
    at = await bench()
    work = await at.booked("a")
    at.bill(work, 7_000)
    await at.run()
    (case_id,) = open_cases(at)
    with pytest.raises(Invalid):  # the export says what it was
        await at.cases.close(ADMIN, case_id, Closing("adjust", "less", billed_usd_micros=1), "c")
    known = Closing("adjust", "as billed", billed_usd_micros=7_000)
    for closing in (known, known, Closing("adjust", "as billed")):
        assert (await at.cases.close(ADMIN, case_id, closing, "c")).status == "closed"
    with pytest.raises(Conflict) as refusal:
        await at.cases.close(ADMIN, case_id, replace(known, billed_usd_micros=6_000), "c")
    assert refusal.value.problem_code == "already_closed"
    assert len(at.documents("adjustment")) == 1
