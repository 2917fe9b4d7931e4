"""A request for pictures: what may be asked, checked against what the model can do."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.capabilities import ModelCapability
from shared.domain.models import MODELS, unknown_model
from shared.domain.routing_wishes import AUTO_MODEL, RoutingWish
from shared.domain.sealed_fields import ERASED
from shared.errors import FieldFault, Invalid

PROMPT_CHARS_MAX = 32_000  # the longest prompt any provider documents; each model has its own cap
COUNT_MAX = 10
SEED_MAX = 2**32 - 1

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tab and line breaks
Prompt = Annotated[str, Field(min_length=1, max_length=PROMPT_CHARS_MAX)]


class GenerationRequest(BaseModel):
    """One picture request as a caller writes it; unknown fields are refused, "2" is no number."""

    model_config = ConfigDict(
        extra="forbid", strict=True, str_strip_whitespace=True, frozen=True, defer_build=True
    )

    model: str = Field(
        default=AUTO_MODEL,
        min_length=1,
        max_length=64,
        description="a model, or auto: routing chooses one",
        examples=["gpt-image-2"],
    )
    prompt: Prompt = Field(examples=["A lighthouse at dawn, gouache"])
    size: str | None = Field(
        default=None, max_length=16, description="WIDTHxHEIGHT or auto", examples=["1024x1024"]
    )
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None = None
    count: int = Field(default=1, ge=1, le=COUNT_MAX, description="Pictures to make")
    output_format: Literal["png", "jpeg", "webp"] | None = None
    seed: int | None = Field(default=None, ge=0, le=SEED_MAX)
    negative_prompt: Prompt | None = None
    routing: RoutingWish | None = None

    @property
    def is_routed(self) -> bool:
        """Whether anything but the one model that it names may carry it out."""
        return self.model == AUTO_MODEL or self.routing is not None


def request_hash(*parts: object) -> str:
    """A stable SHA-256 over JSON values: tells a replay from another request under the same key."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def resolve_request(
    request: GenerationRequest, models: Mapping[str, ModelCapability] = MODELS
) -> tuple[GenerationRequest, ModelCapability]:
    """Fill in the model's defaults; raise Invalid naming every field the model cannot honour."""
    capability = models.get(request.model)
    if capability is None:
        raise unknown_model(request.model)
    resolved = request.model_copy(
        update={
            "size": request.size or capability.default_size,
            "quality": request.quality or capability.default_quality,
            "output_format": request.output_format or capability.default_output_format,
        }
    )
    faults = _faults(resolved, capability)
    if faults:
        raise Invalid(
            f"The model {capability.model} cannot honour this request.",
            code="unsupported_by_model",
            faults=faults,
        )
    return resolved, capability


def _faults(request: GenerationRequest, model: ModelCapability) -> list[FieldFault]:
    checks: list[tuple[bool, str, str]] = [
        (request.size in model.sizes, "/size", f"use one of: {', '.join(model.sizes)}"),
        (
            request.quality is None or request.quality in model.qualities,
            "/quality",
            f"use one of: {', '.join(model.qualities)}"
            if model.qualities
            else "leave it out: this model has no quality setting",
        ),
        (request.count <= model.count_max, "/count", f"at most {model.count_max}"),
        (
            request.output_format in model.output_formats,
            "/output_format",
            f"use one of: {', '.join(model.output_formats)}",
        ),
        (request.seed is None or model.seed, "/seed", "leave it out: this model takes no seed"),
        (
            request.negative_prompt is None or model.negative_prompt,
            "/negative_prompt",
            "leave it out: this model takes no negative prompt",
        ),
        (
            not _CONTROL.search(request.prompt + (request.negative_prompt or "")),
            "/prompt",
            "leave out control characters",
        ),
        (request.prompt != ERASED, "/prompt", "these words stand for a prompt that was erased"),
        (
            len(request.prompt) <= model.prompt_chars_max,
            "/prompt",
            f"at most {model.prompt_chars_max} characters",
        ),
        (
            len(request.negative_prompt or "") <= model.prompt_chars_max,
            "/negative_prompt",
            f"at most {model.prompt_chars_max} characters",
        ),
    ]
    return [FieldFault(path, message) for ok, path, message in checks if not ok]
