"""Runs the simulators: `python -m devhost.simulators --port 8400`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import sqlite3
import sys
from pathlib import Path

from devhost.simulators.server import start_simulators
from devhost.simulators.state import AZURE_DELAY_S, REPLICATE_DELAY_S, SimulatorOptions

EXIT_CANNOT_START = 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="devhost.simulators", description=__doc__)
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument("--origin", help="https://host of a proxy in front, docs/operations.md")
    parser.add_argument("--data-dir", type=Path, default=Path(".devhost/simulators"))
    parser.add_argument("--azure-delay-s", type=float, default=AZURE_DELAY_S)
    parser.add_argument("--replicate-delay-s", type=float, default=REPLICATE_DELAY_S)
    parser.add_argument("--tiny-pictures", action="store_true", help="one flat colour; for bench")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> int:
    options = SimulatorOptions(
        data_dir=arguments.data_dir,
        port=arguments.port,
        azure_delay_s=arguments.azure_delay_s,
        replicate_delay_s=arguments.replicate_delay_s,
        tiny_pictures=arguments.tiny_pictures,
        public_origin=arguments.origin,
    )
    try:
        running = await start_simulators(options)
    except (OSError, sqlite3.Error, ValueError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "the port is in use" if in_use else str(error)
        print(f"simulators cannot start on port {options.port}: {reason}", file=sys.stderr)
        return EXIT_CANNOT_START
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"simulators listening on {running.origin}", flush=True)
    await stopped.wait()
    await running.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve(_arguments())))
