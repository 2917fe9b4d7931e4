"""The host's bookkeeping by itself: blob receipts, concurrency limits, in-process start."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from devhost.host import HostHandle, start_host
from devhost.host.blob_receipts import ATTEMPTS_MAX, BlobReceipts
from devhost.host.durable_actions import ActionReplay
from devhost.host.durable_history import EventType, event
from devhost.host.options import HostJson, read_host_json
from devhost.host.state_file import StateFile
from tests.contract.sample_app.host_process import APP_ROOT, DURABLE


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFile]:
    file = StateFile(tmp_path)
    yield file
    file.close()


def test_blob_becomes_poison_after_five_attempts_with_growing_pauses(state: StateFile) -> None:
    receipts = BlobReceipts(state, "f")
    receipts.found([("c/a", "1")])
    pauses = []
    for attempt in range(ATTEMPTS_MAX):
        state.execute("UPDATE blob_receipts SET retry_at = 0")
        (blob,) = receipts.due(10)
        assert receipts.failed(blob, "broken") == (attempt < ATTEMPTS_MAX - 1)
        pauses.append(state.execute("SELECT retry_at FROM blob_receipts").fetchone()[0])
        assert receipts.due(10) == []

    assert sorted(pauses) == pauses
    assert receipts.counts() == {"poison": 1}
    receipts.found([("c/a", "1")])
    assert receipts.due(10) == []
    receipts.found([("c/a", "2")])
    assert [(blob.path, blob.etag) for blob in receipts.due(10)] == [("c/a", "2")]


def test_transaction_rolls_back_as_a_whole_when_an_inner_block_fails(state: StateFile) -> None:
    with pytest.raises(ValueError, match="stop"), state.transaction():
        state.execute("INSERT INTO entities VALUES ('@a@b', '1', 0)")
        with state.transaction():
            raise ValueError("stop")

    assert state.execute("SELECT COUNT(*) FROM entities").fetchone() == (0,)


def test_quiet_ids_are_all_children_of_the_awaited_task_all_until_one_fails() -> None:
    calls = [{"actionType": 0, "functionName": "a", "input": "1"} for _ in range(3)]
    replay = ActionReplay([{"actionType": 12, "compoundActions": calls}])
    replay.feed(event(EventType.ORCHESTRATOR_STARTED, 0.0))
    replay.feed(event(EventType.EXECUTION_STARTED, 0.0))
    for task_id in range(3):
        replay.feed(event(EventType.TASK_SCHEDULED, 0.0, task_id, Name="a"))
    assert replay.quiet_ids() == {0, 1, 2}

    replay.feed(event(EventType.TASK_COMPLETED, 0.0, TaskScheduledId=1, Result=None))
    assert replay.quiet_ids() == {0, 2}
    replay.feed(event(EventType.TASK_FAILED, 0.0, TaskScheduledId=0, Reason="r", Details="d"))
    assert replay.quiet_ids() == set()


# In Azure's worker a warning of the SDK is only printed; here pytest would make it an error.
SDK_WARNINGS = pytest.mark.filterwarnings("ignore:azure.functions df_loads")


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostHandle:
    monkeypatch.setenv("SAMPLE_DIR", str(tmp_path))
    monkeypatch.setenv("TICK_SCHEDULE", "0 0 0 1 1 *")
    return await start_host(APP_ROOT, 0, tmp_path / "state", blobs=False, timers=False)


@SDK_WARNINGS
async def test_host_runs_inside_this_process_and_leaves_nothing_open(
    host: HostHandle,
) -> None:
    try:
        async with aiohttp.ClientSession() as session:
            started = await session.post(
                f"{host.base_url}{DURABLE}/orchestrators/fan_out?timeout=5", json="100"
            )
            answer = await started.json()
            assert answer == sum(n * n for n in range(100)), answer
    finally:
        await host.stop()


@SDK_WARNINGS
async def test_never_more_activities_run_at_once_than_host_json_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMPLE_DIR", str(tmp_path))
    monkeypatch.setenv("TICK_SCHEDULE", "0 0 0 1 1 *")
    monkeypatch.setattr("devhost.host.runtime.read_host_json", _two_activities)
    host = await start_host(APP_ROOT, 0, tmp_path / "state", blobs=False, timers=False)
    try:
        async with aiohttp.ClientSession() as session:
            runs = [
                session.post(
                    f"{host.base_url}{DURABLE}/orchestrators/slow_sequence?timeout=5",
                    json=json.dumps({"id": str(n), "count": 1, "seconds": 0.02}),
                )
                for n in range(6)
            ]
            for answer in await asyncio.gather(*runs):
                assert answer.status == 200
    finally:
        await host.stop()

    running, most = 0, 0
    for line in (tmp_path / "activities.log").read_text().splitlines():
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    assert most == 2


@SDK_WARNINGS
async def test_activity_beyond_the_function_timeout_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMPLE_DIR", str(tmp_path))
    monkeypatch.setenv("TICK_SCHEDULE", "0 0 0 1 1 *")
    monkeypatch.setattr("devhost.host.runtime.read_host_json", _short_timeout)
    host = await start_host(APP_ROOT, 0, tmp_path / "state", blobs=False, timers=False)
    try:
        async with aiohttp.ClientSession() as session:
            answer = await session.post(
                f"{host.base_url}{DURABLE}/orchestrators/program?timeout=5", json='[["nap", 30]]'
            )
            assert "Timeout value of 0.1 s was exceeded" in (await answer.json())["output"]
    finally:
        await host.stop()


def _short_timeout(app_root: Path) -> HostJson:
    return replace(read_host_json(app_root), function_timeout_s=0.1)


def _two_activities(app_root: Path) -> HostJson:
    return replace(read_host_json(app_root), activities_max=2)
