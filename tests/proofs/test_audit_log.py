"""The log under crashes and lost answers at every call, and under runs side by side."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import pytest

from shared.domain.audit_entries import LogEntry, entry_of
from shared.domain.log_index import read_bucket
from shared.domain.sequencing import LogState, write_pending
from shared.errors import InvariantBroken, Unavailable
from shared.ports.audit_log import FeedPage
from shared.services.audit_sequencer import AuditSequencer
from tests.fakes.audit_log_files import FakeLogStores, Interrupted, undisturbed
from tests.fakes.faults import Crashed
from tests.proofs.audit_log_world import (
    ManyRanges,
    check_complete,
    check_derived,
    newest,
    records,
    run,
    sequencer,
    witness,
)

RUNS_UNTIL_QUIET = 10  # each takes ten pages, which may have one event
CALLS_MAX = 2_000  # far above what one run makes: the loop over crash points must end


def grown(first: int) -> FakeLogStores:
    """A log that has some entries already."""
    stores = FakeLogStores(records=records(0, first), page_records=200)
    if first:
        run(stores)
    return stores


def copy_of(stores: FakeLogStores) -> FakeLogStores:
    return replace(
        stores,
        contents=dict(stores.contents),
        values=dict(stores.values),
        notes=dict(stores.notes),
        records=list(stores.records),
    )


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
@pytest.mark.parametrize("error", [Crashed("here"), Unavailable("lost")], ids=["crash", "lost"])
@pytest.mark.parametrize(
    ("first", "last", "step"), [(0, 3, 1), (254, 259, 1), (255, 256, 1), (250, 530, 37)]
)
def test_log_is_derived_from_its_events_after_a_fault_at_any_call(
    done: bool, error: BaseException, first: int, last: int, step: int
) -> None:
    before = grown(first)
    before.records += records(first, last)
    for at in range(0, CALLS_MAX, step):
        disturbance = Interrupted(at, done=done, error=error)
        stores = replace(copy_of(before), around=disturbance)
        with suppress(Crashed, Unavailable):
            run(stores)
        stores.around = undisturbed
        run(stores)
        check_derived(stores)
        if disturbance.calls <= at:
            assert at > 8
            return
    raise AssertionError("a run makes more calls than expected")


def test_log_is_derived_from_its_events_after_many_faults_in_a_row() -> None:
    for seed in range(12):
        chance = random.Random(seed)
        stores, waiting = grown(0), records(0, 700)
        for _ in range(25):
            part = chance.randint(0, 60)
            stores.records, waiting = stores.records + waiting[:part], waiting[part:]
            error = chance.choice([Crashed("here"), Unavailable("lost")])
            stores.around = Interrupted(
                chance.randint(0, 40), done=chance.random() < 0.5, error=error
            )
            with suppress(Crashed, Unavailable):
                run(stores)
        stores.around = undisturbed
        run(stores)
        check_derived(stores)


def test_runs_side_by_side_write_one_log() -> None:
    async def turns(stores: FakeLogStores, chance: random.Random) -> None:
        async def around(call: str, work: object) -> object:
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
            return work()  # type: ignore[operator]

        stores.around = around
        await asyncio.gather(*(sequencer(stores).run() for _ in range(4)))
        await sequencer(stores).run()

    for seed in range(15):
        stores = grown(100)
        stores.records += records(100, 700)
        asyncio.run(turns(stores, random.Random(seed)))
        check_derived(stores)


def test_every_event_is_found_by_the_index() -> None:
    stores = grown(600)
    places = {}
    for name, (_, content) in stores.values.items():
        if name.startswith("index/"):
            places |= read_bucket(content)
    assert sorted(place.index for place in places.values()) == list(range(600))


def test_witness_cosigns_what_grows_whatever_died_before() -> None:
    stores, seen = grown(0), FakeLogStores()
    for last in (3, 300, 301, 900):
        stores.records += records(len(stores.records), last)
        for at in range(4):
            seen.around = Interrupted(at, done=at % 2 == 0, error=Crashed("here"))
            run(stores)
            with suppress(Crashed):
                asyncio.run(witness(seen).look(stores, stores))
        seen.around = undisturbed
        asyncio.run(witness(seen).look(stores, stores))
        assert asyncio.run(witness(seen).look(stores, stores)) is None
        assert newest(stores).size == last


def disturbed(seed: int, kind: type[AuditSequencer]) -> FakeLogStores:
    """A log of three partitions, run again and again while something goes wrong."""
    chance = random.Random(seed)
    stores = ManyRanges(page_records=40)
    stores.chance = chance
    waiting = [
        record
        for number in range(150)
        for name in ("design", "marketing", "research")
        for record in records(number, number + 1, f"{name}|202611")
    ]
    for _ in range(25):
        part = chance.randint(0, 40)
        stores.records, waiting = stores.records + waiting[:part], waiting[part:]
        error = chance.choice([Crashed("here"), Unavailable("lost")])
        stores.around = Interrupted(chance.randint(0, 60), done=chance.random() < 0.5, error=error)
        with suppress(Crashed, Unavailable):
            asyncio.run(of_kind(kind, stores).run())
    stores.around = undisturbed
    for _ in range(RUNS_UNTIL_QUIET):
        asyncio.run(of_kind(kind, stores).run())
    return stores


def of_kind(kind: type[AuditSequencer], stores: FakeLogStores) -> AuditSequencer:
    return kind(**vars(sequencer(stores)))


def test_log_is_one_although_its_feed_never_comes_in_the_same_order_twice() -> None:
    for seed in range(12):
        check_complete(disturbed(seed, AuditSequencer))


class WithoutPending(AuditSequencer):
    """Broken: it writes a batch that nobody has fixed."""

    async def _save(self, state: LogState, version: str | None) -> bool:
        if state.pending is None:
            return await super()._save(state, version)
        return await super()._save(await self._written(state), version)


class WithoutIndex(AuditSequencer):
    """Broken: it takes whatever the feed brings."""

    async def _unlogged(self, page: FeedPage, state: LogState) -> list[LogEntry]:
        return [entry_of(record, self.text_key) for record in page.records]


class StateFirst(AuditSequencer):
    """Broken: it says that a batch is written before it is."""

    async def _written(self, state: LogState) -> LogState:
        written = write_pending(state, await self._last_entries(state))
        _, version = await self._loaded()
        await self._save(written.state, version)
        return await super()._written(state)


@pytest.mark.parametrize("broken", [WithoutPending, StateFirst])
def test_broken_sequencers_are_found(broken: type[AuditSequencer]) -> None:
    found = 0
    for seed in range(12):
        try:
            check_complete(disturbed(seed, broken))
        except (AssertionError, InvariantBroken, KeyError, ValueError):
            found += 1
    assert found


def test_an_event_that_the_feed_repeats_is_found_without_the_index() -> None:
    for kind, size in ((AuditSequencer, 5), (WithoutIndex, 7)):
        stores = grown(5)
        stores.records += records(2, 4)
        asyncio.run(of_kind(kind, stores).run())
        assert newest(stores).size == size


def test_a_lost_state_is_derived_again_from_the_feed() -> None:
    stores = grown(600)
    stores.values.clear()
    run(stores)
    check_derived(stores)
