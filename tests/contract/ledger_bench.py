"""A ledger on trial: over the fake container, and over the real SDK with an account."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection, read_or_none
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.budgets import Scope, charged_scopes
from shared.domain.identity import Caller
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Document, Resolution
from shared.domain.settlements import unknown_event, unknown_record
from shared.domain.work import WorkItem
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.fakes.cosmos_container import FakeConnection

LIMIT_MICROS = 1_000_000
PRICE_MICROS = 60_000


@dataclass
class Bench:
    """A ledger and a department of its own, so that no test sees another's money."""

    ledger: CosmosLedger
    connection: CosmosConnection
    partition: Partition
    owner: Caller

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return charged_scopes(self.partition.department_id, self.owner.key)

    def single(self, seed: str = "one", price_micros: int = PRICE_MICROS) -> WorkItem:
        generation_id = operation_id(self.partition, seed)
        return builders.item(generation_id, quote=builders.quote(price_micros), owner=self.owner)

    def batch(self, *prices_micros: int, seed: str = "batch") -> tuple[str, list[WorkItem]]:
        batch_id = operation_id(self.partition, seed)
        return batch_id, builders.rows(batch_id, list(prices_micros), self.owner)

    async def open(
        self, department_micros: int = LIMIT_MICROS, user_micros: int = LIMIT_MICROS
    ) -> None:
        limits = dict(zip(self.scopes, (department_micros, user_micros), strict=True))
        await builders.open_budgets(self.connection, self.partition, limits)

    async def reserve(self, work: WorkItem, **changes: Any) -> bool:
        return await self.ledger.reserve(builders.reservation(work, **changes)) is not None

    async def reserve_batch(self, *prices_micros: int) -> tuple[str, list[WorkItem]]:
        await self.open()
        batch_id, work = self.batch(*prices_micros)
        await self.ledger.reserve(builders.batch_reservation(batch_id, work))
        return batch_id, work

    async def resolve(self, operation: str, *resolutions: Resolution) -> None:
        await self.ledger.resolve(operation, resolutions)

    async def note_unknown(self, work: WorkItem) -> None:
        report = builders.report(work, "unknown", reason="no answer")
        event = unknown_event(work, report, builders.CLOSED_AT)
        await self.ledger.note_unknown(
            unknown_record(work, report, "2026-11-22T00:00:00+00:00"), event
        )

    async def read(self, document_id: str) -> Document | None:
        container = await self.connection.container("ledger")
        return await read_or_none(container, document_id, self.partition.key)

    async def must_read(self, document_id: str) -> Document:
        found = await self.read(document_id)
        assert found is not None, document_id
        return found

    async def relay(self, outbox_id: str) -> None:
        """What the audit relay does once it has copied an event."""
        container = await self.connection.container("ledger")
        await container.delete_item(outbox_id, partition_key=self.partition.key)

    async def counters(self) -> list[tuple[int, int]]:
        """(reserved, spent) of the department and of the user."""
        found = [await self.ledger.budget(self.partition, scope) for scope in self.scopes]
        return [(each.reserved_micros, each.spent_micros) for each in found if each]


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[CosmosConnection]:
    if request.param == "fake":
        yield FakeConnection().as_connection()
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        opened = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield opened
        await opened.aclose()


@pytest.fixture
def bench(connection: CosmosConnection) -> Bench:
    department_id = f"d{uuid.uuid4().hex[:12]}"
    owner = builders.caller(1, department_id)
    partition = Partition(department_id, "202611")
    return Bench(CosmosLedger(connection), connection, partition, owner)
