"""Our own diffusers pipeline on an Azure Machine Learning online endpoint: one scoring request.

The endpoint runs `azureml/score.py` of this repository: the bodies here are its contract. A request
has no id that could be asked about later. What it costs is the machine's time while it runs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from shared.adapters.azure_http import Answer, AnswerLost, AzureHttp, AzureService, NeverSent
from shared.adapters.providers.failures import (
    failure_of_status,
    is_definite,
    plain_text,
    request_id_of,
)
from shared.adapters.providers.fetching import in_slices, picture_from_base64
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
from shared.domain.generations import SEED_MAX
from shared.ports import JobRecorder
from shared.ports.secrets import Secret

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024  # the service documents 10 MB for one answer
ANSWER_TIMEOUT_S: Final = 200.0  # the service ends every request after 180 s
REQUEST_IDS: Final = ("x-ms-request-id", "x-request-id")
MODEL_ERROR: Final = 424  # the container answered, with an error of its own
_MODEL_STATUS_HEADER: Final = "ms-azureml-model-error-statuscode"
# Codes of `azureml/score.py`; every other failure of the model ended after an unknown time.
_INVALID: Final = "invalid_request"
_TOO_LONG: Final = "run_too_long"
_OUT_OF_MEMORY: Final = "out_of_memory"
_CODE_OF_STATUS: Final = {"400": _INVALID, "504": _TOO_LONG, "507": _OUT_OF_MEMORY}


@dataclass(frozen=True)
class ScoringTerms:
    """Where the endpoint is; no key means the app's identity, no deployment its traffic rules."""

    scoring_url: str
    key: Secret | None
    token_scope: str
    deployment: str | None


class AzureMlProvider:
    """The ImageProvider for one managed online endpoint."""

    name = "azure_ml"

    def __init__(self, terms: ScoringTerms) -> None:
        self._deployment = terms.deployment
        self._http = AzureHttp(
            AzureService(
                base_url=terms.scoring_url,
                key=terms.key,
                key_header="Authorization",
                token_scope=terms.token_scope,
                timeout_s=ANSWER_TIMEOUT_S,
                answer_bytes_max=ANSWER_BYTES_MAX,
            )
        )

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        await self._http.aclose()

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Send one request. The endpoint has no jobs, so `record_job` is never called."""
        headers = {"x-ms-client-request-id": f"{order.generation_id}:{order.attempt}"}
        if self._deployment is not None:
            headers["azureml-model-deployment"] = self._deployment
        try:
            answer = await self._http.post("", request_body(order), headers)
        except NeverSent as failure:
            cause = Failure.AUTH_OR_CONFIG if failure.is_refusal else Failure.TRANSIENT
            return NotDelivered(cause, Billed.NOTHING, failure.reason)
        except AnswerLost as failure:
            return Unknown(failure.reason)
        except asyncio.CancelledError:
            # The machine may be at work, and only an Unknown says so to whoever keeps the books.
            return Unknown(CANCELLED_IN_FLIGHT)
        if answer.status == 200:
            return _outcome(answer, order)
        return outcome_of_error(answer, order)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """There are no jobs to ask about: the outcome stays unknown."""
        return Unknown("provider_has_no_jobs", job_id)


def request_body(order: ImageOrder) -> dict[str, Any]:
    """The body that `azureml/score.py` reads."""
    width, height = order.provider_size.split("x")
    body: dict[str, Any] = {
        "model": order.provider_model,
        "prompt": order.prompt,
        "width": int(width),
        "height": int(height),
        "count": order.count,
        "output_format": order.output_format,
        "seconds_max": order.run_seconds_max,
    }
    if order.seed is not None:
        body["seed"] = order.seed
    if order.negative_prompt is not None:
        body["negative_prompt"] = order.negative_prompt
    return body


def outcome_of_error(answer: Answer, order: ImageOrder) -> ProviderOutcome:
    """Map an error answer of the endpoint or, behind a 424, of the scoring script."""
    request_id = request_id_of(answer.headers, *REQUEST_IDS)
    if answer.status == MODEL_ERROR:
        return _model_error(answer, order)
    if not is_definite(answer.status, answer.document):
        return Unknown("gateway_error")
    failure = failure_of_status(answer.status)
    # A run that was cut off by the endpoint has used all the time it had.
    billed = Billed.MAXIMUM if failure is Failure.TIMEOUT else Billed.NOTHING
    retry_after_s = None
    if failure in (Failure.RATE_LIMITED, Failure.TRANSIENT):
        retry_after_s = parse_retry_after_s(answer.headers)
    return NotDelivered(
        failure,
        billed,
        f"http_{answer.status}",
        retry_after_s=retry_after_s,
        request_id=request_id,
    )


def _model_error(answer: Answer, order: ImageOrder) -> NotDelivered:
    """An error of the container: the script's own words if there are any, else the status."""
    document = answer.document if isinstance(answer.document, Mapping) else {}
    error = document.get("error")
    code = error.get("code") if isinstance(error, Mapping) else None
    if code not in _CODE_OF_STATUS.values():
        code = _CODE_OF_STATUS.get(answer.headers.get(_MODEL_STATUS_HEADER, ""))
    usage = _usage(document, 0, order)
    billed = Billed.USAGE if usage is not None else Billed.MAXIMUM
    failure, reason = Failure.MALFORMED, "run_failed"
    if code == _TOO_LONG:
        failure, reason = Failure.TIMEOUT, "run_too_long"
    elif code == _OUT_OF_MEMORY:
        failure, reason = Failure.TRANSIENT, "out_of_memory"
    elif code == _INVALID:
        failure, reason, billed = Failure.INVALID_REQUEST, "refused_by_script", Billed.NOTHING
    return NotDelivered(
        failure,
        billed,
        reason,
        usage=usage if billed is Billed.USAGE else None,
        request_id=request_id_of(answer.headers, *REQUEST_IDS),
    )


def _outcome(answer: Answer, order: ImageOrder) -> ProviderOutcome:
    """Read a 200. The machine has worked, so one that we cannot use is booked for its time."""
    request_id = request_id_of(answer.headers, *REQUEST_IDS)
    document = answer.document if isinstance(answer.document, Mapping) else {}
    items = document.get("images")
    if not isinstance(items, list):
        reason = "malformed_answer"
        return NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, reason, request_id=request_id)
    usage = _usage(document, min(len(items), order.count), order)
    pictures = [_picture(item) for item in items[: order.count]]
    delivered = tuple(picture for picture in pictures if picture is not None)
    if not delivered:
        return NotDelivered(
            Failure.MALFORMED,
            Billed.USAGE if usage is not None else Billed.MAXIMUM,
            "no_usable_picture",
            usage=usage,
            request_id=request_id,
        )
    return Delivered(
        delivered, usage, request_id, model_version=plain_text(document.get("model_version"))
    )


def _picture(item: object) -> ProviderImage | None:
    if not isinstance(item, Mapping):
        return None
    picture = picture_from_base64(item.get("b64_json"))
    seed = item.get("seed")
    is_seed = type(seed) is int and 0 <= seed <= SEED_MAX
    return ProviderImage(in_slices(picture), seed if is_seed else None) if picture else None


def _usage(document: Mapping[str, Any], images: int, order: ImageOrder) -> Usage | None:
    """The seconds the script measured; None if it does not say, or more than was agreed."""
    value = document.get("seconds")
    if not isinstance(value, str):
        return None
    try:
        seconds = Decimal(value)
    except InvalidOperation:
        return None
    if not (seconds.is_finite() and 0 <= seconds <= order.run_seconds_max):
        return None
    return Usage(seconds=seconds, images=images)
