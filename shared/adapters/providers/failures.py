"""What providers' error answers mean, as pure functions: failure class, refusals."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.domain.attempts import Billed, Failure, NotDelivered
from shared.errors import EigError, Unavailable

CATEGORIES_MAX: Final = 16  # more than any provider has
PLAIN_CHARS_MAX: Final = 128  # of an id or a version that a provider names; real ones have 40
CLIENT_CLOSED: Final = 499  # a gateway's word for: the connection to you was lost
MODERATION_CODES: Final = frozenset(
    {
        "contentfilter",
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "responsibleaipolicyviolation",
    }
)
QUOTA_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_SAFETY_SYSTEM_TEXT: Final = re.compile(
    r"content_policy_violation|responsibleaipolicyviolation|content_filter_policy"
    r"|failed as a result of our safety system|filtered as a result of our safety system"
    r"|rejected (?:as a result of|by) (?:our|the) safety system"
    r"|the model produced invalid content",
    re.IGNORECASE,
)
_CHECKER_TEXT: Final = re.compile(r"nsfw|flagged as sensitive|\bE005\b|moderat", re.IGNORECASE)
_OUTPUT_STAGE_TEXT: Final = re.compile(r"generated images? (?:was|were) filtered", re.IGNORECASE)
_BLOCKED_TEXT: Final = re.compile(r"temporarily blocked|has been blocked", re.IGNORECASE)
_VIOLATIONS_TEXT: Final = re.compile(r"safety_violations=\[([^\]]{0,400})\]")
_CATEGORY: Final = re.compile(r"[a-z][a-z0-9_/-]{0,39}")


def failure_of_status(status: int) -> Failure:
    """The class of an error status that nothing in the body explains better."""
    if status in (401, 403, 404) or 300 <= status < 400:  # a redirect means a wrong base address
        return Failure.AUTH_OR_CONFIG
    if status == 402:
        return Failure.QUOTA_EXHAUSTED
    if status == 408:
        return Failure.TIMEOUT
    if status == 429:
        return Failure.RATE_LIMITED
    return Failure.TRANSIENT if status >= 500 else Failure.INVALID_REQUEST


def no_credential(error: EigError) -> NotDelivered:
    """The end of a request that was never sent, because its credential cannot be read."""
    if isinstance(error, Unavailable):
        return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "credential_unavailable")
    return NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "credential_missing")


def is_definite(status: int, body: object) -> bool:
    """Whether an error answer says that nothing was made.

    A gateway that gave up (499, 504, or a 5xx without the API's JSON) does not know what the model
    behind it still does; nor is a status an error answer that is none (1xx, 2xx, 600 and above).
    """
    if 300 <= status < 500:
        return status != CLIENT_CLOSED
    return 500 <= status < 600 and status != 504 and isinstance(body, Mapping)


def is_refusal(codes: Iterable[object], text: str) -> bool:
    """Whether a safety system refused: by its code if there is one we know, else by the words."""
    if any(isinstance(code, str) and code.lower() in MODERATION_CODES for code in codes):
        return True
    return _SAFETY_SYSTEM_TEXT.search(text) is not None


def is_checker_refusal(text: str) -> bool:
    """Whether a failed run was stopped by the checker that is built into the model."""
    return _CHECKER_TEXT.search(text) is not None


def is_output_refusal(text: str) -> bool:
    """Whether the finished picture was refused, not the prompt."""
    return _OUTPUT_STAGE_TEXT.search(text) is not None


def is_resource_block(text: str) -> bool:
    """Whether the provider has shut out the whole account, whoever asks."""
    return _BLOCKED_TEXT.search(text) is not None


def refusal_categories(text: str, *details: object) -> tuple[str, ...]:
    """The reasons for a refusal, sorted; `details` are the bodies that may list them.

    Read from `safety_violations=[a, b]` in the text, from `content_filter_results` (or the
    `prompt_` and bare forms) with `filtered: true`, and from `moderation_details.categories`.
    """
    found: list[object] = []
    if match := _VIOLATIONS_TEXT.search(text):
        found.extend(part.strip(" '\"") for part in match[1].split(","))
    for detail in details:
        if isinstance(detail, Mapping):
            found.extend(_listed_categories(detail))
    names = {name.lower() for name in found if isinstance(name, str)}
    return tuple(sorted(name for name in names if _CATEGORY.fullmatch(name))[:CATEGORIES_MAX])


def _listed_categories(detail: Mapping[str, Any]) -> list[object]:
    found: list[object] = []
    for key in ("content_filter_results", "prompt_filter_results"):
        results = detail.get(key)
        if isinstance(results, Mapping):
            found.extend(
                name
                for name, result in results.items()
                if isinstance(result, Mapping) and result.get("filtered") is True
            )
    moderation = detail.get("moderation_details")
    categories = moderation.get("categories") if isinstance(moderation, Mapping) else None
    if isinstance(categories, list):
        found.extend(categories)
    return found


def plain_text(text: object, chars_max: int = PLAIN_CHARS_MAX) -> str | None:
    """A provider's own word as far as it may go on record: printable ASCII, cut to a length.

    Headers and JSON may carry lone surrogates, which no store and no later answer can encode.
    """
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        return None
    return text[:chars_max] or None


def request_id_of(headers: Mapping[str, str], *names: str) -> str | None:
    """The provider's id of the request, for their support, from the first header that has one."""
    return next((found for name in names if (found := plain_text(headers.get(name)))), None)


def text_of(answer: object, field: str) -> str:
    """A field of an answer; empty if it is no text, whatever else it is."""
    value = answer.get(field) if isinstance(answer, Mapping) else None
    return value if isinstance(value, str) else ""
