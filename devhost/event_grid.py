"""Event Grid for `func start`: posts blob events of Azurite to the Functions host, as Azure would.

Azurite raises no events, and the app's blob trigger takes them only from Event Grid. Our own host
polls by itself, so this runs beside `make emulators` alone. A blob is announced until the host
takes the event; after a restart every blob is announced again, which the app takes as a repeat.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
from azure.core.exceptions import AzureError
from azure.storage.blob.aio import BlobServiceClient

from devhost.azurite import connection_string
from devhost.ports import Ports
from devhost.resources import EventSubscription, read_resources

POLL_S = 1.0
WEBHOOK = "/runtime/webhooks/blobs"
ACCEPTED = frozenset({200, 202})


async def forward_blob_events(ports: Ports) -> None:
    """Runs until it is cancelled; a host that is not up yet gets the events when it is."""
    announced: set[tuple[str, str]] = set()
    async with (
        BlobServiceClient.from_connection_string(connection_string(ports)) as service,
        aiohttp.ClientSession() as session,
    ):
        while True:
            for subscription in read_resources().event_subscriptions:
                try:
                    await _forward(service, session, ports, subscription, announced)
                except (AzureError, aiohttp.ClientError):
                    break  # storage or host is not there for the moment
            await asyncio.sleep(POLL_S)


async def _forward(
    service: BlobServiceClient,
    session: aiohttp.ClientSession,
    ports: Ports,
    subscription: EventSubscription,
    announced: set[tuple[str, str]],
) -> None:
    url = f"{ports.url('host')}{WEBHOOK}?functionName=Host.Functions.{subscription.function}"
    container = service.get_container_client(subscription.container)
    async for blob in container.list_blobs():
        key = (f"{subscription.container}/{blob.name}", str(blob.etag))
        if key in announced:
            continue
        event = _event(f"{container.url}/{blob.name}", subscription.container, blob.name)
        headers = {"aeg-event-type": "Notification"}
        async with session.post(url, json=[event], headers=headers) as answer:
            if answer.status in ACCEPTED:
                announced.add(key)


def _event(url: str, container: str, blob_name: str) -> dict[str, object]:
    """A BlobCreated event in the Event Grid schema."""
    return {
        "id": uuid4().hex,
        "eventType": "Microsoft.Storage.BlobCreated",
        "subject": f"/blobServices/default/containers/{container}/blobs/{blob_name}",
        "eventTime": datetime.now(UTC).isoformat(),
        "dataVersion": "",
        "data": {"api": "PutBlob", "url": url, "blobType": "BlockBlob"},
    }
