"""The Entries port: on the fake and through the SDK on the emulator."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters import cosmos_entries
from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_entries import CosmosEntries
from shared.domain.entries import read_entry
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.errors import Unavailable
from shared.ports.entries import Entries
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.contract.cosmos_stores import Outage, silent_account
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.entries import FakeEntries
from tests.synthetic_spend import PEOPLE, adjustment, resolution

Bench = tuple[Entries, CosmosConnection]


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "fake":
        fake = FakeConnection()
        yield FakeEntries(fake), fake.as_connection()
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        connection = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield CosmosEntries(connection), connection
        await connection.aclose()


@pytest.fixture
def partition() -> Partition:
    return Partition(f"d{uuid.uuid4().hex[:12]}", "202611")


async def put(bench: Bench, partition: Partition, *documents: Document) -> None:
    container = await bench[1].container("ledger")
    for document in documents:
        await container.create_item({**document, "pk": partition.key})


async def test_entries_come_in_the_order_of_their_ids_whatever_was_booked_first(
    bench: Bench, partition: Partition
) -> None:
    written = [resolution(2), resolution(1), adjustment(9), adjustment(3)]
    await put(bench, partition, *written)
    found = [entry async for entry in bench[0].of(partition)]
    assert found == [read_entry(written[place]) for place in (3, 2, 1, 0)]


async def test_other_documents_and_other_periods_are_no_entries(
    bench: Bench, partition: Partition
) -> None:
    await put(bench, partition, resolution(1))
    event = builders.event("x", "1").as_json()
    outbox = {"id": "e:x:1", "type": "outbox", "event": event}
    await put(bench, partition, {"id": "h:1", "type": "hold"}, outbox)
    await put(bench, Partition(partition.department_id, "202612"), resolution(2))
    assert [entry.entry_id async for entry in bench[0].of(partition)] == [resolution(1)["id"]]


async def test_entries_of_one_person_leave_out_everybody_and_nobody_else(
    bench: Bench, partition: Partition
) -> None:
    documents = [resolution(1), resolution(2, user_key=PEOPLE[1]), adjustment(1)]
    await put(bench, partition, *documents)
    found = [entry.user_key async for entry in bench[0].of(partition, PEOPLE[1])]
    assert found == [PEOPLE[1]]


async def test_entries_are_read_to_the_end_over_many_pages(
    bench: Bench, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosmos_entries, "ENTRIES_PER_PAGE", 3)
    await put(bench, partition, *(resolution(number) for number in range(10)), adjustment(1))
    assert len([entry async for entry in bench[0].of(partition)]) == 11


async def test_period_without_entries_has_none(bench: Bench, partition: Partition) -> None:
    assert [entry async for entry in bench[0].of(partition)] == []


async def test_entries_are_unavailable_while_the_store_does_not_answer(
    partition: Partition,
) -> None:
    silent = FakeConnection(Outage())
    silent.container("ledger").partitions[partition.key] = {}  # what never was is not asked for
    with pytest.raises(Unavailable):
        await anext(FakeEntries(silent).of(partition))
    async with silent_account() as connection:
        with pytest.raises(Unavailable):
            await anext(CosmosEntries(connection).of(partition))
