"""What reconciliation reads and keeps: the fake and the adapter against one suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio

from shared.adapters.cosmos_reconciliation import JOBS_PER_QUERY, CosmosReconciliations
from shared.domain.adjustments import Adjustment
from shared.domain.cases import Adjusting, Case, Ruling, organisation_cases
from shared.domain.settlements import expired_report, resolution_for
from shared.ports.reconciliation import Reconciliations
from tests import builders
from tests.contract.cosmos_stores import RecordsBench, Stores, bench, event_of, stores
from tests.fakes.reconciliations import FakeReconciliations
from tests.fakes.records import FakeRecords

__all__ = ["bench", "stores"]


@pytest_asyncio.fixture
async def store(stores: Stores) -> AsyncIterator[Reconciliations]:
    if isinstance(stores.records, FakeRecords):
        yield FakeReconciliations(stores.connection._connection)  # type: ignore[attr-defined]
    else:
        yield CosmosReconciliations(stores.connection)


def case(bench: RecordsBench, name: str = "a", **values: object) -> Case:
    made = Case(
        case_id=f"{bench.id_of(name)}:1",
        partition=bench.partition,
        kind="amount_differs",
        opened_at="2026-11-16T05:00:00+00:00",
        provider="azure_openai",
        model="gpt-image-2",
        day="2026-11-15",
        generation_id=bench.id_of(name),
        tenant_id=builders.TENANT,
        charge=bench.money.owner.charge("apollo"),
        billed_usd_micros=5,
        booked_usd_micros=4,
        booked_micros=7,
        aud_per_usd_micros=1_540_000,
    )
    return replace(made, **values)  # type: ignore[arg-type]


async def opened(store: Reconciliations, wanted: Case) -> bool:
    return await store.open_case(wanted, event_of(wanted.document_id, "case.opened"))


async def changed(store: Reconciliations, wanted: Case) -> bool:
    event = event_of(wanted.document_id, f"case.changed.{wanted.revision}")
    return await store.change_case(wanted, event)


async def test_entries_are_those_of_a_provider_closed_in_a_time(
    store: Reconciliations, bench: RecordsBench
) -> None:
    work = [await bench.admit("azure"), await bench.admit("replicate", "sdxl")]
    for each in work:
        await bench.settle(each)
    on, after = builders.CLOSED_AT, "2026-11-30"
    found = await store.entries(bench.partition, "azure_openai", on, after)
    assert [entry["generation_id"] for entry in found] == [work[0].generation_id]
    assert await store.entries(bench.partition, "azure_openai", "2026-01-01", on) == []
    assert (await store.entry(work[1].generation_id) or {})["provider"] == "replicate"
    assert await store.entry(bench.id_of("nobody")) is None


async def test_entry_is_found_by_every_provider_that_a_line_of_it_names(
    store: Reconciliations, bench: RecordsBench
) -> None:
    work = await bench.admit("two")
    first = builders.resolution(work).lines[0].model_copy(update={"provider": "replicate"})
    end = builders.resolution(work, attempt=2, lines=(first,))
    await bench.money.resolve(work.operation_id, end)
    for provider in ("azure_openai", "replicate"):
        (found,) = await store.entries(bench.partition, provider, "2026-01-01", "2027-01-01")
        assert found["generation_id"] == work.generation_id
    assert await store.entries(bench.partition, "azure_ml", "2026-01-01", "2027-01-01") == []


async def test_corrections_are_adjustments_of_generations(
    store: Reconciliations, bench: RecordsBench
) -> None:
    work = await bench.admit("a")
    await bench.settle(work)
    for name, refers_to in (("one", work.generation_id), ("two", None)):
        await bench.money.ledger.adjust(
            Adjustment(
                adjustment_id=name,
                partition=bench.partition,
                kind="reconciliation",
                amount_micros=3,
                usd_micros=2,
                tenant_id=builders.TENANT,
                charge=work.charge,
                reason="as billed",
                actor="t.o",
                booked_at=builders.CLOSED_AT,
                event=event_of(name, "case.adjusted"),
                provider="azure_openai",
                refers_to=refers_to,
            )
        )
    found = await store.corrections(bench.partition, "azure_openai")
    assert [(each["refers_to"], each["usd_micros"]) for each in found] == [(work.generation_id, 2)]
    assert await store.corrections(bench.partition, "replicate") == []


async def test_jobs_name_their_generations_however_many_are_asked_for(
    store: Reconciliations, bench: RecordsBench
) -> None:
    expected = {}
    for number in (0, JOBS_PER_QUERY, JOBS_PER_QUERY + 20):
        work = await bench.admit(f"w{number}", "sdxl")
        marker = builders.marker(work)
        await bench.money.ledger.begin_attempt(marker)
        await bench.money.ledger.record_job(marker, f"job{number}")
        expected[f"job{number}"] = work.generation_id
    jobs = [f"job{number}" for number in range(JOBS_PER_QUERY + 21)]
    assert await store.generations_of_jobs(bench.partition, jobs) == expected
    assert await store.generations_of_jobs(bench.partition, []) == {}


async def test_case_opens_once_and_is_read_back(
    store: Reconciliations, stores: Stores, bench: RecordsBench
) -> None:
    wanted = case(bench)
    assert await opened(store, wanted)
    assert not await opened(store, replace(wanted, billed_usd_micros=9))
    assert await store.case(bench.partition, wanted.case_id) == wanted
    assert await store.case(bench.partition, "nothing") is None
    waiting = await stores.records.outbox(bench.partition, 10)
    assert [item["event"]["action"] for item in waiting] == ["case.opened"]


async def test_decision_replaces_the_revision_it_was_made_for(
    store: Reconciliations, bench: RecordsBench
) -> None:
    wanted = case(bench)
    await opened(store, wanted)
    charge = bench.money.owner.charge("apollo")
    adjusting = Adjusting("a:1:r2", charge, "202611", "reconciliation", 3, 2, 5)
    ruling = Ruling("adjust", "as billed", "t.o", "OrgAdmin", "2026-11-17", adjusting)
    decided = wanted.ruled("adjusting", ruling)
    assert await changed(store, decided)
    assert await changed(store, decided), "the same change again has been made"
    assert not await changed(store, wanted.ruled("closed", ruling))
    assert await store.case(bench.partition, wanted.case_id) == decided
    assert not await store.is_booked(adjusting)
    assert await changed(store, decided.refused_by_budget(adjusting))
    again = await store.case(bench.partition, wanted.case_id)
    assert again == replace(wanted, refused=(adjusting,), revision=3)
    assert await changed(store, again.closed(ruling))
    assert not await changed(store, again.ruled("adjusting", ruling))


async def test_newest_cases_come_first(store: Reconciliations, bench: RecordsBench) -> None:
    for day in (16, 18, 17):
        await opened(store, case(bench, f"c{day}", opened_at=f"2026-11-{day}T05:00:00+00:00"))
    found = await store.cases(bench.partition, 2)
    assert [each.opened_at[:10] for each in found] == ["2026-11-18", "2026-11-17"]


async def test_case_that_a_settlement_opens_is_one_of_them(
    store: Reconciliations, bench: RecordsBench
) -> None:
    work = await bench.admit("lost")
    resolution = resolution_for(
        work, expired_report(work, builders.report(work, "unknown")), builders.CLOSED_AT
    )
    await bench.money.resolve(work.operation_id, resolution)
    (found,) = await store.cases(bench.partition, 10)
    assert (found.kind, found.status, found.case_id) == (
        "outcome_unknown",
        "open",
        work.generation_id,
    )
    assert found.booked_micros == work.quote.amount_micros
    assert await changed(store, found.learned(replace(found, billed_usd_micros=7)))
    learned = await store.case(bench.partition, work.generation_id)
    assert learned is not None and learned.billed_usd_micros == 7


async def test_runs_are_kept_once_and_listed_newest_first(
    store: Reconciliations, bench: RecordsBench
) -> None:
    partition = organisation_cases(bench.partition.department_id)
    for day in (15, 17, 16, 17):
        run = {
            "id": f"reconciliation:azure_openai:202611{day}:run",
            "pk": partition.key,
            "type": "reconciliation",
            "ran_at": f"2026-11-{day}T05:00:00+00:00",
        }
        await store.keep_run(partition, run, event_of(run["id"], "reconciliation.completed"))
    found = await store.runs(partition, 2)
    assert [run["ran_at"][:10] for run in found] == ["2026-11-17", "2026-11-16"]
