"""The route of a request: every place and every exclusion has a reason, and a true one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.capabilities import ModelCapability
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import MODELS, retirement_refusal
from shared.domain.prices import Quote, unpriced
from shared.domain.prompt_cuts import is_cut
from shared.domain.provider_health import ProviderHealth
from shared.domain.routes import CANDIDATES_MAX, Exclusion, Route, read_route, requoted
from shared.domain.routing import Surroundings, route, routed
from shared.domain.routing_policies import RoutingRules
from shared.domain.routing_wishes import STRATEGIES
from shared.errors import Invalid, PolicyDenied
from tests import builders

DAY = date(2026, 11, 22)
NAMES = sorted(MODELS)
PROVIDERS = sorted({model.provider for model in MODELS.values()})
AMOUNTS = st.integers(1, 1_000_000)
OWN_CODES = {"not_permitted", "residency", "frozen", "denied_by_policy", "provider_down"}


@dataclass(frozen=True)
class Scene:
    """What surrounds a request, as plain data that tests can look at and change."""

    prices: Mapping[str, int]  # micro-AUD by model; missing: it has none
    configured: frozenset[str] = frozenset(PROVIDERS)
    down: frozenset[str] = frozenset()
    latencies: Mapping[str, float] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()
    regions: frozenset[str] | None = None
    frozen: frozenset[str] = frozenset()
    rules: RoutingRules = field(default_factory=lambda: RoutingRules(uplift_percent_max=1_000))

    def around(self) -> Surroundings:
        regions = self.regions
        return Surroundings(
            quote=self.quote,
            day=DAY,
            configured=self.configured,
            rules=self.rules,
            health={
                name: ProviderHealth(
                    name,
                    state="open" if name in self.down else "closed",
                    latency_s=self.latencies.get(name),
                )
                for name in PROVIDERS
            },
            residency=lambda found: regions is None or set(found) <= regions,
            permission=lambda model, _: "not you" if model in self.forbidden else None,
            frozen=lambda model: "it is frozen" if model in self.frozen else None,
        )

    def quote(self, request: GenerationRequest, reference_images: int = 0) -> Quote:
        if request.model not in self.prices:
            raise unpriced(request.model, "/model", "this")
        return builders.quote(self.prices[request.model])


def subsets(names: list[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(names), max_size=3)


SCENES = st.builds(
    Scene,
    prices=st.dictionaries(st.sampled_from(NAMES), AMOUNTS, min_size=4),
    configured=st.frozensets(st.sampled_from(PROVIDERS), min_size=2),
    down=subsets(PROVIDERS),
    latencies=st.dictionaries(st.sampled_from(PROVIDERS), st.floats(0.1, 90)),
    forbidden=subsets(NAMES),
    regions=st.none() | st.just(frozenset({"US", "AU"})),
    frozen=subsets(NAMES),
    rules=st.builds(
        RoutingRules,
        uplift_percent_max=st.integers(0, 1_000),
        fallback_allowed=st.booleans(),
        content_fallback=st.booleans(),
        denied_models=subsets(NAMES),
        denied_providers=st.frozensets(st.sampled_from(PROVIDERS), max_size=1),
    ),
)
REQUESTS = st.builds(
    lambda strategy, models, limit, **fields: builders.routed(
        "auto",
        strategy=strategy,
        models=models,
        max_price_micros=limit,
    ).model_copy(update=fields),
    st.sampled_from([None, *(each for each in STRATEGIES if each != "pinned")]),
    st.none() | st.lists(st.sampled_from([*NAMES, "dall-e-3", "nobody"]), min_size=1, max_size=9),
    st.none() | AMOUNTS,
    size=st.sampled_from([None, "1024x1024", "1344x768", "333x333"]),
    count=st.integers(1, 10),
    seed=st.none() | st.just(7),
    negative_prompt=st.none() | st.just("fog"),
    output_format=st.none() | st.sampled_from(["png", "jpeg", "webp"]),
    prompt=st.sampled_from(["A pier", "word " * 76]),
)


def found(request: GenerationRequest, scene: Scene) -> Route | list[Exclusion]:
    """The route, or the exclusions that the refusal names."""
    try:
        return route(request, scene.around())
    except Invalid as refusal:
        assert refusal.problem_code == "no_candidate"
        return [Exclusion(**each) for each in refusal.extra["excluded"]]


def excluded_of(answer: Route | list[Exclusion]) -> dict[str, Exclusion]:
    exclusions = answer.excluded if isinstance(answer, Route) else answer
    return {each.model: each for each in exclusions}


def is_true(exclusion: Exclusion, request: GenerationRequest, scene: Scene, answer: Any) -> bool:
    """Whether the reason holds, asked of the scene itself."""
    name = exclusion.model
    wish = request.routing
    assert wish is not None
    if exclusion.code in ("unknown_model", "retired") and name not in MODELS:
        return True
    model = MODELS[name]
    price = scene.prices.get(name, 0)
    limit = wish.max_price_micros
    return {
        "not_listed": wish.models is not None and name not in wish.models,
        "retired": retirement_refusal(model, DAY) is not None,
        "unpriced": name not in scene.prices,
        "unsupported": not serves(model, request),
        "prompt_cut": is_cut(request, model),
        "not_configured": model.provider not in scene.configured,
        "not_permitted": name in scene.forbidden,
        "denied_by_policy": scene.rules.denies(name, model.provider),
        "residency": scene.regions is not None and not set(model.regions) <= scene.regions,
        "frozen": name in scene.frozen,
        "provider_down": model.provider in scene.down,
        "over_max_price": limit is not None and price > limit,
        "over_uplift": isinstance(answer, Route) and price > answer.cost_max_micros,
        "no_fallback": not scene.rules.fallback_allowed,
        "enough_candidates": isinstance(answer, Route) and len(answer.candidates) == CANDIDATES_MAX,
    }[exclusion.code]


def serves(model: ModelCapability, request: GenerationRequest) -> bool:
    try:
        resolve_request(request.model_copy(update={"model": model.model}))
    except Invalid:
        return False
    return True


@given(REQUESTS, SCENES)
def test_every_model_is_placed_or_excluded_for_a_true_reason(
    request: GenerationRequest, scene: Scene
) -> None:
    answer = found(request, scene)
    excluded = excluded_of(answer)
    placed = [each.model for each in answer.candidates] if isinstance(answer, Route) else []
    listed = request.routing.models if request.routing and request.routing.models else ()
    assert sorted([*placed, *excluded]) == sorted({*NAMES, *listed})
    for exclusion in excluded.values():
        assert exclusion.reason
        assert is_true(exclusion, request, scene, answer), exclusion


@given(REQUESTS, SCENES, st.randoms(use_true_random=False))
def test_order_does_not_depend_on_the_order_of_what_is_known(
    request: GenerationRequest, scene: Scene, chance: Any
) -> None:
    shuffled = list(MODELS.items())
    chance.shuffle(shuffled)
    answer = found(request, scene)
    if isinstance(answer, Route):
        assert route(request, scene.around(), models=dict(shuffled)) == answer
    else:
        with pytest.raises(Invalid) as refusal:
            route(request, scene.around(), models=dict(shuffled))
        assert refusal.value.extra["excluded"] == [each.as_json() for each in answer]


@given(REQUESTS, SCENES, st.sampled_from(NAMES), AMOUNTS)
def test_cheapest_gives_no_better_place_to_a_model_that_becomes_dearer(
    request: GenerationRequest, scene: Scene, name: str, more: int
) -> None:
    wish = request.routing
    assert wish is not None
    request = request.model_copy(
        update={"routing": wish.model_copy(update={"strategy": "cheapest"})}
    )
    if name not in scene.prices:
        return
    dearer = replace(scene, prices={**scene.prices, name: scene.prices[name] + more})

    def place(answer: Route | list[Exclusion]) -> int:
        names = [each.model for each in answer.candidates] if isinstance(answer, Route) else []
        return names.index(name) if name in names else len(NAMES)

    assert place(found(request, dearer)) >= place(found(request, scene))


@given(REQUESTS, SCENES)
def test_whoever_may_do_more_never_gets_less(request: GenerationRequest, scene: Scene) -> None:
    wish = request.routing
    assert wish is not None
    request = request.model_copy(
        update={"routing": wish.model_copy(update={"strategy": "cheapest"})}
    )
    free = replace(scene, forbidden=frozenset())
    less, more = found(request, scene), found(request, free)
    if isinstance(less, Route):
        assert isinstance(more, Route)
        assert more.candidates[0].amount_micros <= less.candidates[0].amount_micros
    barred = {name for name, each in excluded_of(more).items() if each.code in OWN_CODES}
    assert barred <= {name for name, each in excluded_of(less).items() if each.code in OWN_CODES}


@given(REQUESTS, SCENES)
def test_every_candidate_is_within_what_the_request_may_cost(
    request: GenerationRequest, scene: Scene
) -> None:
    answer = found(request, scene)
    if not isinstance(answer, Route):
        return
    assert 1 <= len(answer.candidates) <= CANDIDATES_MAX
    amounts = [each.amount_micros for each in answer.candidates]
    assert max(amounts) <= answer.cost_max_micros
    assert answer.cost_max_micros <= amounts[0] * (100 + scene.rules.uplift_percent_max) // 100
    if answer.strategy == "cheapest":
        assert amounts == sorted(amounts)
    if answer.strategy == "quality":
        ranks = [-MODELS[each.model].quality_rank for each in answer.candidates]
        assert ranks == sorted(ranks)
    assert read_route(answer.as_json()) == answer


EVERY = Scene(dict.fromkeys(NAMES, 1_000))
OURS = ("flux-schnell", "gpt-image-2", "sdxl")


def prices(**amounts: int) -> Scene:
    return replace(EVERY, prices={name.replace("_", "-"): n for name, n in amounts.items()})


def test_a_named_model_stays_alone_unless_it_may_fall_back() -> None:
    scene = prices(sdxl=100, flux_schnell=50)
    pinned = builders.request("sdxl")
    assert [each.model for each in routed(pinned, scene.around()).candidates] == ["sdxl"]
    fallback = routed(builders.routed("sdxl", fallback=True), scene.around())
    assert [each.model for each in fallback.candidates] == ["sdxl", "flux-schnell"]
    assert fallback.candidates[0].place_reason == "named by the request"


def test_a_named_model_that_cannot_serve_is_refused_in_its_own_words() -> None:
    scene = prices(sdxl=100, flux_schnell=50)
    for fallback in (False, True):
        asked = builders.routed("flux-schnell", fallback=fallback)
        asked = asked.model_copy(update={"negative_prompt": "fog"})
        with pytest.raises(Invalid) as refusal:
            routed(asked, scene.around())
        assert refusal.value.problem_code == "unsupported_by_model"


@pytest.mark.parametrize("passing", [{"down": frozenset({"replicate"})}, {"frozen": {"sdxl"}}])
def test_a_named_model_that_is_held_up_is_waited_for_or_stood_in_for(passing: Any) -> None:
    scene = replace(prices(sdxl=100, gpt_image_2=150), **passing)
    alone = routed(builders.routed("sdxl"), scene.around())
    assert [each.model for each in alone.candidates] == ["sdxl"]
    helped = routed(builders.routed("sdxl", fallback=True), scene.around())
    assert [each.model for each in helped.candidates] == ["gpt-image-2"]


def test_a_named_model_that_may_not_be_used_is_denied() -> None:
    scene = prices(sdxl=100, flux_schnell=50)
    for denied in (
        replace(scene, forbidden=frozenset({"sdxl"})),
        replace(scene, rules=RoutingRules(denied_models=frozenset({"sdxl"}))),
        replace(scene, rules=RoutingRules(denied_providers=frozenset({"replicate"}))),
    ):
        with pytest.raises(PolicyDenied) as refusal:
            routed(builders.request("sdxl"), denied.around())
        assert refusal.value.problem_code == "model_denied"


@pytest.mark.parametrize(
    ("wishes", "rules", "code"),
    [
        (
            {"strategy": "fastest"},
            {"allowed_strategies": frozenset({"cheapest"})},
            "strategy_denied",
        ),
        ({"fallback": True}, {"fallback_allowed": False}, "fallback_denied"),
        ({"max_uplift_percent": 60}, {"uplift_percent_max": 50}, "uplift_denied"),
    ],
)
def test_a_wish_beyond_the_policy_is_denied_and_not_bent(
    wishes: dict[str, Any], rules: dict[str, Any], code: str
) -> None:
    scene = replace(EVERY, rules=RoutingRules(**rules))
    with pytest.raises(PolicyDenied) as refusal:
        routed(builders.routed("auto", **wishes), scene.around())
    assert refusal.value.problem_code == code


@pytest.mark.parametrize(
    ("model", "wishes", "code"),
    [
        ("auto", {"strategy": "pinned"}, "strategy_does_not_fit"),
        ("sdxl", {"strategy": "cheapest"}, "strategy_does_not_fit"),
        ("sdxl", {"models": ("flux-schnell",)}, "model_not_listed"),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(
    model: str, wishes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        routed(builders.routed(model, **wishes), EVERY.around())
    assert refusal.value.problem_code == code


def test_fastest_prefers_what_was_measured_and_puts_the_unknown_last() -> None:
    scene = replace(
        prices(sdxl=100, gpt_image_2=100), latencies={"azure_openai": 2.0, "replicate": 9.0}
    )
    found_route = routed(builders.routed("auto", strategy="fastest"), scene.around())
    assert [each.model for each in found_route.candidates] == ["gpt-image-2", "sdxl"]
    assert found_route.candidates[0].place_reason.startswith("about 2 s")


def test_next_after_skips_what_is_too_dear_by_now_and_the_provider_that_is_out() -> None:
    scene = prices(flux_schnell=100, sdxl=150, gpt_image_2=200)
    way = routed(builders.routed("auto"), replace(scene, rules=RoutingRules()).around())
    assert [each.amount_micros for each in way.candidates] == [100, 150, 200]
    assert way.cost_max_micros == 200
    assert way.next_after(0, 0) == 1
    assert way.next_after(0, 0, not_at="replicate") == 2
    assert way.next_after(0, 60) is None
    assert way.next_after(2, 0) is None


def test_requoting_keeps_the_order_and_leaves_out_what_costs_too_much() -> None:
    scene = prices(flux_schnell=100, sdxl=150, gpt_image_2=200)
    way = routed(builders.routed("auto"), replace(scene, rules=RoutingRules()).around())
    asked = way.candidates[0].request(builders.routed("auto"))
    dearer = prices(flux_schnell=120, sdxl=500, gpt_image_2=110)
    again = requoted(way, asked, dearer.quote)
    assert [(each.model, each.amount_micros) for each in again.candidates] == [
        ("flux-schnell", 120),
        ("gpt-image-2", 110),
    ]
    with pytest.raises(Invalid):
        requoted(way, asked, prices(sdxl=1).quote)


LONG = "word " * 76  # one more than CLIP reads


def test_auto_leaves_out_a_model_that_would_drop_the_end_of_the_prompt() -> None:
    scene = Scene({"sdxl": 1, "flux-schnell": 2})
    asked = builders.routed("auto").model_copy(update={"prompt": LONG})
    answer = route(asked, scene.around())
    assert [each.model for each in answer.candidates] == ["flux-schnell"]
    left_out = excluded_of(answer)["sdxl"]
    assert (left_out.code, "77 tokens" in left_out.reason) == ("prompt_cut", True)
    short = asked.model_copy(update={"prompt": LONG[:-5]})
    assert route(short, scene.around()).candidates[0].model == "sdxl"


def test_auto_refuses_what_no_model_reads_to_its_end() -> None:
    asked = builders.routed("auto", models=["sdxl"]).model_copy(update={"prompt": LONG})
    with pytest.raises(Invalid) as refusal:
        route(asked, Scene({"sdxl": 1}).around())
    assert refusal.value.problem_code == "no_candidate"
    assert {"prompt_cut"} < {each["code"] for each in refusal.value.extra["excluded"]}


@pytest.mark.parametrize("fallback", [False, True])
def test_named_model_serves_a_prompt_that_it_cuts_but_none_stands_in_that_cuts(
    fallback: bool,
) -> None:
    scene = Scene({"sdxl": 5, "sdxl-sovereign": 1, "flux-schnell": 2})
    asked = builders.routed("sdxl", fallback=fallback).model_copy(update={"prompt": LONG})
    answer = routed(asked, scene.around())
    names = [each.model for each in answer.candidates]
    assert names == (["sdxl", "flux-schnell"] if fallback else ["sdxl"])
