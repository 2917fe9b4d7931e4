"""FLUX of Black Forest Labs on Azure AI Foundry: one synchronous, paid request for one picture.

The route and its body are those of Microsoft's sample for the provider path; where the samples
differ (`n` or `num_images`) nothing is sent, because one picture is the default. Foundry filters
nothing here, so this provider is only ever used behind Content Safety.
"""

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

from shared.adapters.azure_http import Answer, AnswerLost, AzureHttp, AzureService, NeverSent
from shared.adapters.providers.failures import (
    QUOTA_CODES,
    failure_of_status,
    is_checker_refusal,
    is_definite,
    is_output_refusal,
    is_refusal,
    is_resource_block,
    plain_text,
    refusal_categories,
    request_id_of,
)
from shared.adapters.providers.fetching import (
    Miss,
    download_picture,
    in_slices,
    picture_from_base64,
)
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.attempts import (
    CANCELLED_IN_FLIGHT,
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
from shared.ports.secrets import Secret

API_VERSION: Final = "preview"
ANSWER_BYTES_MAX: Final = 72 * 1024 * 1024  # one picture at its cap as base64; real ones are 3 MB
DOWNLOAD_TIMEOUT_S: Final = 60.0  # a picture is 1-5 MB
DOWNLOAD_TRIES_MAX: Final = 3  # the picture is paid for, and nothing else leads to it
DOWNLOAD_PAUSE_S: Final = 1.0
REQUEST_IDS: Final = ("apim-request-id", "x-request-id")
_MODERATED: Final = {"Request Moderated": "prompt_refused", "Content Moderated": "picture_refused"}


@dataclass(frozen=True)
class FoundryTerms:
    """Where the resource is; no key means the app's identity."""

    endpoint: str
    key: Secret | None
    token_scope: str
    timeout_s: float
    output_hosts: frozenset[str]  # the only ones that pictures are fetched from


class AzureFoundryProvider:
    """The ImageProvider for FLUX deployments of one Foundry resource."""

    name = "azure_foundry"

    def __init__(self, terms: FoundryTerms) -> None:
        self._output_hosts: Set[str] = terms.output_hosts
        self._http = AzureHttp(
            AzureService(
                base_url=f"{terms.endpoint.rstrip('/')}/providers/blackforestlabs/v1/",
                key=terms.key,
                key_header="Api-Key",
                token_scope=terms.token_scope,
                timeout_s=terms.timeout_s,
                answer_bytes_max=ANSWER_BYTES_MAX,
            )
        )

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        await self._http.aclose()

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Send one request. The service has no jobs, so `record_job` is never called."""
        if order.count != 1:
            return NotDelivered(Failure.INVALID_REQUEST, Billed.NOTHING, "one_picture_per_request")
        try:
            answer = await self._http.post(
                f"{order.provider_model}?api-version={API_VERSION}",
                request_body(order),
                {"x-ms-client-request-id": f"{order.generation_id}:{order.attempt}"},
            )
            if answer.status == 200:
                return await self._outcome(answer, order)
        except NeverSent as failure:
            cause = Failure.AUTH_OR_CONFIG if failure.is_refusal else Failure.TRANSIENT
            return NotDelivered(cause, Billed.NOTHING, failure.reason)
        except AnswerLost as failure:
            return Unknown(failure.reason)
        except asyncio.CancelledError:
            # The request may be billed, and only an Unknown says so to whoever keeps the books.
            return Unknown(CANCELLED_IN_FLIGHT)
        return outcome_of_error(answer)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """There are no jobs to ask about: the outcome stays unknown."""
        return Unknown("provider_has_no_jobs", job_id)

    async def _outcome(self, answer: Answer, order: ImageOrder) -> ProviderOutcome:
        """Read a 200. It is billed, so one that we cannot use is booked at the maximum."""
        request_id = request_id_of(answer.headers, *REQUEST_IDS)
        document = answer.document if isinstance(answer.document, Mapping) else {}
        if (reason := _MODERATED.get(str(document.get("status")))) is not None:
            return _refused(reason, refusal_categories("", document), request_id)
        items = document.get("data")
        item = items[0] if isinstance(items, list) and items else None
        if not isinstance(item, Mapping):
            reason = "no_usable_picture" if items == [] else "malformed_answer"
            return _unusable(reason, request_id)
        picture = picture_from_base64(item.get("b64_json"))
        if picture is None and isinstance(item.get("url"), str):
            picture = await self._fetched(item["url"])
        if picture is None:
            return _unusable("no_usable_picture", request_id)
        return Delivered(
            (ProviderImage(in_slices(picture), order.seed),),
            Usage(images=1),
            request_id,
            model_version=_model_version(document, order),
        )

    async def _fetched(self, url: str) -> bytes | None:
        """The picture behind an address, asked for again while only the way to it fails."""
        for attempt in range(DOWNLOAD_TRIES_MAX):
            if attempt:
                await asyncio.sleep(DOWNLOAD_PAUSE_S)
            found = await download_picture(url, self._output_hosts, DOWNLOAD_TIMEOUT_S)
            if isinstance(found, bytes):
                return found
            if found is not Miss.UNREACHABLE:
                return None
        return None


def request_body(order: ImageOrder) -> dict[str, Any]:
    """The body of the provider route; the deployment is named by its model, in lower case."""
    width, height = order.provider_size.split("x")
    body: dict[str, Any] = {
        "model": order.provider_model,
        "prompt": order.prompt,
        "width": int(width),
        "height": int(height),
        "output_format": order.output_format,
    }
    if order.seed is not None:
        body["seed"] = order.seed
    return body


def outcome_of_error(answer: Answer) -> ProviderOutcome:
    """Map an error answer; nothing is documented, so Azure's and Black Forest Labs' forms count."""
    if not is_definite(answer.status, answer.document):
        return Unknown("gateway_error")
    document = answer.document if isinstance(answer.document, Mapping) else {}
    error = document.get("error")
    body = error if isinstance(error, Mapping) else {}
    text = next((each for each in (body.get("message"), error) if isinstance(each, str)), "")
    request_id = request_id_of(answer.headers, *REQUEST_IDS)
    moderated = _MODERATED.get(str(document.get("status")))
    if answer.status < 500 and (moderated or _is_refusal(answer.status, body, text)):
        reason = moderated or ("picture_refused" if is_output_refusal(text) else "prompt_refused")
        return _refused(reason, refusal_categories(text, document, body), request_id)
    failure = failure_of_status(answer.status)
    billed, retry_after_s = Billed.NOTHING, None
    if answer.status == 403 and is_resource_block(text):
        failure = Failure.PROVIDER_BLOCKED
    elif failure is Failure.TIMEOUT:
        billed = Billed.OUTPUT  # Azure says of its own image models that a 408 is billed
    elif failure is Failure.RATE_LIMITED and str(body.get("code")) in QUOTA_CODES:
        failure = Failure.QUOTA_EXHAUSTED
    if failure in (Failure.RATE_LIMITED, Failure.TRANSIENT):
        retry_after_s = parse_retry_after_s(answer.headers, text)
    return NotDelivered(
        failure,
        billed,
        f"http_{answer.status}",
        retry_after_s=retry_after_s,
        request_id=request_id,
    )


def _is_refusal(status: int, body: Mapping[str, Any], text: str) -> bool:
    if status not in (400, 422):
        return False
    inner = body.get("inner_error") or body.get("innererror")
    codes = [body.get("code"), inner.get("code") if isinstance(inner, Mapping) else None]
    return is_refusal(codes, text) or is_checker_refusal(text)


def _refused(reason: str, categories: tuple[str, ...], request_id: str | None) -> NotDelivered:
    """Whether moderated requests are billed is not documented: booked like a picture."""
    return NotDelivered(
        Failure.CONTENT_REJECTED,
        Billed.OUTPUT,
        reason,
        categories=categories,
        request_id=request_id,
    )


def _unusable(reason: str, request_id: str | None) -> NotDelivered:
    return NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, reason, request_id=request_id)


def _model_version(document: Mapping[str, Any], order: ImageOrder) -> str:
    """What the answer calls the model, else the name of the route."""
    return plain_text(document.get("model")) or order.provider_model
