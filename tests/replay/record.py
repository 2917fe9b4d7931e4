"""Records histories from a real run: `python -m tests.replay.record`.

Run it when a new orchestrator appears: it saves what is missing and leaves the others alone. Never
re-record to make a failing test pass: instances in flight in production have the old histories,
and that is what the test protects.
"""

import asyncio
import json
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from devhost.local_settings import home_tenant_id
from devhost.ports import free_ports
from devhost.stack import Stack, StackOptions, running_stack

HISTORIES = Path(__file__).parent / "histories"
RETRIED = "[[scenario:rate_limited times=1]] A quiet harbour"
FAILING = "[[scenario:outage provider=azure_openai]] A quiet harbour"
# Without a quality, which the other model has not.
FALLBACK = {
    "quality": None,
    "routing": {"fallback": True, "models": ["gpt-image-2", "sdxl"]},
}
WAITING_ROWS = "\n".join(
    [
        "id,model,prompt,quality,deadline",
        "one,gpt-image-2,A village by the sea,low,24h",
        "two,gpt-image-2,[[scenario:batch_expires seconds=2]] A quay,low,24h",
        "three,gpt-image-2,A pier,low,",
    ]
)
ROWS = "\n".join(
    ["id,model,prompt,quality"]
    + [f"row-{n},gpt-image-2,A village by the sea number {n},low" for n in range(12)]
    + [f"row-12,gpt-image-2,{RETRIED},low", "row-13,gpt-image-2,A scene of gore,low"]
)


async def record() -> None:
    """Run generations and batches of every kind; save what the host stored."""
    with tempfile.TemporaryDirectory(prefix="eig-record-") as folder:
        options = StackOptions(ports=free_ports(), data_dir=Path(folder), say=print)
        async with running_stack(options) as stack:
            token = await token_of(stack, "ava")
            headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=60"}
            async with aiohttp.ClientSession(headers=headers) as session:
                names = {
                    await _generation(session, stack, "A quiet harbour"): "generation",
                    await _generation(session, stack, RETRIED): "generation_retried",
                    await _generation(session, stack, FAILING, **FALLBACK): "generation_fallback",
                    # The others were recorded before thumbnails had an activity of their own.
                    await _generation(session, stack, "A quiet pier"): "generation_drawn",
                }
                batch_id = await _batch(session, stack, ROWS)
                waiting_id = await _batch(session, stack, WAITING_ROWS)
                drawn_id = await _batch(session, stack, ROWS)
                drawn_waiting_id = await _batch(session, stack, WAITING_ROWS)
        names |= {
            batch_id: "batch",
            f"{batch_id}:0": "chunk",
            waiting_id: "batch_with_deadlines",
            f"{waiting_id}:chunks": "chunks",
            f"{waiting_id}:0:waiting": "provider_batch",
            f"{drawn_id}:0": "chunk_drawn",
            f"{drawn_waiting_id}:0:waiting": "provider_batch_drawn",
        }
        save(Path(folder) / "host" / "host.db", names)


async def token_of(stack: Stack, username: str) -> str:
    """An access token of a demo user."""
    url = f"{stack.ports.url('simulators')}/{home_tenant_id()}/oauth2/v2.0/token"
    form = {"grant_type": "password", "username": username}
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
        return str((await answer.json())["access_token"])


async def _generation(
    session: aiohttp.ClientSession, stack: Stack, prompt: str, **changes: Any
) -> str:
    body = {"model": "gpt-image-2", "prompt": prompt, "quality": "low"} | changes
    async with session.post(f"{stack.api_url}/generations", json=body) as answer:
        view = await answer.json()
    assert view["status"] == "succeeded", view
    return str(view["id"])


async def _batch(session: aiohttp.ClientSession, stack: Stack, rows: str) -> str:
    kind = {"Content-Type": "text/csv"}
    async with session.post(f"{stack.api_url}/batches", data=rows, headers=kind) as answer:
        view = await answer.json()
    while view["status"] == "running":
        await asyncio.sleep(0.5)
        async with session.get(f"{stack.api_url}/batches/{view['id']}") as answer:
            view = await answer.json()
    return str(view["id"])


def save(database: Path, names: dict[str, str]) -> None:
    """Write the histories of instances, by the names they shall have."""
    connection = sqlite3.connect(database)
    for instance_id, name in names.items():
        orchestrator, given, output = connection.execute(
            "SELECT name, input, output FROM instances WHERE instance_id = ?", (instance_id,)
        ).fetchone()
        rows = connection.execute(
            "SELECT events FROM episodes WHERE instance_id = ? ORDER BY number", (instance_id,)
        )
        episodes: list[Any] = [_parsed(text) for (text,) in rows]
        document = {
            "orchestrator": orchestrator,
            "instance_id": instance_id,
            "input": given,
            "output": json.loads(output),
            "episodes": episodes,
        }
        path = HISTORIES / f"{name}.json"
        if path.exists():
            continue
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"{path.name}: {len(episodes)} episodes")
    connection.close()


def _parsed(text: str) -> list[Any]:
    events = json.loads(text if text.startswith("[") else f"[{text}]")
    return list(events)


if __name__ == "__main__":
    asyncio.run(record())
