"""How long the sweep waits: for a batch whose rows may wait, for evidence, for the horizon."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from shared.domain.attempts import AttemptReport
from shared.domain.provider_batches import BatchJob
from shared.errors import Unavailable
from shared.services.attempts import Attempts
from shared.services.ledger_sweep import LedgerSweep, SweepReport, SweepTimes
from tests import builders
from tests.fakes.batch_provider import FakeBatchProvider
from tests.fakes.image_store import FakeImageStore
from tests.fakes.orchestrations import FakeOrchestrations
from tests.proofs.virtual_loop import VirtualLoop
from tests.unit.provider_batches_bench import BATCH_ID, Bench

TIMES = SweepTimes(timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24))


def sweep_of(bench: Bench, attempts: Attempts) -> LedgerSweep:
    nobody = cast(Any, None)  # what holds and outcomes do not ask
    return LedgerSweep(
        ledger=bench.ledger,
        records=bench.records,
        calendars=nobody,
        budgets=nobody,
        attempts=attempts,
        settlements=bench.settlements,
        results=nobody,
        times=TIMES,
        clock=bench.clock,
    )


@pytest.mark.parametrize(
    ("deadline_rows", "hours", "canceled"),
    [(0, 2, True), (3, 2, False), (3, 24, False), (3, 26, True)],
)
async def test_lost_orchestration_is_started_again_and_given_up_later_if_rows_may_wait(
    deadline_rows: int, hours: int, canceled: bool
) -> None:
    bench = await Bench().open()
    batch = bench.document(f"batch:{BATCH_ID}")
    batch["deadline_rows"] = deadline_rows
    (hold,) = await bench.records.open_holds(builders.PARTITION, "2027")
    orchestrations = FakeOrchestrations()
    sweep = sweep_of(bench, bench.attempts)
    now = datetime.fromisoformat(builders.CREATED_AT) + timedelta(hours=hours)
    await sweep._revive(hold, now, orchestrations, SweepReport())
    assert orchestrations.batches == [(BATCH_ID, 3)]
    assert bench.document(f"batch:{BATCH_ID}")["cancel_requested"] is canceled


async def left_unknown() -> Bench:
    """A batch of one row whose job still ran when nobody waited any longer."""
    bench = await Bench(rows=1, instant=False).open()
    await bench.submit()
    await bench.collect()
    (record,) = bench.documents("g:")
    assert record["status"] == "indeterminate"
    return bench


async def looked_at(bench: Bench, attempts: Attempts, hours: int) -> SweepReport:
    """What the sweep does about unknown outcomes so many hours later."""
    bench.clock.advance(hours * 3_600)
    report, now = SweepReport(), bench.clock.now()
    for record in await bench.records.unknown_generations(builders.PARTITION, now.isoformat()):
        await sweep_of(bench, attempts)._resolve(record, now, report)
    return report


def reserved(bench: Bench) -> set[int]:
    return {budget["reserved_micros"] for budget in bench.documents("budget:")}


def check_booked_at_the_maximum(bench: Bench) -> None:
    (entry,), (case,) = bench.documents("x:"), bench.documents("case:")
    assert (entry["status"], entry["estimated"]) == ("failed", True)
    assert entry["amount_micros"] == entry["held_micros"]
    assert (case["kind"], case["facts"]["billed_usd_micros"]) == ("outcome_unknown", None)
    assert reserved(bench) == {0}


class GoneJobs(FakeBatchProvider):
    """A provider that has forgotten its jobs: the adapter makes Unavailable of its 404."""

    async def job(self, job_id: str) -> BatchJob:
        raise Unavailable("The provider did not answer a question about a batch.")


class UnreadableStore(FakeImageStore):
    """Custody whose seal cannot be read."""

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        raise ValueError("no report")


@dataclass
class SlowStore(FakeImageStore):
    """Custody that answers after a while."""

    seconds: float

    def __post_init__(self) -> None:
        super().__init__()

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        await asyncio.sleep(self.seconds)
        return await super().sealed(generation_id)


async def test_outcome_whose_job_is_gone_is_booked_at_the_maximum_past_the_horizon() -> None:
    bench = await left_unknown()
    gone = GoneJobs(bench.script, bench.clock)
    found = replace(bench.results, provider=gone).outcome_of
    attempts = replace(bench.attempts, batched=found)
    assert await looked_at(bench, attempts, 23) == SweepReport()
    assert 0 not in reserved(bench)
    assert await looked_at(bench, attempts, 2) == SweepReport(resolved=1, booked_at_maximum=1)
    check_booked_at_the_maximum(bench)


async def test_outcome_whose_seal_is_unreadable_is_booked_at_the_maximum_past_the_horizon() -> None:
    bench = await left_unknown()
    attempts = replace(bench.attempts, images=UnreadableStore())
    assert await looked_at(bench, attempts, 23) == SweepReport()
    assert await looked_at(bench, attempts, 2) == SweepReport(resolved=1, booked_at_maximum=1)
    check_booked_at_the_maximum(bench)
    marker = bench.document(f"a:{bench.documents('x:')[0]['generation_id']}:2")
    assert marker["owner"] == "sweeper"  # no call can follow


@pytest.mark.parametrize(("seconds", "at_maximum"), [(60.0, 0), (600.0, 1)])
def test_outcome_that_takes_long_to_read_gets_a_longer_last_look(
    seconds: float, at_maximum: int
) -> None:
    async def main() -> None:
        bench = await left_unknown()
        bench.provider.finish("batch-1")
        attempts = replace(bench.attempts, images=SlowStore(seconds))
        assert await looked_at(bench, attempts, 23) == SweepReport()
        report = await looked_at(bench, attempts, 2)
        assert report == SweepReport(resolved=1, booked_at_maximum=at_maximum)
        assert reserved(bench) == {0}

    VirtualLoop().run(main())  # type: ignore[abstract]  # what it lacks, no service may use
