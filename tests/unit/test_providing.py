"""Which providers are on offer, by the settings."""

import pytest

from devhost.local_settings import setting_values
from devhost.ports import Ports
from shared.services.moderated_provider import ModeratedProvider
from shared.settings import load_settings
from shared.wiring.providing import Providing

GUARDED = {"azure_foundry", "azure_ml"}


def offered(**changes: str) -> set[str]:
    """The providers of the local cloud, with some settings changed."""
    return set(Providing(load_settings({**setting_values(Ports()), **changes})).providers)


def test_guarded_providers_stand_behind_content_safety() -> None:
    providers = Providing(load_settings(setting_values(Ports()))).providers
    behind = {name for name, each in providers.items() if isinstance(each, ModeratedProvider)}
    assert behind == GUARDED
    assert {name: each.name for name, each in providers.items()} == {n: n for n in providers}


def test_guarded_providers_are_not_on_offer_without_content_safety() -> None:
    assert offered() - offered(EIG_CONTENT_SAFETY_ENDPOINT="") == GUARDED


@pytest.mark.parametrize(
    ("setting", "provider"),
    [
        ("EIG_AZURE_FOUNDRY_ENDPOINT", "azure_foundry"),
        ("EIG_AZURE_ML_SCORING_URL", "azure_ml"),
    ],
)
def test_provider_without_an_address_is_not_on_offer(setting: str, provider: str) -> None:
    assert offered() - offered(**{setting: ""}) == {provider}


@pytest.mark.parametrize("text", ["violence", "violence=9", "anger=2"])
def test_thresholds_that_mean_nothing_stop_the_start(text: str) -> None:
    with pytest.raises(Exception, match="EIG_CONTENT_SAFETY_REFUSED_FROM"):
        offered(EIG_CONTENT_SAFETY_REFUSED_FROM=text)


def test_thresholds_of_the_settings_are_those_that_judge() -> None:
    settings = load_settings(
        {**setting_values(Ports()), "EIG_CONTENT_SAFETY_REFUSED_FROM": "violence=6 hate=off"}
    )
    provider = Providing(settings).providers["azure_ml"]
    assert isinstance(provider, ModeratedProvider)
    assert provider.thresholds.refused_from["violence"] == 6
