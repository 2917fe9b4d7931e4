"""Contract of documents: create, read, replace, upsert, delete, etags, limits, TTL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import CosmosClient as SyncClient
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.cosmos.partition_key import NonePartitionKeyValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devhost.cosmos.server import start_cosmos
from tests.contract.cosmos_account import IS_LIVE, Account, open_account

emulator_only = pytest.mark.skipif(IS_LIVE, reason="looks behind the emulator's interface")
SYSTEM = {"_rid", "_self", "_etag", "_attachments", "_ts"}


@pytest.fixture(scope="module")
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        yield opened


@pytest.fixture(scope="module")
async def container(account: Account) -> AsyncIterator[ContainerProxy]:
    async with account.container() as created:
        yield created


def content(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in SYSTEM}


# --- create, read, replace, upsert, delete ---


async def test_create_answers_document_with_system_properties(container: ContainerProxy) -> None:
    created = await container.create_item({"id": "c1", "pk": "a", "n": 7})
    assert content(created) == {"id": "c1", "pk": "a", "n": 7}
    assert created.keys() >= SYSTEM
    assert created["_etag"].startswith('"') and isinstance(created["_ts"], int)
    read = await container.read_item("c1", "a")
    assert dict(read) == dict(created)


async def test_create_conflicts_on_same_id_in_partition(container: ContainerProxy) -> None:
    await container.create_item({"id": "dup", "pk": "a"})
    with pytest.raises(CosmosResourceExistsError) as refused:
        await container.create_item({"id": "dup", "pk": "a"})
    assert refused.value.status_code == 409
    await container.create_item({"id": "dup", "pk": "b"})


async def test_read_misses_in_another_partition(container: ContainerProxy) -> None:
    await container.create_item({"id": "mine", "pk": "a"})
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("mine", "b")


async def test_replace_changes_etag_and_content(container: ContainerProxy) -> None:
    first = await container.create_item({"id": "r1", "pk": "a", "old": 1})
    second = await container.replace_item("r1", {"id": "r1", "pk": "a", "new": 2})
    assert content(second) == {"id": "r1", "pk": "a", "new": 2}
    assert second["_etag"] != first["_etag"] and second["_rid"] == first["_rid"]


async def test_replace_and_delete_of_missing_item_are_404(container: ContainerProxy) -> None:
    with pytest.raises(CosmosResourceNotFoundError):
        await container.replace_item("ghost", {"id": "ghost", "pk": "a"})
    with pytest.raises(CosmosResourceNotFoundError):
        await container.delete_item("ghost", "a")


async def test_upsert_creates_then_replaces(container: ContainerProxy) -> None:
    await container.upsert_item({"id": "u1", "pk": "a", "v": 1})
    await container.upsert_item({"id": "u1", "pk": "a", "v": 2})
    assert (await container.read_item("u1", "a"))["v"] == 2


async def test_delete_removes_item(container: ContainerProxy) -> None:
    await container.create_item({"id": "d1", "pk": "a"})
    await container.delete_item("d1", "a")
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("d1", "a")
    await container.create_item({"id": "d1", "pk": "a"})


async def test_write_without_response_payload_answers_empty(container: ContainerProxy) -> None:
    answer = await container.create_item({"id": "quiet", "pk": "a"}, no_response=True)
    assert dict(answer) == {}
    assert (await container.read_item("quiet", "a"))["id"] == "quiet"


@pytest.mark.parametrize("key", ["text", "", "ünïcødé 🦘", 42, 1.5, True, None])
async def test_partition_key_of_each_type_round_trips(container: ContainerProxy, key: Any) -> None:
    await container.upsert_item({"id": "typed", "pk": key})
    assert (await container.read_item("typed", key))["pk"] == key


async def test_item_without_partition_key_lives_in_undefined_partition(
    container: ContainerProxy,
) -> None:
    await container.create_item({"id": "keyless"})
    assert (await container.read_item("keyless", NonePartitionKeyValue))["id"] == "keyless"


async def test_unusual_characters_in_id_round_trip(container: ContainerProxy) -> None:
    item_id = "a b%20+&=é🦘'\"|:;@"
    await container.create_item({"id": item_id, "pk": "a"})
    assert (await container.read_item(item_id, "a"))["id"] == item_id


# --- etags ---


async def test_replace_with_stale_etag_is_412_and_changes_nothing(
    container: ContainerProxy,
) -> None:
    first = await container.create_item({"id": "e1", "pk": "a", "v": 1})
    await container.replace_item("e1", {"id": "e1", "pk": "a", "v": 2})
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.replace_item(
            "e1",
            {"id": "e1", "pk": "a", "v": 3},
            etag=first["_etag"],
            match_condition=MatchConditions.IfNotModified,
        )
    assert (await container.read_item("e1", "a"))["v"] == 2


async def test_replace_and_delete_with_current_etag_succeed(container: ContainerProxy) -> None:
    item = await container.create_item({"id": "e2", "pk": "a"})
    item = await container.replace_item(
        "e2",
        {"id": "e2", "pk": "a"},
        etag=item["_etag"],
        match_condition=MatchConditions.IfNotModified,
    )
    await container.delete_item(
        "e2", "a", etag=item["_etag"], match_condition=MatchConditions.IfNotModified
    )


async def test_read_with_current_etag_is_not_modified(container: ContainerProxy) -> None:
    item = await container.create_item({"id": "e3", "pk": "a"})
    answer = await container.read_item(
        "e3", "a", etag=item["_etag"], match_condition=MatchConditions.IfModified
    )
    assert dict(answer) == {}


# --- what is refused ---


async def refused_status(container: ContainerProxy, body: dict[str, Any]) -> int:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.create_item(body)
    assert refused.value.status_code is not None
    return refused.value.status_code


@pytest.mark.parametrize("item_id", ["a/b", "a\\b", "a#b", "a?b", "", "x" * 1024, 5])
async def test_create_with_bad_id_is_refused(container: ContainerProxy, item_id: Any) -> None:
    try:
        assert await refused_status(container, {"id": item_id, "pk": "a"}) == 400
    except (TypeError, ValueError):
        return  # the SDK refused it first


async def test_longest_id_is_accepted(container: ContainerProxy) -> None:
    await container.create_item({"id": "x" * 1023, "pk": "a"})


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_item_just_below_two_megabytes_round_trips(container: ContainerProxy) -> None:
    text = "é" * (1024 * 1024 - 1024)  # two bytes each as UTF-8, six as escaped JSON
    await container.create_item({"id": "large", "pk": "large", "x": text})
    assert (await container.read_item("large", "large"))["x"] == text


async def test_create_without_id_is_400(container: ContainerProxy) -> None:
    assert await refused_status(container, {"pk": "a"}) == 400


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_item_above_two_megabytes_is_413(container: ContainerProxy) -> None:
    assert await refused_status(container, {"id": "big", "pk": "a", "x": "x" * 2**21}) == 413


@pytest.mark.parametrize("ttl", [0, -2, "60", 1.5])
async def test_create_with_bad_ttl_is_400(container: ContainerProxy, ttl: Any) -> None:
    assert await refused_status(container, {"id": "badttl", "pk": "a", "ttl": ttl}) == 400


# --- numbers ---


@pytest.mark.parametrize(
    "value", [0, -1, 2**53, -(2**53), 0.1, 1e-300, 1.7976931348623157e308, 123456789.25]
)
async def test_double_round_trips_exactly(container: ContainerProxy, value: float) -> None:
    await container.upsert_item({"id": "num", "pk": "a", "v": value})
    assert (await container.read_item("num", "a"))["v"] == value


@emulator_only
async def test_integer_beyond_double_precision_is_rounded(container: ContainerProxy) -> None:
    await container.upsert_item({"id": "num", "pk": "a", "v": 2**53 + 1})
    assert (await container.read_item("num", "a"))["v"] == 2**53


async def test_document_nested_too_deep_is_400(container: ContainerProxy) -> None:
    for levels in (200, 700):
        value: Any = 1
        for _ in range(levels):
            value = [value]
        assert await refused_status(container, {"id": "deep", "pk": "a", "v": value}) == 400


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=_values)
async def test_any_json_document_round_trips(container: ContainerProxy, value: Any) -> None:
    await container.upsert_item({"id": "any", "pk": "h", "value": value})
    assert (await container.read_item("any", "h"))["value"] == value


# --- TTL ---


@emulator_only
async def test_ttl_hides_item_only_when_container_allows() -> None:
    later_s = [0.0]  # stays below the skew that signatures allow
    running = await start_cosmos(None, 0, clock=lambda: time.time() + later_s[0])
    try:
        async with CosmosClient(
            running.endpoint, running.key, enable_endpoint_discovery=False
        ) as client:
            database = await client.create_database("ttl")
            inert = await database.create_container("inert", PartitionKey("/pk"))
            item_only = await database.create_container("own", PartitionKey("/pk"), default_ttl=-1)
            both = await database.create_container("both", PartitionKey("/pk"), default_ttl=100)
            for each in (inert, item_only, both):
                await each.create_item({"id": "short", "pk": "a", "ttl": 10})
                await each.create_item({"id": "default", "pk": "a"})
                await each.create_item({"id": "forever", "pk": "a", "ttl": -1})
            later_s[0] += 11
            assert await ids(inert) == {"short", "default", "forever"}
            assert await ids(item_only) == {"default", "forever"}
            assert await ids(both) == {"default", "forever"}
            await both.create_item({"id": "short", "pk": "a"})
            later_s[0] += 100
            assert await ids(both) == {"forever"}
            with pytest.raises(CosmosResourceNotFoundError):
                await both.read_item("default", "a")
    finally:
        await running.stop()


async def ids(container: ContainerProxy) -> set[str]:
    rows = container.query_items("SELECT c.id FROM c", partition_key="a")
    return {row["id"] async for row in rows}


# --- databases, containers, the sync client ---


async def test_databases_and_containers_are_listed_and_deleted(account: Account) -> None:
    async with account.container() as container:
        database_id = container.container_link.split("/")[1]
        assert database_id in [each["id"] async for each in account.client.list_databases()]
        database = account.client.get_database_client(database_id)
        assert [each["id"] async for each in database.list_containers()] == ["items"]
        again = await database.create_container_if_not_exists("items", PartitionKey("/pk"))
        assert again.id == "items"
        with pytest.raises(CosmosResourceExistsError):
            await database.create_container("items", PartitionKey("/pk"))
        await database.delete_container("items")
        with pytest.raises(CosmosResourceNotFoundError):
            await container.read_item("x", "a")
    with pytest.raises(CosmosResourceNotFoundError):
        await database.read()


async def test_recreated_container_is_empty_for_a_client_that_knew_the_old(
    account: Account,
) -> None:
    async with account.container() as container:
        await container.create_item({"id": "old", "pk": "a"})
        database_id = container.container_link.split("/")[1]
        database = account.client.get_database_client(database_id)
        await database.delete_container("items")
        await database.create_container("items", PartitionKey("/pk"))
        await container.create_item({"id": "new", "pk": "a"})
        assert await ids(container) == {"new"}


async def test_replace_container_sets_default_ttl(account: Account) -> None:
    async with account.container() as container:
        database_id = container.container_link.split("/")[1]
        database = account.client.get_database_client(database_id)
        await database.replace_container(container, PartitionKey("/pk"), default_ttl=60)
        assert (await container.read())["defaultTtl"] == 60


async def test_sync_client_reads_what_async_client_wrote(
    account: Account, container: ContainerProxy
) -> None:
    await container.create_item({"id": "sync", "pk": "s", "v": 1})
    database_id = container.container_link.split("/")[1]

    def read_in_thread() -> Any:
        with SyncClient(account.endpoint, account.key, enable_endpoint_discovery=False) as client:
            items = client.get_database_client(database_id).get_container_client("items")
            rows = list(items.query_items("SELECT VALUE c.v FROM c", partition_key="s"))
            return items.read_item("sync", "s")["v"], rows

    assert await asyncio.to_thread(read_in_thread) == (1, [1])
