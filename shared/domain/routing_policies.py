"""Routing policies: which strategies a department may use, and what a fallback may do.

The organisation's policy and the department's hold at once: the stricter word counts, and what is
denied adds up. What neither speaks of follows the defaults below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.budget_policies import policy_partition
from shared.domain.ids import Partition
from shared.domain.ledger import Operation
from shared.domain.organisation_policies import organisation_policies
from shared.domain.policy_versions import revisions_of
from shared.domain.revisions import revision_document, revision_operation
from shared.domain.routing_wishes import STRATEGIES, Strategy

DEFAULT_STRATEGY: Final[Strategy] = "cheapest"
# As much again as the first choice: one attempt that was billed for nothing, and one of its price.
DEFAULT_UPLIFT_PERCENT: Final = 100
POLICY_DOCUMENT_ID: Final = "routing_policy"


@dataclass(frozen=True)
class RoutingPolicy:
    """One owner's policy as it stands; None: this owner does not say."""

    owner: str  # a department, or ORGANISATION_WIDE
    default_strategy: Strategy | None = None  # of requests whose model is auto
    allowed_strategies: tuple[Strategy, ...] | None = None
    fallback_allowed: bool | None = None
    uplift_percent_max: int | None = None
    content_fallback: bool | None = None  # may a refusal for content be tried elsewhere
    denied_models: tuple[str, ...] = ()
    denied_providers: tuple[str, ...] = ()
    updated_at: str = ""
    revision: int = 0  # 0: nobody has written one
    change_id: str = ""  # of the write that made this revision: whose it is when answers get lost

    def as_json(self) -> dict[str, Any]:
        """What is stored, and what audit events show."""
        shown = dict(vars(self))
        for name in ("allowed_strategies", "denied_models", "denied_providers"):
            shown[name] = None if shown[name] is None else list(shown[name])
        return shown


@dataclass(frozen=True)
class RoutingRules:
    """What holds for a department: its own policy and the organisation's together."""

    default_strategy: Strategy = DEFAULT_STRATEGY
    allowed_strategies: frozenset[Strategy] = frozenset(STRATEGIES)
    fallback_allowed: bool = True
    uplift_percent_max: int = DEFAULT_UPLIFT_PERCENT
    content_fallback: bool = False
    denied_models: frozenset[str] = frozenset()
    denied_providers: frozenset[str] = frozenset()
    version: str = field(default="", compare=False)  # names both revisions; empty: no policies

    def denies(self, model: str, provider: str) -> bool:
        return model in self.denied_models or provider in self.denied_providers


def rules_of(department: RoutingPolicy, organisation: RoutingPolicy) -> RoutingRules:
    """Both owners' policies at once."""
    both = (department, organisation)
    allowed = frozenset(STRATEGIES)
    for policy in both:
        if policy.allowed_strategies is not None:
            allowed &= frozenset(policy.allowed_strategies)
    uplifts = [p.uplift_percent_max for p in both if p.uplift_percent_max is not None]
    contents = [p.content_fallback for p in both if p.content_fallback is not None]
    default = department.default_strategy or organisation.default_strategy or DEFAULT_STRATEGY
    return RoutingRules(
        default_strategy=default,
        allowed_strategies=allowed,
        fallback_allowed=all(policy.fallback_allowed is not False for policy in both),
        uplift_percent_max=min(uplifts, default=DEFAULT_UPLIFT_PERCENT),
        content_fallback=bool(contents) and all(contents),
        denied_models=frozenset(department.denied_models + organisation.denied_models),
        denied_providers=frozenset(department.denied_providers + organisation.denied_providers),
        version=revisions_of(department.owner, department.revision, organisation.revision),
    )


def routing_partition(owner: str, tenant_id: str) -> Partition:
    """The ledger partition with an owner's routing policy: the one of its other policies."""
    if owner == ORGANISATION_WIDE:
        return organisation_policies(tenant_id)
    return policy_partition(owner)


def policy_object_id(owner: str) -> str:
    """What audit events call an owner's routing policy."""
    return f"routing_policy:{owner}"


def put_operation(partition: Partition, policy: RoutingPolicy) -> Operation:
    """Write a policy if its predecessor stands: revision 1 is created, n replaces n - 1."""
    document = revision_document(partition, POLICY_DOCUMENT_ID, "routing_policy", policy.as_json())
    return revision_operation(document)


def read_policy(document: Mapping[str, Any]) -> RoutingPolicy:
    stored = dict(document["body"])
    allowed = stored["allowed_strategies"]
    stored |= {
        "allowed_strategies": None if allowed is None else tuple(allowed),
        "denied_models": tuple(stored["denied_models"]),
        "denied_providers": tuple(stored["denied_providers"]),
        "revision": int(stored["revision"]),
    }
    return RoutingPolicy(**stored)


def shown_in_audit(policy: RoutingPolicy | None) -> dict[str, str | int | bool | None]:
    """A policy in one line for each thing that it says."""
    if policy is None:
        return {}
    bookkeeping = ("owner", "updated_at", "revision", "change_id")
    return {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in policy.as_json().items()
        if name not in bookkeeping
    }
