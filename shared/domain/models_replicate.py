"""The image models of Replicate: SDXL by version, billed by time; the others billed by picture."""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from shared.domain.capabilities import Latency, ModelCapability

# Pixels of each aspect ratio at one megapixel: the table of replicate/cog-flux.
_ASPECT_RATIOS: Final = MappingProxyType(
    {
        "1024x1024": "1:1",
        "1344x768": "16:9",
        "768x1344": "9:16",
        "1216x832": "3:2",
        "832x1216": "2:3",
    }
)
_SDXL_SIZES: Final = (
    "1024x1024",
    "1152x896",
    "896x1152",
    "1216x832",
    "832x1216",
    "1344x768",
    "768x1344",
)
_RESIDENCY: Final = "United States; Replicate offers no choice of region"
_STARTS_PER_MINUTE: Final = 600  # of all models of an account together

_SDXL: Final = ModelCapability(
    model="sdxl",
    provider="replicate",
    provider_model="7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc",
    title="Stable Diffusion XL on Replicate",
    sizes=MappingProxyType({size: size for size in _SDXL_SIZES}),
    default_size="1024x1024",
    qualities=(),
    default_quality=None,
    output_formats=("png",),
    default_output_format="png",
    count_max=4,
    prompt_chars_max=4_000,
    prompt_tokens_read=77,  # the length of SDXL's text encoders (CLIP); Replicate declares none
    seed=True,
    negative_prompt=True,
    residency=_RESIDENCY,
    regions=("US",),
    quality_rank=20,
    content_credentials=False,
    starts_per_minute=_STARTS_PER_MINUTE,
    latency=Latency(
        from_s=3.8,
        to_s=5.5,
        source="recorded runs on Replicate, running time without queueing",
        as_of="2024-10-04",
    ),
)
_FLUX_SCHNELL: Final = replace(
    _SDXL,
    model="flux-schnell",
    provider_model="black-forest-labs/flux-schnell",
    title="FLUX.1 schnell on Replicate",
    sizes=_ASPECT_RATIOS,
    output_formats=("webp", "jpeg", "png"),
    default_output_format="webp",
    prompt_tokens_read=None,
    negative_prompt=False,
    quality_rank=10,
    latency=None,
)
# The models below make one picture for each request.
_FLUX_1_1_PRO: Final = replace(
    _FLUX_SCHNELL,
    model="flux-1.1-pro",
    provider_model="black-forest-labs/flux-1.1-pro",
    title="FLUX1.1 pro on Replicate",
    count_max=1,
    quality_rank=50,
)
_FLUX_2_PRO: Final = replace(
    _FLUX_1_1_PRO,
    model="flux-2-pro",
    provider_model="black-forest-labs/flux-2-pro",
    title="FLUX.2 pro on Replicate",
    quality_rank=70,
)
_SD_3_5_LARGE: Final = replace(
    _FLUX_1_1_PRO,
    model="sd-3.5-large",
    provider_model="stability-ai/stable-diffusion-3.5-large",
    title="Stable Diffusion 3.5 Large on Replicate",
    quality_rank=40,
)
REPLICATE_MODELS: Final = (_SDXL, _FLUX_SCHNELL, _FLUX_1_1_PRO, _FLUX_2_PRO, _SD_3_5_LARGE)
