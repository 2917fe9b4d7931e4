"""The AuditFeed port: one suite on the fake and on the SDK under the role audit-reader."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

from devhost.cosmos.roles import read_roles, role_key
from devhost.cosmos.server import start_cosmos
from devhost.resources import RESOURCES_FILE
from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_audit import CosmosAuditLog
from shared.adapters.cosmos_audit_feed import CosmosAuditFeed
from shared.domain.audit_entries import AuditRecord
from shared.domain.ids import Partition
from shared.ports.audit_log import IDS_PER_LOOK_MAX, AuditFeed
from tests import builders
from tests.fakes.audit_log import TEXT_KEY
from tests.fakes.audit_log_files import FakeLogStores


@dataclass
class Bench:
    """A feed, and the writer of the container that it reads."""

    feed: AuditFeed
    writer: CosmosAuditLog | FakeLogStores

    async def write(self, partition: Partition, first: int, last: int) -> list[str]:
        events = [builders.event(f"object-{n:04d}").as_json() for n in range(first, last)]
        if isinstance(self.writer, FakeLogStores):
            self.writer.records += [AuditRecord(partition.key, e["event_id"], e) for e in events]
        else:
            for at in range(0, len(events), 100):
                await self.writer.append(partition, events[at : at + 100])
        return [str(event["event_id"]) for event in events]

    async def read(self, position: str | None = None) -> tuple[list[str], str | None]:
        """Every id after a position, page by page."""
        found: list[str] = []
        while True:
            page = await self.feed.after(position)
            if not page.records:
                return found, position
            found += [record.document_id for record in page.records]
            position = page.position


@pytest_asyncio.fixture(params=["fake", "sdk"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "fake":
        stores = FakeLogStores(page_records=7)
        yield Bench(stores, stores)
        return
    running = await start_cosmos(None, 0, roles=read_roles(RESOURCES_FILE))
    async with CosmosClient(
        running.endpoint, running.key, enable_endpoint_discovery=False
    ) as client:
        database = await client.create_database("eig")
        await database.create_container("audit", PartitionKey("/pk"))
    reader, writer = (
        CosmosConnection(CosmosAccount(running.endpoint, "eig", role_key(role)))
        for role in ("audit-reader", "audit-writer")
    )
    yield Bench(CosmosAuditFeed(reader), CosmosAuditLog(writer, TEXT_KEY))
    await reader.aclose()
    await writer.aclose()
    await running.stop()


def partition() -> Partition:
    return Partition(f"d{uuid.uuid4().hex[:8]}", "202611")


async def test_an_empty_container_has_no_events(bench: Bench) -> None:
    assert await bench.read() == ([], None)


async def test_events_come_once_in_the_order_of_their_creation(bench: Bench) -> None:
    one, other = partition(), partition()
    wanted = [
        *await bench.write(one, 0, 3),
        *await bench.write(other, 3, 5),
        *await bench.write(one, 5, 30),
    ]
    found, position = await bench.read()
    assert found == wanted
    assert await bench.read(position) == ([], position)
    more = await bench.write(other, 30, 34)
    assert (await bench.read(position))[0] == more
    assert (await bench.read())[0] == wanted + more


async def test_a_page_that_is_read_again_begins_alike(bench: Bench) -> None:
    await bench.write(partition(), 0, 20)
    first = await bench.feed.after(None)
    again = await asyncio.gather(*(bench.feed.after(None) for _ in range(3)))
    assert all(page.records == first.records for page in again)


async def test_events_are_found_by_id(bench: Bench) -> None:
    one, other = partition(), partition()
    await bench.write(one, 0, 5)
    await bench.write(other, 4, 6)
    event_id = "object-0004:generation.admitted"
    found = await bench.feed.named(event_id)
    assert {record.partition_key for record in found} == {one.key, other.key}
    assert await bench.feed.named("nothing") == []


async def test_events_that_stand_are_told_from_those_that_do_not(bench: Bench) -> None:
    one, other = partition(), partition()
    ids = await bench.write(one, 0, 300)
    await bench.write(other, 298, 302)
    wanted = [*ids[: IDS_PER_LOOK_MAX - 1], "nothing"]
    assert set(await bench.feed.standing(one.key, wanted)) == set(wanted[:-1])
    assert set(await bench.feed.standing(other.key, ids[290:])) == set(ids[298:])
    assert not await bench.feed.standing(one.key, [])
    assert not await bench.feed.standing("nobody|202611", ids[:5])
