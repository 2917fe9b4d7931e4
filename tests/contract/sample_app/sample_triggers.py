"""Timer and blob functions; each run leaves one line in a file of SAMPLE_DIR."""

import asyncio
import os
import time
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

bp = df.Blueprint()


def _append(name: str, line: str) -> None:
    with (Path(os.environ["SAMPLE_DIR"]) / name).open("a") as file:
        file.write(line + "\n")


@bp.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%")
def tick(timer: func.TimerRequest) -> None:
    _append("tick.log", f"{time.time():.3f} {timer.past_due}")


@bp.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
async def yearly(timer: func.TimerRequest) -> None:
    _append("yearly.log", "start")
    await asyncio.sleep(0.3)
    _append("yearly.log", "end")


@bp.blob_trigger(arg_name="blob", path="uploads/{slot}/{name}", connection="SampleStorage")
async def on_upload(blob: func.InputStream) -> None:
    content = blob.read()
    if content.startswith(b"fail"):
        _append("blobs.log", f"failed {blob.name}")
        raise RuntimeError("unreadable")
    _append("blobs.log", f"{blob.name} {blob.length} {content.decode()} {blob.metadata}")
