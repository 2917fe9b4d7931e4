"""The command line of the host: `python -m devhost.host --app-root . --port 7071 ...`."""

from __future__ import annotations

import argparse
import asyncio
import atexit
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from devhost.host.errors import HostStartError
from devhost.host.loading import LoadedFunction
from devhost.host.logs import configure_logging
from devhost.host.options import apply_local_settings
from devhost.host.runtime import HostHandle, start_host

DEFAULT_PORT = 7071
EXIT_CANNOT_START = 2


def main(arguments: list[str] | None = None) -> int:
    """Runs the host until SIGINT or SIGTERM; returns the exit code."""
    options = _parser().parse_args(arguments)
    configure_logging(options.verbose)
    try:
        if options.settings is not None:
            apply_local_settings(options.settings)
        asyncio.run(_serve(options))
    except HostStartError as error:
        print(f"The host cannot start: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devhost.host", description=__doc__)
    parser.add_argument("--app-root", type=Path, default=Path(), help="folder of function_app.py")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--state-dir", type=Path, default=Path(".devhost/host"))
    parser.add_argument("--settings", type=Path, help="a local.settings.json")
    parser.add_argument(
        "--verify-replay", action="store_true", help="run every orchestrator turn twice"
    )
    parser.add_argument("--no-blob", action="store_true", help="do not poll for blobs")
    parser.add_argument("--no-timers", action="store_true", help="no scheduled timer runs")
    parser.add_argument("--verbose", action="store_true")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    handle = await start_host(
        options.app_root,
        options.port,
        options.state_dir,
        verify_replay=options.verify_replay,
        blobs=not options.no_blob,
        timers=not options.no_timers,
    )
    _announce(handle)
    await stop.wait()
    await handle.stop()
    _exit_now()


def _exit_now() -> NoReturn:
    """Ends without waiting for threads that still run app code; nothing of theirs is awaited."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _announce(handle: HostHandle) -> None:
    print(f"functions host listening on {handle.base_url}")
    for function in sorted(handle.functions.all, key=lambda f: (f.trigger_type, f.name)):
        print(f"  {function.name}: {_describe(function)}")
    sys.stdout.flush()


def _describe(function: LoadedFunction) -> str:
    trigger = function.trigger
    detail = {
        "httpTrigger": lambda: f"[{','.join(trigger.get('methods') or ['*'])}] {trigger['route']}",
        "timerTrigger": lambda: str(trigger["schedule"]),
        "blobTrigger": lambda: str(trigger["path"]),
    }.get(function.trigger_type, lambda: function.durable_name)()
    return f"{function.trigger_type} {detail}"
