"""Which models may serve a request, in which order, and why: pure, so that it can be explained.

Every model that was considered ends up either as a candidate with the reason for its place, or as
an exclusion with the first reason that was found. The order depends on nothing but the arguments:
ties go by price, then by the model's name.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, Protocol

from shared.domain.capabilities import ModelCapability
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import MODELS, RETIRED_MODELS, retirement_refusal
from shared.domain.prices import Quote
from shared.domain.prompt_cuts import PROMPT_CUT, is_cut
from shared.domain.routes import (
    CANDIDATES_MAX,
    Candidate,
    Exclusion,
    ExclusionCode,
    Route,
    codes_of,
    pinned_route,
)
from shared.domain.routing_policies import RoutingRules
from shared.domain.routing_wishes import AUTO_MODEL, RoutingWish, Strategy
from shared.errors import FieldFault, Invalid, PolicyDenied

PASSING: Final[frozenset[ExclusionCode]] = frozenset({"frozen", "provider_down"})
_NO_LATENCY_S: Final = 1e9  # nobody has told: after everybody of whom something is known
_NO_WISH: Final = RoutingWish()


class Health(Protocol):
    """What routing wants to know of a provider just now."""

    @property
    def state(self) -> str:
        """ "open" means that nobody may call it."""
        ...

    @property
    def latency_s(self) -> float | None:
        """As it was measured lately; None when nobody knows."""
        ...

    @property
    def reason(self) -> str | None:
        """Why it is not healthy."""
        ...


def allows_everything(regions: Sequence[str]) -> bool:
    """Residency where nobody has said anything about it."""
    return True


def _refuses_nothing(*_: str) -> str | None:
    return None


@dataclass(frozen=True)
class Surroundings:
    """All that a route depends on besides the request, as it stood at one moment."""

    quote: Callable[[GenerationRequest, int], Quote]  # raises Invalid for what has no price
    day: date
    configured: Collection[str]  # providers that can be called at all
    off: Collection[str] = ()  # models that nobody has deployed there
    rules: RoutingRules = field(default_factory=RoutingRules)
    health: Mapping[str, Health] = field(default_factory=dict)
    residency: Callable[[Sequence[str]], bool] = allows_everything  # of a model's regions
    permission: Callable[[str, str], str | None] = _refuses_nothing  # model, provider
    frozen: Callable[[str], str | None] = _refuses_nothing  # why a model may not spend now


@dataclass(frozen=True)
class _Terms:
    """A request with its wishes, filled in from the rules; each wish was checked against them."""

    request: GenerationRequest
    reference_images: int
    strategy: Strategy
    fallback: bool
    uplift_percent: int
    max_price_micros: int | None
    listed: tuple[str, ...] | None

    @property
    def is_alone(self) -> bool:
        """One model and no other: what passes by is waited for, and not a reason against it."""
        return self.strategy == "pinned" and not self.fallback


@dataclass(frozen=True)
class _Eligible:
    """A model that can serve, and what places it."""

    capability: ModelCapability
    request: GenerationRequest
    quote: Quote
    latency_s: float | None


def routed(request: GenerationRequest, around: Surroundings, reference_images: int = 0) -> Route:
    """The route of a request; a model that is named is refused in the words of that refusal.

    Raises Invalid or PolicyDenied.
    """
    if request.model == AUTO_MODEL:
        return route(request, around, reference_images)
    resolved, capability = resolve_request(request)
    quote = around.quote(resolved, reference_images)
    denial = model_denial(capability, around.rules, around.permission)
    if denial is not None:
        raise denial
    plain = (
        not request.is_routed
        and "pinned" in around.rules.allowed_strategies
        and _is_configured(capability, around)
        and reference_images <= capability.reference_images_max
    )
    return pinned_route(resolved, quote) if plain else route(request, around, reference_images)


def model_denial(
    capability: ModelCapability,
    rules: RoutingRules,
    permission: Callable[[str, str], str | None],
) -> PolicyDenied | None:
    """Why a person, or their department, may not use a model; None if they may."""
    model, provider = capability.model, capability.provider
    refusal = permission(model, provider)
    if refusal is None and rules.denies(model, provider):
        refusal = "Your routing policy denies this model."
    if refusal is None:
        return None
    return PolicyDenied(refusal, code="model_denied", extra={"model": model})


def route(
    request: GenerationRequest,
    around: Surroundings,
    reference_images: int = 0,
    models: Mapping[str, ModelCapability] = MODELS,
) -> Route:
    """Place every model; raises Invalid, `no_candidate` if none can serve, or PolicyDenied."""
    terms = _terms(request, around.rules, reference_images)
    eligible: list[_Eligible] = []
    excluded: list[Exclusion] = []
    for name in _considered(terms, models):
        judged = _judged(name, terms, around, models)
        if isinstance(judged, Exclusion):
            excluded.append(judged)
        else:
            eligible.append(judged)
    ordered = sorted(eligible, key=lambda each: _place(each, terms.strategy, request.model))
    if not ordered or _misses_its_pin(ordered[0], terms, excluded):
        raise no_candidate(excluded)
    found = Route(
        strategy=terms.strategy,
        candidates=(_candidate(ordered[0], terms.strategy, 0),),
        uplift_percent=terms.uplift_percent if terms.fallback else 0,
        max_price_micros=terms.max_price_micros,
        content_fallback=around.rules.content_fallback and terms.fallback,
    )
    candidates = list(found.candidates)
    for each in ordered[1:]:
        left_out = _cut(each, terms, found.cost_max_micros, len(candidates))
        if left_out is None:
            candidates.append(_candidate(each, terms.strategy, len(candidates)))
        else:
            excluded.append(left_out)
    excluded.sort(key=lambda each: each.model)
    return replace(found, candidates=tuple(candidates), excluded=tuple(excluded))


def _misses_its_pin(first: _Eligible, terms: _Terms, excluded: Sequence[Exclusion]) -> bool:
    """Whether the model that was named cannot serve: others only stand in for what passes by."""
    if terms.strategy != "pinned" or _name(first) == terms.request.model:
        return False
    codes = {each.model: each.code for each in excluded}
    return codes[terms.request.model] not in PASSING


def no_candidate(excluded: Sequence[Exclusion]) -> Invalid:
    """The refusal of a request that nobody can serve; it names every exclusion."""
    return Invalid(
        "No model can serve this request as it is: " + codes_of(excluded) + ".",
        code="no_candidate",
        faults=[FieldFault("/model", f"{each.model}: {each.reason}") for each in excluded],
        extra={"excluded": [each.as_json() for each in excluded]},
    )


def _terms(request: GenerationRequest, rules: RoutingRules, reference_images: int) -> _Terms:
    wish = request.routing or _NO_WISH
    pinned = request.model != AUTO_MODEL
    strategy = wish.strategy or ("pinned" if pinned else rules.default_strategy)
    if (strategy == "pinned") != pinned:
        advice = "leave it out, or use pinned" if pinned else "use cheapest, fastest or quality"
        raise _refused("/routing/strategy", advice, "strategy_does_not_fit")
    if strategy not in rules.allowed_strategies:
        raise PolicyDenied(
            f"The strategy {strategy} is not allowed by your routing policy.",
            code="strategy_denied",
            extra={"allowed": sorted(rules.allowed_strategies)},
        )
    if wish.fallback and not rules.fallback_allowed:
        raise PolicyDenied("Your routing policy allows no fallback.", code="fallback_denied")
    uplift = rules.uplift_percent_max
    if wish.max_uplift_percent is not None:
        if wish.max_uplift_percent > uplift:
            raise PolicyDenied(
                f"Your routing policy allows an uplift of {uplift} percent at most.",
                code="uplift_denied",
                extra={"uplift_percent_max": uplift},
            )
        uplift = wish.max_uplift_percent
    if pinned and wish.models is not None and request.model not in wish.models:
        raise _refused("/routing/models", f"name {request.model}, too", "model_not_listed")
    wanted = not pinned if wish.fallback is None else wish.fallback
    return _Terms(
        request=request,
        reference_images=reference_images,
        strategy=strategy,
        fallback=wanted and rules.fallback_allowed,
        uplift_percent=uplift,
        max_price_micros=wish.max_price_micros,
        listed=wish.models,
    )


def _refused(field_path: str, advice: str, code: str) -> Invalid:
    return Invalid(
        "The wishes for routing do not fit together.",
        code=code,
        faults=[FieldFault(field_path, advice)],
    )


def _considered(terms: _Terms, models: Mapping[str, ModelCapability]) -> list[str]:
    """Every name that the answer has to speak of."""
    if terms.is_alone:
        return [terms.request.model]
    return sorted({*models, *(terms.listed or ())})


def _judged(
    name: str, terms: _Terms, around: Surroundings, models: Mapping[str, ModelCapability]
) -> _Eligible | Exclusion:
    """Whether a model can serve; the first reason against it counts."""
    capability = models.get(name)
    if capability is None:
        word = "it was retired" if name in RETIRED_MODELS else "there is no such model"
        return Exclusion(name, "retired" if name in RETIRED_MODELS else "unknown_model", word)
    barred = _barred(capability, terms, around)
    if barred is not None:
        return barred
    if terms.reference_images > capability.reference_images_max:
        reason = f"takes {capability.reference_images_max} reference pictures at most"
        return Exclusion(name, "unsupported", reason)
    try:
        named = terms.request.model_copy(update={"model": name})
        resolved, _ = resolve_request(named, models)
        quote = around.quote(resolved, terms.reference_images)
    except Invalid as refusal:
        return Exclusion(name, _code_of(refusal), _words(refusal))
    if name != terms.request.model and is_cut(resolved, capability):
        reason = f"reads {capability.prompt_tokens_read} tokens of a prompt and drops the rest"
        return Exclusion(name, PROMPT_CUT, reason)
    if terms.max_price_micros is not None and quote.amount_micros > terms.max_price_micros:
        reason = f"costs up to {quote.amount_micros} micro-AUD"
        return Exclusion(name, "over_max_price", reason)
    health = around.health.get(capability.provider)
    return _Eligible(capability, resolved, quote, _latency_s(capability, health))


def _barred(capability: ModelCapability, terms: _Terms, around: Surroundings) -> Exclusion | None:
    """Why a model may not serve whatever the request asks for."""
    name, provider = capability.model, capability.provider
    refusal = around.permission(name, provider)
    frozen = around.frozen(name)
    health = around.health.get(provider)
    down = health is not None and health.state == "open"
    checks: tuple[tuple[bool, ExclusionCode, str], ...] = (
        (terms.listed is not None and name not in terms.listed, "not_listed", "not in /models"),
        (retirement_refusal(capability, around.day) is not None, "retired", "it was retired"),
        (not _is_configured(capability, around), "not_configured", _missing(capability)),
        (refusal is not None, "not_permitted", refusal or ""),
        (
            around.rules.denies(name, provider),
            "denied_by_policy",
            "the routing policy denies it",
        ),
        (
            not (terms.is_alone or around.residency(capability.regions)),
            "residency",
            f"prompts may not go there: {capability.residency}",
        ),
        (frozen is not None and not terms.is_alone, "frozen", frozen or ""),
        (
            down and not terms.is_alone,
            "provider_down",
            (health.reason if health else None) or "it does not answer",
        ),
    )
    for holds, code, reason in checks:
        if holds:
            return Exclusion(name, code, reason)
    return None


def _is_configured(capability: ModelCapability, around: Surroundings) -> bool:
    """Whether the model can be called at all."""
    return capability.provider in around.configured and capability.model not in around.off


def _missing(capability: ModelCapability) -> str:
    """What is not set up here when a model cannot be called."""
    if capability.moderation == "content_safety":
        return f"{capability.provider}, or the Content Safety it needs, is not set up here"
    return f"{capability.provider} is not set up here"


def _code_of(refusal: Invalid) -> ExclusionCode:
    return "unpriced" if refusal.problem_code == "unpriced" else "unsupported"


def _words(refusal: Invalid) -> str:
    faults = [f"{fault.field.lstrip('/')}: {fault.message}" for fault in refusal.faults]
    return "; ".join(faults) or refusal.detail


def _latency_s(capability: ModelCapability, health: Health | None) -> float | None:
    """As it was measured lately, or as its makers say."""
    if health is not None and health.latency_s is not None:
        return health.latency_s
    told = capability.latency
    return None if told is None else (told.from_s + told.to_s) / 2


def _name(each: _Eligible) -> str:
    return each.capability.model


def _place(each: _Eligible, strategy: Strategy, named: str) -> tuple[float, int, str]:
    """What eligible models are sorted by: no two have the same."""
    first: float = 0
    if strategy == "fastest":
        first = _NO_LATENCY_S if each.latency_s is None else each.latency_s
    elif strategy == "quality":
        first = -each.capability.quality_rank
    elif strategy == "pinned":
        first = _name(each) != named
    return first, each.quote.amount_micros, _name(each)


def _cut(each: _Eligible, terms: _Terms, cost_max_micros: int, taken: int) -> Exclusion | None:
    """Why a model that can serve is no candidate beside the first."""
    name = _name(each)
    if not terms.fallback:
        return Exclusion(name, "no_fallback", "only the first choice may serve this request")
    if each.quote.amount_micros > cost_max_micros:
        reason = f"costs {each.quote.amount_micros} micro-AUD, above the uplift allowed"
        return Exclusion(name, "over_uplift", reason)
    if taken >= CANDIDATES_MAX:
        return Exclusion(name, "enough_candidates", f"{CANDIDATES_MAX} others come before it")
    return None


def _candidate(each: _Eligible, strategy: Strategy, taken: int) -> Candidate:
    resolved = each.request
    return Candidate(
        model=resolved.model,
        provider=each.capability.provider,
        size=resolved.size,
        quality=resolved.quality,
        output_format=resolved.output_format,
        usd_micros=each.quote.usd_micros,
        amount_micros=each.quote.amount_micros,
        place_reason=_reason(each, strategy, taken),
    )


def _reason(each: _Eligible, strategy: Strategy, taken: int) -> str:
    price = f"{each.quote.amount_micros} micro-AUD at most"
    if strategy == "pinned":
        return f"fallback, {price}" if taken else "named by the request"
    if strategy == "quality":
        return f"quality rank {each.capability.quality_rank}, {price}"
    if strategy == "fastest":
        known = "latency unknown" if each.latency_s is None else f"about {each.latency_s:g} s"
        return f"{known}, {price}"
    return price
