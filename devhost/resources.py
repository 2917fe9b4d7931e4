"""Creates what Bicep creates in Azure: the Cosmos DB containers and the blob containers.

It uses the real SDKs against the emulators, and repeating it changes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.storage.blob.aio import BlobServiceClient
from pydantic import BaseModel, ConfigDict

from devhost.azurite import connection_string
from devhost.cosmos.auth import EMULATOR_KEY
from devhost.note_keys import ensure_note_keys
from devhost.ports import Ports

RESOURCES_FILE = Path(__file__).with_name("resources.json")


class CosmosContainer(BaseModel):
    """One Cosmos DB container."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    partition_key: str
    default_ttl_s: int | None = None  # -1: documents may have a ttl of their own; None: not


class CosmosRole(BaseModel):
    """A data-plane role and the containers it is assigned on; the emulator enforces it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    containers: tuple[str, ...]
    actions: tuple[str, ...]


class EventSubscription(BaseModel):
    """Blob events of a container, delivered to a function."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    container: str
    function: str


class Resources(BaseModel):
    """All that the app expects to exist before it starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: str
    containers: tuple[CosmosContainer, ...]
    cosmos_roles: tuple[CosmosRole, ...]
    blob_containers: tuple[str, ...]
    event_subscriptions: tuple[EventSubscription, ...]


def read_resources() -> Resources:
    return Resources.model_validate(json.loads(RESOURCES_FILE.read_text("utf-8")))


async def create_resources(ports: Ports) -> None:
    """Creates everything of resources.json that is missing, and the keys of the audit log."""
    resources = read_resources()
    ensure_note_keys(RESOURCES_FILE.parents[1])
    await _create_cosmos(ports, resources)
    await _create_blob_containers(ports, resources.blob_containers)


async def _create_cosmos(ports: Ports, resources: Resources) -> None:
    # An emulator has one endpoint; looking for others would fail.
    async with CosmosClient(
        ports.url("cosmos"), EMULATOR_KEY, enable_endpoint_discovery=False
    ) as client:
        database = await client.create_database_if_not_exists(resources.database)
        for container in resources.containers:
            await database.create_container_if_not_exists(
                container.id,
                partition_key=PartitionKey(container.partition_key),
                default_ttl=container.default_ttl_s,
            )


async def _create_blob_containers(ports: Ports, names: tuple[str, ...]) -> None:
    async with BlobServiceClient.from_connection_string(connection_string(ports)) as service:
        for name in names:
            try:
                await service.create_container(name)
            except ResourceExistsError:
                continue
