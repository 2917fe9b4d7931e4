"""The image endpoint of OpenAI's API in front of ours: its fields, its answers, its refusals.

What our models cannot honour is refused by name; nothing that a client sends is dropped in silence.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.generations import COUNT_MAX, SEED_MAX, GenerationRequest, Prompt
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.routing_wishes import AUTO_MODEL, RoutingWish
from shared.domain.views import GenerationView, UsageView, View
from shared.errors import FieldFault, Invalid

AUTO: Final = "auto"
COMPRESSION_NONE: Final = 100  # OpenAI's default: files as the model made them
OutputFormat = Literal["png", "jpeg", "webp"]
_DEAD_QUALITIES: Final = ("standard", "hd")
PayerId = Annotated[str | None, Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")]


class OpenAIImageRequest(BaseModel):
    """The body of `POST /openai/v1/images/generations`; the last five fields are our own."""

    model_config = ConfigDict(
        extra="forbid", strict=True, str_strip_whitespace=True, frozen=True, defer_build=True
    )

    prompt: Prompt
    model: str | None = Field(
        default=AUTO_MODEL, min_length=1, max_length=64, examples=["gpt-image-2"]
    )
    n: int | None = Field(default=None, ge=1, le=COUNT_MAX)
    size: str | None = Field(default=None, max_length=16, examples=["1024x1024"])
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"] | None = (
        Field(default=None, examples=["low"])
    )
    output_format: OutputFormat | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_compression: int | None = Field(default=None, ge=0, le=100)
    background: Literal["auto", "opaque", "transparent"] | None = None
    moderation: Literal["auto", "low"] | None = None
    style: str | None = Field(default=None, max_length=16)
    stream: bool | None = None
    partial_images: int | None = Field(default=None, ge=0, le=3)
    user: str | None = Field(default=None, max_length=256, description="not needed, not sent on")
    safety_identifier: str | None = Field(
        default=None, max_length=256, description="not needed: providers get a keyed hash of you"
    )
    seed: int | None = Field(default=None, ge=0, le=SEED_MAX)
    negative_prompt: Prompt | None = None
    routing: RoutingWish | None = None
    project: PayerId = None
    cost_centre: PayerId = None

    def request(self) -> GenerationRequest:
        """The same request in our terms; raises Invalid that names what nobody here can honour."""
        faults = [FieldFault(f"/{name}", advice) for name, advice in self._unsupported()]
        if faults:
            raise Invalid(faults[0].message, code="unsupported_parameter", faults=faults)
        wanted = {
            "model": self.model or AUTO_MODEL,
            "prompt": self.prompt,
            "size": None if self.size == AUTO else self.size,
            "quality": None if self.quality == AUTO else self.quality,
            "count": self.n or 1,
            "output_format": self.output_format,
            "seed": self.seed,
            "negative_prompt": self.negative_prompt,
            "routing": self.routing,
        }
        return GenerationRequest.model_validate(wanted)

    def _unsupported(self) -> list[tuple[str, str]]:
        checks: list[tuple[bool, str, str]] = [
            (
                self.quality in _DEAD_QUALITIES,
                "quality",
                f"{self.quality} belongs to models that are retired; use low, medium or high",
            ),
            (self.style is not None, "style", "no model here has styles; say it in the prompt"),
            (
                self.background not in (None, AUTO),
                "background",
                "backgrounds are not chosen here; leave it out",
            ),
            (
                self.moderation == "low",
                "moderation",
                "moderation is not weakened here; leave it out",
            ),
            (
                self.output_compression not in (None, COMPRESSION_NONE),
                "output_compression",
                "pictures are kept as the model made them; leave it out",
            ),
            (bool(self.stream), "stream", "answers come whole here; leave it out"),
            (bool(self.partial_images), "partial_images", "answers come whole; leave it out"),
        ]
        return [(name, advice) for wrong, name, advice in checks if wrong]


class OpenAIImage(View):
    """One picture: its bytes, or a link to them that ends soon."""

    b64_json: str | None = None
    url: str | None = None


class OpenAIInputTokens(View):
    """What the input consisted of."""

    text_tokens: int
    image_tokens: int


class OpenAIUsage(View):
    """What the provider metered."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: OpenAIInputTokens


class OpenAIImageResponse(View):
    """The answer, as `openai` parses it."""

    created: int = Field(description="seconds since 1970")
    data: tuple[OpenAIImage, ...]
    background: Literal["opaque", "transparent"] | None = None
    output_format: OutputFormat | None = None
    quality: str | None = None
    size: str | None = None
    usage: OpenAIUsage | None = Field(default=None, description="of models that are metered so")


class OpenAIModel(View):
    """A model that the caller may use."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="seconds since 1970: since when we have a price for it")
    owned_by: str


class OpenAIModelList(View):
    """All of them."""

    object: Literal["list"] = "list"
    data: tuple[OpenAIModel, ...]


class OpenAIErrorBody(View):
    """What its clients read of a refusal."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(View):
    """A refusal in OpenAI's form."""

    error: OpenAIErrorBody


def usage_view(usage: UsageView | None) -> OpenAIUsage | None:
    """Tokens as the provider metered them; None where it counts something else."""
    if usage is None:
        return None
    text, output = usage.input_tokens, usage.output_tokens
    return OpenAIUsage(
        input_tokens=text,
        output_tokens=output,
        total_tokens=text + output,
        input_tokens_details=OpenAIInputTokens(text_tokens=text, image_tokens=0),
    )


def governance_headers(view: GenerationView) -> dict[str, str]:
    """What we know besides: who made it, what it cost, where its receipt is."""
    headers: dict[str, Any] = {
        "x-eig-generation-id": view.id,
        "x-eig-status": view.status,
        "x-eig-model": view.routing.chosen if view.routing else view.request.model,
        "x-eig-provider": view.provider,
        "x-eig-quoted-micros": view.quote.amount_micros,
        "x-eig-currency": view.quote.currency,
        "x-eig-price-version": view.quote.price_version,
        "x-eig-receipt": f"/api/v1/generations/{view.id}/evidence",
    }
    if view.cost is not None:
        headers["x-eig-cost-micros"] = view.cost.amount_micros
        headers["x-eig-cost-estimated"] = str(view.cost.estimated).lower()
    if view.images:
        headers["x-eig-image-ids"] = ",".join(image.id for image in view.images)
    if view.privacy is not None and view.privacy.redacted:
        headers["x-eig-prompt-redacted"] = "true"
    if view.warnings:
        headers["x-eig-warnings"] = ",".join(view.warnings)
    return {name: str(value) for name, value in headers.items()}
