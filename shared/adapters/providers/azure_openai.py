"""Azure OpenAI images (`gpt-image-*`): one synchronous, paid request, by either of two routes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from shared.adapters.answer_bodies import load_json
from shared.adapters.providers.azure_openai_answers import (
    azure_request_id,
    outcome_of_answer,
    outcome_of_error,
    request_body,
)
from shared.adapters.providers.azure_openai_connection import AzureOpenAIConnection
from shared.domain.attempts import (
    CANCELLED_IN_FLIGHT,
    Billed,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderOutcome,
    Unknown,
)
from shared.ports import JobRecorder
from shared.ports.secrets import Secret

if TYPE_CHECKING:
    import openai

ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024  # ten pictures of 19 MB as base64; real ones are 1-5 MB
READ_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class DeploymentRoute:
    """The older route: `base_url` ends in `/openai/deployments/`, the version is a dated one."""

    base_url: str
    api_version: str


@dataclass(frozen=True)
class _Addressed:
    """One request, ready to be sent."""

    client: "openai.AsyncOpenAI"
    body: dict[str, Any]
    headers: "dict[str, str | openai.Omit]"


class AzureOpenAIProvider:
    """The ImageProvider for Azure OpenAI; with no key it authenticates by managed identity."""

    name = "azure_openai"

    def __init__(
        self,
        base_url: str,
        api_key: Secret | None,
        token_scope: str,
        timeout_s: float,
        *,
        deployment_route: "DeploymentRoute | None" = None,
    ) -> None:
        """`base_url` ends in `/openai/v1/`; `timeout_s` bounds one whole request.

        With `deployment_route` images are asked for there instead.
        """
        self._connection = AzureOpenAIConnection(base_url, api_key, token_scope, timeout_s)
        self._timeout_s = timeout_s
        self._deployment_route = deployment_route

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        await self._connection.aclose()

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Send one request. The service has no jobs, so `record_job` is never called."""
        credential = await self._connection.sign_in()
        if isinstance(credential, NotDelivered):
            return credential
        return await self._sent(order, credential)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """There are no jobs to ask about: the outcome stays unknown."""
        return Unknown("provider_has_no_jobs", job_id)

    async def _sent(self, order: ImageOrder, credential: str) -> ProviderOutcome:
        """One request, with all it needs at hand: what goes wrong from here on may be billed."""
        addressed = self._addressed(order, credential)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._submit(addressed, order.count)
        except TimeoutError:
            return Unknown("no_answer_in_time")
        except asyncio.CancelledError:
            # The request may be billed, and only an Unknown says so to whoever keeps the books.
            return Unknown(CANCELLED_IN_FLIGHT)

    def _addressed(self, order: ImageOrder, credential: str) -> "_Addressed":
        """Where the request goes; the body names the deployment, or the address does."""
        body = request_body(order, order.provider_model)
        client = self._connection.client(credential)
        headers: dict[str, str | openai.Omit] = {
            "x-ms-client-request-id": f"{order.generation_id}:{order.attempt}"
        }
        route = self._deployment_route
        if route is None:
            return _Addressed(client, body, headers)
        del body["model"]  # the service refuses it there
        client = client.with_options(
            base_url=f"{route.base_url}{quote(order.provider_model, safe='')}/",
            default_query={"api-version": route.api_version},
        )
        return _Addressed(client, body, headers | self._connection.deployment_headers(credential))

    async def _submit(self, addressed: "_Addressed", count: int) -> ProviderOutcome:
        import anyio
        import httpx2
        import openai

        try:
            async with addressed.client.images.with_streaming_response.generate(
                **addressed.body, extra_headers=addressed.headers
            ) as answer:
                request_id = azure_request_id(answer.headers)
                document = load_json(await _read_capped(answer.iter_bytes(READ_BYTES)))
        except openai.APIStatusError as error:
            headers = error.response.headers
            return outcome_of_error(
                error.status_code, error.body, headers, azure_request_id(headers)
            )
        except openai.APIConnectionError as error:
            return _outcome_of_lost_connection(error.__cause__)
        except (httpx2.HTTPError, anyio.EndOfStream, OSError):  # the last two from inside TLS
            return Unknown("answer_cut_off")
        return await outcome_of_answer(document, count, request_id)


async def _read_capped(chunks: AsyncIterator[bytes]) -> bytes:
    """The body, or nothing usable (empty) if it is larger than ANSWER_BYTES_MAX."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            return b""
    return bytes(body)


def _outcome_of_lost_connection(cause: BaseException | None) -> ProviderOutcome:
    import httpx2

    unopened = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
    if isinstance(cause, unopened):
        return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
    if isinstance(cause, httpx2.TimeoutException):
        return Unknown("no_answer_in_time")
    return Unknown("connection_lost")
