"""Settings of limits: figures by name, and what the capability rows say beside them."""

import json
from pathlib import Path

import pytest

from shared.domain.models import MODELS
from shared.errors import InvariantBroken
from shared.settings import Settings, load_settings
from shared.wiring import Services

EXAMPLE = Path(__file__).parents[2] / "local.settings.json.example"
FIGURES = "EIG_MODEL_STARTS_PER_MINUTE"


def settings(**changes: str) -> Settings:
    values: dict[str, str] = json.loads(EXAMPLE.read_text("utf-8"))["Values"]
    return load_settings({k: v for k, v in values.items() if "STARTS_PER" not in k} | changes)


def test_figures_are_read_by_name() -> None:
    found = settings(**{FIGURES: "flux-2-pro=15, gpt-image-2=6"}).model_starts_per_minute
    assert found == {"flux-2-pro": 15, "gpt-image-2": 6}
    assert settings().model_starts_per_minute == {}


@pytest.mark.parametrize("value", ["flux-2-pro", "flux-2-pro=0", "flux-2-pro=-1", "=5", "a=b"])
def test_figures_that_are_none_are_refused_by_name(value: str) -> None:
    with pytest.raises(InvariantBroken, match=FIGURES):
        settings(**{FIGURES: value})


def test_defaults_ask_no_provider_for_more_than_its_rows_allow() -> None:
    limits = Services(settings()).provider_limits
    for row in MODELS.values():
        limit = limits.get(row.provider)
        if limit is not None and row.starts_per_minute is not None:
            assert limit.starts_per_minute <= row.starts_per_minute, row.model
        if limit is not None and row.starts_per_day is not None:
            assert limit.starts_per_day is not None, row.model
            assert limit.starts_per_day <= row.starts_per_day, row.model


def test_azure_openai_is_asked_for_no_more_than_a_fresh_deployment_has_by_default() -> None:
    documented = 5  # pictures a minute, in Microsoft's guide to the GPT image models
    assert Services(settings()).provider_limits["azure_openai"].starts_per_minute <= documented


def test_every_provider_on_offer_has_limits() -> None:
    made = Services(settings())
    assert set(made.provider_limits) == set(made.providers)
