"""Calls to Cosmos DB and Blob storage per picture, and request units, counted by the emulators."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from azure.storage.blob.aio import BlobServiceClient

from bench.local_cloud import LocalCloud, local_cloud
from devhost.azurite import connection_string

SINGLES = 20
BATCH_ROWS = 200
BLOB_CONTAINERS = ("images", "thumbnails", "batches", "results")
KINDS = {
    "transactions": ("batch",),
    "single writes": ("create", "patch", "replace", "delete"),
    "reads": ("read", "query"),
}
RELAY_SETTLE_S = 1.0


async def run() -> dict[str, Any]:
    """Differences of the emulators' counters around twenty singles and around one batch."""
    async with local_cloud() as cloud:
        await _single(cloud)
        single = await _around(cloud, SINGLES, _singles)
        batch = await _around(cloud, BATCH_ROWS, _batch)
    return {
        f"{name}: {label}": value
        for name, figures in (("single", single), ("batch row", batch))
        for label, value in figures.items()
    }


async def _around(cloud: LocalCloud, pictures: int, work: Any) -> dict[str, Any]:
    before, blobs_before = await cloud.cosmos_stats(), await _blobs(cloud)
    await work(cloud)
    await asyncio.sleep(RELAY_SETTLE_S)
    after, blobs_after = await cloud.cosmos_stats(), await _blobs(cloud)
    figures: dict[str, Any] = {}
    for container, counts in sorted(after["containers"].items()):
        made = Counter(counts)
        made.subtract(before["containers"].get(container, {}))
        for label, operations in KINDS.items():
            calls = sum(made[each] for each in operations)
            if calls:
                figures[f"{container}: {label} per picture"] = round(calls / pictures, 2)
    charge = (after["request_charge"] - before["request_charge"]) / pictures
    figures["request units per picture"] = round(charge, 1)
    for container, blobs in sorted((blobs_after - blobs_before).items()):
        figures[f"{container}: blobs per picture"] = round(blobs / pictures, 2)
    return figures


async def _single(cloud: LocalCloud) -> None:
    body = {"model": "gpt-image-2", "prompt": "A lighthouse", "quality": "low"}
    url = f"{cloud.stack.api_url}/generations"
    headers = {"Prefer": "wait=30"}
    async with cloud.session.post(url, json=body, headers=headers) as response:
        view = await response.json()
        if view.get("status") != "succeeded":
            raise RuntimeError(f"the generation ended as {view}")


async def _singles(cloud: LocalCloud) -> None:
    for _ in range(SINGLES):
        await _single(cloud)


async def _batch(cloud: LocalCloud) -> None:
    await cloud.batch_until_done(BATCH_ROWS)


async def _blobs(cloud: LocalCloud) -> Counter[str]:
    account = connection_string(cloud.stack.ports)
    async with BlobServiceClient.from_connection_string(
        account, api_version="2025-11-05"
    ) as service:
        found: Counter[str] = Counter()
        for name in BLOB_CONTAINERS:
            async for _ in service.get_container_client(name).list_blobs():
                found[name] += 1
        return found
