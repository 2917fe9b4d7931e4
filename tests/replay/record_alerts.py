"""Records the history of an alert: `python -m tests.replay.record_alerts`.

The same rule as in `record.py`: never to make a failing test pass.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from devhost.ports import free_ports
from devhost.stack import Stack, StackOptions, running_stack
from tests.replay.record import save, token_of

ORDER = {"model": "gpt-image-2", "prompt": "A quiet harbour", "quality": "low", "project": "told"}
CREATED = {"If-None-Match": "*"}
Json = dict[str, Any]


async def record() -> None:
    """One alert to a webhook that takes it, one that fails once, and a mailbox."""
    with tempfile.TemporaryDirectory(prefix="eig-record-") as folder:
        options = StackOptions(
            ports=free_ports(),
            data_dir=Path(folder),
            say=print,
            extra_settings={"EIG_MAIL_FOLDER": str(Path(folder) / "mail")},
        )
        async with running_stack(options) as stack, aiohttp.ClientSession() as session:
            ava, mia = await token_of(stack, "ava"), await token_of(stack, "mia")
            simulators = stack.ports.url("simulators")
            url = f"{simulators}/_control/webhooks/shaky"
            await session.put(url, json={"fail_times": 1, "status": 503})
            for name in ("steady", "shaky"):
                hook = {"kind": "webhook", "url": f"{simulators}/webhooks/{name}"}
                await _put(session, stack, mia, f"alert-channels/marketing.{name}", hook)
            mail = {"kind": "email", "recipients": ["mia@contoso.example"]}
            await _put(session, stack, mia, "alert-channels/marketing.mail", mail)
            budget = {"limit_micros": 2_000_000, "alert_thresholds": [1]}
            await _put(session, stack, mia, "budgets/project:told", budget)
            headers = {"Authorization": f"Bearer {ava}", "Prefer": "wait=60"}
            body = {**ORDER, "count": 10}
            answer = await session.post(f"{stack.api_url}/generations", json=body, headers=headers)
            assert answer.status == 200, await answer.text()
            alert_id = await _told(session, simulators)
            await asyncio.sleep(1)  # the orchestration ends a moment after its last delivery
        save(Path(folder) / "host" / "host.db", {alert_id: "alert"})


async def _put(
    session: aiohttp.ClientSession, stack: Stack, token: str, path: str, body: Json
) -> None:
    headers = {"Authorization": f"Bearer {token}", **CREATED}
    answer = await session.put(f"{stack.api_url}/{path}", json=body, headers=headers)
    assert answer.status == 200, await answer.text()


async def _told(session: aiohttp.ClientSession, simulators: str) -> str:
    """The alert's id, once the receiver that failed has taken it."""
    while True:
        answer = await session.get(f"{simulators}/_control/webhooks/shaky")
        taken = [d for d in (await answer.json())["deliveries"] if d["answered"] == 204]
        if taken:
            return str(taken[0]["webhook_id"])
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(record())
