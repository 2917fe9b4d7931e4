"""Batches of 1,000 and 10,000 rows with providers that answer at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.local_cloud import LocalCloud, local_cloud

SMALL, LARGE = 1_000, 10_000
RATIO_GOAL = 11
RSS_GOAL_MB = 400
SAMPLE_S = 0.25
WARM_UP_ROWS = 40


async def run() -> dict[str, Any]:
    """The small batch, then the large one, in the same stack."""
    async with local_cloud() as cloud:
        await cloud.batch_until_done(WARM_UP_ROWS)
        small_s, small_mb = await _timed(cloud, SMALL)
        large_s, large_mb = await _timed(cloud, LARGE)
    return {
        f"{SMALL} rows: seconds, images/s": f"{small_s:.1f}, {SMALL / small_s:.0f}",
        f"{LARGE} rows: seconds, images/s": f"{large_s:.1f}, {LARGE / large_s:.0f}",
        f"t(10k) / t(1k) (goal <= {RATIO_GOAL})": round(large_s / small_s, 1),
        f"peak RSS of the app at {SMALL}, MB": round(small_mb),
        f"peak RSS of the app at {LARGE}, MB (goal < {RSS_GOAL_MB})": round(large_mb),
    }


async def _timed(cloud: LocalCloud, rows: int) -> tuple[float, float]:
    peak_mb = 0.0

    async def watch() -> None:
        nonlocal peak_mb
        while True:
            peak_mb = max(peak_mb, cloud.host.memory_info().rss / 2**20)
            await asyncio.sleep(SAMPLE_S)

    watcher = asyncio.create_task(watch())
    try:
        started = time.perf_counter()
        await cloud.batch_until_done(rows)
        return time.perf_counter() - started, peak_mb
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
