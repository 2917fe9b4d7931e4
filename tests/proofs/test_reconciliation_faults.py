"""Reconciliation beside evidence that cannot be read."""

from dataclasses import replace

import pytest

from shared.domain.attempts import AttemptReport
from shared.errors import Unavailable
from tests.fakes.image_store import FakeImageStore
from tests.proofs.reconciliation_bench import ReconciliationBench


class UnreadableSeal(FakeImageStore):
    """Custody that cannot say whether it has the pictures of one generation."""

    unreadable = ""

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        if generation_id == self.unreadable:
            raise ValueError("no report")
        return await super().sealed(generation_id)


async def test_outcome_that_cannot_be_read_holds_up_nothing_but_the_end_of_the_run() -> None:
    at = ReconciliationBench(drift_bp_max=10**6)
    await at.open()
    lost, readable, dearer = await at.lost("a"), await at.lost("b"), await at.booked("c")
    for work in (lost, readable):
        at.bill(work, 3_000)
    at.bill(dearer, 7_000)
    images = UnreadableSeal()
    images.unreadable = lost.generation_id
    at.reconciliation = replace(at.reconciliation, attempts=replace(at.attempts, images=images))
    with pytest.raises(Unavailable):
        await at.run()
    assert {d["generation_id"] for d in at.documents("resolution")} == {
        readable.generation_id,
        dearer.generation_id,
    }
    assert [d["kind"] for d in at.documents("case")] == ["amount_differs"]
    assert at.documents("reconciliation") == []  # the timer does this day again
    images.unreadable = ""
    assert (await at.run()).resolved == 1
    at.check()
