"""Reconciliation of generations that several attempts were billed for, at one provider or two."""

from dataclasses import replace

import pytest

from shared.domain.attempts import AttemptLine, AttemptReport, Failure
from shared.domain.entries import read_entries
from shared.domain.reconciliation import BilledLine
from shared.domain.routes import Candidate, Route
from shared.domain.settlements import expired_report
from shared.domain.work import WorkItem
from shared.errors import InvariantBroken
from shared.services.cases import Closing
from tests import builders
from tests.fakes.usage_exports import FakeUsageExport
from tests.proofs.reconciliation_bench import ADMIN, DAY, ReconciliationBench

HELD = 6_000  # by each candidate, in micro-USD and in micro-AUD
FIRST_USD, SECOND_USD = 4_000, 5_000


async def opened(provider: str) -> ReconciliationBench:
    bench = ReconciliationBench(provider)
    await bench.open()
    return bench


def route(*models: tuple[str, str]) -> Route:
    return Route(
        "pinned",
        tuple(
            Candidate(model, provider, None, None, None, HELD, HELD, "named")
            for model, provider in models
        ),
        uplift_percent=100,
    )


async def fallen(
    at: ReconciliationBench, *models: tuple[str, str]
) -> tuple[WorkItem, AttemptReport]:
    """A generation whose first attempt was billed, and whose second one raised the hold."""
    wanted = builders.request(models[0][0])
    work = replace(
        builders.item(builders.single_id("a"), wanted=wanted, quote=builders.quote(HELD)),
        planned_route=route(*models),
    )
    await at.ledger.reserve(builders.reservation(work))
    first = AttemptLine(
        attempt=1,
        candidate=0,
        model=models[0][0],
        provider=models[0][1],
        status="failed",
        failure=Failure.MALFORMED,
        usd_micros=FIRST_USD,
        amount_micros=FIRST_USD,
        request_id="r-1",
        job_id="job-1",
    )
    marker = replace(
        builders.marker(work, 2), candidate=1, raised_micros=FIRST_USD, held_micros=HELD + FIRST_USD
    )
    marker = replace(marker, lines=(first.model_dump(mode="json"),))
    await at.ledger.begin_attempt(builders.marker(work, 1))
    await at.ledger.begin_attempt(marker)
    report = builders.report(
        work,
        attempt=2,
        candidate=1,
        lines=(first,),
        held_micros=HELD + FIRST_USD,
        usd_micros=SECOND_USD,
        request_id="r-2",
        job_id="job-2",
    )
    return work, report


TWO = (("gpt-image-2", "azure_openai"), ("sdxl", "replicate"))
ONE = (("flux-schnell", "replicate"), ("sdxl", "replicate"))


@pytest.mark.parametrize(
    ("provider", "model", "usd_micros"),
    [("azure_openai", "gpt-image-2", FIRST_USD), ("replicate", "sdxl", SECOND_USD)],
)
async def test_each_provider_is_compared_with_its_own_line(
    provider: str, model: str, usd_micros: int
) -> None:
    at = await opened(provider)
    work, report = await fallen(at, *TWO)
    await at.settle(work, report)
    at.bill(work, usd_micros, model=model)
    run = await at.run()
    assert run.models[0].counts == {"matched": 1}
    assert (run.models[0].model, run.opened) == (model, {})
    at.check()


async def test_lines_of_one_provider_are_found_by_the_job_of_each_attempt() -> None:
    at = await opened("replicate")
    work, report = await fallen(at, *ONE)
    await at.settle(work, report)
    at.bill(work, FIRST_USD, model="flux-schnell", generation_id=None, job_id="job-1")
    at.bill(work, SECOND_USD, model="sdxl", generation_id=None, job_id="job-2")
    assert (await at.run()).models[0].counts == {"matched": 1}


async def test_bill_of_an_earlier_attempt_does_not_settle_an_unknown_one() -> None:
    at = await opened("replicate")
    work, report = await fallen(at, *ONE)
    lost = report.model_copy(update={"ending": "unknown", "images": (), "usd_micros": 0})
    await at.settle(work, lost)
    at.bill(work, FIRST_USD, model="flux-schnell")
    assert (await at.run()).resolved == 0
    assert (await at.budget()).reserved_micros == HELD + FIRST_USD


async def test_difference_at_one_provider_is_adjusted_against_its_own_lines() -> None:
    at = await opened("replicate")
    work, report = await fallen(at, *TWO)
    await at.settle(work, report)
    at.bill(work, SECOND_USD + 400, model="sdxl")
    await at.run()
    (case,) = [d for d in at.documents("case") if d["kind"] == "amount_differs"]
    assert case["facts"]["booked_usd_micros"] == SECOND_USD
    before = (await at.budget()).spent_micros
    closing = Closing("adjust", "the invoice is right")
    assert (await at.cases.close(ADMIN, work.generation_id, closing, "c")).status == "closed"
    assert (await at.budget()).spent_micros == before + 400
    at.check()


@pytest.mark.parametrize("more_usd", [600, 500])
@pytest.mark.parametrize("first_is_closed", [True, False])
async def test_differences_at_two_providers_are_decided_apart(
    more_usd: int, *, first_is_closed: bool
) -> None:
    at = await opened("azure_openai")
    other = FakeUsageExport("replicate")
    exports = {"azure_openai": at.export, "replicate": other}
    gathering = replace(at.reconciliation.gathering, exports=exports)
    at.reconciliation = replace(at.reconciliation, gathering=gathering)
    work, report = await fallen(at, *TWO)
    await at.settle(work, report)
    at.bill(work, FIRST_USD + 500, model="gpt-image-2")
    other.days[DAY] = [
        BilledLine("replicate", "sdxl", DAY, "output", SECOND_USD + more_usd, job_id="job-2")
    ]
    ids = (f"{work.generation_id}:azure_openai:1", work.generation_id)
    closing = Closing("adjust", "the invoices are right")
    await at.run()
    if first_is_closed:
        await at.cases.close(ADMIN, ids[0], closing, "c")
    await at.reconciliation.run_now(ADMIN, "replicate", DAY, "c")
    for case_id in ids:
        assert (await at.cases.close(ADMIN, case_id, closing, "c")).status == "closed"
    assert (await at.budget()).spent_micros == FIRST_USD + 500 + SECOND_USD + more_usd
    again = await at.reconciliation.run_now(ADMIN, "replicate", DAY, "c")
    assert (again.opened, (await at.run()).opened) == ({}, {})


async def test_what_an_earlier_provider_took_beyond_its_quote_is_a_case_of_its_own() -> None:
    at = await opened("azure_openai")
    work, report = await fallen(at, *TWO)
    dear = report.lines[0].model_copy(update={"excess_usd_micros": 300})
    await at.settle(work, report.model_copy(update={"lines": (dear,)}))
    case_id = f"{work.generation_id}:azure_openai:1"
    kinds = {each["id"]: each["kind"] for each in at.documents("case")}
    assert kinds == {f"case:{case_id}": "cost_above_hold"}
    at.bill(work, FIRST_USD + 300, model="gpt-image-2")
    assert (await at.run()).opened == {}
    closed = await at.cases.close(ADMIN, case_id, Closing("adjust", "the invoice is right"), "c")
    assert closed.status == "closed"
    assert (await at.budget()).spent_micros == FIRST_USD + 300 + SECOND_USD


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (ONE, [("replicate", "cost_above_hold", None)]),
        (
            TWO,
            [
                ("azure_openai", "cost_above_hold", FIRST_USD + 300),
                ("replicate", "outcome_unknown", None),
            ],
        ),
    ],
)
async def test_each_provider_of_an_expired_generation_has_the_case_that_its_bill_calls_for(
    models: tuple[tuple[str, str], ...], expected: list[tuple[str, str, int | None]]
) -> None:
    at = await opened(models[0][1])
    work, report = await fallen(at, *models)
    dear = report.lines[0].model_copy(update={"excess_usd_micros": 300})
    lost = report.model_copy(update={"lines": (dear,), "images": (), "usd_micros": 0})
    await at.settle(work, expired_report(work, lost))
    cases = [
        (case["facts"]["provider"], case["kind"], case["facts"]["billed_usd_micros"])
        for case in at.documents("case")
    ]
    assert sorted(cases) == expected


async def test_reports_have_an_entry_for_each_line_that_cost_something() -> None:
    at = await opened("replicate")
    work, report = await fallen(at, *TWO)
    await at.settle(work, report)
    (document,) = at.documents("resolution")
    first, last = read_entries(document)
    assert (first.provider, first.amount_micros, first.images) == ("azure_openai", FIRST_USD, 0)
    assert (last.provider, last.amount_micros, last.images) == ("replicate", SECOND_USD, 1)
    assert (first.entry_id, last.entry_id) == (f"{document['id']}#1", document["id"])
    free = [document["lines"][0] | {"amount_micros": 0, "usd_micros": 0}, document["lines"][1]]
    totals = {"amount_micros": SECOND_USD, "usd_micros": SECOND_USD, "list_usd_micros": SECOND_USD}
    assert len(read_entries(document | totals | {"lines": free})) == 1
    with pytest.raises(InvariantBroken):
        read_entries(document | {"amount_micros": 1})
