"""Reconciliation beside evidence that cannot be read."""

from dataclasses import replace

import pytest

from shared.domain.attempts import AttemptReport, ImageOrder, ProviderOutcome
from shared.errors import Unavailable
from tests import builders
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import FakeProvider
from tests.proofs.reconciliation_bench import ReconciliationBench, never


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


class SilentProvider(FakeProvider):
    """A provider that cannot be asked about its jobs."""

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        raise Unavailable("The job cannot be read.")


async def test_outcome_whose_job_may_still_be_read_is_not_settled_by_the_export() -> None:
    at = ReconciliationBench("replicate")
    await at.open()
    wanted = builders.request("sdxl")
    quote = builders.catalogue().quote(wanted)
    lost = builders.item(builders.single_id("a"), wanted=wanted, quote=quote)
    await at.ledger.reserve(builders.reservation(lost))
    await at.ledger.begin_attempt(builders.marker(lost))
    await at.ledger.record_job(builders.marker(lost), "job-1")
    await at.settle(lost, builders.report(lost, "unknown", reason="no_answer"))
    at.bill(lost, 3_000)
    silent = {"replicate": SilentProvider("replicate", never)}
    at.reconciliation = replace(at.reconciliation, attempts=replace(at.attempts, providers=silent))
    with pytest.raises(Unavailable):
        await at.run()
    assert (at.documents("resolution"), at.documents("reconciliation")) == ([], [])
    at.reconciliation = replace(at.reconciliation, attempts=at.attempts)
    assert (await at.run()).resolved == 1  # the job answers, and knows of nothing
    at.check()
