"""Records histories of waiting work: `python -m tests.replay.record_overage`.

The same rule as in `record.py`: never to make a failing test pass.
"""

import asyncio
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from azure.cosmos.aio import CosmosClient

from devhost.cosmos.auth import EMULATOR_KEY
from devhost.ports import free_ports
from devhost.stack import Stack, StackOptions, running_stack
from tests.replay.record import save, token_of

SETTINGS = {"EIG_APPROVAL_ESCALATION_S": "4", "EIG_APPROVAL_EXPIRY_S": "6"}
ORDER = {"model": "gpt-image-2", "prompt": "A quiet harbour", "quality": "low"}
Json = dict[str, Any]


async def record() -> None:
    """One approval that is approved, one that expires, one request that is deferred."""
    with tempfile.TemporaryDirectory(prefix="eig-record-") as folder:
        options = StackOptions(
            ports=free_ports(), data_dir=Path(folder), say=print, extra_settings=SETTINGS
        )
        async with running_stack(options) as stack, aiohttp.ClientSession() as session:
            ava, mia = await token_of(stack, "ava"), await token_of(stack, "mia")
            for project, overage in (("asks", "approval"), ("waits", "queue")):
                body = {"limit_micros": 0, "overage": overage}
                created = {"If-None-Match": "*"}
                await _send(session, "PUT", _at(stack, f"budgets/project:{project}"), mia, body,
                            created)  # fmt: skip
            approved, expired, deferred = [
                (await _send(session, "POST", _at(stack, "generations"), ava, ORDER | {
                    "project": project}))["id"]
                for project in ("asks", "asks", "waits")
            ]  # fmt: skip
            decision = {"decision": "approve"}
            await _send(
                session, "POST", _at(stack, f"approvals/{approved}/decisions"), mia, decision
            )
            await _until(session, stack, ava, approved, "succeeded")
            await _until(session, stack, ava, expired, "failed")
            ample = {"limit_micros": 1_000_000, "overage": "queue"}  # from the next period on
            await _send(
                session, "PUT", _at(stack, "budgets/project:waits"), mia, ample, {"If-Match": "*"}
            )
            watch = await _bring_forward(session, stack, deferred)
            await _until(session, stack, ava, deferred, "succeeded")
            await asyncio.sleep(1)  # the watch ends a moment after its work
        names = {
            f"approval:{approved}": "approval",
            f"approval:{expired}": "approval_expired",
            watch: "deferred",
        }
        save(Path(folder) / "host" / "host.db", names)


async def _bring_forward(session: aiohttp.ClientSession, stack: Stack, deferred: str) -> str:
    """Let deferred work be due in a moment, in a second watch; the first one waits for weeks."""
    due = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    period, department, _ = deferred.split("-")
    async with CosmosClient(
        stack.ports.url("cosmos"), EMULATOR_KEY, enable_endpoint_discovery=False
    ) as client:
        container = client.get_database_client("eig").get_container_client("ledger")
        await container.patch_item(
            f"g:{deferred}",
            partition_key=f"{department}|{period}",
            patch_operations=[{"op": "set", "path": "/starts_at", "value": due}],
        )
    watch = f"deferred-again:{deferred}"
    given = {"version": 1, "operation_id": deferred, "due": due}
    host = stack.api_url.partition("/api/")[0]
    url = f"{host}/runtime/webhooks/durabletask/orchestrators/DeferredOrchestrator/{watch}"
    async with session.post(url, json=json.dumps(given)) as answer:  # as the SDK sends it
        assert answer.status == 202, await answer.text()
    return watch


async def _until(
    session: aiohttp.ClientSession, stack: Stack, token: str, generation_id: str, status: str
) -> None:
    for _ in range(120):
        view = await _send(session, "GET", _at(stack, f"generations/{generation_id}"), token)
        if view["status"] == status:
            return
        await asyncio.sleep(0.25)
    raise TimeoutError(f"{generation_id} did not become {status}")


async def _send(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    token: str,
    body: Json | None = None,
    headers: dict[str, str] | None = None,
) -> Json:
    sent = {"Authorization": f"Bearer {token}"} | (headers or {})
    async with session.request(method, url, json=body, headers=sent) as answer:
        assert answer.status < 300, await answer.text()
        return dict(await answer.json())


def _at(stack: Stack, path: str) -> str:
    return f"{stack.api_url}/{path}"


if __name__ == "__main__":
    asyncio.run(record())
