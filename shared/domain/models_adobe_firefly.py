"""The image models of Adobe Firefly Services.

A size maps to what the service wants to hear: pixels on the v3 route, and on the v4 route (Image 5)
an aspect ratio and a resolution level. The name of a model is the header that chooses it.
"""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from shared.domain.capabilities import ModelCapability

_IMAGE3_SIZES: Final = (
    "2048x2048",
    "1024x1024",
    "2304x1792",
    "1792x2304",
    "2688x1536",
    "2688x1512",
    "1344x768",
    "1344x756",
    "1152x896",
    "896x1152",
)
_IMAGE4_SIZES: Final = ("2048x2048", "2304x1792", "1792x2304", "2688x1536", "1440x2560")

_IMAGE3: Final = ModelCapability(
    model="firefly-image3",
    provider="adobe_firefly",
    provider_model="image3",
    title="Firefly Image 3",
    sizes=MappingProxyType({size: size for size in _IMAGE3_SIZES}),
    default_size="2048x2048",
    qualities=(),
    default_quality=None,
    # The service takes no format. JPEG is what it is known to send: custody looks at the bytes.
    output_formats=("jpeg",),
    default_output_format="jpeg",
    count_max=4,
    prompt_chars_max=1_024,
    seed=True,
    negative_prompt=True,
    residency="not documented by Adobe; sign-in is in North America",
    regions=("*",),
    quality_rank=40,
    content_credentials=None,  # Adobe's pages say yes, its API's documents do not
    starts_per_minute=4,  # of the whole organisation, all models together
    starts_per_day=9_000,
)
_IMAGE4: Final = replace(
    _IMAGE3,
    model="firefly-image4-standard",
    provider_model="image4_standard",
    title="Firefly Image 4",
    sizes=MappingProxyType({size: size for size in _IMAGE4_SIZES}),
    quality_rank=50,
)
_IMAGE4_ULTRA: Final = replace(
    _IMAGE4,
    model="firefly-image4-ultra",
    provider_model="image4_ultra",
    title="Firefly Image 4 Ultra",
    quality_rank=60,
)
_IMAGE5: Final = replace(
    _IMAGE3,
    model="firefly-image5",
    provider_model="image5",
    title="Firefly Image 5",
    # Of the other aspect ratios nobody has told the pixels.
    sizes=MappingProxyType({"2048x2048": "1:1 4MP", "1024x1024": "1:1 1MP"}),
    count_max=1,
    prompt_chars_max=1_500,
    negative_prompt=False,
    quality_rank=70,
)
ADOBE_FIREFLY_MODELS: Final = (_IMAGE3, _IMAGE4, _IMAGE4_ULTRA, _IMAGE5)
