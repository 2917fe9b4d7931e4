"""Which models and providers may be used: rules of a person, of their role, of the organisation.

The rules are asked from the nearest to the farthest: person, role, organisation. The first that
says anything about a model decides. Within one of them a denial wins, be it of the model or of its
provider. Where nobody says anything, the model may be used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Word = Literal["allow", "deny"]
NAMED_MAX: Final = 100  # models and providers of one set of rules; there are fewer of both


@dataclass(frozen=True)
class ModelRules:
    """What one level says; `otherwise` is for what it names neither by model nor by provider."""

    models: Mapping[str, Word] = field(default_factory=dict)
    providers: Mapping[str, Word] = field(default_factory=dict)
    otherwise: Word | None = None

    def says(self, model: str, provider: str) -> Word | None:
        """What this level decides, or None when it leaves that to the next one."""
        named = {self.models.get(model), self.providers.get(provider)}
        if "deny" in named:
            return "deny"
        return "allow" if "allow" in named else self.otherwise

    def as_json(self) -> dict[str, Any]:
        return {
            "models": dict(self.models),
            "providers": dict(self.providers),
            "otherwise": self.otherwise,
        }


NO_RULES: Final = ModelRules()


def read_model_rules(value: Mapping[str, Any] | None) -> ModelRules:
    """The rules of a stored document; none where nothing was ever said."""
    if not value:
        return NO_RULES
    return ModelRules(
        dict(value.get("models") or {}), dict(value.get("providers") or {}), value.get("otherwise")
    )


def refusal_of(levels: Iterable[tuple[str, ModelRules]], model: str, provider: str) -> str | None:
    """Why a model may not be used, or None; `levels` are named and come nearest first."""
    for name, rules in levels:
        word = rules.says(model, provider)
        if word == "deny":
            return f"The rules of {name} do not allow the model {model} of {provider}."
        if word == "allow":
            return None
    return None
