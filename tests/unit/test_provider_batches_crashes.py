"""A process that sends and books a provider batch, and dies at every call that it makes."""

import pytest

from shared.domain.ids import row_generation_id
from shared.domain.provider_batches import custom_id_of
from tests.fakes.faults import Crashed, Fault
from tests.unit.provider_batches_bench import BATCH_ID, Bench, Restarts

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
        in_batch = sum(custom_id_of(BATCH_ID, row) in job.done for job in jobs.values())
        assert alone + in_batch == 1, (faults.calls[-1], at)
    return True
