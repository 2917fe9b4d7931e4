"""Runs the emulator: `python -m devhost.cosmos --port 8081 --data-dir .devhost/cosmos`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import sys
from pathlib import Path

from devhost.cosmos.auth import EMULATOR_KEY
from devhost.cosmos.roles import read_roles
from devhost.cosmos.server import start_cosmos

EXIT_CANNOT_START = 2
RESOURCES_FILE = Path(__file__).parents[1] / "resources.json"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="devhost.cosmos", description=__doc__)
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--data-dir", type=Path, default=Path(".devhost/cosmos"))
    parser.add_argument("--key", default=EMULATOR_KEY, help="base64 master key")
    parser.add_argument("--roles", type=Path, default=RESOURCES_FILE, help="file of role keys")
    parser.add_argument("--provisioned-ru", type=float, help="RU per second; default unlimited")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> int:
    try:
        running = await start_cosmos(
            arguments.data_dir,
            arguments.port,
            arguments.key,
            provisioned_ru=arguments.provisioned_ru,
            roles=read_roles(arguments.roles),
        )
    except OSError as error:
        reason = "the port is in use" if error.errno == errno.EADDRINUSE else str(error)
        print(f"cosmos emulator cannot start on port {arguments.port}: {reason}", file=sys.stderr)
        return EXIT_CANNOT_START
    except ValueError as error:
        print(f"cosmos emulator cannot start: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"cosmos emulator listening on {running.endpoint}", flush=True)
    await stopped.wait()
    await running.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve(_arguments())))
