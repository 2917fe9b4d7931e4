"""Names are looked up and checked in one step: what was checked is what is connected to.

A name that somebody else has chosen may lead into this network, at once or the next time it is
asked (DNS rebinding). aiohttp asks the resolver below for every connection to a name.
"""
# aiohttp takes 140 ms to import: only a worker that calls it pays.

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.domain.egress import is_literal, is_public

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

ADDRESSES_MAX: Final = 8  # of one name that are tried

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
IsTrusted = Callable[[str, int], bool]


class UnsafeAddress(OSError):
    """A name leads to an address that is not public."""


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """Every address of a name, in the system's order; raises OSError."""
    look_up = asyncio.get_running_loop().getaddrinfo
    try:
        found = await look_up(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise OSError(None, "the name cannot be looked up") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def checked_resolver(is_trusted: IsTrusted, lookup: Lookup = system_lookup) -> Any:
    """A resolver that hands out public addresses, and others for names an operator trusts."""
    from aiohttp.abc import AbstractResolver

    class CheckedResolver(AbstractResolver):
        """Raises UnsafeAddress if any address of a name is not public."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> "list[ResolveResult]":
            addresses = list(await lookup(host, port))[:ADDRESSES_MAX]
            if not addresses:
                raise OSError(None, "the name has no address")
            if not is_trusted(host, port) and not all(is_public(each) for each in addresses):
                raise UnsafeAddress(None, "the name leads to an address that is not public")
            return [_resolved(host, port, each) for each in addresses if is_literal(each)]

        async def close(self) -> None:
            """Nothing is kept open."""

    return CheckedResolver()


def _resolved(host: str, port: int, address: str) -> "ResolveResult":
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
        "proto": 0,
        "flags": socket.AI_NUMERICHOST,
    }
