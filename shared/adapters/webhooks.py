"""Standard Webhooks over HTTPS, to public addresses only.

A name is resolved by us, once for each try; every address it gives must be public, and the
connection goes to those very addresses: a name that answers differently the next time changes
nothing. Nothing is redirected, and no answer is read beyond its headers.
"""
# aiohttp takes 140 ms to import: only a worker that sends a webhook pays.

from collections.abc import Sequence, Set
from math import ceil
from typing import TYPE_CHECKING, Final

from shared.adapters.public_resolver import (
    Lookup,
    UnsafeAddress,
    checked_resolver,
    system_lookup,
)
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.deliveries import WAIT_S_MAX, Outcome
from shared.domain.egress import Target, checked_target
from shared.domain.webhooks import Message, signed_headers
from shared.errors import Invalid
from shared.ports import Clock

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S: Final = 20.0  # the spec advises 15 to 30 s
CONNECT_TIMEOUT_S: Final = 5.0
BUFFER_BYTES: Final = 16 * 1024  # what of an answer may wait in memory while we close it
USER_AGENT: Final = "EIG-Webhooks/1"
_GONE: Final = 410
_BUSY: Final = frozenset({429, 502, 503, 504})


class SignedWebhooks:
    """Implements the WebhookSender port; `allowed_hosts` are `host:port` that operators trust."""

    def __init__(
        self, allowed_hosts: Set[str], clock: Clock, lookup: Lookup = system_lookup
    ) -> None:
        self._allowed_hosts = frozenset(allowed_hosts)
        self._clock = clock
        self._lookup = lookup

    def check(self, url: str) -> None:
        checked_target(url, self._allowed_hosts)

    async def send(self, url: str, secrets: Sequence[str], message: Message) -> Outcome:
        import aiohttp
        from yarl import URL

        try:
            target = checked_target(url, self._allowed_hosts)
        except Invalid:
            return Outcome("refused", "address_not_allowed")
        address = URL(url, encoded=True)
        if (address.host, address.port) != (target.host, target.port):
            return Outcome("refused", "address_not_allowed")  # two readers of one URL disagree
        headers = signed_headers(secrets, message, int(self._clock.now().timestamp()))
        try:
            async with (
                self._session(target) as session,
                session.post(
                    address, data=message.body, headers=headers, allow_redirects=False
                ) as response,
            ):
                outcome = self._outcome_of(response)
                response.close()  # its body is of no use: it is not read, however long
                return outcome
        except aiohttp.ClientConnectorDNSError as error:
            unsafe = isinstance(error.os_error, UnsafeAddress)
            return Outcome("refused", "address_not_public") if unsafe else _later("name_unknown")
        except TimeoutError:
            return _later("timed_out")
        except aiohttp.ClientSSLError:
            return _later("certificate_refused")
        except (aiohttp.ClientError, OSError):
            return _later("no_connection")

    def _session(self, target: Target) -> "aiohttp.ClientSession":
        import aiohttp

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=checked_resolver(
                    lambda host, _: target.trusted and host == target.host, self._lookup
                ),
                use_dns_cache=False,
                force_close=True,
            ),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            headers={"user-agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=BUFFER_BYTES,
            trust_env=False,  # a proxy would resolve the name again, by itself
        )

    def _outcome_of(self, response: "aiohttp.ClientResponse") -> Outcome:
        if 200 <= response.status < 300:
            return Outcome("delivered", f"http_{response.status}")
        if response.status == _GONE:
            return Outcome("gone", "http_410")
        headers = response.headers if response.status in _BUSY else {}
        wait_s = parse_retry_after_s(headers, clock=self._clock)
        asked_s = None if wait_s is None else min(ceil(wait_s), WAIT_S_MAX)
        return Outcome("later", f"http_{response.status}", asked_s)


def _later(reason: str) -> Outcome:
    return Outcome("later", reason)
