"""Cold start: importing the app, and the time to its first answer, against the bare packages.

CPU time decides about the import: on a busy machine wall time also counts what others compute.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from devhost.ports import free_ports

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 9
FIRST_ANSWER_ROUNDS = 5
GOAL = 1.3
FLOOR_IMPORT = "import azure.functions, azure.durable_functions"
APP_IMPORT = "import function_app"
IMPORT_TIMED = """
import time
wall_s, cpu_s = time.perf_counter(), time.process_time()
{code}
print(time.perf_counter() - wall_s, time.process_time() - cpu_s)
"""


class ImportTime(NamedTuple):
    """What one import took in a fresh interpreter."""

    wall_ms: float
    cpu_ms: float


async def run() -> dict[str, Any]:
    """Alternate floor and app, so that a busy machine slows both."""
    imports: dict[str, list[ImportTime]] = {FLOOR_IMPORT: [], APP_IMPORT: []}
    for _ in range(ROUNDS):
        for code, times in imports.items():
            times.append(_import_time(code))
    floor, app = (_medians(times) for times in imports.values())
    answers: dict[str, list[float]] = {"noop": [], "app": []}
    for _ in range(FIRST_ANSWER_ROUNDS):
        answers["noop"].append(await _first_answer_ms(ROOT / "bench" / "noop_app", "/api/noop"))
        answers["app"].append(await _first_answer_ms(ROOT, "/api/v1/health/live"))
    noop_ms, app_ms = (statistics.median(times) for times in answers.values())
    return {
        "import: floor, median CPU ms": round(floor.cpu_ms),
        "import: function_app, median CPU ms": round(app.cpu_ms),
        f"import: ratio of CPU (goal <= {GOAL})": round(app.cpu_ms / floor.cpu_ms, 2),
        "import: floor, median wall ms": round(floor.wall_ms),
        "import: function_app, median wall ms": round(app.wall_ms),
        "import: ratio of wall": round(app.wall_ms / floor.wall_ms, 2),
        "first answer: no-op app, median ms": round(noop_ms),
        "first answer: function_app, median ms": round(app_ms),
        "first answer: ratio": round(app_ms / noop_ms, 2),
    }


def _import_time(code: str) -> ImportTime:
    command = [sys.executable, "-c", IMPORT_TIMED.format(code=code)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    wall_s, cpu_s = map(float, done.stdout.split())
    return ImportTime(wall_s * 1_000, cpu_s * 1_000)


def _medians(times: list[ImportTime]) -> ImportTime:
    return ImportTime(
        statistics.median(each.wall_ms for each in times),
        statistics.median(each.cpu_ms for each in times),
    )


async def _first_answer_ms(app_root: Path, path: str) -> float:
    port = free_ports().host
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "devhost.host", "--app-root", str(app_root)]
        command += ["--port", str(port), "--state-dir", state, "--no-blob", "--no-timers"]
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await _until_answer(f"http://127.0.0.1:{port}{path}")
            return (time.perf_counter() - started) * 1_000
        finally:
            process.terminate()
            await process.wait()


async def _until_answer(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    await response.read()
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.005)
