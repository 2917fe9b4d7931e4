"""What Adobe Firefly's requests and answers say: pure, for the v3 route and for v4 (Image 5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.adapters.providers.failures import (
    failure_of_status,
    is_definite,
    text_of,
)
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.attempts import Billed, Failure, ImageOrder, NotDelivered, Unknown

IMAGE5: Final = "image5"
V3_PATH: Final = "/v3/images/generate-async"
V4_PATH: Final = "/v4/images/generate-async"
SEEDS: Final = 2**32  # seeds of one request follow one another and begin again here
STATUS_URL_CHARS_MAX: Final = 512  # real ones have about 120

SUCCEEDED: Final = "succeeded"
ENDINGS: Final = frozenset({SUCCEEDED, "failed", "cancelled", "canceled", "timeout"})

# Error codes that mean: the words, or what came of them, are not allowed.
_REFUSED_PROMPT: Final = frozenset({"prompt_unsafe", "prompt_entity_denied", "legal_error"})
_REFUSED_PICTURE: Final = frozenset(
    {"image_unsafe", "input_media_unsafe", "reference_image_unsafe_error"}
)
_ACCESS_ERRORS: Final = frozenset({"user_non_entitled", "user_profile_denied", "invalid_ims_scope"})
_LIMIT_LEVELS: Final = frozenset({"org", "account"})
_STATUS_PATH: Final = re.compile(r"(?:/[a-z0-9-]{1,40}){0,2}/v[1-9]/status/[A-Za-z0-9:._~-]{1,200}")
_WARNINGS: Final = {
    "promptHasDeniedWords": "prompt_has_denied_words",
    "promptHasBlockedArtists": "prompt_has_blocked_artists",
}

Job = Mapping[str, Any]


@dataclass(frozen=True)
class Output:
    """One picture of a job: where it lies for an hour, and the seed that made it."""

    address: str
    seed: int | None


def submission(order: ImageOrder) -> tuple[str, dict[str, Any]]:
    """The path and body of the request that starts a job; the model is named by a header."""
    if order.provider_model == IMAGE5:
        return V4_PATH, _image5_body(order)
    width, height = order.provider_size.split("x")
    body: dict[str, Any] = {
        "prompt": order.prompt,
        "numVariations": order.count,
        "size": {"width": int(width), "height": int(height)},
    }
    if order.seed is not None:
        body["seeds"] = _seeds(order.seed, order.count)
    if order.negative_prompt is not None:
        body["negativePrompt"] = order.negative_prompt
    return V3_PATH, body


def _image5_body(order: ImageOrder) -> dict[str, Any]:
    aspect_ratio, resolution = order.provider_size.split(" ")
    body: dict[str, Any] = {
        "modelId": "firefly_image",
        "prompt": order.prompt,
        "aspectRatio": aspect_ratio,
        "resolutionLevel": resolution,
        "numVariations": order.count,
    }
    if order.seed is not None:
        body["seeds"] = _seeds(order.seed, order.count)
    return body


def _seeds(first: int, count: int) -> list[int]:
    """As many different seeds as pictures: the service takes no other number of them."""
    return [(first + number) % SEEDS for number in range(count)]


def status_url_of(answer: object) -> str | None:
    """Where the job's status is, as a submission's answer says it: `statusUrl`, or a v4 link."""
    if not isinstance(answer, Mapping):
        return None
    url = answer.get("statusUrl")
    if url is None:
        links = answer.get("links")
        result = links.get("result") if isinstance(links, Mapping) else None
        url = result.get("href") if isinstance(result, Mapping) else None
    return url if isinstance(url, str) else None


def is_status_path(path: str) -> bool:
    """Whether this is the path of a job's status; nothing else is asked for with our token."""
    return _STATUS_PATH.fullmatch(path) is not None


def refused_submission(
    status: int, headers: Mapping[str, str], answer: object
) -> NotDelivered | Unknown:
    """An error answer to a submission. No job was started, so nothing is booked; see the docs."""
    if not is_definite(status, answer):
        return Unknown("gateway_error")
    code = text_of(answer, "error_code")
    if (refusal := _refusal(code, Billed.NOTHING)) is not None:
        return refusal
    if status == 451:
        return NotDelivered(Failure.CONTENT_REJECTED, Billed.NOTHING, "prompt_refused")
    if status == 403:
        return _no_access(headers.get("x-access-error", ""))
    failure = failure_of_status(status)
    if failure is Failure.TIMEOUT:  # what it had begun by then may be billed
        return NotDelivered(failure, Billed.MAXIMUM, f"http_{status}")
    retry_after_s = None
    reason = f"http_{status}"
    if failure in (Failure.RATE_LIMITED, Failure.TRANSIENT):
        retry_after_s = parse_retry_after_s(headers)
    if (level := headers.get("x-access-rate-limit-level")) in _LIMIT_LEVELS:
        reason = f"{reason}_{level}"
    return NotDelivered(failure, Billed.NOTHING, reason, retry_after_s=retry_after_s)


def _no_access(reason: str) -> NotDelivered:
    if reason == "quota_exhausted":
        return NotDelivered(Failure.QUOTA_EXHAUSTED, Billed.NOTHING, reason)
    named = reason if reason in _ACCESS_ERRORS else "http_403"
    return NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, named)


def failed_job(job: Job, status_url: str) -> NotDelivered:
    """A job that ended without pictures. What Adobe bills for it is not documented.

    It had been accepted and may have been worked on, so the maximum is booked, as an estimate.
    """
    status, code = job.get("status"), text_of(job, "error_code")
    if (refusal := _refusal(code, Billed.MAXIMUM, status_url)) is not None:
        return refusal
    if status == "timeout" or code == "timeout_error":
        failure, reason = Failure.TIMEOUT, "run_timed_out"
    elif status in ("cancelled", "canceled"):
        failure, reason = Failure.TIMEOUT, "canceled"
    else:
        failure, reason = Failure.MALFORMED, "run_failed"
    return NotDelivered(failure, Billed.MAXIMUM, reason, job_id=status_url)


def _refusal(code: str, billed: Billed, job_id: str | None = None) -> NotDelivered | None:
    """The refusal that an error code means; None if it means something else."""
    if code not in _REFUSED_PROMPT | _REFUSED_PICTURE:
        return None
    return NotDelivered(
        Failure.CONTENT_REJECTED,
        billed,
        "prompt_refused" if code in _REFUSED_PROMPT else "picture_refused",
        categories=(code,),
        job_id=job_id,
    )


def outputs_of(job: Job, count: int) -> list[Output]:
    """The pictures that a job lists, at most as many as were ordered."""
    result = job.get("result")
    listed = result.get("outputs") if isinstance(result, Mapping) else None
    outputs = []
    for item in listed if isinstance(listed, list) else []:
        image = item.get("image") if isinstance(item, Mapping) else None
        address = image.get("url") if isinstance(image, Mapping) else None
        if isinstance(address, str):
            outputs.append(Output(address, _seed(item.get("seed"))))
    return outputs[:count]


def _seed(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < SEEDS else None


def warnings_of(job: Job) -> tuple[str, ...]:
    """What the service left out of the prompt although it delivered."""
    result = job.get("result")
    if not isinstance(result, Mapping):
        return ()
    return tuple(ours for theirs, ours in _WARNINGS.items() if result.get(theirs) is True)
