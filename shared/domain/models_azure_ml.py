"""The sovereign option: SDXL in our own Azure Machine Learning workspace, billed by time."""

from types import MappingProxyType
from typing import Final

from shared.domain.capabilities import ModelCapability

# The sizes that SDXL was trained on.
_SIZES: Final = (
    "1024x1024",
    "1152x896",
    "896x1152",
    "1216x832",
    "832x1216",
    "1344x768",
    "768x1344",
)

AZURE_ML_MODELS: Final = (
    ModelCapability(
        model="sdxl-sovereign",
        provider="azure_ml",
        provider_model="stable-diffusion-xl-base-1.0",
        title="Stable Diffusion XL on our own machines in Australia",
        sizes=MappingProxyType({size: size for size in _SIZES}),
        default_size="1024x1024",
        qualities=(),
        default_quality=None,
        output_formats=("png", "jpeg"),
        default_output_format="png",
        count_max=2,  # an answer may have 10 MB, and a PNG as base64 up to 4
        prompt_chars_max=4_000,
        prompt_tokens_read=77,  # the length of SDXL's text encoders (CLIP); diffusers cuts there
        seed=True,
        negative_prompt=True,
        residency="Australia East: the machines and Content Safety are our own, and regional",
        regions=("AU",),
        quality_rank=20,
        moderation="content_safety",
        content_credentials=False,
    ),
)
