"""The image models on offer and what each can do: data, not branches."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from shared.domain.capabilities import Latency, ModelCapability, RetiredModel
from shared.errors import FieldFault, Invalid

DEPRECATION_NOTICE_DAYS = 90  # how long before its end a model is announced as ending

AUTO: Final = "auto"
_FLUX_SIZES: Final = {
    "1024x1024": "1:1",
    "1344x768": "16:9",
    "768x1344": "9:16",
    "1216x832": "3:2",
    "832x1216": "2:3",
}


_GPT_IMAGE_2: Final = ModelCapability(
    model="gpt-image-2",
    provider="azure_openai",
    provider_model="gpt-image-2",
    title="GPT Image 2 on Azure OpenAI",
    sizes=MappingProxyType(
        {
            s: s for s in ("1024x1024", "1024x1536", "1536x1024", AUTO)
        }  # the sizes with a known price
    ),
    default_size="1024x1024",
    qualities=("low", "medium", "high", AUTO),
    default_quality="medium",
    output_formats=("png", "jpeg"),
    default_output_format="png",
    count_max=10,
    prompt_chars_max=4_000,  # the lower of the two limits Microsoft documents
    seed=False,
    negative_prompt=False,
    residency="Global Standard: inference may run in any Azure region",
    regions=("*",),
    retires_on="2027-04-21",
    batch_endpoint=True,
    latency=Latency(
        from_s=10,
        to_s=30,
        source="synchronous answers as seen with the GPT image models; some pass 60 s",
        as_of="2026-11-22",
    ),
)
_SDXL: Final = ModelCapability(
    model="sdxl",
    provider="replicate",
    provider_model="7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc",
    title="Stable Diffusion XL on Replicate",
    sizes=MappingProxyType(
        {
            s: s
            for s in (
                "1024x1024",
                "1152x896",
                "896x1152",
                "1216x832",
                "832x1216",
                "1344x768",
                "768x1344",
            )
        }
    ),
    default_size="1024x1024",
    qualities=(),
    default_quality=None,
    output_formats=("png",),
    default_output_format="png",
    count_max=4,
    prompt_chars_max=4_000,
    seed=True,
    negative_prompt=True,
    residency="United States; Replicate offers no choice of region",
    regions=("US",),
    latency=Latency(
        from_s=3.8,
        to_s=5.5,
        source="recorded runs on Replicate, running time without queueing",
        as_of="2024-10-04",
    ),
)
_FLUX_SCHNELL: Final = ModelCapability(
    model="flux-schnell",
    provider="replicate",
    provider_model="black-forest-labs/flux-schnell",
    title="FLUX.1 schnell on Replicate",
    sizes=MappingProxyType(_FLUX_SIZES),
    default_size="1024x1024",
    qualities=(),
    default_quality=None,
    output_formats=("webp", "jpeg", "png"),
    default_output_format="webp",
    count_max=4,
    prompt_chars_max=4_000,
    seed=True,
    negative_prompt=False,
    residency="United States; Replicate offers no choice of region",
    regions=("US",),
)

MODELS: Final[Mapping[str, ModelCapability]] = MappingProxyType(
    {c.model: c for c in (_GPT_IMAGE_2, _SDXL, _FLUX_SCHNELL)}
)

_DEPRECATIONS: Final = "developers.openai.com/api/docs/deprecations, read 2026-11-22"
RETIRED_MODELS: Final[Mapping[str, RetiredModel]] = MappingProxyType(
    {
        retired.model: retired
        for retired in (
            RetiredModel("dall-e-2", "2026-05-12", "gpt-image-2", _DEPRECATIONS),
            RetiredModel(
                "dall-e-3", "2026-03-04", "gpt-image-2", "model retirement tables of Azure"
            ),
            RetiredModel("gpt-image-1", "2026-10-23", "gpt-image-2", _DEPRECATIONS),
        )
    }
)


def unknown_model(model: str) -> Invalid:
    """The refusal of a model that is not on offer; one that was retired names its successor."""
    retired = RETIRED_MODELS.get(model)
    if retired is not None:
        return _model_retired(retired.model, retired.retired_on, retired.successor)
    known = ", ".join(sorted(MODELS))
    return Invalid(
        f"The model is not on offer. Choose one of: {known}.",
        code="unknown_model",
        faults=[FieldFault("/model", f"use one of: {known}")],
    )


def retirement_refusal(model: ModelCapability, day: date) -> Invalid | None:
    """The refusal of a model from the day of its retirement on; None before."""
    days_left = days_to_retirement(model, day)
    if model.retires_on is None or days_left is None or days_left > 0:
        return None
    return _model_retired(model.model, model.retires_on, model.successor)


def days_to_retirement(model: ModelCapability, day: date) -> int | None:
    """Days until a model is refused; None if no date is known."""
    if model.retires_on is None:
        return None
    return (date.fromisoformat(model.retires_on) - day).days


def _model_retired(model: str, retired_on: str, successor: str | None) -> Invalid:
    advice = f"use {successor}" if successor else "choose another model: no successor is named"
    return Invalid(
        f"The model {model} was retired on {retired_on}: {advice}.",
        code="model_retired",
        faults=[FieldFault("/model", advice)],
        extra={"model": model, "retired_on": retired_on, "successor": successor},
    )
