"""Admission: POST /generations until its 202, against a no-op function in the same kind of host.

The generations that were admitted run in the background meanwhile, as they do in production.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bench.local_cloud import LocalCloud, local_cloud
from devhost.ports import free_ports

ROOT = Path(__file__).resolve().parents[1]
REQUESTS = 300
CLIENTS = 4
WARM_UP = 20
# Providers that take longer than the measurement: their answers do not compete with admission.
SLOW_PROVIDERS = ("--azure-delay-s", "30", "--tiny-pictures")


async def run() -> dict[str, Any]:
    """Latency and CPU of both, one after the other in the same run."""
    noop = await _noop()
    async with local_cloud(SLOW_PROVIDERS) as cloud:
        app = await _app(cloud)
    return {
        "no-op: p50 / p99 ms": f"{noop['p50_ms']:.1f} / {noop['p99_ms']:.1f}",
        "admission: p50 / p99 ms": f"{app['p50_ms']:.1f} / {app['p99_ms']:.1f}",
        "ratio of p50 / p99": f"{app['p50_ms'] / noop['p50_ms']:.1f}"
        f" / {app['p99_ms'] / noop['p99_ms']:.1f}",
        "no-op: host CPU ms per request": round(noop["cpu_ms"], 2),
        "admission: host CPU ms per request": round(app["cpu_ms"], 2),
        "ratio of CPU": round(app["cpu_ms"] / noop["cpu_ms"], 1),
    }


async def _noop() -> dict[str, float]:
    port = free_ports().host
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "devhost.host", "--no-blob", "--no-timers"]
        command += ["--app-root", str(ROOT / "bench" / "noop_app"), "--port", str(port)]
        process = await asyncio.create_subprocess_exec(
            *command,
            "--state-dir",
            state,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            while b"listening" not in await process.stdout.readline():
                pass
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{port}/api/noop"
                return await _measure(session, url, psutil.Process(process.pid))
        finally:
            process.terminate()
            await process.communicate()


async def _app(cloud: LocalCloud) -> dict[str, float]:
    return await _measure(cloud.session, f"{cloud.stack.api_url}/generations", cloud.host)


async def _measure(
    session: aiohttp.ClientSession, url: str, host: psutil.Process
) -> dict[str, float]:
    body = {"model": "gpt-image-2", "prompt": "A harbour in the rain", "quality": "low"}
    times: list[float] = []

    async def client(requests: int) -> None:
        for _ in range(requests):
            started = time.perf_counter()
            async with session.post(url, json=body) as response:
                await response.read()
                assert response.status == 202, response.status
            times.append((time.perf_counter() - started) * 1_000)

    await client(WARM_UP)
    times.clear()
    before = sum(host.cpu_times()[:2])
    await asyncio.gather(*(client(REQUESTS // CLIENTS) for _ in range(CLIENTS)))
    cpu_s = sum(host.cpu_times()[:2]) - before
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98], "cpu_ms": cpu_s * 1_000 / len(times)}
