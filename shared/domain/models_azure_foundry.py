"""FLUX of Black Forest Labs on Azure AI Foundry: billed by picture, filtered by Content Safety."""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from shared.domain.capabilities import ModelCapability

# Up to one megapixel: the flat price was seen for these, and both models take multiples of 32.
_SIZES: Final = ("1024x1024", "1344x768", "768x1344", "1216x832", "832x1216")

_FLUX_2_PRO: Final = ModelCapability(
    model="foundry-flux-2-pro",
    provider="azure_foundry",
    provider_model="flux-2-pro",
    title="FLUX.2 pro on Azure AI Foundry",
    sizes=MappingProxyType({size: size for size in _SIZES}),
    default_size="1024x1024",
    qualities=(),
    default_quality=None,
    output_formats=("png", "jpeg"),
    default_output_format="png",
    count_max=1,
    prompt_chars_max=16_000,  # 32,000 tokens; some scripts take two for a character
    seed=True,
    negative_prompt=False,
    residency="Global Standard: deployed in Australia East, but Azure may run it in any region",
    regions=("*",),
    retires_on="2027-01-20",
    quality_rank=70,
    moderation="content_safety",
)

AZURE_FOUNDRY_MODELS: Final = (
    _FLUX_2_PRO,
    replace(
        _FLUX_2_PRO,
        model="foundry-flux-1.1-pro",
        provider_model="flux-pro-1.1",
        title="FLUX 1.1 pro on Azure AI Foundry",
        prompt_chars_max=2_500,  # 5,000 tokens
        retires_on="2027-01-05",
        successor="foundry-flux-2-pro",
        quality_rank=50,
    ),
)
