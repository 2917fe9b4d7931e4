"""Fallbacks over a ledger: two providers, one hold, one entry with a line for each attempt."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.attempts import (
    AttemptReport,
    Billed,
    Course,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    Unknown,
    Usage,
)
from shared.domain.budgets import Scope
from shared.domain.fallbacks import (
    NOT_AFFORDABLE,
    PASSED_OVER_RETRY_S,
    billed_micros,
)
from shared.domain.ids import operation_id, row_generation_id
from shared.domain.ledger import ATTEMPTS_MAX
from shared.domain.settlements import expired_report, resolution_for
from shared.domain.work import WorkItem
from shared.errors import BudgetExceeded, PolicyDenied
from shared.services.attempts import Attempts
from shared.services.provider_gate import GateLimit, ProviderGate, Wait
from tests import builders
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, NoFaults, ScriptedFaults
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import NOT_A_PICTURE, PNG, FakeProvider, Work
from tests.proofs.fallback_mutants import NOT_MADE_SURE_OF
from tests.proofs.mutants import installed
from tests.unit.fallback_work import FIRST, QUOTE, SCOPES, item


class Bench:
    """Attempts over a fake store with a hold, two providers and budgets."""

    def __init__(
        self, script: Callable[[ImageOrder], Work], limit_micros: int = 1_000_000, **changes: Any
    ) -> None:
        self.faults = ScriptedFaults("patch")
        self.connection = FakeConnection(self.faults)
        self.container = self.connection.container("ledger")
        self.ledger = CosmosLedger(self.connection.as_connection())
        self.work = item(**changes)
        self.limit_micros = limit_micros
        self.images = FakeImageStore(NoFaults())
        providers = ("azure_openai", "replicate")
        self.providers = {
            name: FakeProvider(name, script, jobs=name == "replicate") for name in providers
        }
        self.clock = FakeClock()
        self.attempts = Attempts(
            ledger=self.ledger,
            images=self.images,
            providers=self.providers,
            catalogues=builders.catalogues(),
            gate=ProviderGate(dict.fromkeys(providers, GateLimit(2, 60)), self.clock),
            clock=self.clock,
            end_user_salt="salt",
        )

    async def admitted(self) -> "Bench":
        limits = dict.fromkeys(SCOPES, self.limit_micros)
        await builders.open_budgets(self.connection.as_connection(), builders.PARTITION, limits)
        await self.ledger.reserve(builders.reservation(self.work))
        return self

    async def carried_out(self, work: WorkItem | None = None) -> AttemptReport:
        attempt, course = 1, Course()
        while True:
            report = await self.attempts.run(work or self.work, attempt, course)
            if report.ending not in ("retry", "fallback", "again"):
                return report
            attempt += report.ending != "again"
            course = report.next or course

    async def settled(self, report: AttemptReport) -> None:
        end = resolution_for(self.work, report, builders.CLOSED_AT)
        await self.ledger.resolve(self.work.operation_id, [end])

    def document(self, document_id: str) -> dict[str, Any]:
        found = self.container.peek(builders.PARTITION.key, document_id)
        assert found is not None
        return found

    @property
    def budget(self) -> tuple[int, int]:
        document = self.document(Scope("department", builders.DEPARTMENT).document_id)
        return document["reserved_micros"], document["spent_micros"]

    @property
    def invoice(self) -> dict[str, dict[int, int]]:
        return {
            name: {attempt: usd for (_, attempt), usd in provider.billed.items()}
            for name, provider in self.providers.items()
        }


def then_delivers(*failures: Work) -> Callable[[ImageOrder], Work]:
    """One failure after the other, then a picture at the quoted price."""

    def script(order: ImageOrder) -> Work:
        if order.attempt <= len(failures):
            return failures[order.attempt - 1]
        usd = builders.catalogue().quote(builders.request(order.model)).usd_micros
        if order.model == FIRST.model:
            usd = QUOTE.usd_micros
        return Work(Delivered((), None), usd, (PNG,) * order.count)

    return script


def failure(kind: Failure, billed: Billed = Billed.NOTHING) -> Work:
    usd = 0 if billed is Billed.NOTHING else QUOTE.usd_micros
    return Work(NotDelivered(kind, billed, kind.value), usd)


async def test_a_billed_failure_and_its_fallback_are_two_lines_of_one_entry() -> None:
    bench = await Bench(then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM))).admitted()
    report = await bench.carried_out()
    assert (report.ending, report.attempt, report.candidate) == ("delivered", 2, 1)
    second = bench.work.candidate(1)
    held = QUOTE.amount_micros + second.amount_micros
    assert bench.budget == (held, 0)
    assert bench.document(f"h:{bench.work.operation_id}")["remaining_micros"] == held
    marker = bench.document(f"a:{bench.work.generation_id}:2")
    assert (marker["candidate"], marker["raised_micros"]) == (1, second.amount_micros)
    await bench.settled(report)
    entry = bench.document(f"x:{bench.work.generation_id}")
    assert [(line["model"], line["amount_micros"]) for line in entry["lines"]] == [
        ("gpt-image-2", QUOTE.amount_micros),
        ("sdxl", second.amount_micros),
    ]
    assert entry["providers"] == ["azure_openai", "replicate"]
    assert (entry["model"], entry["raised_micros"]) == ("sdxl", second.amount_micros)
    assert bench.budget == (0, held)
    record = bench.document(f"g:{bench.work.generation_id}")
    assert (record["model"], record["provider"]) == ("sdxl", "replicate")
    assert bench.invoice == {
        "azure_openai": {1: QUOTE.usd_micros},
        "replicate": {2: second.usd_micros},
    }


async def test_a_failure_at_no_cost_raises_only_the_difference() -> None:
    bench = await Bench(then_delivers(failure(Failure.TRANSIENT))).admitted()
    report = await bench.carried_out()
    assert report.ending == "delivered"
    assert bench.budget[0] == bench.work.candidate(1).amount_micros
    await bench.settled(report)
    entry = bench.document(f"x:{bench.work.generation_id}")
    assert [line["amount_micros"] for line in entry["lines"]] == [0, entry["amount_micros"]]


async def test_an_unknown_outcome_never_falls_through() -> None:
    lost = Work(Unknown("connection_lost"), QUOTE.usd_micros)
    bench = await Bench(then_delivers(lost)).admitted()
    report = await bench.carried_out()
    assert (report.ending, report.attempt) == ("unknown", 1)
    assert bench.invoice["replicate"] == {}
    assert (await bench.attempts.stop(bench.work, "sweeper")).ending == "unknown"
    await bench.settled(expired_report(bench.work, report))
    assert bench.budget == (0, QUOTE.amount_micros)


async def test_an_unknown_fallback_is_booked_at_its_own_maximum_beside_what_was_billed() -> None:
    lost = Work(Unknown("connection_lost"), 0)
    script = then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM), lost)
    bench = await Bench(script).admitted()
    report = await bench.carried_out()
    assert (report.ending, report.attempt, report.candidate) == ("unknown", 2, 1)
    stopped = await bench.attempts.stop(bench.work, "sweeper")
    assert (stopped.ending, stopped.candidate) == ("unknown", 1)
    assert (stopped.lines, stopped.held_micros) == (report.lines, report.held_micros)
    await bench.settled(expired_report(bench.work, stopped))
    held = QUOTE.amount_micros + bench.work.candidate(1).amount_micros
    assert bench.budget == (0, held)


async def test_a_raise_that_no_budget_covers_ends_with_what_there_is() -> None:
    script = then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM))
    bench = await Bench(script, limit_micros=QUOTE.amount_micros + 1).admitted()
    report = await bench.carried_out()
    assert (report.ending, report.failure) == ("ended", Failure.MALFORMED)
    assert (report.reason, report.attempt) == (NOT_AFFORDABLE, 1)
    assert bench.document(f"a:{bench.work.generation_id}:2")["owner"] == "canceller"
    assert bench.budget == (QUOTE.amount_micros, 0)
    await bench.settled(report)
    assert bench.budget == (0, QUOTE.amount_micros)
    # A repeat of the second attempt may not be let through once the budget has room again.
    assert await bench.attempts.run(bench.work, 2, Course(candidate=1, lines=())) == report
    assert await bench.attempts.stop(bench.work, "sweeper") == report
    assert bench.invoice["replicate"] == {}


async def test_a_raise_is_refused_for_an_amount_that_was_approved() -> None:
    bench = await Bench(then_delivers(failure(Failure.TRANSIENT))).admitted()
    hold = bench.document(f"h:{bench.work.operation_id}")
    hold["raised"] = [{"kind": "department", "scope_id": builders.DEPARTMENT}]
    await bench.container.upsert_item(hold)
    marker = replace(builders.marker(bench.work), raised_micros=10, held_micros=20)
    with pytest.raises(PolicyDenied):
        await bench.ledger.begin_attempt(marker)
    assert bench.container.peek(builders.PARTITION.key, marker.document_id) is None


async def test_a_refused_raise_leaves_neither_marker_nor_hold_nor_budget_changed() -> None:
    bench = await Bench(then_delivers(), limit_micros=QUOTE.amount_micros + 9).admitted()
    before = bench.document(f"h:{bench.work.operation_id}")
    marker = replace(builders.marker(bench.work), raised_micros=10, held_micros=20)
    with pytest.raises(BudgetExceeded) as refusal:
        await bench.ledger.begin_attempt(marker)
    assert refusal.value.extra["scope"].startswith("department:")
    assert bench.container.peek(builders.PARTITION.key, marker.document_id) is None
    assert bench.document(f"h:{bench.work.operation_id}") == before
    assert bench.budget == (QUOTE.amount_micros, 0)


async def test_a_refusal_for_content_is_not_shopped_around() -> None:
    refused = failure(Failure.CONTENT_REJECTED, Billed.OUTPUT)
    bench = await Bench(then_delivers(refused)).admitted()
    assert (await bench.carried_out()).failure is Failure.CONTENT_REJECTED
    assert bench.invoice["replicate"] == {}


async def test_pages_instead_of_pictures_fall_through_with_what_they_cost() -> None:
    usage = Usage(input_tokens=1, output_tokens=10)
    page = Work(Delivered((), usage), 305, (NOT_A_PICTURE,))
    bench = await Bench(then_delivers(page)).admitted()
    report = await bench.carried_out()
    assert report.ending == "delivered"
    assert [(each.failure, each.usd_micros) for each in report.lines] == [(Failure.MALFORMED, 305)]


async def test_a_stop_after_a_fallback_books_what_was_billed() -> None:
    bench = await Bench(then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM))).admitted()
    first = await bench.attempts.run(bench.work, 1)
    assert first.ending == "fallback"
    stopped = await bench.attempts.stop(bench.work, "sweeper")
    assert (stopped.ending, stopped.attempt) == ("canceled", 2)
    assert stopped == await bench.attempts.stop(bench.work, "canceller")
    course = first.next
    assert course is not None
    assert (await bench.attempts.run(bench.work, 2, course)).lines == stopped.lines
    await bench.settled(stopped)
    assert bench.budget == (0, QUOTE.amount_micros)
    canceled = bench.document(f"g:{bench.work.generation_id}")
    assert canceled["failure"]["detail"] == "It was stopped; attempts before that were charged."


async def test_a_cancel_between_two_candidates_is_in_time() -> None:
    bench = await Bench(then_delivers(failure(Failure.TRANSIENT))).admitted()
    await bench.attempts.run(bench.work, 1)
    report = await bench.attempts.cancel(bench.work)
    assert report is not None and report.ending == "canceled"
    assert billed_micros(report.lines) == 0


async def test_a_repeat_of_each_attempt_says_what_the_first_one_said() -> None:
    script = then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM))
    bench = await Bench(script).admitted()
    first = await bench.attempts.run(bench.work, 1)
    assert await bench.attempts.run(bench.work, 1) == first
    assert first.next is not None
    second = await bench.attempts.run(bench.work, 2, first.next)
    assert await bench.attempts.run(bench.work, 2, first.next) == second
    assert bench.invoice["replicate"].keys() == {2}


async def two_executions(bench: Bench) -> None:
    """An execution ends after a record whose answer was lost; another one starts over."""
    bench.faults._faults = [Fault.LATE] * 9
    first = await bench.attempts.run(bench.work, 1)
    bench.faults._faults = []
    other, attempt, course = (
        AttemptReport(generation_id=bench.work.generation_id, attempt=1, ending="again"),
        1,
        Course(),
    )
    while other.ending in ("fallback", "again") and attempt < ATTEMPTS_MAX:
        other = await bench.attempts.run(bench.work, attempt, course)
        attempt += other.ending != "again"
        course = other.next or course
    await bench.settled(first)
    await bench.settled(other)


async def books_match(bench: Bench) -> bool:
    entry = bench.document(f"x:{bench.work.generation_id}")
    hold = bench.document(f"h:{bench.work.operation_id}")
    billed = sum(usd for each in bench.invoice.values() for usd in each.values())
    return bool(entry["usd_micros"] == billed and hold["remaining_micros"] == 0)


async def test_an_end_after_a_record_that_may_stand_is_made_sure_of() -> None:
    script = then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM))
    bench = await Bench(script).admitted()
    await two_executions(bench)
    assert await books_match(bench)
    with installed(NOT_MADE_SURE_OF):
        broken = await Bench(script).admitted()
        await two_executions(broken)
        assert not await books_match(broken)


async def test_who_was_passed_over_is_asked_again_when_everybody_is_busy() -> None:
    bench = await Bench(then_delivers()).admitted()
    busy = {"azure_openai", "replicate"}

    async def enter(provider: str, *_: object) -> Wait | None:
        return Wait(3_600.0, "provider_limit") if provider in busy else await admit(provider, *_)

    admit: Any = bench.attempts.gate.enter
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bench.attempts.gate, "enter", enter)
        passed = await bench.attempts.run(bench.work, 1)
        assert passed.next is not None and passed.next.candidate == 1
        waits = await bench.attempts.run(bench.work, 1, passed.next)
        assert (waits.next, waits.retry_after_s) == (Course(), PASSED_OVER_RETRY_S)
        busy.remove("azure_openai")
        assert (await bench.attempts.run(bench.work, 1, waits.next or Course())).candidate == 0


async def test_rows_that_raise_at_once_never_pass_the_ceiling_and_book_what_was_billed() -> None:
    rows, affordable = 12, 5
    bench = Bench(then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM)))
    batch_id = operation_id(builders.PARTITION, "test", "batch")
    work = [
        replace(bench.work, generation_id=row_generation_id(batch_id, row))
        for row in range(1, rows + 1)
    ]
    limit = rows * QUOTE.amount_micros + affordable * work[0].candidate(1).amount_micros + 5
    connection = bench.connection.as_connection()
    await builders.open_budgets(connection, builders.PARTITION, dict.fromkeys(SCOPES, limit))
    await bench.ledger.reserve(builders.batch_reservation(batch_id, work))
    limits = dict.fromkeys(bench.providers, GateLimit(rows, 60_000))
    bench.attempts = replace(bench.attempts, gate=ProviderGate(limits, bench.clock))
    reports = await asyncio.gather(*(bench.carried_out(each) for each in work))
    assert [report.ending for report in reports].count("delivered") == affordable
    assert bench.budget[0] <= limit
    for each, report in zip(work, reports, strict=True):
        end = resolution_for(each, report, builders.CLOSED_AT)
        await bench.ledger.resolve(batch_id, [end])
    billed = sum(sum(provider.billed.values()) for provider in bench.providers.values())
    booked = [bench.document(f"x:{each.generation_id}")["usd_micros"] for each in work]
    assert sum(booked) == billed
    assert bench.budget[0] == bench.document(f"h:{batch_id}")["remaining_micros"] == 0
    assert bench.budget[1] <= limit
