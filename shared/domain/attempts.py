"""What one call to a provider can end in, and what each ending means for the money.

Delivered      pictures came: settle at the actual usage
NotDelivered   a definite end without pictures: `billed` says what the provider will charge
Unknown        nobody can say if the provider worked: the hold stays until it is resolved
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict


class Failure(StrEnum):
    """The canonical classes every provider error is mapped to."""

    CONTENT_REJECTED = "content_rejected"
    INVALID_REQUEST = "invalid_request"
    AUTH_OR_CONFIG = "auth_or_config"
    QUOTA_EXHAUSTED = "quota_exhausted"
    RATE_LIMITED = "rate_limited"
    PROVIDER_BLOCKED = "provider_blocked"
    TIMEOUT = "timeout"
    TRANSIENT = "transient"
    MALFORMED = "malformed"
    CANCELED = "canceled"
    CUSTODY = "custody"  # paid for and delivered, but the pictures could not be kept


class Billed(StrEnum):
    """What a provider charges for an attempt that delivered nothing."""

    NOTHING = "nothing"
    USAGE = "usage"  # as the `usage` of the answer says
    OUTPUT = "output"  # the output price of the whole request, without its input tokens
    MAXIMUM = "maximum"  # unknown part: book all that was held


# Reasons that say more than their failure does.
CANCELLED_IN_FLIGHT: Final = "cancelled_in_flight"  # of an Unknown: we stopped it, as a worker ends
CANCELLED_BEFORE_SENDING: Final = "cancelled_before_sending"  # of TRANSIENT: likewise, and sooner
NOT_FOUND: Final = "http_404"  # of AUTH_OR_CONFIG: this model is not there, whatever else is

RETRYABLE: frozenset[Failure] = frozenset({Failure.RATE_LIMITED, Failure.TRANSIENT})


@dataclass(frozen=True)
class Usage:
    """What the provider metered: tokens, seconds of machine time, or pictures."""

    input_tokens: int = 0
    output_tokens: int = 0
    seconds: Decimal = Decimal(0)
    images: int = 0


@dataclass(frozen=True)
class ImageOrder:
    """One paid request in the provider's terms; every value is resolved and validated."""

    generation_id: str
    attempt: int
    model: str
    provider_model: str
    prompt: str
    size: str
    provider_size: str
    quality: str | None
    count: int
    output_format: str
    seed: int | None
    negative_prompt: str | None
    end_user_hash: str
    run_seconds_max: int


@dataclass(frozen=True)
class ProviderImage:
    """One delivered picture as a stream of its original bytes; may be read once."""

    chunks: AsyncIterator[bytes]
    seed: int | None = None


class ModerationNote(BaseModel):
    """What a service judged on our behalf, in counts of pictures and names of categories."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    by: Literal["content_safety"] = "content_safety"
    passed: int = 0
    refused: int = 0
    unjudged: int = 0  # the service could not say: dropped like a refused one
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Delivered:
    """The provider worked. `usage` None means it did not say: book the maximum."""

    images: tuple[ProviderImage, ...]
    usage: Usage | None
    request_id: str | None = None
    job_id: str | None = None
    model_version: str | None = None  # as the provider names what it ran
    moderation: ModerationNote | None = None
    warnings: tuple[str, ...] = ()  # what it did otherwise than asked, each as one word of ours


@dataclass(frozen=True)
class NotDelivered:
    """A definite end without pictures. `reason` is ours, never the provider's raw text."""

    failure: Failure
    billed: Billed
    reason: str
    usage: Usage | None = None
    retry_after_s: float | None = None
    categories: tuple[str, ...] = ()
    request_id: str | None = None
    job_id: str | None = None
    model_version: str | None = None
    moderation: ModerationNote | None = None


@dataclass(frozen=True)
class Unknown:
    """The request left us and no definite answer came back."""

    reason: str
    job_id: str | None = None


ProviderOutcome = Delivered | NotDelivered | Unknown


class StoredImage(BaseModel):
    """One picture in our custody: the original bytes, their hash and what they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    index: int
    sha256: str
    size_bytes: int
    content_type: str
    width: int
    height: int
    seed: int | None = None


Ending = Literal["delivered", "ended", "canceled", "retry", "fallback", "again", "unknown"]
LineStatus = Literal["succeeded", "refused", "failed", "canceled"]


class AttemptLine(BaseModel):
    """What one attempt that has ended is booked at: a line of its generation's ledger entry.

    `excess_usd_micros` is what the provider took beyond the quote; it is not booked but opens a
    case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    attempt: int
    candidate: int
    model: str
    provider: str
    status: LineStatus
    failure: Failure | None = None
    usd_micros: int = 0
    amount_micros: int = 0
    list_usd_micros: int | None = None  # without the discount of the path it took; None: no such
    excess_usd_micros: int = 0
    estimated: bool = False
    request_id: str | None = None
    job_id: str | None = None


class Metered(BaseModel):
    """The tokens that a provider counted, where it counts tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    input_tokens: int
    output_tokens: int


def metered(usage: Usage | None) -> Metered | None:
    """The tokens of a usage; None where the provider meters something else, or said nothing."""
    if usage is None or not usage.output_tokens:
        return None
    return Metered(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)


class Course(BaseModel):
    """How far a generation has come: whose turn it is, what has ended, how much is held for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    candidate: int = 0  # of the route
    lines: tuple[AttemptLine, ...] = ()
    held_micros: int | None = None  # None: what was reserved at first


class AttemptReport(BaseModel):
    """How one attempt ended, small enough for an orchestration history and for blob metadata.

    delivered, ended, canceled   final: settle `usd_micros`
    retry                        final for this attempt, not billed: the next attempt may run
    fallback                     final for this attempt: the next one runs on another candidate
    again                        this attempt never started: run the same attempt later
    unknown                      keep the hold

    After `retry`, `fallback` and `again`, `next` says how it goes on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    schema_version: Literal[1] = 1
    generation_id: str
    attempt: int
    ending: Ending
    failure: Failure | None = None
    reason: str | None = None
    categories: tuple[str, ...] = ()
    retry_after_s: float | None = None
    usd_micros: int = 0
    list_usd_micros: int | None = None  # without the discount of the path it took; None: no such
    estimated: bool = False
    candidate: int = 0  # of the route: who was asked
    lines: tuple[AttemptLine, ...] = ()  # of the attempts before this one
    held_micros: int | None = None  # for the generation by now; None: what was reserved at first
    next: Course | None = None
    metered: Metered | None = None
    images: tuple[StoredImage, ...] = ()
    request_id: str | None = None
    job_id: str | None = None
    model_version: str | None = None
    moderation: ModerationNote | None = None
    warnings: tuple[str, ...] = ()
