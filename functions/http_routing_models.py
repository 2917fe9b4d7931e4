"""What requests about routing policies must look like."""

from typing import Annotated

from pydantic import Field, field_validator

from functions.http_model_names import check_models, check_providers
from functions.http_models import Body
from shared.domain.routing_policies import RoutingPolicy
from shared.domain.routing_wishes import UPLIFT_PERCENT_MAX, Strategy

DENIED_MAX = 50  # more than there are models


Denied = Annotated[tuple[str, ...], Field(max_length=DENIED_MAX)]


class RoutingPolicyRequest(Body):
    """A routing policy as a whole; what is left out is not this owner's to say."""

    default_strategy: Strategy | None = Field(
        default=None, description="of requests whose model is auto"
    )
    allowed_strategies: tuple[Strategy, ...] | None = Field(default=None, min_length=1)
    fallback_allowed: bool | None = None
    uplift_percent_max: int | None = Field(
        default=None,
        ge=0,
        le=UPLIFT_PERCENT_MAX,
        description="with fallbacks, a request may cost so much more than its first choice",
    )
    content_fallback: bool | None = Field(
        default=None, description="may another model be tried after a refusal for content"
    )
    denied_models: Denied = ()
    denied_providers: Denied = ()

    @field_validator("default_strategy")
    @classmethod
    def _is_for_auto(cls, value: Strategy | None) -> Strategy | None:
        if value == "pinned":
            raise ValueError("pinned goes with a model that is named")
        return value

    @field_validator("denied_models")
    @classmethod
    def _are_models(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_models(value)
        return tuple(dict.fromkeys(value))

    @field_validator("denied_providers")
    @classmethod
    def _are_providers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_providers(value)
        return tuple(dict.fromkeys(value))

    def policy(self, owner: str) -> RoutingPolicy:
        """The same, as the service takes it; its revision is set when it is written."""
        return RoutingPolicy(owner=owner, **self.model_dump())
