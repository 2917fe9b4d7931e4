"""Rehydrations: charged once, however often asked and wherever a worker dies."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.adjustments import Adjustment
from shared.domain.budgets import Budget, Scope
from shared.domain.freezes import Freeze, Target
from shared.domain.rehydrations import read_rehydration, rehydration_document
from shared.errors import BudgetExceeded, Conflict, EigError, Frozen, NotFound, Unavailable
from shared.ports import Ledger
from tests import builders
from tests.builders import DEPARTMENT
from tests.fakes.faults import Crashed, Fault
from tests.unit.storage_world import AVA, IMAGE, NAME, OLGA, NthCall, World


class Asked(CosmosLedger):
    """A ledger that nobody reaches any more when something is to be charged."""

    def __init__(self, real: Ledger) -> None:
        self._real = real

    async def adjust(self, adjustment: Adjustment) -> tuple[Budget, ...] | None:
        raise Unavailable("The ledger does not answer.")


class Refused(CosmosLedger):
    """A ledger whose budget is short for this worker; with `books`, another one is let through."""

    def __init__(self, real: Ledger, *, books: bool) -> None:
        self._real, self._books = real, books
        self.seen: Adjustment | None = None

    async def adjust(self, adjustment: Adjustment) -> tuple[Budget, ...] | None:
        self.seen = adjustment
        if self._books:
            assert await self._real.adjust(adjustment) is not None
        raise BudgetExceeded("The department budget does not cover this request.")

    async def give_up(self, adjustment: Adjustment, given_up_at: str) -> bool:
        return await self._real.give_up(adjustment, given_up_at)


CALLS_MAX = 60  # far more than one request and its sweeps make


async def test_ask_charges_department_and_person_and_starts() -> None:
    world = World()
    view = await world.rehydrations().ask(AVA, IMAGE, "high", "c-1")
    assert (view.status, view.priority, view.number) == ("pending", "high", 1)
    for scope in (Scope("department", DEPARTMENT), Scope("user", AVA.key)):
        assert await world.spent(scope) == view.amount_micros > 0
    assert world.storage.started == [(NAME, "high")]
    (entry,) = world.documents(lambda d: d["type"] == "adjustment")
    assert (entry["kind"], entry["refers_to"]) == ("rehydration", NAME.generation_id)
    assert entry["amount_micros"] == view.amount_micros


async def test_administrator_of_another_department_charges_the_pictures_department_alone() -> None:
    world = World()
    view = await world.rehydrations().ask(OLGA, IMAGE, "standard", "c-1")
    assert await world.spent() == view.amount_micros
    (entry,) = world.documents(lambda d: d["type"] == "adjustment")
    assert (entry["department_id"], entry["user_key"]) == (DEPARTMENT, None)


async def test_ask_again_shows_the_one_under_way_and_another_priority_conflicts() -> None:
    world = World()
    first = await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    assert await world.rehydrations().ask(AVA, IMAGE, "standard", "c-2") == first
    with pytest.raises(Conflict):
        await world.rehydrations().ask(AVA, IMAGE, "high", "c-3")
    assert await world.spent() == first.amount_micros


async def test_crowd_that_asks_at_once_is_charged_once() -> None:
    world = World()
    crowd = [world.rehydrations().ask(AVA, IMAGE, "standard", str(n)) for n in range(20)]
    views = await asyncio.gather(*crowd)
    assert {view.number for view in views} == {1}
    assert await world.spent() == views[0].amount_micros
    assert world.actions("rehydration.asked") == ["rehydration.asked.1"]


async def test_sweep_follows_a_picture_until_it_is_archived_again() -> None:
    world = World()
    await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    assert await world.rehydrations().sweep() == 0  # it takes hours
    world.storage.arrive()
    assert await world.rehydrations().sweep() == 1
    assert world.storage.touched == [NAME]
    standing = await world.records.rehydration(IMAGE)
    assert standing is not None
    assert standing.online_until == (world.clock.now() + timedelta(days=28)).isoformat()
    again = await world.rehydrations().ask(AVA, IMAGE, "high", "c-2")
    assert (again.number, again.status) == (1, "available")  # it is there: nothing to pay for
    assert await world.rehydrations().sweep() == 0
    world.storage.blobs[NAME] = replace(world.storage.blobs[NAME], tier="archive")
    assert await world.rehydrations().sweep() == 1
    anew = await world.rehydrations().ask(AVA, IMAGE, "standard", "c-3")
    assert (anew.number, anew.status) == (2, "pending")
    assert len(world.documents(lambda d: d["type"] == "adjustment")) == 2


async def test_sweep_starts_again_what_did_not_start() -> None:
    world = World()
    await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    world.storage.blobs[NAME] = replace(world.storage.blobs[NAME], rehydrating=False)
    await world.rehydrations().sweep()
    assert len(world.storage.started) == 2
    assert len(world.documents(lambda d: d["type"] == "adjustment")) == 1


async def test_picture_that_is_deleted_on_its_way_ends_the_rehydration() -> None:
    world = World()
    await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    del world.storage.blobs[NAME]
    await world.rehydrations().sweep()
    standing = await world.records.rehydration(IMAGE)
    assert standing is not None
    assert (standing.status, standing.reason) == ("ended", "deleted")
    with pytest.raises(NotFound):
        await world.rehydrations().ask(AVA, IMAGE, "standard", "c-2")


async def test_budget_that_does_not_cover_refuses_and_may_be_asked_again() -> None:
    world = World(limit_micros=100)
    with pytest.raises(BudgetExceeded):
        await world.rehydrations().ask(AVA, IMAGE, "high", "c-1")
    assert await world.spent() == 0
    assert world.storage.started == []
    assert world.actions("rehydration.") == ["rehydration.asked.1", "rehydration.refused.2"]
    with pytest.raises(BudgetExceeded):
        await world.rehydrations().ask(AVA, IMAGE, "high", "c-2")
    assert world.actions("rehydration.asked") == ["rehydration.asked.1", "rehydration.asked.3"]


async def test_frozen_department_starts_nothing_and_leaves_an_event() -> None:
    world = World()
    target = Target("department", DEPARTMENT)
    freeze = Freeze(target, "audit", "t.o", world.clock.now().isoformat(), change_id="x")
    event = builders.event(target.document_id, "freeze.set.1")
    assert await world.freezes.put(AVA.tenant_id, freeze, event)
    with pytest.raises(Frozen):
        await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    assert world.documents(lambda d: d["type"] == "rehydration") == []
    assert len(world.actions("rehydration.denied")) == 1


async def test_what_was_asked_before_a_freeze_is_not_charged_while_it_stands() -> None:
    world = World()
    rehydrations = world.rehydrations()
    wanted = Asked(rehydrations.ledger)
    with pytest.raises(Unavailable):  # it is recorded; then the worker dies
        await replace(rehydrations, ledger=wanted).ask(AVA, IMAGE, "standard", "c-1")
    target = Target("global")
    freeze = Freeze(target, "audit", "t.o", world.clock.now().isoformat(), change_id="x")
    event = builders.event(target.document_id, "freeze.set.1")
    assert await world.freezes.put(AVA.tenant_id, freeze, event)
    world.clock.advance(120)
    assert await world.rehydrations().sweep() == 0
    with pytest.raises(Frozen):
        await world.rehydrations().ask(AVA, IMAGE, "standard", "c-2")
    assert await world.spent() == 0 and world.storage.started == []
    lifted = replace(freeze, lifted=True, revision=2, change_id="y")
    event = builders.event(target.document_id, "freeze.lifted.2")
    assert await world.freezes.put(AVA.tenant_id, lifted, event)
    assert await world.rehydrations().sweep() == 1
    assert await world.spent() > 0 and len(world.storage.started) == 1


async def test_what_another_worker_has_charged_is_not_refused_and_charged_again() -> None:
    world = World()
    rehydrations = world.rehydrations()
    view = await replace(rehydrations, ledger=Refused(rehydrations.ledger, books=True)).ask(
        AVA, IMAGE, "standard", "c-1"
    )
    assert (view.status, view.number) == ("pending", 1)
    assert await world.spent() == view.amount_micros
    assert world.actions("rehydration.refused") == []


async def test_what_was_refused_is_not_charged_by_a_worker_that_comes_late() -> None:
    world = World()
    rehydrations = world.rehydrations()
    ledger = Refused(rehydrations.ledger, books=False)
    with pytest.raises(BudgetExceeded):
        await replace(rehydrations, ledger=ledger).ask(AVA, IMAGE, "standard", "c-1")
    assert ledger.seen is not None
    with pytest.raises(Conflict):  # it read the record before it was refused
        await world.ledger.adjust(ledger.seen)
    again = await world.rehydrations().ask(AVA, IMAGE, "standard", "c-2")
    assert (again.status, again.number) == ("pending", 2)
    assert await world.spent() == again.amount_micros


async def test_readable_picture_and_stranger_are_refused() -> None:
    world = World()
    with pytest.raises(NotFound):
        await world.rehydrations().ask(builders.caller(2), IMAGE, "standard", "c-1")
    world.storage.blobs[NAME] = replace(world.storage.blobs[NAME], tier="cold")
    with pytest.raises(Conflict):
        await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")


async def test_price_depends_on_priority_and_on_how_long_it_was_archived() -> None:
    world = World()
    blob, tariff = world.storage.blobs[NAME], world.rehydrations().tariff
    standard, high = tariff.rehydration_prices(blob)
    assert standard.amount_micros < high.amount_micros
    world.clock.advance(timedelta(days=90).total_seconds())
    later = tariff.rehydration(blob, "standard")
    assert later.amount_micros < standard.amount_micros  # no early deletion any more


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST])
async def test_every_point_of_failure_leaves_a_picture_paid_once_or_not_at_all(
    fault: Fault,
) -> None:
    for number in range(CALLS_MAX):
        faults = NthCall(number, fault)
        world = World(faults)
        faults.is_armed = True
        try:
            await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
        except (Crashed, EigError):
            pass
        finally:
            faults.is_armed = False
        world.clock.advance(31)
        for _ in range(3):
            await world.rehydrations().sweep()
            world.storage.arrive()
        entries = world.documents(lambda d: d["type"] == "adjustment")
        assert await world.spent() == sum(each["amount_micros"] for each in entries)
        standing = await world.records.rehydration(IMAGE)
        if standing is None:
            assert entries == []
            assert world.storage.started == []
        else:
            assert standing.status == "available", (number, standing)
            assert len(entries) == 1
            assert world.actions("rehydration.") == [
                "rehydration.asked.1",
                "rehydration.available.3",
                "rehydration.charged",
                "rehydration.pending.2",
            ]
        if faults.count <= number:
            return  # the request has fewer calls: every one of them has failed once
    raise AssertionError("CALLS_MAX is too small")


async def test_store_that_is_away_leaves_it_to_the_sweep() -> None:
    world = World()
    rehydrations = world.rehydrations()
    world.storage._faults = NthCall(1, Fault.REFUSED)  # `state` answers, `rehydrate` does not
    world.storage._faults.is_armed = True
    with pytest.raises(Unavailable):
        await rehydrations.ask(AVA, IMAGE, "standard", "c-1")
    assert await world.rehydrations().sweep() == 0  # the request may still be at work
    world.clock.advance(31)
    assert await world.rehydrations().sweep() == 1
    assert world.storage.started == [(NAME, "standard")]


async def test_record_is_the_same_after_its_way_through_the_store() -> None:
    world = World()
    await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    standing = await world.records.rehydration(IMAGE)
    assert standing is not None
    assert read_rehydration(rehydration_document(standing)) == standing
