"""The local cloud's command line: `python -m devhost --help`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from devhost.addresses import addresses
from devhost.azurite import azurite_part
from devhost.event_grid import forward_blob_events
from devhost.local_settings import settings_json, simulated_settings
from devhost.ports import (
    OFFSET_VARIABLE,
    PortProblem,
    Ports,
    offset_from,
    require_free,
    require_served,
)
from devhost.processes import PartFailed, Supervisor, interruptible
from devhost.resources import create_resources
from devhost.stack import (
    REPOSITORY,
    StackBusy,
    StackOptions,
    running_stack,
    seed_organisation,
)

EXIT_FAILED = 1
EXIT_CANNOT_START = 2  # as the parts themselves do, e.g. when a port is in use
DATA_DIR = ".devhost"
TIERING_DAYS_MAX = 3_660  # ten years: longer than the longest retention
# Slow enough to watch the progress bar, far quicker than the 10 to 60 s of the real providers.
DEMO_DELAYS = ("--azure-delay-s", "1.2", "--replicate-delay-s", "1.5")

Command = Callable[[StackOptions, argparse.Namespace], Awaitable[int]]


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        options = _options(parsed)
        code, interrupted = interruptible(lambda: parsed.command(options, parsed))
    except (PortProblem, StackBusy) as problem:
        print(problem, file=sys.stderr)
        return EXIT_CANNOT_START
    except PartFailed as problem:
        print(f"The local cloud has stopped. {problem}", file=sys.stderr)
        return EXIT_FAILED
    if interrupted:
        print("Stopped.", file=sys.stderr)
        return 0 if parsed.runs_until_stopped else code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devhost",
        description="A cloud on this machine: storage, Cosmos DB, identity, image providers and the"
        " Functions host, on loopback only, running the same app that Azure runs.",
        epilog=f"State and logs are kept in {DATA_DIR}/; `make clean` removes them.",
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--port-offset",
        type=int,
        metavar="N",
        help=f"add N to every port (default: ${OFFSET_VARIABLE} or 0)",
    )
    shared.add_argument(
        "--data-dir",
        type=Path,
        help=f"where state and logs go (default: {DATA_DIR}, or {DATA_DIR}/offset-N)",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Command, help_text: str, *, lasting: bool = False) -> None:
        entry = commands.add_parser(name, parents=[shared], help=help_text, description=help_text)
        entry.set_defaults(command=command, runs_until_stopped=lasting)
        if name == "tiering":
            entry.add_argument(
                "--days", type=_days, required=True, metavar="N", help="how many days pass"
            )
        if name == "settings":
            entry.add_argument(
                "--simulators",
                metavar="URL",
                help="print instead EIG_EXTRA_SETTINGS for a deployed app that trusts these",
            )
        if name == "demo":
            entry.add_argument(
                "--running",
                action="store_true",
                help="use the stack that runs already (make up, or make emulators and func start)",
            )

    add("demo", _demo, "Start everything, generate real batches, check every figure, stop.")
    add("up", _up, "Start everything and leave it running until Ctrl-C.", lasting=True)
    add(
        "emulators",
        _emulators,
        "Start everything but the Functions host, for `func start`.",
        lasting=True,
    )
    add("azurite", _azurite, "Start the storage emulator alone.", lasting=True)
    add("resources", _resources, "Create missing databases and containers in running emulators.")
    add("seed", _seed, "Create what is missing in running emulators and enter the organisation.")
    add("tiering", _tiering, "Let days pass for the lifecycle rules, and show what they change.")
    add("settings", _settings, "Print the local.settings.json for these ports.")
    return parser


def _options(parsed: argparse.Namespace) -> StackOptions:
    given = parsed.port_offset
    offset = offset_from(os.environ) if given is None else given
    data_dir = parsed.data_dir or Path(DATA_DIR, *([f"offset-{offset}"] if offset else []))
    return StackOptions(
        ports=Ports().shifted(offset),
        data_dir=data_dir,
        say=lambda text: print(text, flush=True),
    )


async def _demo(options: StackOptions, parsed: argparse.Namespace) -> int:
    from devhost.demo.flow import run_demo

    if parsed.running:
        require_served(options.ports, ("host", "cosmos", "simulators", "blob"))
        return await run_demo(options)
    async with running_stack(replace(options, simulator_flags=DEMO_DELAYS)) as stack:
        return await stack.supervisor.guard(run_demo(options))


async def _up(options: StackOptions, _: argparse.Namespace) -> int:
    async with running_stack(options) as stack:
        print(addresses(stack), flush=True)
        await stack.supervisor.guard(asyncio.Event().wait())
    return 0


async def _emulators(options: StackOptions, _: argparse.Namespace) -> int:
    async with running_stack(replace(options, with_host=False)) as stack:
        print(addresses(stack), flush=True)
        await stack.supervisor.guard(forward_blob_events(stack.ports))
    return 0


async def _azurite(options: StackOptions, _: argparse.Namespace) -> int:
    others = frozenset({"host", "cosmos", "simulators"})
    require_free(options.ports, except_for=others)
    supervisor = Supervisor(REPOSITORY, os.environ)
    data_dir = options.directory / "azurite"
    try:
        await supervisor.start(
            azurite_part(REPOSITORY, data_dir, options.log("azurite"), options.ports)
        )
        print(f"azurite listening on {options.ports.url('blob')}", flush=True)
        await supervisor.guard(asyncio.Event().wait())
    finally:
        await supervisor.stop_all()
    return 0


async def _resources(options: StackOptions, _: argparse.Namespace) -> int:
    require_served(options.ports, ("cosmos", "blob"))
    await create_resources(options.ports)
    return 0


async def _seed(options: StackOptions, parsed: argparse.Namespace) -> int:
    await _resources(options, parsed)
    print(await seed_organisation(options), end="")
    return 0


async def _tiering(options: StackOptions, parsed: argparse.Namespace) -> int:
    from rich.console import Console

    from devhost.tiering import run_tiering, show_tiering

    require_served(options.ports, ("blob",))
    show_tiering(await run_tiering(options.ports, parsed.days), Console())
    return 0


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= TIERING_DAYS_MAX):
        raise argparse.ArgumentTypeError(f"a number from 1 to {TIERING_DAYS_MAX}")
    return int(text)


async def _settings(options: StackOptions, parsed: argparse.Namespace) -> int:
    if parsed.simulators:
        print(json.dumps(simulated_settings(parsed.simulators.rstrip("/"))))
    else:
        print(settings_json(options.ports), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
