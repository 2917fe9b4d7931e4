"""Where this app may send requests that somebody else has chosen: public addresses only.

A webhook's address is input. It must not reach this network, the host's metadata service, or
loopback, neither by its spelling nor by what its name resolves to when it is used.
"""

import ipaddress
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from shared.errors import FieldFault, Invalid

URL_CHARS_MAX: Final = 2_048
PORTS: Final = frozenset({443, 8443})
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label of which resolvers make IPv4
_NAMES_CHARS_MAX: Final = 253

# Addresses that `is_global` lets through and that lead inside, or to another address.
_BLOCKED_V4: Final = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        "168.63.129.16/32",  # Azure's own host agent and DNS, reachable from every VM
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/3",  # multicast and reserved
    )
)
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # mapped, NAT64, local: all outside
_BLOCKED_V6: Final = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # protocol assignments: Teredo carries an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries an IPv4 address
        "3fff::/20",  # documentation
    )
)


@dataclass(frozen=True)
class Target:
    """A checked address to send to; `trusted` when an operator has put it on the list."""

    url: str
    host: str
    port: int
    trusted: bool


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not any(ip in network for network in _BLOCKED_V4)
    inside = ip in _GLOBAL_UNICAST and ip.scope_id is None
    return inside and ip.is_global and not any(ip in network for network in _BLOCKED_V6)


def is_literal(host: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def checked_target(url: str, allowed_hosts: Set[str]) -> Target:
    """What `url` says, if we may send there as far as its text tells; raises Invalid.

    `allowed_hosts` are `host:port` that an operator trusts: any port, any address, and http on
    loopback. Everything else is https on port 443 or 8443.
    """
    if len(url) > URL_CHARS_MAX or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise _refused(f"use at most {URL_CHARS_MAX} printable ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("it is not a URL") from None
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise _refused("leave out user names and passwords")
    if "[" in parts.netloc and not is_literal(host):
        raise _refused("it is not a URL")
    if parts.fragment:
        raise _refused("leave out the fragment")
    port = port if port is not None else {"https": 443, "http": 80}.get(parts.scheme, 0)
    trusted = f"{host}:{port}" in allowed_hosts
    if not (parts.scheme == "https" or (trusted and parts.scheme == "http" and _is_loopback(host))):
        raise _refused("use https")
    if not trusted:
        _check_public(host, port)
    return Target(url, host, port, trusted)


def _check_public(host: str, port: int) -> None:
    if port not in PORTS:
        raise _refused("use port 443 or 8443")
    if is_literal(host):
        if not is_public(host):
            raise _refused("the address is not a public one")
    elif not is_name(host):
        raise _refused("the host is not a public name; write other scripts in punycode")


def is_name(host: str) -> bool:
    """A name of at least two labels, whose last is none that resolvers take for a number."""
    labels = host.split(".")
    return (
        len(host) <= _NAMES_CHARS_MAX
        and len(labels) >= 2
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMERIC.fullmatch(labels[-1])
    )


def _is_loopback(host: str) -> bool:
    return host in LOOPBACK_HOSTS


def _refused(how: str) -> Invalid:
    return Invalid(
        "Webhooks cannot be sent to this address.",
        code="address_not_allowed",
        faults=[FieldFault("/url", how)],
    )
