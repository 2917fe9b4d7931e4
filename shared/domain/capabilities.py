"""What is known of an image model: the columns of the capability table in `models.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ProviderName = Literal["azure_openai", "replicate", "adobe_firefly", "azure_foundry", "azure_ml"]
# Who looks at prompt and picture: the provider itself, or Azure AI Content Safety on our behalf.
Moderation = Literal["built_in", "content_safety"]
AUTO: Final = "auto"  # a size or quality that the model chooses


@dataclass(frozen=True)
class Latency:
    """How long one picture usually takes, from a source and not from our own measurement."""

    from_s: float
    to_s: float
    source: str
    as_of: str


@dataclass(frozen=True)
class RetiredModel:
    """A model that this version does not offer because of its end; its successor is on offer."""

    model: str
    retired_on: str
    successor: str
    source: str


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
    regions: tuple[str, ...]  # ISO 3166 countries that may see a prompt; "*": any, at their choice
    prompt_tokens_read: int | None = None  # CLIP tokens; it drops the rest. None: all, or not told
    retires_on: str | None = None  # the first day (UTC) on which it is refused
    successor: str | None = None
    latency: Latency | None = None  # None: nobody has told
    batch_endpoint: bool = False  # the provider also takes files of requests, at a lower price
    reference_images_max: int = 0  # pictures that a request may send along
    quality_rank: int = 0  # places models for the strategy "quality": higher is better
    moderation: Moderation = "built_in"
    content_credentials: bool | None = None  # C2PA manifest in its files; None: nobody has told
    starts_per_minute: int | None = None  # of the provider's account; None: the setting's default
    starts_per_day: int | None = None
