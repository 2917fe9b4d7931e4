"""The ports of allocation: one suite on the fake and on the SDK."""

import asyncio

import pytest

from shared.errors import (
    BudgetExceeded,
    IdempotencyKeyReused,
    Invalid,
    PeriodNotOpen,
    PreconditionFailed,
)
from tests.contract import allocation_bench
from tests.contract.allocation_bench import (
    ALLOCATED_MICROS,
    AT,
    BUDGET_MICROS,
    LIMIT_MICROS,
    PERIOD,
    Bench,
)

store, bench = allocation_bench.store, allocation_bench.bench  # fixtures, found by their names

RACERS = 32
SPARE_MICROS = ALLOCATED_MICROS - BUDGET_MICROS


async def test_grant_charges_the_cap_and_leaves_an_event(bench: Bench) -> None:
    await bench.open_cap()
    transfer = bench.grant()
    assert await bench.books.ask(transfer) == transfer
    assert await bench.given() == transfer.amount_micros
    assert await bench.actions(bench.cap_at, transfer) == {"granted"}


async def test_grant_repeated_charges_the_cap_once(bench: Bench) -> None:
    await bench.open_cap()
    transfer = bench.grant()
    assert await bench.books.ask(transfer) == await bench.books.ask(transfer) == transfer
    assert await bench.given() == transfer.amount_micros


async def test_grant_under_the_same_id_with_another_hash_is_refused(bench: Bench) -> None:
    await bench.open_cap()
    await bench.books.ask(bench.grant())
    with pytest.raises(IdempotencyKeyReused):
        await bench.books.ask(bench.grant(amount_micros=51, request_hash="another"))


async def test_grant_over_the_limit_says_what_is_left(bench: Bench) -> None:
    await bench.open_cap()
    await bench.books.ask(bench.grant(amount_micros=LIMIT_MICROS - 10))
    with pytest.raises(BudgetExceeded) as refused:
        await bench.books.ask(bench.grant("two", amount_micros=11))
    assert refused.value.extra == {
        "scope": f"organisation:{bench.tenant_id}",
        "period": PERIOD,
        "needed_micros": 11,
        "available_micros": 10,
        "currency": "AUD",
        "overage": "refuse",
    }
    assert await bench.books.transfer(bench.cap_at, "two") is None


async def test_grant_before_the_cap_is_open_is_refused(bench: Bench) -> None:
    with pytest.raises(PeriodNotOpen):
        await bench.books.ask(bench.grant())


async def test_grants_by_many_at_once_never_pass_the_limit(bench: Bench) -> None:
    amount, fits = 90, LIMIT_MICROS // 90
    await bench.open_cap()
    answers = await asyncio.gather(
        *(bench.books.ask(bench.grant(f"racer-{n}", amount)) for n in range(RACERS)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, BudgetExceeded) for answer in answers) == RACERS - fits
    assert await bench.given() == fits * amount


async def test_take_leaves_what_the_limit_promises(bench: Bench) -> None:
    await bench.open_budget(bench.source, ALLOCATED_MICROS)
    taken = bench.transfer(amount_micros=SPARE_MICROS)
    assert await bench.books.take(taken, AT) is True
    assert await bench.books.take(taken, AT) is True  # a repeat finds its entry
    assert await bench.allocated(bench.source) == BUDGET_MICROS
    assert await bench.actions(bench.source, taken) == {"taken"}


async def test_take_of_more_than_is_spare_is_refused_for_ever(bench: Bench) -> None:
    await bench.open_budget(bench.source, ALLOCATED_MICROS)
    refused = bench.transfer(amount_micros=SPARE_MICROS + 1)
    assert await bench.books.take(refused, AT) is False
    container = await bench.store.connection.container("ledger")
    more = [{"op": "incr", "path": "/allocated_micros", "value": 100}]
    budget_id = f"budget:department:{bench.source.department_id}"
    await container.patch_item(budget_id, bench.source.key, more)
    assert await bench.books.take(refused, AT) is False
    assert await bench.allocated(bench.source) == ALLOCATED_MICROS + 100
    assert await bench.actions(bench.source, refused) == {"take_refused"}


async def test_take_from_a_department_without_allocation_is_refused(bench: Bench) -> None:
    await bench.open_budget(bench.source, None)
    assert await bench.books.take(bench.transfer(), AT) is False


async def test_give_adds_to_the_target_once(bench: Bench) -> None:
    await bench.open_budget(bench.target, ALLOCATED_MICROS)
    given = bench.grant()
    answers = await asyncio.gather(*(bench.books.give(given, AT) for _ in range(8)))
    assert set(answers) == {True}
    assert await bench.allocated(bench.target) == ALLOCATED_MICROS + given.amount_micros


async def test_give_to_a_period_that_is_not_open_stays_refused_when_it_opens(bench: Bench) -> None:
    refused = bench.grant()
    assert await bench.books.give(refused, AT) is False
    await bench.open_budget(bench.target, ALLOCATED_MICROS)
    assert await bench.books.give(refused, AT) is False
    assert await bench.allocated(bench.target) == ALLOCATED_MICROS


async def test_opening_entry_needs_no_budget(bench: Bench) -> None:
    opening = bench.grant(kind="open")
    assert await bench.books.give(opening, AT) is True
    leg = await bench.read(bench.target, opening.document_id)
    assert leg is not None and leg["amount_micros"] == opening.amount_micros


async def test_adoption_sets_all_that_was_given(bench: Bench) -> None:
    await bench.open_budget(bench.target, None)
    adoption = bench.grant(amount_micros=10, kind="adopt", opened_micros=BUDGET_MICROS)
    assert await bench.books.give(adoption, AT) is True
    assert await bench.allocated(bench.target) == BUDGET_MICROS + 10
    again = bench.grant("two", amount_micros=20, kind="adopt", opened_micros=BUDGET_MICROS)
    assert await bench.books.give(again, AT) is False


async def test_adoption_below_the_limit_is_refused(bench: Bench) -> None:
    await bench.open_budget(bench.target, None)
    adoption = bench.grant(amount_micros=1, kind="adopt", opened_micros=BUDGET_MICROS - 2)
    assert await bench.books.give(adoption, AT) is False
    assert await bench.allocated(bench.target) is None


@pytest.mark.parametrize(("status", "left"), [("done", 50), ("returned", 0)])
async def test_grant_ends_once(bench: Bench, status: str, left: int) -> None:
    await bench.open_cap()
    transfer = await bench.books.ask(bench.grant())
    for _ in range(2):
        await bench.books.finish(transfer, status, AT)  # type: ignore[arg-type]
    assert await bench.given() == left
    assert await bench.status(transfer) == status
    assert await bench.actions(bench.cap_at, transfer) == {"granted", status}


async def test_return_is_the_organisations_when_it_is_done(bench: Bench) -> None:
    await bench.open_cap()
    await bench.books.ask(bench.grant("before", 100))
    transfer = await bench.books.ask(bench.transfer(kind="return", target=None))
    assert await bench.given() == 100
    await bench.books.finish(transfer, "done", AT)
    assert await bench.given() == 100 - transfer.amount_micros


async def test_unfinished_lists_open_transfers_of_before(bench: Bench) -> None:
    await bench.open_cap()
    first = await bench.books.ask(bench.grant("first", created_at="2026-11-15T10:00:00+00:00"))
    ended = await bench.books.ask(bench.grant("ended", created_at="2026-11-15T10:00:00+00:00"))
    await bench.books.ask(bench.grant("young", created_at="2026-11-15T12:00:00+00:00"))
    await bench.books.finish(ended, "done", AT)
    found = await bench.books.unfinished(bench.cap_at, "2026-11-15T11:00:00+00:00")
    assert found == [first]


async def test_transfers_come_in_pages_newest_first(bench: Bench) -> None:
    await bench.open_cap()
    for hour in (9, 11, 10):
        created_at = f"2026-11-15T{hour:02d}:00:00+00:00"
        await bench.books.ask(bench.grant(f"at-{hour}", created_at=created_at))
    first, more = await bench.books.transfers(bench.cap_at, None, 2)
    assert [each.transfer_id for each in first] == ["at-11", "at-10"]
    last, end = await bench.books.transfers(bench.cap_at, more, 2)
    assert [each.transfer_id for each in last] == ["at-9"]
    assert end is None


async def test_transfers_with_a_token_of_somebody_else_are_refused(bench: Bench) -> None:
    with pytest.raises(Invalid):
        await bench.books.transfers(bench.cap_at, "not a token", 2)


async def test_policy_is_created_and_replaced_by_revision(bench: Bench) -> None:
    assert await bench.policies.policy(bench.tenant_id) is None
    await bench.put(bench.policy())
    await bench.put(bench.policy())  # its answer was lost
    await bench.put(bench.policy(5, revision=2))
    assert await bench.policies.policy(bench.tenant_id) == bench.policy(5, revision=2)
    with pytest.raises(PreconditionFailed):
        await bench.put(bench.policy(6, revision=2))


async def test_cap_follows_its_policy_forward_only(bench: Bench) -> None:
    async def follow(limit_micros: int, revision: int) -> int:
        policy = bench.policy(limit_micros, revision)
        await bench.policies.follow(policy, PERIOD, bench.event(f"applied.{revision}"))
        found = await bench.policies.cap(bench.cap_at)
        return found.limit_micros if found else 0

    assert await follow(5, 2) == 0  # not open: nothing to change
    await bench.open_cap()
    assert await follow(700, 3) == 700
    assert await follow(600, 2) == 700
    assert await follow(700, 3) == 700


async def test_cap_that_is_open_stays_as_it_is(bench: Bench) -> None:
    await bench.open_cap()
    await bench.books.ask(bench.grant())
    await bench.open_cap(5)
    found = await bench.policies.cap(bench.cap_at)
    assert found is not None
    assert (found.limit_micros, found.allocated_micros) == (LIMIT_MICROS, 50)
    assert found.available_micros == LIMIT_MICROS - 50
