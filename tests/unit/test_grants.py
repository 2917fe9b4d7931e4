"""A grant that is sent again: the first answer, whatever has changed meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Budget, Scope
from shared.domain.grants import Grant
from shared.errors import Conflict, IdempotencyKeyReused, Invalid, Unavailable
from shared.services.grants import GrantOrder
from tests import builders
from tests.fakes.grants import FakeGrants
from tests.unit.waiting_bench import ADMIN, DEPARTMENT, MANAGER, WaitingBench

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
AMOUNT = 1_000_000
DECEMBER = replace(builders.PARTITION, period="202612")
OVERRIDE = GrantOrder(
    "override", (DEPARTMENT.name,), AMOUNT, "production is down", surcharge_percent=10
)
INCREASE = GrantOrder("increase", ("project:atlas",), AMOUNT, "the launch")


async def send(bench: WaitingBench, order: GrantOrder, key: str | None = "key-1") -> str:
    person = ADMIN if order.kind == "override" else MANAGER
    view = await bench.grants.create(person, order, key=key, correlation_id="c-1")
    return view.id


async def test_override_repeated_after_the_end_of_its_period_is_given_once() -> None:
    bench = WaitingBench()
    bench.clock.set(MIDNIGHT - timedelta(seconds=10))
    first = await send(bench, OVERRIDE)
    bench.clock.set(MIDNIGHT + timedelta(seconds=5))
    assert await send(bench, OVERRIDE) == first
    assert len(bench.documents(lambda d: d["type"] == "adjustment")) == 1
    assert await bench.ledger.budget(DECEMBER, DEPARTMENT) is None
    assert (await bench.budget()).granted_micros == AMOUNT + AMOUNT // 10


async def test_override_under_way_at_the_end_of_its_period_is_given_once() -> None:
    bench = WaitingBench()
    bench.clock.set(MIDNIGHT - timedelta(seconds=1))
    repeated: list[str] = []

    class Slow(FakeGrants):
        """Commits only after the period has ended and somebody has sent it again."""

        async def grant(
            self, grant: Grant, events: Sequence[AuditEvent]
        ) -> tuple[Budget, ...] | None:
            bench.clock.set(MIDNIGHT + timedelta(seconds=5))
            repeated.append(await send(bench, OVERRIDE))
            return await super().grant(grant, events)

    await bench.open()
    slow = replace(bench.grants, store=Slow(bench.connection))
    with pytest.raises(Unavailable):
        await slow.create(ADMIN, OVERRIDE, key="key-1", correlation_id="c-1")
    assert repeated[0].startswith("202612-")
    assert (await bench.budget()).granted_micros == 0
    assert (await bench.budget(DECEMBER)).granted_micros == AMOUNT + AMOUNT // 10
    assert await send(bench, OVERRIDE) == repeated[0]
    assert len(bench.documents(lambda d: d["type"] == "adjustment")) == 1
    listed = await bench.grants.list(ADMIN, "marketing", active=False)
    assert [each.id for each in listed.items] == repeated


async def test_other_key_and_no_key_are_grants_of_the_new_period() -> None:
    bench = WaitingBench()
    bench.clock.set(MIDNIGHT - timedelta(seconds=10))
    first = await send(bench, OVERRIDE)
    bench.clock.set(MIDNIGHT + timedelta(seconds=5))
    others = {await send(bench, OVERRIDE, key) for key in ("key-2", None, None)}
    assert len(others - {first}) == 3
    assert (await bench.budget(DECEMBER)).granted_micros == 3 * (AMOUNT + AMOUNT // 10)


async def test_key_of_a_day_before_the_last_is_free_again() -> None:
    bench = WaitingBench()
    bench.clock.set(MIDNIGHT - timedelta(days=1))
    first = await send(bench, OVERRIDE)
    bench.clock.set(MIDNIGHT + timedelta(days=1))
    assert await send(bench, OVERRIDE) != first


async def test_grant_repeated_after_its_end_gives_the_first_answer() -> None:
    bench = WaitingBench()
    ends_at = bench.clock.now() + timedelta(hours=1)
    order = replace(OVERRIDE, ends_at=ends_at)
    first = await send(bench, order)
    bench.clock.advance(timedelta(hours=2).total_seconds())
    assert await send(bench, order) == first
    with pytest.raises(Invalid):
        await send(bench, order, "key-2")


async def test_grant_of_a_manager_repeated_when_the_department_has_nothing_left() -> None:
    bench = WaitingBench(department_micros=AMOUNT)
    bench.plant(BudgetPolicy(Scope("project", "atlas"), 0))
    await bench.open()
    first = await send(bench, INCREASE)
    await bench.spend(AMOUNT)
    assert await send(bench, INCREASE) == first
    with pytest.raises(Conflict):
        await send(bench, INCREASE, "key-2")


@pytest.mark.parametrize("later_s", [0, 20])
async def test_key_of_another_grant_is_refused_also_across_a_period(later_s: int) -> None:
    bench = WaitingBench()
    bench.clock.set(MIDNIGHT - timedelta(seconds=10))
    await send(bench, OVERRIDE)
    bench.clock.advance(later_s)
    with pytest.raises(IdempotencyKeyReused):
        await send(bench, replace(OVERRIDE, amount_micros=2 * AMOUNT))
