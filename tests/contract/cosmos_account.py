"""The Cosmos DB account the contract tests run against: the emulator, or a real one.

Set EIG_COSMOS_LIVE_ENDPOINT and EIG_COSMOS_LIVE_KEY to run the same tests on the service.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient

from devhost.cosmos.server import RunningCosmos, start_cosmos

LIVE_ENDPOINT = os.environ.get("EIG_COSMOS_LIVE_ENDPOINT")
LIVE_KEY = os.environ.get("EIG_COSMOS_LIVE_KEY")
IS_LIVE = bool(LIVE_ENDPOINT and LIVE_KEY)


@dataclass
class Account:
    """An open client; `emulator` is None on a real account."""

    client: CosmosClient
    endpoint: str
    key: str
    emulator: RunningCosmos | None

    @asynccontextmanager
    async def container(self, **options: Any) -> AsyncIterator[ContainerProxy]:
        """A fresh container with the partition key /pk, in its own database."""
        database = await self.client.create_database(f"contract-{uuid.uuid4().hex[:12]}")
        try:
            yield await database.create_container("items", PartitionKey("/pk"), **options)
        finally:
            await self.client.delete_database(database)


@asynccontextmanager
async def open_account() -> AsyncIterator[Account]:
    """The live account when configured, otherwise an emulator inside this process."""
    if LIVE_ENDPOINT and LIVE_KEY:
        async with CosmosClient(LIVE_ENDPOINT, LIVE_KEY) as client:
            yield Account(client, LIVE_ENDPOINT, LIVE_KEY, None)
        return
    running = await start_cosmos(None, 0)
    try:
        async with CosmosClient(
            running.endpoint, running.key, enable_endpoint_discovery=False
        ) as client:
            yield Account(client, running.endpoint, running.key, running)
    finally:
        await running.stop()


async def all_rows(container: ContainerProxy, query: str, **options: Any) -> list[Any]:
    """Every row of a query; without a partition key it runs over all partitions."""
    return [row async for row in container.query_items(query, **options)]
