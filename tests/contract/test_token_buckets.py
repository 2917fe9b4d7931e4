"""Token buckets over their port: nothing is taken twice, by rivals or after lost answers."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.domain.token_buckets import US_PER_S, BucketDocument, Lane, Limit, Want
from shared.errors import Unavailable
from shared.ports.token_buckets import TokenBucketStore
from shared.services.token_buckets import TokenBuckets
from shared.services.worker_buckets import WorkerBuckets
from tests.contract.cosmos_account import open_account
from tests.contract.cosmos_stores import Outage, Stores, stores
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, Faults, ScriptedFaults

__all__ = ["stores"]
PARTITION = "limits|p"
TEN = Limit("ten", 10, 60, 10)


@pytest_asyncio.fixture(params=["worker", "cosmos"])
async def store(request: pytest.FixtureRequest, stores: Stores) -> AsyncIterator[TokenBucketStore]:
    if request.param == "worker":
        yield WorkerBuckets()
    else:
        yield CosmosTokenBuckets(stores.connection)


@pytest.fixture
def partition() -> str:
    return f"limits|{uuid.uuid4().hex}"


def document(revision: int, **earned_us: int) -> BucketDocument:
    return BucketDocument("d", revision, earned_us, (), uuid.uuid4().hex)


async def test_document_that_was_never_written_has_revision_0(
    store: TokenBucketStore, partition: str
) -> None:
    assert await store.read(partition, ["d"]) == [BucketDocument("d")]


async def test_documents_are_read_back_as_they_were_written(
    store: TokenBucketStore, partition: str
) -> None:
    first, second = document(1, minute=7), replace(document(1), document_id="e")
    assert await store.write(partition, [first, second])
    assert await store.read(partition, ["e", "d"]) == [second, first]
    following = document(2, minute=9, day=8)
    assert await store.write(partition, [following])
    assert await store.read(partition, ["d"]) == [following]


async def test_write_of_a_revision_that_was_taken_changes_nothing(
    store: TokenBucketStore, partition: str
) -> None:
    standing = document(1, minute=7)
    assert await store.write(partition, [standing])
    assert not await store.write(partition, [document(1, minute=8)])
    assert not await store.write(partition, [document(3, minute=8)])
    assert await store.read(partition, ["d"]) == [standing]


async def test_write_of_several_documents_is_all_or_none(
    store: TokenBucketStore, partition: str
) -> None:
    await store.write(partition, [document(1)])
    fresh = replace(document(1), document_id="e")
    assert not await store.write(partition, [fresh, document(1)])
    assert await store.read(partition, ["e"]) == [BucketDocument("e")]


@dataclass
class Bench:
    """The buckets of a worker over a container in memory; `rival` is another worker's."""

    faults: Faults | None = None

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.connection = FakeConnection(self.faults)
        self.mine = self.worker()
        self.rival = self.worker()

    def worker(self) -> TokenBuckets:
        return TokenBuckets(CosmosTokenBuckets(self.connection.as_connection()), self.clock)

    async def left(self) -> int:
        (standing,) = await self.mine.standings(PARTITION, [Want("d", TEN, 1)])
        return standing.left


async def test_take_by_many_at_once_is_no_more_than_there_is_and_few_writes() -> None:
    bench = Bench()
    takes = [bench.mine.take(PARTITION, [Want("d", TEN, 1)]) for _ in range(40)]
    answers = await asyncio.gather(*takes)
    assert sum(answer.taken for answer in answers) == 10
    assert bench.connection.container("limits").commits <= 2


async def test_two_workers_take_no_more_than_there_is() -> None:
    bench = Bench()
    crowd = [
        worker.take(PARTITION, [Want("d", TEN, 1)]) for worker in (bench.mine, bench.rival) * 9
    ]
    answers = await asyncio.gather(*crowd)
    assert sum(answer.taken for answer in answers) == 10
    waits_s = {answer.wait_s for answer in answers if not answer.taken}
    assert waits_s == {6.0}


async def test_worker_that_remembers_hears_of_what_another_took() -> None:
    bench = Bench()
    await bench.mine.take(PARTITION, [Want("d", TEN, 4)])
    await bench.rival.take(PARTITION, [Want("d", TEN, 4)])
    assert not (await bench.mine.take(PARTITION, [Want("d", TEN, 4)])).taken
    assert (await bench.mine.take(PARTITION, [Want("d", TEN, 2)])).taken


async def test_worker_is_not_refused_from_memory() -> None:
    bench = Bench()
    taken = await bench.rival.take(PARTITION, [Want("d", TEN, 9)])
    await bench.mine.take(PARTITION, [Want("d", TEN, 1)])
    await bench.rival.give_back(PARTITION, taken.receipts)
    assert (await bench.mine.take(PARTITION, [Want("d", TEN, 9)])).taken


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REFUSED, Fault.THROTTLED, Fault.UNREACHABLE])
async def test_take_whose_answer_was_lost_is_counted_once(fault: Fault) -> None:
    bench = Bench(ScriptedFaults("batch", fault))
    assert (await bench.mine.take(PARTITION, [Want("d", TEN, 3)])).taken
    assert await bench.left() == 7


async def test_give_back_whose_answer_was_lost_is_counted_once() -> None:
    bench = Bench(ScriptedFaults("batch", Fault.NONE, Fault.LOST))
    taken = await bench.mine.take(PARTITION, [Want("d", TEN, 3)])
    await bench.mine.take(PARTITION, [Want("d", TEN, 3)])
    await bench.mine.give_back(PARTITION, taken.receipts)
    assert await bench.left() == 7


async def test_take_after_a_lagging_read_takes_no_more_than_there_is() -> None:
    bench = Bench(ScriptedFaults("read", *[Fault.NONE] * 2, *[Fault.STALE] * 2))
    await bench.rival.take(PARTITION, [Want("d", TEN, 8)])
    await bench.rival.take(PARTITION, [Want("d", TEN, 2)])
    assert not (await bench.mine.take(PARTITION, [Want("d", TEN, 1)])).taken


async def test_take_without_a_store_is_unavailable_for_everybody_who_asked() -> None:
    bench = Bench(Outage())
    takes = [bench.mine.take(PARTITION, [Want("d", TEN, 1)]) for _ in range(3)]
    answers = await asyncio.gather(*takes, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3


async def test_worker_that_is_stopped_leaves_nobody_waiting() -> None:
    bench = Bench()
    takes = [
        asyncio.create_task(bench.mine.take(PARTITION, [Want("d", TEN, 1)])) for _ in range(70)
    ]
    await asyncio.sleep(0)
    (worker,) = [each.worker for each in bench.mine._queues.values()]
    assert worker is not None
    worker.cancel()
    answers = await asyncio.gather(*takes, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 70
    assert not (await bench.mine.take(PARTITION, [Want("d", TEN, 11)])).taken


async def test_take_that_nobody_waits_for_any_more_is_given_back() -> None:
    bench = Bench()
    gone = asyncio.create_task(bench.mine.take(PARTITION, [Want("d", TEN, 5)]))
    while not bench.connection.container("limits").commits:
        await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await bench.mine.take(PARTITION, [Want("d", TEN, 1)])
    assert await bench.left() in (4, 9)  # its answer may have been under way already


async def test_lower_rank_that_asks_at_the_same_time_goes_first() -> None:
    bench = Bench()
    one = Limit("one", 4, 60, 1)
    batch, single = Lane(1, "marketing"), Lane(0, "legal")
    answers = await asyncio.gather(
        *(bench.mine.take(PARTITION, [Want("d", one, 1)], lane) for lane in (batch, batch, single))
    )
    assert [answer.taken for answer in answers] == [False, False, True]


SECONDS = 4.0
CLIENTS, PROCESSES = 64, 2
CROWD = Limit("crowd", 1_200, 60, 40)  # 20 a second and 40 at once


async def _takers(endpoint: str, key: str, database: str) -> list[tuple[int, int]]:
    """Between which moments each token was taken, by all clients of all processes."""
    arguments = (endpoint, database, key, "limits|crowd", CLIENTS)
    figures = (CROWD.tokens, CROWD.period_s, CROWD.burst)
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.contract.token_takers"),
            *(str(each) for each in (*arguments, *figures)),
            stdin=pipe,
            stdout=pipe,
        )
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(p.communicate(f"{SECONDS}\n".encode()) for p in processes))
    assert all(process.returncode == 0 for process in processes)
    return sorted((began, ended) for out, _ in answers for began, ended in json.loads(out))


async def test_two_processes_of_64_clients_take_never_more_and_nearly_all() -> None:
    from azure.cosmos import PartitionKey

    async with open_account() as account:
        database = await account.client.create_database("crowd")
        await database.create_container("limits", PartitionKey("/pk"))
        taken = await _takers(account.endpoint, account.key, "crowd")
    allowed = CROWD.burst + int(SECONDS * CROWD.tokens / CROWD.period_s)
    print(f"{len(taken)} taken; {allowed} are allowed in {SECONDS} s")
    assert len(taken) >= 0.95 * allowed
    for first, (began_us, _) in enumerate(taken):
        ends_us = sorted(ended_us for _, ended_us in taken[first:])
        for count, ended_us in enumerate(ends_us, start=1):
            stretch_us = ended_us - began_us
            assert count <= CROWD.burst + stretch_us * CROWD.tokens // (CROWD.period_s * US_PER_S)
