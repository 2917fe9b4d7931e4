"""One POST of JSON to an Azure service, signed in by a key or by the app's identity.

For services whose SDK does more than one request for one call, or that have none. No redirect is
followed and nothing is retried, because what leaves may be billed. Only a 401, which is free, is
answered with a newer key if there is one.
"""
# aiohttp and azure-identity take long to import: only a worker that calls them pays.

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.answer_bodies import load_json, read_capped
from shared.adapters.providers.credentials import before_sending, newer_credential
from shared.domain.attempts import Failure, NotDelivered
from shared.ports.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp
    from azure.identity.aio import DefaultAzureCredential

# From looking up the name to the end of the TLS handshake, which take less than one second across
# the world: what is not connected by then was never sent, and must not end as a lost answer.
CONNECT_TIMEOUT_S: Final = 10.0
SIGN_IN_TIMEOUT_S: Final = 30.0  # the managed identity endpoint is local; it may retry inside
BEARER: Final = "Bearer "
JSON: Final = "application/json"
REFUSED: Final = 401


class NeverSent(Exception):
    """The request did not leave; `is_refusal` when trying again cannot help."""

    def __init__(self, reason: str, *, is_refusal: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_refusal = is_refusal


class AnswerLost(Exception):
    """The request left and no whole answer came back."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Answer:
    """A whole answer; `document` is None if the body is no JSON or too long."""

    status: int
    headers: Mapping[str, str]
    document: object


@dataclass(frozen=True)
class AzureService:
    """Where a service is and how it is signed in to; no key means the app's identity.

    A key goes into `key_header`; as `Authorization` it is sent as a bearer token.
    """

    base_url: str
    key: Secret | None
    key_header: str
    token_scope: str
    timeout_s: float
    answer_bytes_max: int
    is_paid: bool = True  # then no connection is used twice


class AzureHttp:
    """Sends requests to one service; connections are made lazily."""

    def __init__(self, service: AzureService) -> None:
        self._service = service
        self._session: aiohttp.ClientSession | None = None
        self._credential: DefaultAzureCredential | None = None
        self._token_source: Callable[[], Awaitable[str]] | None = None

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        session, self._session = self._session, None
        credential, self._credential = self._credential, None
        self._token_source = None
        if session is not None:
            await session.close()
        if credential is not None:
            await credential.close()

    async def post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request; raises NeverSent, AnswerLost, or CancelledError once it is sent."""
        content, key = json.dumps(body).encode(), self._service.key
        used = await before_sending(self._token() if key is None else key.value())
        if isinstance(used, NotDelivered):
            is_refusal = used.failure is Failure.AUTH_OR_CONFIG
            raise NeverSent(used.reason, is_refusal=is_refusal)
        answer = await self._send(path, content, {**(headers or {}), **self._signed(used)})
        if key is None or answer.status != REFUSED:
            return answer
        newer = await newer_credential(key, used)
        if newer is None:
            return answer
        return await self._send(path, content, {**(headers or {}), **self._signed(newer)})

    async def _send(self, path: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        import aiohttp

        try:
            async with self._ready_session().post(
                self._service.base_url + path,
                data=io.BytesIO(content),  # sent in pieces: a picture is megabytes
                headers={**headers, "Content-Type": JSON},
                allow_redirects=False,
            ) as response:
                read = await read_capped(response, self._service.answer_bytes_max) or b""
                return Answer(response.status, response.headers, load_json(read))
        except aiohttp.InvalidURL as error:
            raise NeverSent("malformed_address", is_refusal=True) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NeverSent("never_sent") from error
        except TimeoutError as error:
            raise AnswerLost("no_answer_in_time") from error
        except aiohttp.ClientError as error:
            raise AnswerLost("connection_lost") from error

    def _ready_session(self) -> "aiohttp.ClientSession":
        if self._session is None:
            import aiohttp

            # A connection that the peer is just closing would turn a request that was never
            # read into an unknown outcome: those that are paid for get one of their own.
            connector = aiohttp.TCPConnector(force_close=self._service.is_paid)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=self._service.timeout_s, connect=CONNECT_TIMEOUT_S
                ),
            )
        return self._session

    def _signed(self, credential: str) -> dict[str, str]:
        header = self._service.key_header if self._service.key else "Authorization"
        return {header: BEARER + credential if header == "Authorization" else credential}

    async def _token(self) -> str:
        """The identity's token."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            async with asyncio.timeout(SIGN_IN_TIMEOUT_S):
                return await self._ready_token_source()()
        except ClientAuthenticationError as error:  # also: no credential is configured
            raise NeverSent("no_access_token", is_refusal=True) from error
        except (AzureError, TimeoutError) as error:
            raise NeverSent("identity_unavailable") from error

    def _ready_token_source(self) -> "Callable[[], Awaitable[str]]":
        if self._token_source is None:
            from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider

            self._credential = DefaultAzureCredential()
            self._token_source = get_bearer_token_provider(
                self._credential, self._service.token_scope
            )
        return self._token_source
