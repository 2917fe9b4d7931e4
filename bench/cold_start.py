"""Cold start: importing the app, and the time to its first answer, against the bare packages."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from devhost.ports import free_ports

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 9
FIRST_ANSWER_ROUNDS = 5
GOAL = 1.3
FLOOR_IMPORT = "import azure.functions, azure.durable_functions"
APP_IMPORT = "import function_app"


async def run() -> dict[str, Any]:
    """Alternate floor and app, so that a busy machine slows both."""
    imports: dict[str, list[float]] = {FLOOR_IMPORT: [], APP_IMPORT: []}
    for _ in range(ROUNDS):
        for code, times in imports.items():
            times.append(_import_ms(code))
    floor, app = (statistics.median(times) for times in imports.values())
    answers: dict[str, list[float]] = {"noop": [], "app": []}
    for _ in range(FIRST_ANSWER_ROUNDS):
        answers["noop"].append(await _first_answer_ms(ROOT / "bench" / "noop_app", "/api/noop"))
        answers["app"].append(await _first_answer_ms(ROOT, "/api/v1/health/live"))
    noop_ms, app_ms = (statistics.median(times) for times in answers.values())
    return {
        "import: floor, median ms": round(floor),
        "import: function_app, median ms": round(app),
        f"import: ratio (goal <= {GOAL})": round(app / floor, 2),
        "first answer: no-op app, median ms": round(noop_ms),
        "first answer: function_app, median ms": round(app_ms),
        "first answer: ratio": round(app_ms / noop_ms, 2),
    }


def _import_ms(code: str) -> float:
    timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    done = subprocess.run(
        [sys.executable, "-c", timed], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return float(done.stdout) * 1_000


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
