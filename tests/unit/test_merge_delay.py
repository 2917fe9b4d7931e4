"""The merge delay: it grows whoever of relay, sequencer and witness stands still."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import vitals
from shared.domain.audit_entries import AuditRecord
from shared.domain.sequencing import read_signed_state, read_state
from shared.services.audit_sequencer import STATE
from shared.services.merge_delay import MergeDelay
from tests.fakes.audit_log_files import FakeLogStores, undisturbed
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Crashed
from tests.proofs.audit_log_world import records, sequencer, witness


class Bench:
    """A log whose event number n happened n seconds after the clock's first moment."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stores = FakeLogStores()
        self.cosigned = FakeLogStores()  # the witness's own
        self.start = self.clock.now()
        self.delay = MergeDelay(self.stores, self.stores, self.stores, self.cosigned, self.clock)

    def happen(self, size: int) -> None:
        """There are so many events in the audit container."""
        for number, record in enumerate(records(0, size)):
            at = (self.start + timedelta(seconds=number)).isoformat()
            self.stores.records[number:] = [
                replace(record, event={**record.event, "occurred_at": at})
            ]
        self.clock.advance(size)

    async def sequence(self) -> None:
        await sequencer(self.stores).run()

    async def cosign(self) -> None:
        own = replace(witness(self.stores), register=self.cosigned)
        await own.look(self.stores, self.stores)

    async def seconds(self) -> int:
        reading = await self.delay.reading()
        assert (reading.name, reading.attributes) == (vitals.AUDIT_MERGE_DELAY, {})
        return reading.value


async def killed_before_files(call: str, work: Callable[[], Any]) -> Any:
    """The process dies when it would write the first file of a batch."""
    if call.startswith("create"):
        raise Crashed(call)
    return work()


async def test_nothing_waits_when_the_witness_has_seen_everything() -> None:
    bench = Bench()
    assert await bench.seconds() == 0
    bench.happen(300)
    await bench.sequence()
    await bench.cosign()
    bench.clock.advance(3_600)
    assert await bench.seconds() == 0


async def test_events_that_nobody_sequences_are_late() -> None:
    bench = Bench()
    bench.happen(10)
    await bench.sequence()
    await bench.cosign()
    bench.happen(40)
    assert await bench.seconds() == 50 - 10  # number 10 is the first that is not in the log


async def test_events_of_a_batch_that_is_chosen_and_not_written_are_late() -> None:
    bench = Bench()
    bench.happen(30)
    bench.stores.around = killed_before_files
    with pytest.raises(Crashed):
        await bench.sequence()
    bench.stores.around = undisturbed
    state = read_state(read_signed_state(bench.stores.values[STATE][1])[0])
    assert state.pending is not None and len(state.pending.entries) == 30
    assert await bench.seconds() == 30


@pytest.mark.parametrize("size", [256, 300])
async def test_events_that_nobody_cosigns_are_late(size: int) -> None:
    bench = Bench()
    bench.happen(size)
    await bench.sequence()
    await bench.cosign()
    bench.happen(600)
    await bench.sequence()
    assert await bench.seconds() == 600
    await bench.cosign()
    assert await bench.seconds() == 0


async def test_document_without_a_time_hides_no_other_and_breaks_nothing() -> None:
    bench = Bench()
    bench.happen(3)
    odd = [AuditRecord("p", str(n), event) for n, event in enumerate([None, {"occurred_at": "x"}])]
    bench.stores.records[:0] = odd
    assert await bench.seconds() == 3
    await bench.sequence()
    assert await bench.seconds() == 3
