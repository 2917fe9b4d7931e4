"""The image models on offer and what each can do: data, not branches."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from shared.domain.capabilities import ModelCapability, RetiredModel
from shared.domain.models_adobe_firefly import ADOBE_FIREFLY_MODELS
from shared.domain.models_azure_foundry import AZURE_FOUNDRY_MODELS
from shared.domain.models_azure_ml import AZURE_ML_MODELS
from shared.domain.models_azure_openai import AZURE_OPENAI_MODELS, AZURE_OPENAI_RETIRED
from shared.domain.models_replicate import REPLICATE_MODELS
from shared.errors import FieldFault, Invalid

DEPRECATION_NOTICE_DAYS = 90  # how long before its end a model is announced as ending

MODELS: Final[Mapping[str, ModelCapability]] = MappingProxyType(
    {
        each.model: each
        for each in (
            *AZURE_OPENAI_MODELS,
            *REPLICATE_MODELS,
            *ADOBE_FIREFLY_MODELS,
            *AZURE_FOUNDRY_MODELS,
            *AZURE_ML_MODELS,
        )
    }
)
RETIRED_MODELS: Final[Mapping[str, RetiredModel]] = MappingProxyType(
    {each.model: each for each in AZURE_OPENAI_RETIRED}
)


def unknown_model(model: str) -> Invalid:
    """The refusal of a model that is not on offer; one that ends names its successor."""
    retired = RETIRED_MODELS.get(model)
    if retired is not None:
        return _model_retired(retired.model, retired.retired_on, retired.successor)
    known = ", ".join(sorted(MODELS))
    return Invalid(
        f"The model is not on offer. Choose one of: {known}.",
        code="unknown_model",
        faults=[FieldFault("/model", f"use one of: {known}")],
    )


def retirement_refusal(model: ModelCapability, day: date) -> Invalid | None:
    """The refusal of a model from the day of its retirement on; None before."""
    days_left = days_to_retirement(model, day)
    if model.retires_on is None or days_left is None or days_left > 0:
        return None
    return _model_retired(model.model, model.retires_on, model.successor)


def days_to_retirement(model: ModelCapability, day: date) -> int | None:
    """Days until a model is refused; None if no date is known."""
    if model.retires_on is None:
        return None
    return (date.fromisoformat(model.retires_on) - day).days


def _model_retired(model: str, retired_on: str, successor: str | None) -> Invalid:
    advice = f"use {successor}" if successor else "choose another model: no successor is named"
    return Invalid(
        f"The model {model} is not on offer: it is retired from {retired_on} on; {advice}.",
        code="model_retired",
        faults=[FieldFault("/model", advice)],
        extra={"model": model, "retired_on": retired_on, "successor": successor},
    )
