"""What of a refused request would fit: advice for the person who asked, never a decision."""

from typing import Any

from shared.domain.capabilities import AUTO
from shared.domain.generations import GenerationRequest
from shared.domain.models import MODELS
from shared.domain.prices import PriceCatalogue
from shared.errors import Invalid


def would_fit(
    request: GenerationRequest, catalogue: PriceCatalogue, available_micros: int
) -> dict[str, Any]:
    """The most pictures of this kind, and the dearest cheaper quality for as many as asked.

    `count` is 0 and `quality` null where nothing fits.
    """
    qualities = [
        quality
        for quality in MODELS[request.model].qualities
        if quality not in (AUTO, request.quality)
    ]
    fitting: dict[int, str] = {}
    for quality in qualities:
        amount = _amount_micros(request.model_copy(update={"quality": quality}), catalogue)
        if amount is not None and amount <= available_micros:
            fitting[amount] = quality
    return {
        "count": _count(request, catalogue, available_micros),
        "quality": fitting[max(fitting)] if fitting else None,
    }


def _count(request: GenerationRequest, catalogue: PriceCatalogue, available_micros: int) -> int:
    for count in range(request.count - 1, 0, -1):
        amount = _amount_micros(request.model_copy(update={"count": count}), catalogue)
        if amount is not None and amount <= available_micros:
            return count
    return 0


def _amount_micros(request: GenerationRequest, catalogue: PriceCatalogue) -> int | None:
    try:
        return catalogue.quote(request).amount_micros
    except Invalid:  # this quality has no price
        return None
