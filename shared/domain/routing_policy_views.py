"""What the API shows of routing policies."""

from pydantic import Field

from shared.domain.routing_policies import RoutingPolicy, RoutingRules
from shared.domain.routing_wishes import Strategy
from shared.domain.views import View


class RoutingRulesView(View):
    """What holds: the stricter of both owners' words, or the default."""

    default_strategy: Strategy = Field(description="of requests whose model is auto")
    allowed_strategies: tuple[Strategy, ...]
    fallback_allowed: bool
    uplift_percent_max: int = Field(
        description="with fallbacks, a request may cost so much more than its first choice"
    )
    content_fallback: bool = Field(
        description="whether another model may be tried after a refusal for content"
    )
    denied_models: tuple[str, ...]
    denied_providers: tuple[str, ...]


class RoutingPolicyView(View):
    """One owner's routing policy, and what holds together with the organisation's."""

    department: str = Field(description="a department, or organisation-wide")
    default_strategy: Strategy | None = Field(description="null: this owner does not say")
    allowed_strategies: tuple[Strategy, ...] | None
    fallback_allowed: bool | None
    uplift_percent_max: int | None
    content_fallback: bool | None
    denied_models: tuple[str, ...]
    denied_providers: tuple[str, ...]
    effective: RoutingRulesView
    revision: int = Field(description="0 until somebody writes a policy")
    updated_at: str | None


def policy_view(policy: RoutingPolicy, rules: RoutingRules) -> RoutingPolicyView:
    return RoutingPolicyView(
        department=policy.owner,
        default_strategy=policy.default_strategy,
        allowed_strategies=policy.allowed_strategies,
        fallback_allowed=policy.fallback_allowed,
        uplift_percent_max=policy.uplift_percent_max,
        content_fallback=policy.content_fallback,
        denied_models=policy.denied_models,
        denied_providers=policy.denied_providers,
        effective=RoutingRulesView(
            default_strategy=rules.default_strategy,
            allowed_strategies=tuple(sorted(rules.allowed_strategies)),
            fallback_allowed=rules.fallback_allowed,
            uplift_percent_max=rules.uplift_percent_max,
            content_fallback=rules.content_fallback,
            denied_models=tuple(sorted(rules.denied_models)),
            denied_providers=tuple(sorted(rules.denied_providers)),
        ),
        revision=policy.revision,
        updated_at=policy.updated_at or None,
    )
