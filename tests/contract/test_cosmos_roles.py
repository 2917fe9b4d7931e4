"""The data-plane roles as the SDK meets them: what each key may do, and 403 for everything else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from devhost.cosmos.roles import read_roles, role_key
from devhost.cosmos.server import RunningCosmos, start_cosmos
from devhost.resources import RESOURCES_FILE, read_resources

PREFIX = "Microsoft.DocumentDB/databaseAccounts/"
EVENT = {"id": "one", "pk": "p", "event": {"action": "x"}}


@pytest_asyncio.fixture(scope="module")
async def account() -> AsyncIterator[RunningCosmos]:
    """An account with the app's containers and roles, and one event in the audit container."""
    running = await start_cosmos(None, 0, roles=read_roles(RESOURCES_FILE))
    async with _client(running, running.key) as client:
        database = await client.create_database("eig")
        for each in read_resources().containers:
            created = await database.create_container(each.id, PartitionKey(each.partition_key))
            await created.create_item(EVENT)
    yield running
    await running.stop()


def _client(running: RunningCosmos, key: str) -> CosmosClient:
    return CosmosClient(running.endpoint, key, enable_endpoint_discovery=False)


@pytest_asyncio.fixture
async def opened(account: RunningCosmos) -> AsyncIterator[Callable[[str, str], ContainerProxy]]:
    """Opens a container by the key of a role."""
    clients: dict[str, CosmosClient] = {}
    for role in ("app", "audit-writer", "audit-reader"):
        clients[role] = await _client(account, role_key(role)).__aenter__()
    yield lambda role, name: clients[role].get_database_client("eig").get_container_client(name)
    for client in clients.values():
        await client.close()


Opened = Callable[[str, str], ContainerProxy]


async def _rows(container: ContainerProxy, **options: Any) -> list[Any]:
    return [row async for row in container.query_items("SELECT * FROM c", **options)]


async def _changes(container: ContainerProxy) -> list[Any]:
    return [row async for row in container.query_items_change_feed(start_time="Beginning")]


# What the issue of an append-only log is about, each as (name, call).
CHANGES: dict[str, Callable[[ContainerProxy], Awaitable[Any]]] = {
    "replace": lambda c: c.replace_item("one", {**EVENT, "event": {}}),
    "upsert": lambda c: c.upsert_item({**EVENT, "event": {}}),
    "upsert of a new one": lambda c: c.upsert_item({**EVENT, "id": "new"}),
    "patch": lambda c: c.patch_item("one", "p", [{"op": "set", "path": "/event", "value": 1}]),
    "delete": lambda c: c.delete_item("one", "p"),
    "delete in a batch": lambda c: c.execute_item_batch([("delete", ("one",), {})], "p"),
    "replace in a batch": lambda c: c.execute_item_batch([("replace", ("one", EVENT), {})], "p"),
    "upsert in a batch": lambda c: c.execute_item_batch([("upsert", (EVENT,), {})], "p"),
    "patch in a batch": lambda c: c.execute_item_batch(
        [("patch", ("one", [{"op": "set", "path": "/event", "value": 1}]), {})], "p"
    ),
    "change beside a create": lambda c: c.execute_item_batch(
        [("create", ({**EVENT, "id": "two"},), {}), ("delete", ("one",), {})], "p"
    ),
}
READS: dict[str, Callable[[ContainerProxy], Awaitable[Any]]] = {
    "read": lambda c: c.read_item("one", "p"),
    "query": lambda c: _rows(c, partition_key="p"),
    "query of all partitions": _rows,
    "change feed": _changes,
}


async def _refused(call: Awaitable[Any]) -> None:
    with pytest.raises((CosmosHttpResponseError, CosmosBatchOperationError)) as refused:
        await call
    assert refused.value.status_code == 403
    assert refused.value.sub_status in (5301, 5302), refused.value.sub_status


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("role", ["audit-writer", "audit-reader", "app"])
async def test_no_role_changes_an_audit_event(opened: Opened, role: str, name: str) -> None:
    await _refused(CHANGES[name](opened(role, "audit")))


async def test_the_writer_creates_alone_and_in_batches(
    account: RunningCosmos, opened: Opened
) -> None:
    container = opened("audit-writer", "audit")
    await container.create_item({**EVENT, "id": "single"}, no_response=True)
    batch = [("create", ({**EVENT, "id": name},), {}) for name in ("b1", "b2")]
    await container.execute_item_batch(batch, "p")
    found = {row["id"] for row in await _rows(opened("audit-reader", "audit"))}
    assert {"one", "single", "b1", "b2"} <= found


async def test_a_conflict_is_told_to_the_writer_although_it_cannot_read(opened: Opened) -> None:
    container = opened("audit-writer", "audit")
    with pytest.raises(CosmosBatchOperationError) as refused:
        await container.execute_item_batch([("create", (EVENT,), {})], "p")
    assert refused.value.operation_responses[0]["statusCode"] == 409


@pytest.mark.parametrize("name", READS)
async def test_the_writer_reads_nothing(opened: Opened, name: str) -> None:
    await _refused(READS[name](opened("audit-writer", "audit")))


@pytest.mark.parametrize("name", READS)
async def test_the_reader_reads_everything(opened: Opened, name: str) -> None:
    assert await READS[name](opened("audit-reader", "audit"))


async def test_the_reader_creates_nothing(opened: Opened) -> None:
    await _refused(opened("audit-reader", "audit").create_item({**EVENT, "id": "three"}))


@pytest.mark.parametrize("role", ["audit-writer", "audit-reader"])
async def test_audit_roles_reach_no_other_container(opened: Opened, role: str) -> None:
    container = opened(role, "ledger")
    await _refused(container.create_item({**EVENT, "id": "four"}))
    await _refused(_rows(container, partition_key="p"))


async def test_the_app_works_on_its_own_containers_and_not_on_audit(opened: Opened) -> None:
    own = opened("app", "ledger")
    await own.create_item({**EVENT, "id": "five"})
    await _refused(own.upsert_item({**EVENT, "id": "five"}))  # the code asks for no such thing
    await own.delete_item("five", "p")
    assert await _rows(own, partition_key="p")
    for call in READS.values():
        await _refused(call(opened("app", "audit")))


@pytest.mark.parametrize("role", ["app", "audit-writer", "audit-reader"])
async def test_no_role_manages_containers(account: RunningCosmos, role: str) -> None:
    async with _client(account, role_key(role)) as client:
        with pytest.raises(CosmosHttpResponseError) as refused:
            await client.get_database_client("eig").create_container("x", PartitionKey("/pk"))
        assert refused.value.status_code == 403
        with pytest.raises(CosmosHttpResponseError) as refused:
            await client.delete_database("eig")
        assert refused.value.status_code == 403


async def test_an_unknown_key_is_still_refused(account: RunningCosmos) -> None:
    client = _client(account, role_key("somebody"))
    with pytest.raises(CosmosHttpResponseError) as refused:
        await client.__aenter__()
    assert refused.value.status_code == 401
    await client.close()


def test_the_roles_have_exactly_the_actions_that_were_decided() -> None:
    items, container = (f"{PREFIX}sqlDatabases/containers/{rest}" for rest in ("items/", ""))
    actions = {role.name: set(role.actions) for role in read_resources().cosmos_roles}
    assert actions["audit-writer"] == {f"{PREFIX}readMetadata", f"{items}create"}
    assert actions["audit-reader"] == {
        f"{PREFIX}readMetadata",
        f"{items}read",
        f"{container}executeQuery",
        f"{container}readChangeFeed",
    }


def test_the_app_reaches_every_container_but_audit() -> None:
    resources = read_resources()
    reached = {role.name: set(role.containers) for role in resources.cosmos_roles}
    assert reached["app"] == {each.id for each in resources.containers} - {"audit"}
    assert reached["audit-writer"] == reached["audit-reader"] == {"audit"}
