"""Work that waits for a budget's next period is counted when somebody asks for it."""

from dataclasses import replace
from typing import cast

import pytest

from shared.adapters.cosmos import LEDGER_CONTAINER, create_once
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import budget_document, charged_scopes
from shared.domain.ledger import Reservation
from shared.errors import BudgetExceeded, RateLimited, Unavailable
from shared.services.approvals import Approvals
from shared.services.overage import Overage, Wanted
from tests import builders
from tests.fakes.orchestrations import FakeOrchestrations
from tests.fakes.parked_work import FakeParkedWork
from tests.unit.test_rate_limits import Bench, caller


async def without_money(bench: Bench) -> None:
    """Budgets that hold nothing and let work wait."""
    container = await bench.connection.as_connection().container(LEDGER_CONTAINER)
    for scope in charged_scopes(builders.DEPARTMENT, builders.caller().key):
        budget = BudgetPolicy(scope, 0, overage="queue").opening(builders.PARTITION.period)
        await create_once(container, budget_document(builders.PARTITION, budget))


def wanted(number: int, images: int) -> Wanted:
    """A request for some pictures."""

    def reservation(operation_id: str) -> Reservation:
        return builders.reservation(builders.item(operation_id, builders.request(count=images)))

    return Wanted("generation", builders.single_id(f"{number}"), "c", {}, reservation)


async def defer(bench: Bench, asked: Wanted) -> str | None:
    """What a use case does: reserve, and let it wait when the budget refuses."""
    admission = bench.admission()
    parked = FakeParkedWork(bench.connection)
    nobody = cast(Approvals, None)  # is asked: the budgets let work wait
    overage = Overage(
        parked, admission.ledger, nobody, admission.calendars, bench.clock, bench.limits
    )
    try:
        reserved = await admission.reserve(
            caller(), asked.reservation(asked.operation_id), quietly=True
        )
    except BudgetExceeded as refusal:
        return await overage.take(caller(), refusal, asked, FakeOrchestrations())
    assert not reserved
    return await overage.followed(asked.operation_id, FakeOrchestrations())


async def test_work_that_waits_counts_when_it_is_asked_for() -> None:
    bench = Bench()
    await without_money(bench)
    first = wanted(1, 6)
    waits_under = await defer(bench, first)
    assert (await bench.left(caller()))["images-per-hour"] == 4
    assert await defer(bench, first) == waits_under  # a repeat costs nothing
    assert (await bench.left(caller()))["images-per-hour"] == 4
    with pytest.raises(RateLimited):
        await defer(bench, wanted(2, 6))
    assert (await bench.left(caller()))["images-per-hour"] == 4


async def test_work_that_another_worker_let_wait_at_the_same_moment_counts_once() -> None:
    bench = Bench()
    await without_money(bench)
    asked = wanted(1, 3)
    refusal = BudgetExceeded("x", extra={"scope": f"department:{builders.DEPARTMENT}"})
    admission = bench.admission()
    overage = Overage(
        FakeParkedWork(bench.connection),
        admission.ledger,
        cast(Approvals, None),
        admission.calendars,
        bench.clock,
        bench.limits,
    )
    ids = {await overage.take(caller(), refusal, asked, FakeOrchestrations()) for _ in range(2)}
    assert len(ids) == 1
    assert (await bench.left(caller()))["images-per-hour"] == 7
    free = replace(overage, rate_limits=None)
    assert await free.take(caller(), refusal, wanted(2, 8), FakeOrchestrations())


async def test_work_that_could_not_be_readied_to_wait_counts_for_nothing() -> None:
    bench = Bench()
    await without_money(bench)

    async def unready(operation_id: str) -> None:
        raise Unavailable("The plan could not be copied.")

    with pytest.raises(Unavailable):
        await defer(bench, replace(wanted(1, 6), prepare=unready))
    assert (await bench.left(caller()))["images-per-hour"] == 10
    assert await defer(bench, wanted(1, 6)) is not None
    assert (await bench.left(caller()))["images-per-hour"] == 4
