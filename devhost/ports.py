"""The loopback ports of the local cloud, and the message when one of them is taken."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import islice

import psutil

LOOPBACK = "127.0.0.1"
OTHER_LOOPBACK = "localhost"  # the same place by a name that is compared as another host
OFFSET_VARIABLE = "EIG_DEVHOST_PORT_OFFSET"
PORT_MAX = 65_535
# Below the range that systems take the ports of outgoing connections from: those come and go.
TEST_PORTS = range(20_000, 32_000)
TEST_PORTS_TRIED = 50  # six are needed
PART_OF_PORT = {
    "host": "Functions host",
    "cosmos": "Cosmos DB emulator",
    "simulators": "simulators of identity and image providers",
    "blob": "Azurite (blobs)",
    "queue": "Azurite (queues)",
    "table": "Azurite (tables)",
}


class PortProblem(Exception):
    """The stack cannot have the ports it was asked to use; the text is for a person."""


@dataclass(frozen=True)
class Ports:
    """One port per endpoint; the defaults are those of the tools that these parts stand for."""

    host: int = 7071
    cosmos: int = 8081
    simulators: int = 8400
    blob: int = 10000
    queue: int = 10001
    table: int = 10002

    def shifted(self, offset: int) -> Ports:
        """The same ports moved up; raises PortProblem when one would leave the range."""
        moved = {name: port + offset for name, port in self.by_name().items()}
        if min(moved.values()) < 1 or max(moved.values()) > PORT_MAX:
            raise PortProblem(f"A port offset of {offset} leaves the range 1 to {PORT_MAX}.")
        return Ports(**moved)

    def by_name(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.by_name()[name]}"


def free_ports() -> Ports:
    """Ports that were free a moment ago, for tests that run beside a developer's stack."""
    candidates = secrets.SystemRandom().sample(TEST_PORTS, len(TEST_PORTS))
    free = [port for port in islice(candidates, TEST_PORTS_TRIED) if _is_free(port)]
    return Ports(*free[: len(fields(Ports))])


def offset_from(environment: Mapping[str, str]) -> int:
    """The offset set in the environment, 0 without one; raises PortProblem if it is no number."""
    text = environment.get(OFFSET_VARIABLE, "").strip() or "0"
    try:
        return int(text)
    except ValueError:
        raise PortProblem(f"{OFFSET_VARIABLE} must be a whole number, not {text!r}.") from None


def require_free(ports: Ports, *, except_for: frozenset[str] = frozenset()) -> None:
    """Raises PortProblem naming every port that something listens on already."""
    taken = [
        f"  port {port}, for the {PART_OF_PORT[name]}{_holder(port)}"
        for name, port in ports.by_name().items()
        if name not in except_for and not _is_free(port)
    ]
    if taken:
        raise PortProblem(
            "These ports of the local cloud are in use:\n"
            + "\n".join(taken)
            + "\nStop what uses them (perhaps another `make up`), or move all ports:"
            + f" {OFFSET_VARIABLE}=1000 make demo"
        )


def require_served(ports: Ports, names: tuple[str, ...]) -> None:
    """Raises PortProblem naming every one of these ports that nothing listens on."""
    missing = [
        f"  port {ports.by_name()[name]}, for the {PART_OF_PORT[name]}"
        for name in names
        if _is_free(ports.by_name()[name])
    ]
    if missing:
        raise PortProblem(
            "Nothing listens on these ports of the local cloud:\n"
            + "\n".join(missing)
            + "\nStart it first, in another terminal: make up"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a connection that is still closing does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    """Who listens, when the system tells us."""
    try:
        for connection in psutil.net_connections("tcp"):
            listening = connection.status == psutil.CONN_LISTEN
            if listening and connection.laddr.port == port and connection.pid:
                return f": held by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return ""  # macOS and other users' processes need more rights than we have
    return ""
