"""A route: the models that may carry out a request, in order, and why the others may not.

The first candidate is what is reserved. A later one may take over after a definite failure, as long
as everything that the request may then cost stays within `cost_max_micros`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from shared.domain.generations import GenerationRequest
from shared.domain.models import MODELS
from shared.domain.prices import Quote
from shared.domain.routing_wishes import Strategy
from shared.errors import Invalid

ExclusionCode = Literal[
    "unknown_model",
    "not_listed",  # the request names other models
    "unsupported",  # it cannot do what the request asks for
    "prompt_cut",  # it would read only the beginning of the prompt
    "retired",
    "unpriced",
    "not_configured",
    "not_permitted",  # to this person
    "denied_by_policy",  # of routing, by department or organisation
    "residency",
    "frozen",
    "provider_down",
    "over_max_price",
    "over_uplift",
    "no_fallback",  # it could serve, but only the first choice may
    "enough_candidates",
]
# Attempts are few, and a plan of 50,000 rows keeps every candidate of every row.
CANDIDATES_MAX: Final = 4
_PERCENT: Final = 100


@dataclass(frozen=True)
class Candidate:
    """One model with the request's values as it would take them, and its price at worst."""

    model: str
    provider: str
    size: str | None
    quality: str | None
    output_format: str | None
    usd_micros: int
    amount_micros: int
    place_reason: str

    def request(self, asked: GenerationRequest) -> GenerationRequest:
        """The request as this candidate carries it out."""
        return asked.model_copy(
            update={
                "model": self.model,
                "size": self.size,
                "quality": self.quality,
                "output_format": self.output_format,
            }
        )

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Exclusion:
    """A model that may not serve a request, and the first reason that was found."""

    model: str
    code: ExclusionCode
    reason: str

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Route:
    """Who may serve a request, in order; the first one's price is what is held at first."""

    strategy: Strategy
    candidates: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...] = ()
    uplift_percent: int = 0  # 0 without fallback
    max_price_micros: int | None = None
    content_fallback: bool = False  # also after a refusal for content

    @property
    def cost_max_micros(self) -> int:
        """What the request may cost with every fallback: whole micros, rounded down."""
        first = self.candidates[0].amount_micros
        raised = first * (_PERCENT + self.uplift_percent) // _PERCENT
        return raised if self.max_price_micros is None else min(raised, self.max_price_micros)

    def next_after(
        self, index: int, billed_micros: int, *, not_at: str | None = None
    ) -> int | None:
        """The next candidate that the request may still afford; None if there is none.

        `not_at` names a provider that is known to serve nobody now.
        """
        for number in range(index + 1, len(self.candidates)):
            candidate = self.candidates[number]
            if candidate.provider == not_at:
                continue
            if billed_micros + candidate.amount_micros <= self.cost_max_micros:
                return number
        return None

    def as_json(self) -> dict[str, Any]:
        return {
            "strategy": self.strategy,
            "candidates": [each.as_json() for each in self.candidates],
            "excluded": [each.as_json() for each in self.excluded],
            "uplift_percent": self.uplift_percent,
            "max_price_micros": self.max_price_micros,
            "content_fallback": self.content_fallback,
        }


def read_route(document: Mapping[str, Any]) -> Route:
    return Route(
        strategy=document["strategy"],
        candidates=tuple(Candidate(**each) for each in document["candidates"]),
        excluded=tuple(Exclusion(**each) for each in document["excluded"]),
        uplift_percent=int(document["uplift_percent"]),
        max_price_micros=document["max_price_micros"],
        content_fallback=bool(document["content_fallback"]),
    )


def pinned_route(request: GenerationRequest, quote: Quote) -> Route:
    """The route of a request that names its model and falls back on nothing."""
    candidate = Candidate(
        model=request.model,
        provider=MODELS[request.model].provider,
        size=request.size,
        quality=request.quality,
        output_format=request.output_format,
        usd_micros=quote.usd_micros,
        amount_micros=quote.amount_micros,
        place_reason="named by the request",
    )
    return Route("pinned", (candidate,))


def alone(route: Route) -> Route:
    """The same route without its fallbacks."""
    others = tuple(
        Exclusion(each.model, "no_fallback", "it may wait for its provider's batch price")
        for each in route.candidates[1:]
    )
    return replace(
        route, candidates=route.candidates[:1], excluded=route.excluded + others, uplift_percent=0
    )


def requoted(
    route: Route, request: GenerationRequest, quote: Callable[[GenerationRequest, int], Quote]
) -> Route:
    """The same order at other prices; raises Invalid if the first candidate cannot serve.

    Later ones that have no price any more, or cost too much now, are left out.
    """
    first, *others = (_requoted(each, request, quote) for each in route.candidates)
    if isinstance(first, Invalid):
        raise first
    priced = replace(route, candidates=(first,))
    limit = priced.max_price_micros
    if limit is not None and first.amount_micros > limit:
        raise Invalid("It costs more by now than the request allows.", code="no_candidate")
    kept = (
        each
        for each in others
        if not isinstance(each, Invalid) and each.amount_micros <= priced.cost_max_micros
    )
    return replace(priced, candidates=(first, *kept))


def _requoted(
    candidate: Candidate,
    request: GenerationRequest,
    quote: Callable[[GenerationRequest, int], Quote],
) -> Candidate | Invalid:
    try:
        found = quote(candidate.request(request), 0)
    except Invalid as refusal:
        return refusal
    return replace(candidate, usd_micros=found.usd_micros, amount_micros=found.amount_micros)


def route_in_audit(route: Route) -> dict[str, str | int | bool | None]:
    """What audit events say of a route: names and codes."""
    return {
        "strategy": route.strategy,
        "candidates": ",".join(each.model for each in route.candidates),
        "excluded": codes_of(route.excluded),
        "cost_max_micros": route.cost_max_micros,
    }


def codes_of(excluded: Sequence[Exclusion]) -> str:
    """Every excluded model with its code, in one line."""
    return ",".join(f"{each.model}:{each.code}" for each in excluded)
