"""The image models on offer and what each can do: data, not branches."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

ProviderName = Literal["azure_openai", "replicate"]
AUTO: Final = "auto"
_FLUX_SIZES: Final = {
    "1024x1024": "1:1",
    "1344x768": "16:9",
    "768x1344": "9:16",
    "1216x832": "3:2",
    "832x1216": "2:3",
}


@dataclass(frozen=True)
class ModelCapability:
    """One model: what a request may ask of it. Sizes map to the provider's own word for them."""

    model: str
    provider: ProviderName
    provider_model: str
    title: str
    sizes: Mapping[str, str]
    default_size: str
    qualities: tuple[str, ...]
    default_quality: str | None
    output_formats: tuple[str, ...]
    default_output_format: str
    count_max: int
    prompt_chars_max: int
    seed: bool
    negative_prompt: bool
    residency: str
    retires_on: str | None = None


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
    retires_on="2027-04-21",
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
)

MODELS: Final[Mapping[str, ModelCapability]] = MappingProxyType(
    {c.model: c for c in (_GPT_IMAGE_2, _SDXL, _FLUX_SCHNELL)}
)
