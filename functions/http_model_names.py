"""Names of models and providers in requests: a misspelt one would allow or deny nothing."""

from collections.abc import Iterable

from shared.domain.models import MODELS


def check_models(names: Iterable[str]) -> None:
    """Raise ValueError for what is no model on offer."""
    _check(names, set(MODELS), "model")


def check_providers(names: Iterable[str]) -> None:
    """Raise ValueError for what is no provider of a model on offer."""
    _check(names, {model.provider for model in MODELS.values()}, "provider")


def _check(names: Iterable[str], known: set[str], what: str) -> None:
    if set(names) - known:
        raise ValueError(f"there is no such {what}; use: {', '.join(sorted(known))}")
