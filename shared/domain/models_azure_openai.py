"""The image models of Azure OpenAI, on offer and retired; what each can do and until when."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from shared.domain.capabilities import AUTO, Latency, ModelCapability, RetiredModel

# Only sizes with a known price are on offer: the service takes others, too.
_SIZES: Final = ("1024x1024", "1024x1536", "1536x1024", AUTO)
_SIZES_2_5: Final = ("1024x1024", "1024x1536", "1536x1024", "2560x1440", AUTO)


def _as_they_are(sizes: tuple[str, ...]) -> Mapping[str, str]:
    return MappingProxyType({size: size for size in sizes})


_GPT_IMAGE_2: Final = ModelCapability(
    model="gpt-image-2",
    provider="azure_openai",
    provider_model="gpt-image-2",
    title="GPT Image 2 on Azure OpenAI",
    sizes=_as_they_are(_SIZES),
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
    quality_rank=80,
    content_credentials=True,
    latency=Latency(
        from_s=10,
        to_s=30,
        source="synchronous answers as seen with the GPT image models; some pass 60 s",
        as_of="2026-11-22",
    ),
)
_FLARE: Final = replace(
    _GPT_IMAGE_2,
    model="gpt-image-2.5-flare",
    provider_model="gpt-image-2.5-flare",
    title="GPT Image 2.5 Flare on Azure OpenAI",
    sizes=_as_they_are(_SIZES_2_5),
    qualities=("low", "medium", "high", "xhigh", "max", AUTO),
    retires_on="2027-09-09",
    batch_endpoint=False,  # the batch deployment serves gpt-image-2 only
    quality_rank=85,
    latency=None,
)
_SUNBURST: Final = replace(
    _FLARE,
    model="gpt-image-2.5-sunburst",
    provider_model="gpt-image-2.5-sunburst",
    title="GPT Image 2.5 Sunburst on Azure OpenAI",
    quality_rank=90,
)
_MINI: Final = replace(
    _GPT_IMAGE_2,
    model="gpt-image-1-mini",
    provider_model="gpt-image-1-mini",
    title="GPT Image 1 mini on Azure OpenAI",
    retires_on="2027-04-07",
    successor="gpt-image-2",
    batch_endpoint=False,
    quality_rank=30,
    latency=None,
)
AZURE_OPENAI_MODELS: Final = (_GPT_IMAGE_2, _FLARE, _SUNBURST, _MINI)

_DEPRECATIONS: Final = "developers.openai.com/api/docs/deprecations, read 2026-11-22"
_AZURE_TABLES: Final = "model retirement tables of Azure, read 2026-11-22"
AZURE_OPENAI_RETIRED: Final = (
    RetiredModel("dall-e-2", "2026-05-12", "gpt-image-2", _DEPRECATIONS),
    RetiredModel("dall-e-3", "2026-03-04", "gpt-image-2", _AZURE_TABLES),
    RetiredModel("gpt-image-1", "2026-10-23", "gpt-image-2", _DEPRECATIONS),
    # Never on offer here: it was about to end when this table was made.
    RetiredModel("gpt-image-1.5", "2026-12-16", "gpt-image-2", _AZURE_TABLES),
    RetiredModel("chatgpt-image-latest", "2026-12-01", "gpt-image-2", _DEPRECATIONS),
)
