"""The list of models that OpenAI's clients get: what the caller may ask for by name, no more."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.identity import Caller
from shared.domain.models import MODELS
from shared.domain.routing_policies import RoutingRules
from shared.errors import NotFound
from shared.services.openai_images import OpenAIImages
from shared.services.routing import Routing
from shared.services.routing_policies import RoutingWatch
from tests.builders import catalogues
from tests.unit.test_estimates import AVA, Bench

UNUSED: Any = None  # the pipeline, which lists nothing


class GivenRules(RoutingWatch):
    """A policy that never changes."""

    def __init__(self, rules: RoutingRules) -> None:
        self._rules = rules

    async def rules(self, tenant_id: str, department_id: str) -> RoutingRules:
        return self._rules


def endpoint(**looks: Any) -> OpenAIImages:
    estimates = replace(Bench().estimates, routing=Routing(catalogues(), **looks))
    return OpenAIImages(UNUSED, UNUSED, estimates, UNUSED)


async def listed(made: OpenAIImages, caller: Caller = AVA) -> set[str]:
    return {each.id for each in (await made.models(caller)).data}


async def test_model_that_is_off_or_of_a_provider_that_is_not_set_up_is_not_listed() -> None:
    made = endpoint(configured=frozenset({"azure_openai"}), off=frozenset({"gpt-image-1-mini"}))
    shown = await listed(made)
    assert "gpt-image-2" in shown and "gpt-image-1-mini" not in shown
    assert {MODELS[model].provider for model in shown} == {"azure_openai"}
    for name in ("gpt-image-1-mini", "sdxl", "dall-e-3"):
        with pytest.raises(NotFound):
            await made.model(AVA, name)


async def test_model_that_a_policy_denies_the_department_is_not_listed() -> None:
    rules = RoutingRules(
        denied_models=frozenset({"sdxl"}), denied_providers=frozenset({"azure_openai"})
    )
    everything = await listed(endpoint())
    shown = await listed(endpoint(policies=GivenRules(rules)))
    denied = {name for name in everything if MODELS[name].provider == "azure_openai"} | {"sdxl"}
    assert shown == everything - denied and denied


async def test_model_that_this_person_may_not_use_is_not_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refusal(caller: Caller, model: str, provider: str) -> str | None:
        return "not for you" if model == "flux-schnell" else None

    everything = await listed(endpoint())
    monkeypatch.setattr(Caller, "model_refusal", refusal)
    assert await listed(endpoint()) == everything - {"flux-schnell"}
