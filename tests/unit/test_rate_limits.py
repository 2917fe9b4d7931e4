"""What people may ask for, and what is given back."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.answer_headers import answer_headers
from shared.domain.budgets import charged_scopes
from shared.domain.identity import Caller
from shared.domain.ledger import Reservation
from shared.domain.rate_limits import (
    SCREENINGS_PER_MINUTE,
    RateTerms,
    header_fields,
    images_of,
    partition_of_people,
)
from shared.domain.token_buckets import Limit, Standing
from shared.errors import BudgetExceeded, RateLimited, Unavailable
from shared.services.admission import Admission
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.rate_limits import RateLimits, Taken
from shared.services.token_buckets import TokenBuckets
from tests import builders
from tests.contract.cosmos_stores import Outage
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory

TERMS = RateTerms({"free": 10, "standard": 100}, 100, 300, 5_000_000)
CENT = 10_000


class Bench:
    """Workers that count the same people."""

    def __init__(self, terms: RateTerms = TERMS, silent: bool = False) -> None:
        self.clock = FakeClock()
        self.terms = terms
        self.connection = FakeConnection()
        self.silent = FakeConnection(Outage()) if silent else self.connection
        self.limits = self.worker()

    def worker(self) -> RateLimits:
        store = CosmosTokenBuckets(self.silent.as_connection())
        ledger = CosmosLedger(self.connection.as_connection())
        return RateLimits(TokenBuckets(store, self.clock), self.terms, ledger, self.clock)

    async def take(
        self, caller: Caller, images: int = 1, amount_micros: int = CENT, seed: str = "a"
    ) -> Taken:
        operation_id = builders.single_id(seed)
        return await self.limits.take(caller, images, amount_micros, operation_id, "c")

    def denials(self) -> Sequence[str]:
        documents = self.connection.container("ledger").partitions.values()
        found = [each for partition in documents for each in partition.values()]
        return [each["event"]["action"] for each in found if each["type"] == "outbox"]

    def admission(self) -> Admission:
        ledger = CosmosLedger(self.connection.as_connection())
        policies = FakeBudgetPolicies(self.connection)
        calendars = Calendars(policies, FakeDirectory(), self.clock)
        periods = BudgetPeriods(policies, calendars, self.clock)
        return Admission(ledger, calendars, periods, self.clock, rate_limits=self.limits)

    async def open(self, limit_micros: int) -> None:
        scopes = charged_scopes(builders.DEPARTMENT, builders.caller().key)
        connection = self.connection.as_connection()
        await builders.open_budgets(
            connection, builders.PARTITION, dict.fromkeys(scopes, limit_micros)
        )

    async def left(self, asker: Caller) -> dict[str, int]:
        """What the caller's buckets hold."""
        store = CosmosTokenBuckets(self.connection.as_connection())
        found = await TokenBuckets(store, self.clock).standings(
            partition_of_people(asker), self.terms.wants(asker, 1, 1)
        )
        return {each.limit.name: each.left for each in found}


def caller(tier: str = "free", number: int = 1) -> Caller:
    return replace(builders.caller(number), tier=tier)


async def test_person_may_ask_for_an_hours_pictures_at_once_and_then_waits() -> None:
    bench = Bench()
    await bench.take(caller(), images=4)
    await bench.take(caller(), images=6)
    with pytest.raises(RateLimited) as refused:
        await bench.take(caller())
    assert refused.value.retry_after_s == 360
    assert refused.value.extra["limit"] == "images-per-hour"
    bench.clock.advance(360)
    await bench.take(caller())


async def test_tiers_have_their_own_quota_and_enterprise_none() -> None:
    bench = Bench()
    await bench.take(caller("standard", 2), images=100)
    with pytest.raises(RateLimited):
        await bench.take(caller("standard", 2))
    await bench.take(caller("enterprise", 3), images=150)


async def test_people_do_not_use_each_others_quota_but_their_departments() -> None:
    bench = Bench()
    for number in range(1, 4):
        await bench.take(caller("standard", number), images=100)
    with pytest.raises(RateLimited) as refused:
        await bench.take(caller("enterprise", 9))
    assert refused.value.extra["limit"] == "department-images-per-day"
    other = replace(caller("standard", 1), department_id="legal")
    await bench.take(other, images=100)


async def test_money_a_minute_is_bounded_whatever_the_tier() -> None:
    bench = Bench()
    await bench.take(caller("enterprise"), amount_micros=5_000_000)
    with pytest.raises(RateLimited) as refused:
        await bench.take(caller("enterprise"), amount_micros=1_000_000)
    assert (refused.value.extra["limit"], refused.value.retry_after_s) == ("spend-per-minute", 12)


async def test_texts_that_are_tried_are_bounded_by_person_and_minute() -> None:
    bench = Bench()
    answer_headers.set({})
    for _ in range(SCREENINGS_PER_MINUTE):
        await bench.limits.take_screening(caller("enterprise"), "c")
    for _ in range(3):
        with pytest.raises(RateLimited) as refused:
            await bench.worker().take_screening(caller("enterprise"), "c")
        assert refused.value.retry_after_s == 3
        assert refused.value.extra["limit"] == "screenings-per-minute"
    assert 'screenings-per-minute";r=0;t=60' in answer_headers.get()["RateLimit"]
    [denied] = bench.denials()
    assert denied.startswith("rate_limit.denied.screenings-per-minute.")
    await bench.limits.take_screening(caller("enterprise", 2), "c")
    await bench.take(caller())  # what is tried takes no picture's place
    bench.clock.advance(3)
    await bench.limits.take_screening(caller("enterprise"), "c")


async def test_request_that_can_never_fit_names_no_time() -> None:
    with pytest.raises(RateLimited) as refused:
        await Bench().take(caller(), images=11)
    assert refused.value.retry_after_s is None
    assert refused.value.extra["at_once_max"] == 10


async def test_refusal_takes_nothing_of_any_limit() -> None:
    bench = Bench()
    before = await bench.left(caller())
    with pytest.raises(RateLimited):
        await bench.take(caller(), amount_micros=6_000_000)
    assert await bench.left(caller()) == before


async def test_burst_allowance_sets_what_can_be_asked_for_at_once() -> None:
    bench = Bench(replace(TERMS, burst_percent=150))
    await bench.take(caller(), images=15)
    with pytest.raises(RateLimited) as refused:
        await bench.take(caller())
    assert refused.value.retry_after_s == 360


async def test_many_at_once_on_two_workers_get_no_more_than_the_quota() -> None:
    bench = Bench()
    workers = [bench.worker(), bench.worker()]
    crowd = [
        each.take(caller(), 1, CENT, builders.single_id(str(number)), "c")
        for number, each in enumerate(workers * 32)
    ]
    answers = await asyncio.gather(*crowd, return_exceptions=True)
    assert sum(isinstance(answer, Taken) for answer in answers) == 10
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 54


async def test_denial_is_audited_once_for_a_person_and_window() -> None:
    bench = Bench()
    await bench.take(caller(), images=10)
    for worker in (bench.limits, bench.worker()):
        bench.limits = worker
        for _ in range(5):
            with pytest.raises(RateLimited):
                await bench.take(caller())
    assert len(bench.denials()) == 1
    assert bench.denials()[0].startswith("rate_limit.denied.images-per-hour.")
    bench.clock.advance(3_600)
    await bench.take(caller(), images=10)
    with pytest.raises(RateLimited):
        await bench.take(caller())
    assert len(bench.denials()) == 2


async def test_limits_hold_in_each_worker_while_the_store_is_silent() -> None:
    bench = Bench(silent=True)
    taken = await bench.take(caller(), images=10)
    with pytest.raises(RateLimited):
        await bench.take(caller())
    await bench.limits.give_back(taken)  # that this comes to nothing is no fault of the caller


async def test_reservation_counts_its_pictures_and_money() -> None:
    bench = Bench()
    await bench.open(10_000_000)
    work = builders.item(builders.single_id("x"), builders.request(count=3))
    assert await bench.admission().reserve(caller(), builders.reservation(work))
    left = await bench.left(caller())
    assert (left["images-per-hour"], left["department-images-per-day"]) == (7, 297)
    assert left["spend-per-minute"] == 5_000_000 - work.quote.amount_micros
    assert "RateLimit" in answer_headers.get()


async def test_reservation_that_the_budget_refuses_counts_for_nothing() -> None:
    bench = Bench()
    await bench.open(1)
    with pytest.raises(BudgetExceeded):
        await bench.admission().reserve(caller(), builders.reservation(builders.item()))
    assert (await bench.left(caller()))["images-per-hour"] == 10


@pytest.mark.parametrize("end", [Unavailable("x"), asyncio.CancelledError(), RuntimeError("x")])
async def test_reservation_whose_end_is_not_known_stays_counted(end: BaseException) -> None:
    bench = Bench()
    await bench.open(10_000_000)
    admission = bench.admission()
    reserve = admission.ledger.reserve

    async def reserve_and_fall_silent(reservation: Reservation) -> None:
        await reserve(reservation)
        raise end

    object.__setattr__(admission.ledger, "reserve", reserve_and_fall_silent)
    with pytest.raises(type(end)):
        await admission.reserve(caller(), builders.reservation(builders.item()))
    assert (await bench.left(caller()))["images-per-hour"] == 9


async def test_repeat_costs_nothing_and_is_never_refused() -> None:
    bench = Bench()
    await bench.open(10_000_000)
    admission, first = bench.admission(), builders.reservation(builders.item())
    assert await admission.reserve(caller(), first)
    assert not await admission.reserve(caller(), first)
    assert (await bench.left(caller()))["images-per-hour"] == 9
    await bench.take(caller(), images=9, seed="others")
    assert not await admission.reserve(caller(), first)
    second = builders.reservation(builders.item(builders.single_id("two")))
    with pytest.raises(RateLimited):
        await admission.reserve(caller(), second)
    ledger = CosmosLedger(bench.connection.as_connection())
    assert await ledger.hold(second.hold.operation_id) is None


def test_batch_counts_the_pictures_of_its_rows() -> None:
    assert images_of({"type": "batch", "images_asked": 250, "images": 0}) == 250
    assert images_of({"type": "generation", "request": {"count": 4}}) == 4


def test_headers_are_structured_fields_of_the_draft() -> None:
    hourly = Standing(Limit("images-per-hour", 10, 3_600, 10), 3, 2_520_000_001)
    spending = Standing(Limit("spend-per-minute", 5, 60, 5), 5, 0)
    assert header_fields([hourly, spending]) == {
        "RateLimit-Policy": '"images-per-hour";q=10;w=3600;qu="images",'
        ' "spend-per-minute";q=5;w=60;qu="micro-aud"',
        "RateLimit": '"images-per-hour";r=3;t=2521, "spend-per-minute";r=5;t=0',
    }
