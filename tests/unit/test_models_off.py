"""Models that nobody has deployed: never chosen, and refused by name with that reason."""

from dataclasses import replace

import pytest

from devhost.local_settings import setting_values
from devhost.ports import Ports
from shared.domain.models import MODELS
from shared.domain.routing import route
from shared.errors import Invalid, InvariantBroken
from shared.services.routing import Routing
from shared.settings import Settings, load_settings
from shared.wiring.providing import Providing
from tests import builders
from tests.unit.test_routing import EVERY

OFF = "gpt-image-1-mini"


def settings(**values: str) -> Settings:
    return load_settings(setting_values(Ports()) | values)


def test_model_that_is_off_is_excluded_and_another_takes_its_place() -> None:
    around = replace(EVERY.around(), off=frozenset({OFF}))
    found = route(builders.routed("auto"), around, 0)
    assert OFF not in [each.model for each in found.candidates]
    (excluded,) = (each for each in found.excluded if each.model == OFF)
    assert excluded.code == "not_configured"


def test_model_that_is_off_is_refused_by_name() -> None:
    around = replace(EVERY.around(), off=frozenset({OFF}))
    with pytest.raises(Invalid) as refusal:
        route(builders.routed(OFF), around, 0)
    assert {"model": OFF, "code": "not_configured"}.items() <= refusal.value.extra["excluded"][
        0
    ].items()


def test_model_that_is_off_is_not_listed_as_on_offer() -> None:
    routing = Routing(builders.catalogues(), frozenset({"azure_openai"}), frozenset({OFF}))
    assert routing.offers(MODELS["gpt-image-2"])
    assert not routing.offers(MODELS[OFF])
    assert not routing.offers(MODELS["sdxl"])


def test_models_that_bicep_does_not_deploy_are_off_unless_a_setting_says_otherwise() -> None:
    values = setting_values(Ports())
    assert Providing(load_settings(values)).models_off == frozenset()
    del values["EIG_MODELS_OFF"]
    off = Providing(load_settings(values)).models_off
    assert {MODELS[model].provider for model in off} == {"azure_openai"}
    assert "gpt-image-2" not in off


def test_setting_that_names_no_model_is_a_broken_invariant() -> None:
    with pytest.raises(InvariantBroken):
        _ = Providing(settings(EIG_MODELS_OFF="gpt-image-99")).models_off


@pytest.mark.parametrize(
    "values",
    [
        {"EIG_ADOBE_FIREFLY_CLIENT_SECRET": ""},
        {"EIG_REPLICATE_WAIT_S": "61"},
        {"EIG_AZURE_OPENAI_ROUTE": "v2"},
    ],
)
def test_settings_of_providers_that_do_not_fit_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvariantBroken):
        settings(**values)


def test_firefly_is_on_offer_where_its_credentials_are() -> None:
    assert "adobe_firefly" in Providing(settings()).providers
    without = settings(EIG_ADOBE_FIREFLY_CLIENT_ID="", EIG_ADOBE_FIREFLY_CLIENT_SECRET="")
    assert "adobe_firefly" not in Providing(without).providers
