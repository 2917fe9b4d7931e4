"""What may be priced: a request on one model or on several, or the rows of a batch."""

import json
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, RootModel, model_validator

from functions.http_models import BatchRequest, Body, PayerId
from shared.domain.generations import COUNT_MAX, SEED_MAX, GenerationRequest, Prompt
from shared.domain.models import MODELS
from shared.domain.routing_wishes import RoutingWish

MODELS_COMPARED_MAX: Final = 20  # more than are on offer
REFERENCE_IMAGES_MAX: Final = 16  # the most that any provider documents

ModelName = Annotated[str, Field(min_length=1, max_length=64)]


class EstimateRequest(Body):
    """A generation request; with the model auto it is routed, without a model it is compared."""

    model_config = ConfigDict(str_strip_whitespace=True)

    model: ModelName | None = Field(default=None, examples=["gpt-image-2"])
    models: tuple[ModelName, ...] | None = Field(
        default=None, min_length=1, max_length=MODELS_COMPARED_MAX, description="compare these"
    )
    prompt: Prompt
    size: str | None = Field(default=None, max_length=16)
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None = None
    count: int = Field(default=1, ge=1, le=COUNT_MAX)
    output_format: Literal["png", "jpeg", "webp"] | None = None
    seed: int | None = Field(default=None, ge=0, le=SEED_MAX)
    negative_prompt: Prompt | None = None
    reference_images: int = Field(
        default=0,
        ge=0,
        le=REFERENCE_IMAGES_MAX,
        description="pictures to send along; priced, but no model here takes them yet",
    )
    routing: RoutingWish | None = Field(default=None, description="with a model, or with auto")
    project: PayerId = None
    cost_centre: PayerId = None

    @model_validator(mode="after")
    def _one_way_to_name_models(self) -> "EstimateRequest":
        if self.model is not None and self.models is not None:
            raise ValueError("name one model or several models, not both")
        if self.model is None and self.routing is not None:
            raise ValueError("routing goes with a model, or with the model auto")
        return self

    def requests(self) -> tuple[GenerationRequest, ...]:
        """The same wish for each candidate, in the order they were named."""
        names = self.models or ((self.model,) if self.model else tuple(MODELS))
        wish = self.model_dump(include=set(GenerationRequest.model_fields) - {"model"})
        return tuple(GenerationRequest(model=name, **wish) for name in dict.fromkeys(names))


class EstimateBody(RootModel[EstimateRequest | BatchRequest]):
    """A request, or the items of a batch; used to describe the body, not to read it."""


def is_batch(content: bytes) -> bool:
    """Whether a JSON body holds the items of a batch."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False  # reading it as a request says what is wrong
    return isinstance(document, dict) and "items" in document
