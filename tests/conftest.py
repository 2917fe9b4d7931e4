"""All suites: no test reaches beyond this machine.

An audit hook sees every socket of the process, whatever library opened it. It is off only when a
variable points a suite at a real service on purpose.
"""

import ipaddress
import logging
import os
import sys
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

# The same examples in every run, on machines of any speed. Others: --hypothesis-profile=default
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

REAL_SERVICE_VARIABLES: Final = (
    "EIG_TARGET",
    "EIG_TARGET_SIMULATORS",
    "EIG_TARGET_COSMOS",
    "EIG_COSMOS_LIVE_ENDPOINT",
)
LOCAL_NAMES: Final = frozenset({"", "localhost"})
_ADDRESS_AT: Final = {  # audit event -> position of the address among its arguments
    "socket.connect": 1,
    "socket.bind": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}


class NetworkBlocked(RuntimeError):
    """A test tried to talk to another machine; not an OSError, so that no retry hides it."""


def is_loopback(host: object) -> bool:
    """Whether a socket address or host name stays on this machine."""
    if isinstance(host, tuple):
        host = host[0] if host else ""
    elif host is not None and not isinstance(host, str):
        return True  # a Unix socket's path as bytes, or an address family without hosts
    if host is None or str(host) in LOCAL_NAMES or str(host).startswith("/"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _names_real_service(variable: str) -> bool:
    value = os.environ.get(variable, "")
    return bool(value) and not is_loopback(urlsplit(value).hostname or value)


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    position = _ADDRESS_AT.get(event)
    if position is None or is_loopback(arguments[position]):
        return
    raise NetworkBlocked(f"{event} to {arguments[position]!r}: tests use loopback only")


if not any(map(_names_real_service, REAL_SERVICE_VARIABLES)):
    sys.addaudithook(_guard)


@pytest.fixture
def caplog(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """Sees each record of our loggers once, whichever app another test loaded in this process."""
    ours = logging.getLogger("eig")
    monkeypatch.setattr(ours, "handlers", [])
    monkeypatch.setattr(ours, "propagate", True)
    return caplog
