"""Azure OpenAI images (`gpt-image-*`): one synchronous, paid request over the `/openai/v1/` route.

The SDK retries twice and follows redirects by default; both are switched off, because each request
that leaves may be billed.
"""
# The SDKs take half a second to import: only a worker that calls them pays.

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.providers.failures import (
    QUOTA_CODES,
    failure_of_status,
    is_definite,
    is_output_refusal,
    is_refusal,
    is_resource_block,
    load_json,
    parse_retry_after_s,
    refusal_categories,
)
from shared.adapters.providers.fetching import in_slices, picture_from_base64
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderImage,
    ProviderOutcome,
    Unknown,
    Usage,
)
from shared.ports import JobRecorder

if TYPE_CHECKING:
    import openai
    from azure.identity.aio import DefaultAzureCredential

CONNECT_TIMEOUT_S: Final = 10.0  # a TLS handshake across the world takes less than one second
SIGN_IN_TIMEOUT_S: Final = 30.0  # the managed identity endpoint is local; it may retry inside
ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024  # ten pictures of 19 MB as base64; real ones are 1-5 MB
TOKENS_MAX: Final = 10_000_000  # far above ten of the dearest pictures; more is damage
READ_BYTES: Final = 256 * 1024
REQUEST_ID_CHARS_MAX: Final = 128


class AzureOpenAIProvider:
    """The ImageProvider for Azure OpenAI; with no key it authenticates by managed identity."""

    name = "azure_openai"

    def __init__(
        self, base_url: str, api_key: str | None, token_scope: str, timeout_s: float
    ) -> None:
        """`base_url` ends in `/openai/v1/`; `timeout_s` bounds one whole request."""
        self._base_url = base_url
        self._api_key = api_key
        self._token_scope = token_scope
        self._timeout_s = timeout_s
        self._client: openai.AsyncOpenAI | None = None
        self._credential: DefaultAzureCredential | None = None
        self._token_source: Callable[[], Awaitable[str]] | None = None

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        credential, self._credential = self._credential, None
        self._token_source = None
        if client is not None:
            await client.close()
        if credential is not None:
            await credential.close()

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Send one request. The service has no jobs, so `record_job` is never called."""
        if refused := await self._sign_in():
            return refused
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._submit(self._ready_client(), order)
        except TimeoutError:
            return Unknown("no_answer_in_time")
        except asyncio.CancelledError:
            # The request may be billed, and only an Unknown says so to whoever keeps the books.
            return Unknown("cancelled_in_flight")

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """There are no jobs to ask about: the outcome stays unknown."""
        return Unknown("provider_has_no_jobs", job_id)

    async def _sign_in(self) -> NotDelivered | None:
        """Fetch (or reuse) the access token first: a failure here is never an unknown outcome."""
        if self._api_key is not None:
            return None
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            async with asyncio.timeout(SIGN_IN_TIMEOUT_S):
                await self._ready_token_source()()
        except ClientAuthenticationError:  # also: no credential is configured
            return NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "no_access_token")
        except (AzureError, TimeoutError):
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "identity_unavailable")
        return None

    def _ready_token_source(self) -> Callable[[], Awaitable[str]]:
        if self._token_source is None:
            from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider

            self._credential = DefaultAzureCredential()
            self._token_source = get_bearer_token_provider(self._credential, self._token_scope)
        return self._token_source

    def _ready_client(self) -> "openai.AsyncOpenAI":
        if self._client is None:
            import httpx2
            import openai

            self._client = openai.AsyncOpenAI(
                base_url=self._base_url,
                api_key=self._api_key or self._ready_token_source(),
                max_retries=0,
                http_client=httpx2.AsyncClient(
                    # No idle connections: one that the peer is just closing would turn a request
                    # that was never read into an unknown outcome.
                    limits=httpx2.Limits(max_keepalive_connections=0),
                    timeout=httpx2.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S),
                    follow_redirects=False,
                ),
            )
        return self._client

    async def _submit(self, client: "openai.AsyncOpenAI", order: ImageOrder) -> ProviderOutcome:
        import anyio
        import httpx2
        import openai

        try:
            async with client.images.with_streaming_response.generate(
                **_request(order),
                extra_headers={"x-ms-client-request-id": f"{order.generation_id}:{order.attempt}"},
            ) as answer:
                request_id = _request_id(answer.headers)
                document = load_json(await _read_capped(answer.iter_bytes(READ_BYTES)))
        except openai.APIStatusError as error:
            return _outcome_of_error(error)
        except openai.APIConnectionError as error:
            return _outcome_of_lost_connection(error.__cause__)
        except (httpx2.HTTPError, anyio.EndOfStream, OSError):  # the last two from inside TLS
            return Unknown("answer_cut_off")
        return await _outcome_of_answer(document, order.count, request_id)


def _request(order: ImageOrder) -> dict[str, Any]:
    """The body. `user`, not `safety_identifier`: only the former is in Azure's v1 specification."""
    request: dict[str, Any] = {
        "model": order.provider_model,
        "prompt": order.prompt,
        "n": order.count,
        "size": order.provider_size,
        "output_format": order.output_format,
        "user": order.end_user_hash,
    }
    if order.quality is not None:
        request["quality"] = order.quality
    return request


async def _read_capped(chunks: AsyncIterator[bytes]) -> bytes:
    """The body, or nothing usable (empty) if it is larger than ANSWER_BYTES_MAX."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            return b""
    return bytes(body)


async def _outcome_of_answer(answer: object, count: int, request_id: str | None) -> ProviderOutcome:
    """Read a 200. It is billed, so one that we cannot use is booked at the maximum."""
    items = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(answer, Mapping) or not isinstance(items, list):
        return _unusable("malformed_answer", request_id)
    usage = _usage(answer.get("usage"), len(items))
    pictures: list[ProviderImage] = []
    categories = refusal_categories("", *items)
    for index in range(min(len(items), count)):
        item, items[index] = items[index], None  # let go of the base64 as soon as it is decoded
        text = item.pop("b64_json", None) if isinstance(item, dict) else None
        if (picture := picture_from_base64(text)) is not None:
            pictures.append(ProviderImage(in_slices(picture)))
        await asyncio.sleep(0)  # decoding takes milliseconds: let others run in between
    if pictures:
        return Delivered(tuple(pictures), usage, request_id)
    if categories:
        return NotDelivered(
            Failure.CONTENT_REJECTED,
            Billed.MAXIMUM,
            "picture_refused",
            categories=categories,
            request_id=request_id,
        )
    return _unusable("no_usable_picture", request_id)


def _unusable(reason: str, request_id: str | None) -> NotDelivered:
    return NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, reason, request_id=request_id)


def _usage(usage: object, images: int) -> Usage | None:
    """The metered tokens, or None if the answer does not state both."""
    if not isinstance(usage, Mapping):
        return None
    counts = [usage.get("input_tokens"), usage.get("output_tokens")]
    tokens = [n for n in counts if type(n) is int and 0 <= n <= TOKENS_MAX]
    if len(tokens) != len(counts):
        return None
    return Usage(input_tokens=tokens[0], output_tokens=tokens[1], images=images)


def _outcome_of_lost_connection(cause: BaseException | None) -> ProviderOutcome:
    import httpx2

    unopened = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
    if isinstance(cause, unopened):
        return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
    if isinstance(cause, httpx2.TimeoutException):
        return Unknown("no_answer_in_time")
    return Unknown("connection_lost")


def _outcome_of_error(error: "openai.APIStatusError") -> ProviderOutcome:
    """Map an error answer; `error.body` is the inner `error` object when there is one."""
    status, headers = error.status_code, error.response.headers
    body = error.body if isinstance(error.body, Mapping) else {}
    text = body.get("message") if isinstance(body.get("message"), str) else ""
    request_id = _request_id(headers)
    if not is_definite(status, error.body):
        return Unknown("gateway_error")
    if status == 400 and (refusal := _refusal(body, str(text), request_id)) is not None:
        return refusal
    failure = failure_of_status(status)
    billed = Billed.NOTHING
    retry_after_s = None
    if status == 403 and is_resource_block(str(text)):
        failure = Failure.PROVIDER_BLOCKED
    elif failure is Failure.TIMEOUT:
        billed = Billed.OUTPUT  # Azure bills a 408 like the pictures
    elif failure is Failure.RATE_LIMITED and body.get("code") in QUOTA_CODES:
        failure = Failure.QUOTA_EXHAUSTED
    if failure in (Failure.RATE_LIMITED, Failure.TRANSIENT):
        retry_after_s = parse_retry_after_s(headers, str(text))
    return NotDelivered(
        failure, billed, f"http_{status}", retry_after_s=retry_after_s, request_id=request_id
    )


def _refusal(body: Mapping[str, Any], text: str, request_id: str | None) -> NotDelivered | None:
    """A 400 from a content filter, in any of the spellings seen; Azure bills it."""
    inner = body.get("inner_error") or body.get("innererror")
    codes = [body.get("code"), inner.get("code") if isinstance(inner, Mapping) else None]
    if not is_refusal(codes, text):
        return None
    return NotDelivered(
        Failure.CONTENT_REJECTED,
        Billed.OUTPUT,
        "picture_refused" if is_output_refusal(text) else "prompt_refused",
        categories=refusal_categories(text, body, inner),
        request_id=request_id,
    )


def _request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of the request, for their support."""
    request_id = headers.get("apim-request-id") or headers.get("x-request-id")
    return request_id[:REQUEST_ID_CHARS_MAX] if request_id else None
