"""The local cloud as one thing: started in order, prepared, watched, stopped.

    async with running_stack(StackOptions()) as stack:
        await stack.supervisor.guard(work(stack.ports))

Its state is on disk under `data_dir` and survives the processes, however they end.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devhost.azurite import NAME as AZURITE
from devhost.azurite import azurite_part
from devhost.field_keys import ensure_field_keys
from devhost.local_settings import FIELD_KEY_SETTING, setting_values, settings_json
from devhost.ports import Ports, require_free
from devhost.processes import Part, PartFailed, Supervisor
from devhost.resources import create_resources

COSMOS = "Cosmos DB emulator"
SIMULATORS = "Simulators"
HOST = "Functions host"
REPOSITORY = Path(__file__).resolve().parents[1]
ORGANISATION = Path("examples/organisation.json")
SEED_TIMEOUT_S = 60.0  # a few documents; the time is a cold import of the SDKs
READY_TEXT = "listening on http"  # what each of our own parts prints when it serves

# Settings of the app, the Azure SDKs and the host; what the local cloud itself reads stays.
_NAMES_ACCOUNTS = re.compile(r"EIG_(?!DEVHOST_)|AZURE_|AzureWebJobs|APPLICATIONINSIGHTS_")

Say = Callable[[str], None]


class StackBusy(Exception):
    """Another stack uses the same data directory; the text is for a person."""


@dataclass(frozen=True)
class StackOptions:
    """What to start; `data_dir`, in the repository unless absolute, keeps all state."""

    ports: Ports = field(default_factory=Ports)
    data_dir: Path = Path(".devhost")
    with_host: bool = True
    host_flags: tuple[str, ...] = ()
    simulator_flags: tuple[str, ...] = ()
    extra_settings: Mapping[str, str] = field(default_factory=dict)
    say: Say = lambda _: None

    @property
    def directory(self) -> Path:
        return (REPOSITORY / self.data_dir).resolve()

    def log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"


@dataclass(frozen=True)
class Stack:
    """A running local cloud."""

    options: StackOptions
    supervisor: Supervisor

    @property
    def ports(self) -> Ports:
        return self.options.ports

    @property
    def api_url(self) -> str:
        return f"{self.ports.url('host')}/api/v1"

    async def start_host(self) -> None:
        """Starts the Functions host; also after stop_host or kill_host, with its state kept."""
        await self.supervisor.start(_host_part(self.options))

    async def stop_host(self) -> None:
        await self.supervisor.stop(HOST)

    async def kill_host(self) -> None:
        """Ends the host as `kill -9` does."""
        await self.supervisor.stop(HOST, kill=True)


@asynccontextmanager
async def running_stack(options: StackOptions) -> AsyncIterator[Stack]:
    """Starts everything, and stops it when the block is left for whatever reason.

    Raises PortProblem, StackBusy or PartFailed with a sentence for a person.
    """
    hosted = frozenset() if options.with_host else frozenset({"host"})
    require_free(options.ports, except_for=hosted)
    with _exclusive(options.directory):
        supervisor = Supervisor(REPOSITORY, stack_environment(options))
        stack = Stack(options, supervisor)
        try:
            await _start_emulators(stack)
            await supervisor.guard(_prepare(options))
            if options.with_host:
                options.say(f"Starting: {HOST}")
                await stack.start_host()
            yield stack
        finally:
            await supervisor.stop_all()


async def seed_organisation(options: StackOptions) -> str:
    """Enters the demo organisation by the app's own command; returns what that printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shared.seed",
        str(ORGANISATION),
        cwd=REPOSITORY,
        env=stack_environment(options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), SEED_TIMEOUT_S)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise PartFailed(f"`python -m shared.seed` failed:\n{text}")
    return text


def write_settings(options: StackOptions) -> Path:
    """Writes the local.settings.json of this stack beside its data; returns its path."""
    path = options.directory / "local.settings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(settings_json(options.ports), "utf-8")
    return path


async def _start_emulators(stack: Stack) -> None:
    options = stack.options
    options.say(f"Starting: {AZURITE}, {COSMOS}, {SIMULATORS}")
    parts = (
        azurite_part(
            REPOSITORY, options.directory / "azurite", options.log("azurite"), options.ports
        ),
        _own_part(options, COSMOS, "cosmos", options.ports.cosmos),
        _own_part(
            options,
            SIMULATORS,
            "simulators",
            options.ports.simulators,
            options.simulator_flags,
        ),
    )
    for part in parts:
        await stack.supervisor.launch(part)
    for part in parts:  # they start side by side: the wait is for the slowest, not the sum
        await stack.supervisor.until_ready(part.name)


async def _prepare(options: StackOptions) -> None:
    options.say("Preparing: databases, containers and the demo organisation")
    ensure_field_keys(REPOSITORY / stack_environment(options)[FIELD_KEY_SETTING])
    await create_resources(options.ports)
    write_settings(options)
    await seed_organisation(options)


def _own_part(
    options: StackOptions, name: str, module: str, port: int, flags: tuple[str, ...] = ()
) -> Part:
    command = [sys.executable, "-m", f"devhost.{module}", "--port", str(port)]
    command += ["--data-dir", str(options.directory / module), *flags]
    return Part(name, command, options.log(module), READY_TEXT)


def _host_part(options: StackOptions) -> Part:
    command = [sys.executable, "-m", "devhost.host", "--app-root", "."]
    command += ["--port", str(options.ports.host), "--state-dir", str(options.directory / "host")]
    command += ["--settings", str(options.directory / "local.settings.json"), *options.host_flags]
    return Part(HOST, command, options.log("host"), READY_TEXT)


def environment_without_settings() -> dict[str, str]:
    """Ours without what names accounts: a leftover `export` must not reach a real one."""
    return {name: value for name, value in os.environ.items() if not _NAMES_ACCOUNTS.match(name)}


def stack_environment(options: StackOptions) -> dict[str, str]:
    """What the parts of a local cloud are started with."""
    return {
        **environment_without_settings(),
        **setting_values(options.ports),
        **options.extra_settings,
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Holds the data directory; raises StackBusy while another stack does."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackBusy(
                f"Another local cloud keeps its data in {directory}. Stop it, or choose another"
                " place with --data-dir."
            ) from None
        yield
