"""Content Safety around a provider that filters nothing: the prompt before, the pictures after.

It fails closed on both sides. A prompt that nobody could judge is not sent, at no cost. A picture
that nobody could judge, or that is refused, has been paid for: it is dropped, never stored, and the
attempt ends with its cost. A worker that is stopped while a prompt is judged has sent nothing.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shared.domain.attempts import (
    CANCELLED_BEFORE_SENDING,
    CANCELLED_IN_FLIGHT,
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    ModerationNote,
    NotDelivered,
    ProviderImage,
    ProviderOutcome,
    Unknown,
)
from shared.domain.content_safety import SafetyThresholds
from shared.domain.models import MODELS
from shared.errors import Invalid, Unavailable
from shared.ports import ImageProvider, JobRecorder
from shared.ports.content_safety import ContentSafety

# A paid picture is worth some patience: 1 + 2 + 4 + 8 seconds, unless the service names a time.
PICTURE_TRIES_MAX: Final = 5
PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 15.0
SLICE_BYTES: Final = 256 * 1024

BY_US: Final = "content_safety"

logger = logging.getLogger("eig.moderation")


@dataclass
class ModeratedProvider:
    """An ImageProvider whose orders and pictures pass Content Safety."""

    inner: ImageProvider
    safety: ContentSafety
    thresholds: SafetyThresholds
    pause_s: float = PAUSE_S
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.inner.name

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Judge the prompt, then let the provider work, then judge its pictures.

        The negative prompt is not judged: it lists what must not be seen, often in strong words.
        """
        if not _needs_moderation(order):
            return await self.inner.generate(order, record_job)
        try:
            finding = await self.safety.judge_text(order.prompt)
        except Invalid:
            return NotDelivered(
                Failure.INVALID_REQUEST,
                Billed.NOTHING,
                "prompt_not_judgeable",
                moderation=ModerationNote(),
            )
        except Unavailable as failure:
            logger.warning("a prompt could not be judged", extra={"report": failure.extra})
            return NotDelivered(
                Failure.TRANSIENT,
                Billed.NOTHING,
                "prompt_not_judged",
                retry_after_s=failure.retry_after_s,
            )
        except asyncio.CancelledError:
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, CANCELLED_BEFORE_SENDING)
        reasons = self.thresholds.reasons(finding)
        if reasons:
            return NotDelivered(
                Failure.CONTENT_REJECTED,
                Billed.NOTHING,
                "prompt_refused",
                categories=reasons,
                moderation=ModerationNote(categories=reasons),
            )
        return await self._judged(await self.inner.generate(order, record_job))

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """How a job ended; its pictures pass the same judgement as the first time."""
        outcome = await self.inner.resume(order, job_id)
        return await self._judged(outcome) if _needs_moderation(order) else outcome

    async def _judged(self, outcome: ProviderOutcome) -> ProviderOutcome:
        if not isinstance(outcome, Delivered):
            return outcome
        try:
            return await self._passed(outcome)
        except asyncio.CancelledError:
            # Paid for and not judged: only an Unknown says so to whoever keeps the books.
            return Unknown(CANCELLED_IN_FLIGHT, outcome.job_id)

    async def _passed(self, delivered: Delivered) -> ProviderOutcome:
        """What is left of a delivery when each picture has been judged."""
        kept: list[ProviderImage] = []
        refused: set[str] = set()
        unjudged = 0
        for image in delivered.images:
            picture = b"".join([chunk async for chunk in image.chunks])
            reasons = await self._reasons(picture)
            if reasons is None:
                unjudged += 1
            elif reasons:
                refused.update(reasons)
                _tell(picture, reasons)
            else:
                kept.append(replace(image, chunks=_in_slices(picture)))
        note = ModerationNote(
            passed=len(kept),
            refused=len(delivered.images) - len(kept) - unjudged,
            unjudged=unjudged,
            categories=tuple(sorted(refused)),
        )
        if kept:
            return replace(delivered, images=tuple(kept), moderation=note)
        return NotDelivered(
            Failure.CONTENT_REJECTED if refused else Failure.CUSTODY,
            Billed.USAGE if delivered.usage else Billed.MAXIMUM,
            "picture_refused" if refused else "picture_not_judged",
            usage=delivered.usage,
            categories=note.categories,
            request_id=delivered.request_id,
            job_id=delivered.job_id,
            moderation=note,
            model_version=delivered.model_version,
        )

    async def _reasons(self, picture: bytes) -> Sequence[str] | None:
        """Why a picture is refused; empty: it may pass; None: nobody could say in time."""
        pause_s = self.pause_s
        for attempt in range(1, PICTURE_TRIES_MAX + 1):
            try:
                return self.thresholds.reasons(await self.safety.judge_picture(picture))
            except Invalid:
                return None
            except Unavailable as failure:
                logger.warning("a picture could not be judged", extra={"report": failure.extra})
                wait_s = pause_s if failure.retry_after_s is None else failure.retry_after_s
            if attempt < PICTURE_TRIES_MAX:
                await asyncio.sleep(min(wait_s, PAUSE_S_MAX))
                pause_s *= 2
        return None


def _tell(picture: bytes, reasons: Sequence[str]) -> None:
    """The hash is all that is left of a refused picture."""
    digest = hashlib.sha256(picture).hexdigest()
    logger.warning(
        "a paid picture was refused and dropped",
        extra={"report": {"sha256": digest, "categories": list(reasons)}},
    )


def is_moderated_by_us(provider: str) -> bool:
    """Whether any model of a provider needs Content Safety."""
    return any(
        model.provider == provider and model.moderation == BY_US for model in MODELS.values()
    )


def _needs_moderation(order: ImageOrder) -> bool:
    return MODELS[order.model].moderation == BY_US


async def _in_slices(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), SLICE_BYTES):
        yield data[start : start + SLICE_BYTES]
