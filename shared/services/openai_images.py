"""OpenAI's image endpoint in front of the governed pipeline: nothing is decided here."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared.domain.identity import Caller
from shared.domain.models import MODELS
from shared.domain.openai_images import (
    OpenAIImage,
    OpenAIImageRequest,
    OpenAIImageResponse,
    OpenAIModel,
    OpenAIModelList,
    OutputFormat,
    usage_view,
)
from shared.domain.views import TERMINAL, GenerationView, ImageView
from shared.errors import Conflict, EigError, NotFound, PayloadTooLarge, Rejected, Unavailable
from shared.ports import Orchestrations
from shared.services.client_repeats import ClientRepeats
from shared.services.estimates import Estimates
from shared.services.generations import Generations
from shared.services.images import Images

WAIT_S_MAX = 200  # the platform ends an HTTP answer at 230 s
REPEAT_AFTER_S = 2  # a repeat under the same key waits for the same generation
FORMATS: Final[Mapping[str, OutputFormat]] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
}
IMAGES_BYTES_MAX = 64 * 1024 * 1024  # of one answer: it is built in memory, a third larger


@dataclass(frozen=True)
class Asked:
    """How a request came in: under which key, and how often its client sent it before."""

    key: str | None
    sent_before: int | None  # None: a client that does not say
    correlation_id: str


@dataclass(frozen=True)
class OpenAIImages:
    """Speaks OpenAI's terms to a client and ours to the pipeline."""

    generations: Generations
    images: Images
    estimates: Estimates
    repeats: ClientRepeats

    async def generate(
        self,
        caller: Caller,
        body: OpenAIImageRequest,
        asked: Asked,
        orchestrations: Orchestrations,
    ) -> GenerationView:
        """Submit and wait; raises what stands between the client and its pictures.

        A client that repeats itself without a key, because an answer was lost, asks under the key
        of its first try: nothing is paid twice, also if both are being admitted.
        """
        request, charge = body.request(), caller.charge(body.project, body.cost_centre)
        key = asked.key
        if key is None and asked.sent_before is not None:
            key = await self.repeats.key(caller, request, charge, asked.sent_before)
        view = await self.generations.submit(
            caller,
            request,
            charge,
            key=key,
            correlation_id=asked.correlation_id,
            orchestrations=orchestrations,
        )
        view = await self.generations.wait(caller, view.id, WAIT_S_MAX)
        _check_delivered(view)
        return view

    async def answer(self, body: OpenAIImageRequest, view: GenerationView) -> OpenAIImageResponse:
        """The pictures of a generation that has succeeded, to whom it was shown.

        Format and size are those of what came: after a fallback they may differ from the first
        choice's, and what quality the other model was asked for is not told.
        """
        total = sum(image.size_bytes for image in view.images)
        first = view.images[0]
        as_asked = view.routing is None or view.routing.chosen == view.request.model
        if body.response_format == "url":
            links = [await self.images.link_of(image) for image in view.images]
            data = [OpenAIImage(url=url) for url, _ in links]
        elif total > IMAGES_BYTES_MAX:
            raise PayloadTooLarge(
                "The pictures are too large for one answer. They are kept: fetch them by their ids,"
                ' or ask with response_format "url" another time.',
                extra={"generation_id": view.id},
            )
        else:
            data = await asyncio.gather(*(self._encoded(image) for image in view.images))
        return OpenAIImageResponse(
            created=_seconds(view.created_at),
            data=tuple(data),
            output_format=FORMATS.get(first.content_type),
            quality=view.request.quality if as_asked else None,
            size=f"{first.width}x{first.height}",
            usage=usage_view(view.usage),
        )

    async def _encoded(self, image: ImageView) -> OpenAIImage:
        content = await self.images.content_of(image)
        picture = b"".join([chunk async for chunk in content.chunks])
        return OpenAIImage(b64_json=base64.b64encode(picture).decode())

    async def models(self, caller: Caller) -> OpenAIModelList:
        """What this caller may ask for by name; freezes and outages, which pass, take none away."""
        estimates = self.estimates
        around = await estimates.routing.surroundings(caller, estimates.clock.now())
        offered = [MODELS[each.model] for each in estimates.models().items]
        return OpenAIModelList(
            data=tuple(
                OpenAIModel(
                    id=each.model, created=self._priced_since(each.model), owned_by=each.provider
                )
                for each in offered
                if around.permission(each.model, each.provider) is None
                and not around.rules.denies(each.model, each.provider)
                and around.residency(each.regions)
            )
        )

    async def model(self, caller: Caller, name: str) -> OpenAIModel:
        for each in (await self.models(caller)).data:
            if each.id == name:
                return each
        raise NotFound("There is no such model.", code="unknown_model")

    def _priced_since(self, model: str) -> int:
        versions = self.estimates.catalogues.prices
        first = next(v for v in versions if any(row.model == model for row in v.rows))
        return _seconds(f"{first.as_of}T00:00:00+00:00")


def _check_delivered(view: GenerationView) -> None:
    """Raise what the client has to be told instead of pictures."""
    failure = view.failure
    about: dict[str, object] = {"generation_id": view.id}
    if view.status == "succeeded":
        return
    if view.status not in TERMINAL:
        if view.status in ("awaiting_approval", "deferred"):
            raise Conflict(
                f"The budget does not cover it now; it is {view.status.replace('_', ' ')}.",
                code=view.status,
                extra=about,
            )
        raise Unavailable(
            "The pictures are not ready yet; a repeat with the same key waits for them.",
            code="not_ready",
            retry_after_s=REPEAT_AFTER_S,
            extra=about,
        )
    detail = (failure.detail if failure else None) or "No picture was made."
    code = failure.code if failure else view.status
    about |= {"categories": failure.categories if failure else ()}
    if view.status in ("refused", "canceled"):
        raise Rejected(detail, code=code, extra=about)
    raise EigError(detail, code=code, extra=about)


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).astimezone(UTC).timestamp())
