"""What Azure OpenAI's image requests and answers say, read alike from every path they take."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from shared.adapters.providers.failures import (
    QUOTA_CODES,
    failure_of_status,
    is_definite,
    is_output_refusal,
    is_refusal,
    is_resource_block,
    refusal_categories,
    request_id_of,
)
from shared.adapters.providers.fetching import in_slices, picture_from_base64
from shared.adapters.retry_after import parse_retry_after_s
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

TOKENS_MAX: Final = 10_000_000  # far above ten of the dearest pictures; more is damage


def request_body(order: ImageOrder, deployment: str) -> dict[str, Any]:
    """The body. `user`, not `safety_identifier`: only the former is in Azure's v1 specification."""
    request: dict[str, Any] = {
        "model": deployment,
        "prompt": order.prompt,
        "n": order.count,
        "size": order.provider_size,
        "output_format": order.output_format,
        "user": order.end_user_hash,
    }
    if order.quality is not None:
        request["quality"] = order.quality
    return request


async def outcome_of_answer(answer: object, count: int, request_id: str | None) -> ProviderOutcome:
    """Read a 200. It is billed: by the usage that it states, else it is booked at the maximum."""
    document = answer if isinstance(answer, Mapping) else {}
    data = document.get("data")
    items = data if isinstance(data, list) else []
    usage = _usage(document.get("usage"), len(items))
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
    reason = "no_usable_picture" if isinstance(data, list) else "malformed_answer"
    return NotDelivered(
        Failure.CONTENT_REJECTED if categories else Failure.MALFORMED,
        Billed.MAXIMUM if usage is None else Billed.USAGE,
        "picture_refused" if categories else reason,
        usage=usage,
        categories=categories,
        request_id=request_id,
    )


def _usage(usage: object, images: int) -> Usage | None:
    """The metered tokens, or None if the answer does not state both."""
    if not isinstance(usage, Mapping):
        return None
    counts = [usage.get("input_tokens"), usage.get("output_tokens")]
    tokens = [n for n in counts if type(n) is int and 0 <= n <= TOKENS_MAX]
    if len(tokens) != len(counts):
        return None
    return Usage(input_tokens=tokens[0], output_tokens=tokens[1], images=images)


def outcome_of_error(
    status: int, error: object, headers: Mapping[str, str], request_id: str | None
) -> ProviderOutcome:
    """Map an error answer; `error` is the inner `error` object when there is one."""
    body = error if isinstance(error, Mapping) else {}
    text = body.get("message") if isinstance(body.get("message"), str) else ""
    if not is_definite(status, error):
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
    elif failure is Failure.RATE_LIMITED and str(body.get("code")) in QUOTA_CODES:
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


def azure_request_id(headers: Mapping[str, str]) -> str | None:
    """Azure's id of the request, for its support."""
    return request_id_of(headers, "apim-request-id", "x-request-id")
