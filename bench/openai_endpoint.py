"""The OpenAI-compatible endpoint with budget, audit and custody, against its provider directly.

Both are asked by the same HTTP client in the same run. The provider answers at once, so what is
measured is what we add; a real picture takes 10 to 30 seconds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
import psutil

from bench.local_cloud import ZERO_DELAY, LocalCloud, local_cloud
from devhost.local_settings import ANY_CREDENTIAL

CONCURRENCY = (1, 16, 64)
REQUESTS = 128  # at each level: two rounds of the widest
WARM_UP = 8
MB = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """Latencies in milliseconds, CPU of the app in milliseconds a request."""

    times: list[float]
    cpu_ms: float
    wall_s: float

    def quantile(self, percent: int) -> float:
        return statistics.quantiles(self.times, n=100)[percent - 1]


async def run() -> dict[str, Any]:
    """Latency, CPU and memory at each number of clients."""
    figures: dict[str, Any] = {}
    async with local_cloud(ZERO_DELAY) as cloud:
        ports = cloud.stack.ports
        ours = f"{ports.url('host')}/openai/v1/images/generations"
        provider = f"{ports.url('simulators')}/azure-openai/openai/v1/images/generations"
        key = {"api-key": ANY_CREDENTIAL}
        for clients in CONCURRENCY:
            direct = await _measure(cloud, provider, clients, key)
            app = await _measure(cloud, ours, clients, {})
            figures |= _figures(clients, direct, app)
        figures["RSS of the app, MB"] = round(_rss_bytes(cloud.host) / MB)
    return figures


def _figures(clients: int, direct: Measured, app: Measured) -> dict[str, Any]:
    label = f"{clients} client{'s' if clients > 1 else ''}"
    added = [app.quantile(p) - direct.quantile(p) for p in (50, 99)]
    return {
        f"{label}: provider, p50 / p99 ms": _pair(direct.quantile(50), direct.quantile(99)),
        f"{label}: endpoint, p50 / p99 ms": _pair(app.quantile(50), app.quantile(99)),
        f"{label}: overhead, p50 / p99 ms": _pair(*added),
        f"{label}: pictures/s, provider / endpoint": _pair(
            len(direct.times) / direct.wall_s, len(app.times) / app.wall_s
        ),
        f"{label}: CPU of the app, ms per request": round(app.cpu_ms, 1),
    }


def _pair(first: float, second: float) -> str:
    return f"{first:.1f} / {second:.1f}"


async def _measure(cloud: LocalCloud, url: str, clients: int, headers: dict[str, str]) -> Measured:
    times: list[float] = []
    numbers = iter(range(WARM_UP + REQUESTS))

    async def client(session: aiohttp.ClientSession, requests: int) -> None:
        for _ in range(requests):
            prompt = f"A harbour in the rain, number {next(numbers)}"
            body = {"model": "gpt-image-2", "prompt": prompt, "quality": "low"}
            started = time.perf_counter()
            async with session.post(url, json=body, headers=headers) as response:
                content = await response.read()
                assert response.status == 200, content[:500]
            times.append((time.perf_counter() - started) * 1_000)

    await client(cloud.session, WARM_UP)
    times.clear()
    cpu_s, started = _cpu_s(cloud.host), time.perf_counter()
    await asyncio.gather(*(client(cloud.session, REQUESTS // clients) for _ in range(clients)))
    wall_s = time.perf_counter() - started
    return Measured(times, (_cpu_s(cloud.host) - cpu_s) * 1_000 / len(times), wall_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _rss_bytes(process: psutil.Process) -> int:
    return int(process.memory_info().rss)
