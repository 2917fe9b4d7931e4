"""The ports over Cosmos DB on trial: as fakes, and through the SDK on an account."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from devhost.resources import read_resources
from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_audit import CosmosAuditLog
from shared.adapters.cosmos_budget_policies import CosmosBudgetPolicies
from shared.adapters.cosmos_directory import CosmosDirectory
from shared.adapters.cosmos_directory_store import CosmosDirectoryStore
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_records import CosmosRecords
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import charged_scopes
from shared.domain.identity import Caller
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Document, resolve_groups
from shared.domain.work import WorkItem
from shared.ports import AuditLog, BudgetPolicies, Directory, Records
from shared.ports.directory import DirectoryStore
from tests import builders
from tests.contract.cosmos_account import IS_LIVE, open_account
from tests.contract.ledger_bench import LIMIT_MICROS, PRICE_MICROS, Bench
from tests.fakes.audit_log import TEXT_KEY, FakeAuditLog
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory_store import FakeDirectoryStore, StoredDirectory
from tests.fakes.faults import Fault, NoFaults
from tests.fakes.records import FakeRecords

OUTBOX_MAX = 100
# What the store and our connection to it add.
SYSTEM_FIELDS = frozenset({"_rid", "_self", "_etag", "_attachments", "_ts", "schema_version"})


class Outage(NoFaults):
    """No call is answered."""

    async def next(self, call: str) -> Fault:
        return Fault.UNREACHABLE


@dataclass
class Stores:
    """The ports, and the connection of the ledger that records are written by."""

    records: Records
    budget_policies: BudgetPolicies
    directory: Directory
    directory_store: DirectoryStore
    audit: AuditLog
    connection: CosmosConnection

    async def events(self, partition: Partition) -> list[Mapping[str, Any]]:
        """What the audit log holds of a partition; the port itself cannot read."""
        if isinstance(self.audit, FakeAuditLog):
            return self.audit.of(partition)
        container = await self.connection.container("audit")
        found = container.query_items("SELECT VALUE c.event FROM c", partition_key=partition.key)
        return [event async for event in found]


@dataclass
class RecordsBench:
    """Records of a department of its own, written by the ledger as in production."""

    records: Records
    money: Bench

    @property
    def partition(self) -> Partition:
        return self.money.partition

    def id_of(self, seed: str, period: str | None = None) -> str:
        """An operation id in this department."""
        return operation_id(replace(self.partition, period=period or self.partition.period), seed)

    def work(self, seed: str, model: str = "gpt-image-2", **changes: Any) -> WorkItem:
        """A single generation; `period`, `owner` and the fields of a work item may differ."""
        owner: Caller = changes.pop("owner", self.money.owner)
        made = builders.item(
            self.id_of(seed, changes.pop("period", None)),
            wanted=builders.request(model),
            quote=builders.quote(PRICE_MICROS),
            owner=owner,
        )
        return replace(made, **changes)

    async def admit(self, seed: str, model: str = "gpt-image-2", **changes: Any) -> WorkItem:
        """Reserve a single generation, in a period that is opened for its owner."""
        work = self.work(seed, model, **changes)
        partition = Partition(work.owner.department_id, work.generation_id[:6])
        scopes = charged_scopes(partition.department_id, work.owner.user_key)
        limits = dict.fromkeys(scopes, 100 * LIMIT_MICROS)
        await builders.open_budgets(self.money.connection, partition, limits)
        await self.money.ledger.reserve(builders.reservation(work))
        return work

    async def admit_batch(
        self, rows: int, seed: str = "batch", created_at: str = builders.CREATED_AT
    ) -> tuple[str, list[WorkItem]]:
        """Reserve a batch of so many rows."""
        await self.money.open(100 * LIMIT_MICROS, 100 * LIMIT_MICROS)
        batch_id, made = self.money.batch(*[PRICE_MICROS] * rows, seed=seed)
        work = [replace(each, created_at=created_at) for each in made]
        reservation = builders.batch_reservation(batch_id, work)
        reservation.record["created_at"] = created_at
        await self.money.ledger.reserve(reservation)
        return batch_id, work

    async def settle(self, *work: WorkItem) -> None:
        """Deliver generations of one hold, in as many transactions as that takes."""
        for group in resolve_groups([builders.resolution(each) for each in work]):
            await self.money.resolve(work[0].operation_id, *group)

    async def actions(self) -> list[str]:
        """The actions of the audit events that wait, in alphabetical order."""
        waiting = await self.records.outbox(self.partition, OUTBOX_MAX)
        return sorted(item["event"]["action"] for item in waiting)

    async def must_batch(self, batch_id: str) -> Document:
        found = await self.records.batch(batch_id)
        assert found is not None, batch_id
        return found


def plain(document: Document | None) -> Document | None:
    """A document without what the store adds to it."""
    if document is None:
        return None
    return {name: value for name, value in document.items() if name not in SYSTEM_FIELDS}


def event_of(object_id: str, action: str) -> AuditEvent:
    return builders.event(object_id, action)


def _fake_stores(connection: FakeConnection) -> Stores:
    records = FakeRecords(connection)
    policies = FakeBudgetPolicies(connection)
    return Stores(
        records,
        policies,
        StoredDirectory(connection),
        FakeDirectoryStore(connection),
        FakeAuditLog(),
        connection.as_connection(),
    )


@asynccontextmanager
async def _sdk_stores() -> AsyncIterator[Stores]:
    resources = read_resources()
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists(resources.database)
        for each in resources.containers:
            await database.create_container_if_not_exists(each.id, PartitionKey(each.partition_key))
        connection = CosmosConnection(
            CosmosAccount(account.endpoint, resources.database, account.key)
        )
        yield Stores(
            CosmosRecords(connection),
            CosmosBudgetPolicies(connection),
            CosmosDirectory(connection),
            CosmosDirectoryStore(connection),
            CosmosAuditLog(connection, TEXT_KEY),
            connection,
        )
        await connection.aclose()


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if request.param == "fake":
        yield _fake_stores(FakeConnection())
        return
    async with _sdk_stores() as opened:
        yield opened


@pytest.fixture
def bench(stores: Stores) -> RecordsBench:
    department_id = f"d{uuid.uuid4().hex[:12]}"
    owner = builders.caller(1, department_id)
    ledger = CosmosLedger(stores.connection)
    money = Bench(ledger, stores.connection, Partition(department_id, "202611"), owner)
    return RecordsBench(stores.records, money)


@asynccontextmanager
async def silent_account() -> AsyncIterator[CosmosConnection]:
    """A connection to an account that answers every call on documents with 503."""
    if IS_LIVE:
        pytest.skip("a real account cannot be told to fail")
    async with open_account() as account:
        fault = {"match": "/docs", "kind": "error", "status": 503}
        async with aiohttp.ClientSession() as session:
            url = f"{account.endpoint}/_control/faults"
            async with session.post(url, json=fault) as answer:
                answer.raise_for_status()
        database = await account.client.create_database("eig")
        for name in ("ledger", "audit", "directory"):
            await database.create_container(name, PartitionKey("/pk"))
        connection = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield connection
        await connection.aclose()


@pytest_asyncio.fixture(params=["fake", "sdk"])
async def silent_records(request: pytest.FixtureRequest) -> AsyncIterator[Records]:
    """Records whose store does not answer."""
    if request.param == "fake":
        silent = FakeConnection(Outage())
        silent.container("ledger").partitions[builders.PARTITION.key] = {}
        yield FakeRecords(silent)
        return
    async with silent_account() as connection:
        yield CosmosRecords(connection)
