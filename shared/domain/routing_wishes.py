"""What a request may say about who carries it out, and the names that routing uses."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.domain.money import MICROS_MAX

Strategy = Literal["cheapest", "fastest", "quality", "pinned"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("cheapest", "fastest", "quality", "pinned")
AUTO_MODEL: Final = "auto"  # in the place of a model: routing chooses one
MODELS_LISTED_MAX: Final = 20  # more than are on offer
UPLIFT_PERCENT_MAX: Final = 1_000  # eleven times the first choice; more is a slip of the pen

ModelName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class RoutingWish(BaseModel):
    """How a request is routed; what is left out follows the department's routing policy."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    strategy: Strategy | None = Field(
        default=None, description="pinned goes with a model that is named, the others with auto"
    )
    models: tuple[ModelName, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MODELS_LISTED_MAX,
        description="only these may serve it",
    )
    fallback: bool | None = Field(
        default=None,
        description="another model may take over after a definite failure;"
        " by default only where the model is auto",
    )
    max_price_micros: int | None = Field(
        default=None, ge=1, le=MICROS_MAX, description="micro-AUD that the request may cost at most"
    )
    max_uplift_percent: int | None = Field(
        default=None,
        ge=0,
        le=UPLIFT_PERCENT_MAX,
        description="with fallbacks it may cost at most so much more than its first choice",
    )

    @field_validator("models", mode="before")
    @classmethod
    def _is_a_list(cls, value: object) -> object:
        """Files are read strictly, and JSON has lists only."""
        return tuple(value) if isinstance(value, list) else value
