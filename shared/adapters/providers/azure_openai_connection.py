"""The signed-in connection to Azure OpenAI's `/openai/v1/` route that its adapters share.

The SDK retries twice and follows redirects by default; both are switched off, because each request
that leaves may be billed. Only a 401, which is free, is answered with a newer key if there is one.
"""
# The SDKs take half a second to import: only a worker that calls them pays.

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from shared.adapters.providers.credentials import before_sending, newer_credential
from shared.domain.attempts import Billed, Failure, NotDelivered
from shared.ports.secrets import Secret

if TYPE_CHECKING:
    import httpx2
    import openai
    from azure.identity.aio import DefaultAzureCredential

CONNECT_TIMEOUT_S: Final = 10.0  # a TLS handshake across the world takes less than one second
SIGN_IN_TIMEOUT_S: Final = 30.0  # the managed identity endpoint is local; it may retry inside
KEY_HEADER: Final = "api-key"
BEARER: Final = "Bearer "
REFUSED: Final = 401
ERROR_BYTES_MAX: Final = 64 * 1024  # of a refusal, which the SDK reads whole; real ones have 2 KB


class AzureOpenAIConnection:
    """Lazily made connections; with no key it authenticates by managed identity."""

    def __init__(
        self, base_url: str, api_key: Secret | None, token_scope: str, timeout_s: float
    ) -> None:
        """`base_url` ends in `/openai/v1/`; `timeout_s` bounds each silence of the service."""
        self._base_url = base_url
        self._api_key = api_key
        self._token_scope = token_scope
        self._timeout_s = timeout_s
        self._http: httpx2.AsyncClient | None = None
        self._credential: DefaultAzureCredential | None = None
        self._token_source: Callable[[], Awaitable[str]] | None = None

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        http, self._http = self._http, None
        credential, self._credential = self._credential, None
        self._token_source = None
        if http is not None:
            await http.aclose()
        if credential is not None:
            await credential.close()

    async def sign_in(self) -> str | NotDelivered:
        """What requests are signed with; a failure here is never an unknown outcome."""
        if self._api_key is not None:
            return await before_sending(self._api_key.value())
        return await before_sending(self._token())

    async def _token(self) -> str | NotDelivered:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            async with asyncio.timeout(SIGN_IN_TIMEOUT_S):
                return await self._ready_token_source()()
        except ClientAuthenticationError:  # also: no credential is configured
            return NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "no_access_token")
        except (AzureError, TimeoutError):
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "identity_unavailable")

    def _ready_token_source(self) -> Callable[[], Awaitable[str]]:
        if self._token_source is None:
            from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider

            self._credential = DefaultAzureCredential()
            self._token_source = get_bearer_token_provider(self._credential, self._token_scope)
        return self._token_source

    def deployment_headers(self, credential: str) -> "dict[str, str | openai.Omit]":
        """What signs a request on a deployment's own address.

        There a key has a header of its own; `Authorization` is for tokens of Entra ID alone.
        """
        import openai

        if self._api_key is None:
            return {}
        return {KEY_HEADER: credential, "Authorization": openai.Omit()}

    def client(self, credential: str) -> "openai.AsyncOpenAI":
        """The SDK's client for requests that are signed with this; all share their connections."""
        import httpx2
        import openai

        if self._http is None:
            self._http = httpx2.AsyncClient(
                # No idle connections: one that the peer is just closing would turn a request
                # that was never read into an unknown outcome.
                limits=httpx2.Limits(max_keepalive_connections=0),
                timeout=httpx2.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S),
                follow_redirects=False,
                auth=None if self._api_key is None else _newer_key(self._api_key),
                event_hooks={"response": [_cut_refusal]},
            )
        return openai.AsyncOpenAI(
            base_url=self._base_url, api_key=credential, max_retries=0, http_client=self._http
        )


def _newer_key(key: Secret) -> "httpx2.Auth":
    """Sends a request whose key was refused once more, with a newer key if there is one."""
    import httpx2

    class NewerKey(httpx2.Auth):
        """What the requests of one connection are signed with after a 401."""

        async def async_auth_flow(
            self, request: httpx2.Request
        ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
            response = yield request
            if response.status_code != REFUSED:
                return
            by_deployment = KEY_HEADER in request.headers
            header, scheme = (KEY_HEADER, "") if by_deployment else ("Authorization", BEARER)
            newer = await newer_credential(key, request.headers[header].removeprefix(scheme))
            if newer is not None:
                request.headers[header] = scheme + newer
                yield request

    return NewerKey()


async def _cut_refusal(response: "httpx2.Response") -> None:
    """End the body of an error answer at ERROR_BYTES_MAX, before anybody reads it."""
    import httpx2

    class Cut(httpx2.AsyncByteStream):
        """The beginning of another stream."""

        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = ERROR_BYTES_MAX
            async for chunk in self._stream:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return

        async def aclose(self) -> None:
            await self._stream.aclose()

    if response.status_code >= 300 and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = Cut(response.stream)
