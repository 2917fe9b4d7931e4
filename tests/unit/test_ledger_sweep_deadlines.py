"""The sweep gives a batch whose rows may wait a day that much longer before it gives it up."""

from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from shared.services.ledger_sweep import LedgerSweep, SweepReport, SweepTimes
from tests import builders
from tests.fakes.orchestrations import FakeOrchestrations
from tests.unit.provider_batches_bench import BATCH_ID, Bench

TIMES = SweepTimes(timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24))


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
    nobody = cast(Any, None)  # what reviving a hold does not ask
    sweep = LedgerSweep(
        ledger=bench.ledger,
        records=bench.records,
        calendars=nobody,
        budgets=nobody,
        attempts=bench.attempts,
        settlements=bench.settlements,
        results=nobody,
        times=TIMES,
        clock=bench.clock,
    )
    now = datetime.fromisoformat(builders.CREATED_AT) + timedelta(hours=hours)
    await sweep._revive(hold, now, orchestrations, SweepReport())
    assert orchestrations.batches == [(BATCH_ID, 3)]
    assert bench.document(f"batch:{BATCH_ID}")["cancel_requested"] is canceled
