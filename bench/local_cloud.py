"""A local cloud of its own for each benchmark: free ports, a temporary folder, no delays."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from devhost.local_settings import home_tenant_id
from devhost.ports import free_ports
from devhost.stack import HOST, Stack, StackOptions, running_stack

ZERO_DELAY = ("--azure-delay-s", "0", "--replicate-delay-s", "0", "--tiny-pictures")
BATCH_POLL_S = 0.5
USER = "ava"


@dataclass
class LocalCloud:
    """A running stack with a signed-in client."""

    stack: Stack
    session: aiohttp.ClientSession

    @property
    def host(self) -> psutil.Process:
        """The process that runs the app."""
        return psutil.Process(self.stack.supervisor.running[HOST].process.pid)

    async def post(self, path: str, body: Any, content_type: str = "application/json") -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type}
        url = f"{self.stack.api_url}/{path}"
        async with self.session.post(url, data=data, headers=headers) as response:
            if response.status >= 300:
                raise RuntimeError(f"POST {path}: {response.status} {await response.text()}")
            return await response.json()

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.stack.api_url}/{path}") as response:
            response.raise_for_status()
            return await response.json()

    async def cosmos_stats(self) -> dict[str, Any]:
        url = f"{self.stack.ports.url('cosmos')}/_control/stats"
        async with self.session.get(url) as response:
            return dict(await response.json())

    async def batch_until_done(self, rows: int) -> dict[str, Any]:
        """Submit a batch of identical small requests and wait for its end."""
        batch = await self.post("batches", batch_csv(rows), "text/csv")
        while batch["status"] == "running":
            await asyncio.sleep(BATCH_POLL_S)
            batch = await self.get(f"batches/{batch['id']}")
        if batch["rows"]["succeeded"] != rows:
            raise RuntimeError(f"the batch ended as {batch['rows']}")
        return dict(batch)


def batch_csv(rows: int) -> bytes:
    """A file of valid rows for the cheapest picture."""
    lines = [f"row-{n},gpt-image-2,A village by the sea number {n},low" for n in range(rows)]
    return "\n".join(["id,model,prompt,quality", *lines]).encode()


@asynccontextmanager
async def local_cloud(
    simulator_flags: tuple[str, ...] = ZERO_DELAY, settings: Mapping[str, str] | None = None
) -> AsyncIterator[LocalCloud]:
    """Start everything, sign in, and stop everything."""
    with tempfile.TemporaryDirectory(prefix="eig-bench-") as folder:
        options = StackOptions(
            ports=free_ports(),
            data_dir=Path(folder),
            simulator_flags=simulator_flags,
            extra_settings=settings or {},
        )
        async with running_stack(options) as stack, signed_in(stack, USER) as session:
            yield LocalCloud(stack, session)


@asynccontextmanager
async def signed_in(stack: Stack, username: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends the token of one of the simulator's users."""
    headers = {"Authorization": f"Bearer {await _token(stack, username)}"}
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield session


async def _token(stack: Stack, username: str) -> str:
    url = f"{stack.ports.url('simulators')}/{home_tenant_id()}/oauth2/v2.0/token"
    form = {"grant_type": "password", "username": username}
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as response:
        return str((await response.json())["access_token"])
