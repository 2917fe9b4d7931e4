"""Closing a period: what is refused, what is written, and that it stays as it was."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_organisation_policies import CosmosOrganisationPolicies
from shared.adapters.cosmos_statements import CosmosStatements
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.identity import Caller, Role
from shared.domain.organisation_policies import OrganisationPolicy
from shared.domain.periods import Calendar, PeriodRule
from shared.domain.statement_views import StatementView
from shared.domain.work import WorkItem
from shared.errors import Conflict, Invalid, InvariantBroken, NotFound, PeriodClosed, PolicyDenied
from shared.services.allocations import Allocations
from shared.services.calendars import Calendars
from shared.services.statements import ChargebackStatements
from tests import builders
from tests.contract.ledger_bench import LIMIT_MICROS, Bench
from tests.fakes.allocations import FakeAllocations
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.entries import FakeEntries
from tests.fakes.records import FakeRecords
from tests.synthetic_spend import adjustment

DEPARTMENT, PERIOD = builders.DEPARTMENT, builders.PARTITION.period
ANA, MIA, OLGA = (
    builders.caller(1),
    builders.caller(3, role=Role.DEPT_MANAGER),
    builders.caller(4, "design", Role.ORG_ADMIN),
)
AFTER = datetime(2026, 12, 1, tzinfo=UTC)  # the first moment at which November may be closed
PRICE = 60_000


@dataclass
class World:
    """Statements over documents in memory, after November."""

    service: ChargebackStatements
    bench: Bench
    connection: FakeConnection
    files: FakeBatchFiles
    clock: FakeClock

    async def settled(self, number: int = 1) -> WorkItem:
        work = self.bench.single(str(number))
        await self.bench.reserve(work)
        await self.bench.resolve(work.operation_id, builders.resolution(work, usd_micros=PRICE))
        return work

    async def close(self, caller: Caller = OLGA, period: str = PERIOD) -> StatementView:
        return await self.service.close(caller, DEPARTMENT, period, "c-1")

    def actions(self, key: str = builders.PARTITION.key) -> list[str]:
        documents = self.connection.container("ledger").partitions[key].values()
        return sorted(d["event"]["action"] for d in documents if d["type"] == "outbox")


@pytest.fixture
async def world() -> World:
    connection, clock, files = FakeConnection(), FakeClock(AFTER), FakeBatchFiles()
    directory = FakeDirectory(departments=(DEPARTMENT, "design"))
    opened = connection.as_connection()
    ledger = CosmosLedger(opened)
    policies = FakeBudgetPolicies(connection)
    calendars = Calendars(policies, directory, clock)
    allocations = Allocations(
        books=FakeAllocations(connection),
        organisations=CosmosOrganisationPolicies(opened),
        ledger=ledger,
        budget_policies=policies,
        calendars=calendars,
        directory=directory,
        clock=clock,
        tenants=[builders.TENANT],
    )
    service = ChargebackStatements(
        entries=FakeEntries(connection),
        statements=CosmosStatements(opened),
        ledger=ledger,
        records=FakeRecords(connection),
        files=files,
        directory=directory,
        calendars=calendars,
        allocations=allocations,
        clock=clock,
    )
    bench = Bench(ledger, opened, builders.PARTITION, ANA)
    await bench.open()
    return World(service, bench, connection, files, clock)


async def test_unused_allocation_goes_back_when_the_period_is_closed(world: World) -> None:
    allocations = world.service.allocations
    await world.settled()
    cap = OrganisationPolicy(builders.TENANT, 5 * LIMIT_MICROS, Calendar())
    await allocations.organisations.put(cap, builders.event("organisation", "budget.changed.1"))
    allocated = await allocations.open(builders.TENANT, DEPARTMENT, PERIOD, LIMIT_MICROS)
    assert allocated == LIMIT_MICROS
    scope = Scope("department", DEPARTMENT)
    document = world.connection.container("ledger").partitions[builders.PARTITION.key]
    document[scope.document_id]["allocated_micros"] = LIMIT_MICROS
    for _ in range(2):  # the second time finds nothing left to give back
        await world.close()
        standing = await allocations.organisations.cap(cap.partition_of(PERIOD))
        assert standing is not None and standing.allocated_micros == PRICE
    budget = await world.bench.ledger.budget(builders.PARTITION, scope)
    assert budget is not None
    assert budget.allocated_micros == budget.limit_micros == budget.spent_micros == PRICE


async def test_statement_is_the_sum_of_the_ledger(world: World) -> None:
    for number in range(3):
        await world.settled(number)
    view = await world.close()
    assert view.totals.amount_micros == 3 * PRICE
    assert view.totals.entries == view.totals.images == 3
    assert (await world.bench.counters())[0] == (0, 3 * PRICE)
    document = json.loads(await world.service.file(MIA, DEPARTMENT, PERIOD, "json"))
    assert document["statement"]["totals"]["amount_micros"] == 3 * PRICE
    assert len(document["lines"]) == 3
    text = (await world.service.file(MIA, DEPARTMENT, PERIOD, "csv")).decode()
    assert text.count("\r\n") == 4
    assert {"statement.sealed", "statement.issued"} <= set(world.actions())


async def test_period_that_runs_is_not_closed(world: World) -> None:
    await world.settled()
    world.clock.set(AFTER - timedelta(seconds=1))
    with pytest.raises(Conflict) as refused:
        await world.close()
    assert refused.value.problem_code == "period_running"
    assert refused.value.extra == {"ends_before": "2026-12-01"}
    await world.settled(2)  # nothing was sealed


async def test_open_work_is_named_and_keeps_the_period_open(world: World) -> None:
    running, unknown = world.bench.single("running"), world.bench.single("unknown")
    for work in (running, unknown):
        await world.bench.reserve(work)
    await world.bench.note_unknown(unknown)
    with pytest.raises(Conflict) as refused:
        await world.close()
    assert refused.value.problem_code == "period_has_open_work"
    said = refused.value.extra
    assert set(said["open_holds"]) == {running.operation_id, unknown.operation_id}
    assert said["indeterminate"] == [unknown.generation_id]
    assert said["reserved_micros"] == 2 * PRICE
    for work in (running, unknown):
        await world.bench.resolve(work.operation_id, builders.resolution(work, usd_micros=PRICE))
    assert (await world.close()).totals.amount_micros == 2 * PRICE


async def test_only_an_org_admin_closes_and_a_denial_is_kept(world: World) -> None:
    for caller in (ANA, MIA):
        with pytest.raises(PolicyDenied):
            await world.close(caller)
    denials = [a for a in world.actions("marketing|202612") if a.startswith("statement.denied.")]
    assert len(denials) == 2


async def test_closing_again_answers_the_same(world: World) -> None:
    await world.settled()
    first = await world.close()
    world.clock.advance(3_600)
    again = await world.close(builders.caller(5, role=Role.SUPER_ADMIN))
    assert again == first
    assert world.actions().count("statement.issued") == 1


async def test_two_closers_at_once_issue_one_statement(world: World) -> None:
    for number in range(5):
        await world.settled(number)
    views = await asyncio.gather(*(world.close() for _ in range(4)))
    assert len({view.json_sha256 for view in views}) == 1
    assert world.actions().count("statement.issued") == 1


async def test_nothing_is_booked_after_the_close(world: World) -> None:
    await world.settled()
    await world.close()
    with pytest.raises(PeriodClosed):
        await world.bench.reserve(world.bench.single("late"))


async def test_closing_goes_on_after_a_crash_between_seal_and_issue(world: World) -> None:
    await world.settled()
    sealed = builders.event(f"{DEPARTMENT}-{PERIOD}", "statement.sealed")
    assert await world.service.statements.seal(builders.PARTITION, sealed)
    (shown, *_) = [
        each
        for each in (await world.service.periods(OLGA, DEPARTMENT)).items
        if each.period == PERIOD
    ]
    assert shown.state == "sealed"
    assert (await world.close()).totals.amount_micros == PRICE


async def test_file_is_written_again_if_the_worker_died_before(world: World) -> None:
    await world.settled()
    await world.close()
    before = dict(world.files.results)
    world.files.results.clear()
    await world.service.file(OLGA, DEPARTMENT, PERIOD, "csv")
    await world.service.file(OLGA, DEPARTMENT, PERIOD, "json")
    assert world.files.results == before


async def test_file_that_was_changed_is_never_handed_out(world: World) -> None:
    await world.settled()
    await world.close()
    name = f"statements/{DEPARTMENT}/{PERIOD}.csv"
    world.files.results[name] = world.files.results[name].replace(b"0.060000", b"0.050000")
    with pytest.raises(InvariantBroken):
        await world.service.file(OLGA, DEPARTMENT, PERIOD, "csv")
    await world.service.file(OLGA, DEPARTMENT, PERIOD, "json")


async def test_entry_that_appears_after_the_close_is_noticed(world: World) -> None:
    await world.settled()
    await world.close()
    world.files.results.clear()
    partition = world.connection.container("ledger").partitions[builders.PARTITION.key]
    forged = adjustment(1, amount_micros=1)
    partition[forged["id"]] = forged
    with pytest.raises(InvariantBroken):
        await world.service.file(OLGA, DEPARTMENT, PERIOD, "json")
    partition.pop(forged["id"])
    partition[f"budget:department:{DEPARTMENT}"]["spent_micros"] += 1
    with pytest.raises(InvariantBroken):
        await world.service.file(OLGA, DEPARTMENT, PERIOD, "json")


async def test_counters_that_differ_from_the_entries_stop_the_statement(world: World) -> None:
    await world.settled()
    partition = world.connection.container("ledger").partitions[builders.PARTITION.key]
    budget = partition[f"budget:department:{DEPARTMENT}"]
    partition[budget["id"]] = {**budget, "spent_micros": budget["spent_micros"] - 1}
    with pytest.raises(InvariantBroken):
        await world.close()


async def test_period_and_department_must_exist(world: World) -> None:
    with pytest.raises(NotFound):
        await world.close(period="202607")  # nobody spent anything then
    with pytest.raises(NotFound):
        await world.service.close(OLGA, "nowhere", PERIOD, "c-1")
    with pytest.raises(NotFound):
        await world.service.file(OLGA, DEPARTMENT, PERIOD, "csv")


async def test_month_inside_a_quarter_is_no_period(world: World) -> None:
    policies = FakeBudgetPolicies(world.connection)
    calendar = Calendar((PeriodRule("quarter"),))
    policies.plant(DEPARTMENT, BudgetPolicy(Scope("department", DEPARTMENT), 1, calendar=calendar))
    with pytest.raises(Invalid):
        await world.close()


async def test_statements_are_shown_to_those_who_answer_for_them(world: World) -> None:
    await world.settled()
    await world.close()
    with pytest.raises(PolicyDenied):
        await world.service.file(ANA, DEPARTMENT, PERIOD, "csv")
    stranger = builders.caller(6, "design", Role.DEPT_MANAGER)
    for asked in (
        world.service.file(stranger, DEPARTMENT, PERIOD, "csv"),
        world.service.periods(stranger, DEPARTMENT),
    ):
        with pytest.raises(NotFound):
            await asked
    own = (await world.service.periods(MIA, None)).items
    assert [(each.period, each.state) for each in own[:3]] == [
        ("202612", "unused"),
        (PERIOD, "issued"),
        ("202610", "unused"),
    ]
    everyone = (await world.service.periods(OLGA, None)).items
    assert {each.department_id for each in everyone} == {DEPARTMENT, "design"}
