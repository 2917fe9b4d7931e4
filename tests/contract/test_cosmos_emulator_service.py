"""Contract of the account: keys, change feed, throttling, statistics, faults, durability."""

from __future__ import annotations

import asyncio
import base64
import datetime
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import AzureError
from azure.core.utils import CaseInsensitiveDict
from azure.cosmos import CosmosClient as SyncClient
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from devhost.cosmos.auth import EMULATOR_KEY
from devhost.cosmos.server import RunningCosmos, start_cosmos
from tests.contract.cosmos_account import IS_LIVE, Account, all_rows, open_account

emulator_only = pytest.mark.skipif(IS_LIVE, reason="looks behind the emulator's interface")
WRONG_KEY = base64.b64encode(b"x" * 64).decode()
ONE_KEY = PartitionKey("/pk")
# The SDK takes 0 for "default": one retry after a millisecond is the least it can do.
HASTY: dict[str, Any] = {"retry_throttle_total": 1, "retry_fixed_interval": 1}
START_S_MAX = 20.0  # a cold interpreter on a busy machine


@pytest.fixture(scope="module")
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        yield opened


@asynccontextmanager
async def container_of(
    endpoint: str, key: str = EMULATOR_KEY, **options: Any
) -> AsyncIterator[ContainerProxy]:
    """The container "items" of an emulator, created when it is absent."""
    async with CosmosClient(endpoint, key, enable_endpoint_discovery=False, **options) as client:
        database = await client.create_database_if_not_exists("db")
        yield await database.create_container_if_not_exists("items", PartitionKey("/pk"))


@pytest.fixture
async def emulator() -> AsyncIterator[RunningCosmos]:
    running = await start_cosmos(None, 0)
    yield running
    await running.stop()


# --- keys ---


async def test_wrong_key_is_401(account: Account) -> None:
    client = CosmosClient(account.endpoint, WRONG_KEY, enable_endpoint_discovery=False)
    try:
        with pytest.raises(CosmosHttpResponseError) as refused:
            await client.create_database("never")
        assert refused.value.status_code == 401
    finally:
        await client.close()


@emulator_only
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-ms-date": formatdate(usegmt=True)}, 401),
        ({"x-ms-date": formatdate(usegmt=True), "authorization": "type%3Dmaster"}, 401),
        ({"x-ms-date": formatdate(usegmt=True), "authorization": "type%3Daad%26sig%3Dx"}, 501),
        ({"x-ms-date": formatdate(0, usegmt=True), "authorization": "type=master&sig=x"}, 403),
        ({"x-ms-date": "soon", "authorization": "type=master&sig=x"}, 401),
    ],
)
async def test_unsigned_request_is_refused(
    emulator: RunningCosmos, headers: dict[str, str], status: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{emulator.endpoint}/dbs", headers=headers) as answer,
    ):
        assert answer.status == status
        assert (await answer.json()).keys() == {"code", "message"}
        assert answer.headers["x-ms-activity-id"]


async def test_key_that_is_not_base64_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="base64"):
        await start_cosmos(None, 0, "not a key!")


# --- answers ---


async def test_answers_carry_charge_etag_and_session(account: Account) -> None:
    async with account.container() as container:
        headers: CaseInsensitiveDict = CaseInsensitiveDict()
        await container.create_item(
            {"id": "a", "pk": "a"}, response_hook=lambda found, _: headers.update(found)
        )
        assert float(headers["x-ms-request-charge"]) > 5
        assert headers["x-ms-session-token"].startswith("0:")
        assert headers["x-ms-activity-id"] and headers["etag"]


@emulator_only
async def test_read_charge_follows_the_stated_formula(emulator: RunningCosmos) -> None:
    charges: list[float] = []
    async with container_of(emulator.endpoint) as container:
        for size in (10, 50 * 1024):
            await container.upsert_item({"id": "a", "pk": "a", "x": "x" * size})
            await container.read_item(
                "a",
                "a",
                response_hook=lambda found, _: charges.append(float(found["x-ms-request-charge"])),
            )
    assert charges[0] == 1.0
    assert charges[1] == pytest.approx(1 + 0.09 * 49, abs=0.1)


@emulator_only
async def test_session_token_from_the_future_is_404(emulator: RunningCosmos) -> None:
    async with container_of(emulator.endpoint, consistency_level="Session") as container:
        await container.create_item({"id": "a", "pk": "a"})
        assert (await container.read_item("a", "a"))["id"] == "a"
        with pytest.raises(CosmosHttpResponseError) as refused:
            await container.read_item("a", "a", session_token="0:-1#999")
    assert (refused.value.status_code, refused.value.sub_status) == (404, 1002)


@emulator_only
@pytest.mark.parametrize(
    "options",
    [
        {"partition_key": PartitionKey(["/a", "/b"], kind="MultiHash")},
        {"unique_key_policy": {"uniqueKeys": [{"paths": ["/a"]}]}},
        {"indexing_policy": {"indexingMode": "none"}},
    ],
)  # fmt: skip
async def test_container_feature_that_is_not_emulated_is_501(
    emulator: RunningCosmos, options: dict[str, Any]
) -> None:
    async with CosmosClient(
        emulator.endpoint, emulator.key, enable_endpoint_discovery=False
    ) as client:
        database = await client.create_database("db")
        with pytest.raises(CosmosHttpResponseError, match="Not emulated") as refused:
            await database.create_container("c", **({"partition_key": ONE_KEY} | options))
    assert refused.value.status_code == 501


@emulator_only
async def test_other_features_that_are_not_emulated_are_501(emulator: RunningCosmos) -> None:
    async with container_of(emulator.endpoint) as container:
        await container.create_item({"id": "a", "pk": "a"})
        attempts: list[Callable[[], Awaitable[Any]]] = [
            lambda: container.scripts.execute_stored_procedure("sp", partition_key="a"),
            container.get_throughput,
            lambda: container.delete_all_items_by_partition_key("a"),
            lambda: container.upsert_item({"id": "a", "pk": "a"}, pre_trigger_include="t"),
            lambda: all_rows(container, "SELECT * FROM c JOIN t IN c.x", partition_key="a"),
            lambda: all_rows(container, "SELECT VALUE PI() FROM c", partition_key="a"),
        ]
        for attempt in attempts:
            with pytest.raises(CosmosHttpResponseError, match="Not emulated") as refused:
                await attempt()
            assert refused.value.status_code == 501


# --- change feed ---


async def changed(container: ContainerProxy, **options: Any) -> tuple[list[str], str]:
    """The ids of a change feed, and the continuation to go on from."""
    feed = container.query_items_change_feed(**options)
    ids = [item["id"] async for item in feed]
    return ids, container.client_connection.last_response_headers["etag"]


async def test_change_feed_follows_latest_versions(account: Account) -> None:
    async with account.container() as container:
        for name, key in (("a", "x"), ("b", "y"), ("c", "x")):
            await container.create_item({"id": name, "pk": key})
        await container.replace_item("a", {"id": "a", "pk": "x", "v": 2})
        assert (await changed(container, start_time="Beginning"))[0] == ["b", "c", "a"]
        ids, token = await changed(container, start_time="Beginning", partition_key="x")
        assert ids == ["c", "a"]
        _, now = await changed(container, start_time="Now")
        await container.create_item({"id": "d", "pk": "x"})
        await container.create_item({"id": "e", "pk": "y"})
        await container.delete_item("c", "x")
        assert (await changed(container, continuation=token))[0] == ["d"]
        assert (await changed(container, continuation=now))[0] == ["d", "e"]
        just_now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
        assert len((await changed(container, start_time=just_now))[0]) == 4


async def test_change_feed_pages_do_not_divide_a_batch(account: Account) -> None:
    async with account.container() as container:
        for batch in range(3):
            await container.execute_item_batch(
                [("create", ({"id": f"{batch}-{n}", "pk": "x"},)) for n in range(4)],
                partition_key="x",
            )
        feed = container.query_items_change_feed(start_time="Beginning", max_item_count=2)
        sizes = [len([item async for item in page]) async for page in feed.by_page()]
        assert [size for size in sizes if size] == [4, 4, 4]


async def test_sync_client_reads_change_feed(account: Account) -> None:
    async with account.container() as container:
        await container.create_item({"id": "a", "pk": "x"})
        database_id = container.container_link.split("/")[1]

        def read_in_thread() -> list[str]:
            with SyncClient(
                account.endpoint, account.key, enable_endpoint_discovery=False
            ) as client:
                items = client.get_database_client(database_id).get_container_client("items")
                feed = items.query_items_change_feed(start_time="Beginning")
                return [item["id"] for item in feed]

        assert await asyncio.to_thread(read_in_thread) == ["a"]


# --- throttling, statistics, faults ---


@emulator_only
async def test_requests_beyond_provisioned_throughput_are_429() -> None:
    running = await start_cosmos(None, 0, provisioned_ru=20)
    try:
        async with container_of(running.endpoint, **HASTY) as container:
            with pytest.raises(CosmosHttpResponseError) as refused:
                for number in range(20):
                    await container.create_item({"id": str(number), "pk": "a"})
            assert (refused.value.status_code, refused.value.sub_status) == (429, 3200)
            assert 0 < int(refused.value.headers["x-ms-retry-after-ms"]) < 2000
        async with container_of(running.endpoint) as patient:
            await patient.create_item({"id": "patient", "pk": "a"})
    finally:
        await running.stop()


@emulator_only
async def test_statistics_count_operations_and_charge(emulator: RunningCosmos) -> None:
    async with container_of(emulator.endpoint) as container, aiohttp.ClientSession() as session:
        async with session.post(f"{emulator.endpoint}/_control/stats/reset") as answer:
            assert answer.status == 204
        await container.create_item({"id": "a", "pk": "a"})
        await container.read_item("a", "a")
        async with session.get(f"{emulator.endpoint}/_control/stats") as answer:
            stats = await answer.json()
    assert stats["requests"]["create"] == stats["requests"]["read"] == 1
    assert stats["containers"][container.id] == {"create": 1, "read": 1}
    assert stats["request_charge"] > 6


@emulator_only
async def test_lost_answer_was_applied_and_replay_conflicts(emulator: RunningCosmos) -> None:
    hold = [("create", ({"id": "h:1", "pk": "a"},))]
    async with container_of(emulator.endpoint) as container, aiohttp.ClientSession() as session:
        fault = {"match": "^POST .*/docs/", "kind": "answer_lost", "times": 1}
        async with session.post(f"{emulator.endpoint}/_control/faults", json=fault) as answer:
            assert answer.status == 201
        with pytest.raises(AzureError) as lost:
            await container.execute_item_batch(hold, partition_key="a")
        assert not isinstance(lost.value, CosmosHttpResponseError)
        with pytest.raises(CosmosBatchOperationError) as replayed:
            await container.execute_item_batch(hold, partition_key="a")
        assert replayed.value.status_code == 409


@emulator_only
async def test_injected_throttle_is_retried_by_the_sdk(emulator: RunningCosmos) -> None:
    async with container_of(emulator.endpoint) as container, aiohttp.ClientSession() as session:
        fault = {"match": "/docs", "kind": "throttle", "retry_after_s": 0.05, "times": 2}
        async with session.post(f"{emulator.endpoint}/_control/faults", json=fault):
            pass
        await container.create_item({"id": "a", "pk": "a"})
        async with session.get(f"{emulator.endpoint}/_control/faults") as answer:
            assert (await answer.json())["faults"][0]["fired"] == 2


# --- the process ---


@asynccontextmanager
async def process(data_dir: Path, port: int = 0) -> AsyncIterator[tuple[Process, str]]:
    """The emulator as its own process, and the line that it prints when it is ready."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "devhost.cosmos", "--port", str(port), "--data-dir", str(data_dir),
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert started.stdout is not None
    try:
        line = await asyncio.wait_for(started.stdout.readline(), START_S_MAX)
        yield started, line.decode().strip()
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


@emulator_only
async def test_answered_commits_survive_kill(tmp_path: Path) -> None:
    async with process(tmp_path) as (running, line):
        endpoint = line.removeprefix("cosmos emulator listening on ")
        async with container_of(endpoint) as container:
            await container.create_item({"id": "budget", "pk": "a", "reserved": 0})
            for number in range(25):
                await container.execute_item_batch(
                    [
                        ("create", ({"id": f"h:{number}", "pk": "a"},)),
                        ("patch", ("budget", [{"op": "incr", "path": "/reserved", "value": 1}])),
                    ],
                    partition_key="a",
                )
            os.kill(running.pid, signal.SIGKILL)
            await running.wait()
    async with process(tmp_path) as (_, line):
        endpoint = line.removeprefix("cosmos emulator listening on ")
        async with container_of(endpoint) as container:
            assert (await container.read_item("budget", "a"))["reserved"] == 25
            holds = "SELECT VALUE COUNT(1) FROM c WHERE STARTSWITH(c.id, 'h:')"
            assert await all_rows(container, holds, partition_key="a") == [25]
            await container.create_item({"id": "after", "pk": "a"})


@emulator_only
async def test_terminated_process_exits_cleanly(tmp_path: Path) -> None:
    async with process(tmp_path) as (running, line):
        assert line.startswith("cosmos emulator listening on http://127.0.0.1:")
        running.terminate()
        assert await asyncio.wait_for(running.wait(), START_S_MAX) == 0


@emulator_only
async def test_data_dir_in_use_is_named_and_exits_with_2(tmp_path: Path) -> None:
    async with process(tmp_path), process(tmp_path) as (second, line):
        assert line == ""
        assert second.stderr is not None
        assert "database is locked" in (await second.stderr.read()).decode()
        assert await second.wait() == 2


@emulator_only
async def test_port_in_use_is_named_and_exits_with_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with process(tmp_path, taken.getsockname()[1]) as (running, line):
            assert line == ""
            assert running.stderr is not None
            assert "the port is in use" in (await running.stderr.read()).decode()
            assert await running.wait() == 2
