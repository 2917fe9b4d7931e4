"""Scenarios: how a test or a demo asks a simulated provider to misbehave.

A scenario comes from a tag in the prompt, `[[scenario:NAME key=value ...]]`, or from a rule posted
to `/_control/scenarios`; the tag wins. README.md lists the scenarios and their parameters.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from devhost.simulators.invoice import AZURE, AZURE_FOUNDRY, AZURE_ML, FIREFLY, REPLICATE

PROVIDERS = (AZURE, REPLICATE, FIREFLY, AZURE_FOUNDRY, AZURE_ML)
RULES_MAX = 200  # far above any test; stops a loop that forgets to clear
SECONDS_MAX = 600.0  # longer than any client timeout in use
OVERSIZED_MB_MAX = 200  # such a picture is held in memory several times

TAG = re.compile(r"\[\[scenario:([a-z0-9_]+)((?:\s+[a-z_]+=[A-Za-z0-9_.:-]+)*)\s*\]\]")
TAG_OPENING = "[[scenario:"
BLOCKED_WORDS = re.compile(r"\b(gore|beheading|dismembered|bestiality)\b", re.IGNORECASE)

CONTENT_FILTER_SHAPES = (
    "moderation_blocked",
    "contentFilter",
    "content_policy_violation",
    "innererror",
    "output_filtered",
)
MALFORMED_SHAPES = ("invalid_json", "missing_data", "empty")


class ScenarioError(ValueError):
    """A scenario that does not exist as asked; the text is a sentence for a person."""


@dataclass(frozen=True)
class ScenarioKind:
    """A scenario's providers and its parameters with their defaults."""

    providers: tuple[str, ...]
    defaults: dict[str, str] = field(default_factory=dict)


SCENARIOS: dict[str, ScenarioKind] = {
    "slow": ScenarioKind(PROVIDERS, {"seconds": "5"}),
    "rate_limited": ScenarioKind(PROVIDERS, {"retry_after_s": "1"}),
    "unauthorized": ScenarioKind(PROVIDERS),
    "outage": ScenarioKind(PROVIDERS, {"status": "503"}),
    "timeout_after_work": ScenarioKind(PROVIDERS, {"seconds": "0"}),
    "fewer_images": ScenarioKind(PROVIDERS, {"missing": "1"}),
    "malformed": ScenarioKind(PROVIDERS, {"shape": "invalid_json"}),
    "oversized": ScenarioKind(PROVIDERS, {"mb": "32"}),
    "not_an_image": ScenarioKind(PROVIDERS),
    "content_filter": ScenarioKind(PROVIDERS, {"shape": "moderation_blocked"}),
    "provider_blocked": ScenarioKind((AZURE, AZURE_FOUNDRY, AZURE_ML)),
    "timeout_408": ScenarioKind((AZURE, FIREFLY, AZURE_FOUNDRY, AZURE_ML)),
    "worst_case_auto": ScenarioKind((AZURE,)),
    # Of requests inside a batch file only; sent on their own they work as usual.
    "batch_stuck": ScenarioKind((AZURE,)),
    "batch_expires": ScenarioKind((AZURE,), {"seconds": "1"}),
    "batch_rejected": ScenarioKind((AZURE,)),
    "batch_no_line": ScenarioKind((AZURE,)),
    "insufficient_credit": ScenarioKind((REPLICATE,)),
    "nsfw": ScenarioKind((REPLICATE,)),
    "failed": ScenarioKind((REPLICATE, FIREFLY)),
    "aborted": ScenarioKind((REPLICATE,)),
    "slow_start": ScenarioKind((REPLICATE,), {"seconds": "30"}),
    "expired_url": ScenarioKind((REPLICATE, FIREFLY), {"status": "403"}),
    "wrong_output_host": ScenarioKind(
        (REPLICATE, FIREFLY, AZURE_FOUNDRY), {"host": "pictures.attacker.invalid"}
    ),
    "redirect_output": ScenarioKind((REPLICATE, FIREFLY, AZURE_FOUNDRY)),
    # Of the webhook of a run that was asked to send one; the run itself is as usual.
    "webhook_doubled": ScenarioKind((REPLICATE,)),
    "webhook_disordered": ScenarioKind((REPLICATE,)),
    "webhook_forged": ScenarioKind((REPLICATE,)),
    "webhook_late": ScenarioKind((REPLICATE,)),
    "webhook_lost": ScenarioKind((REPLICATE,)),
    "denied_words": ScenarioKind((FIREFLY,)),
    "content_451": ScenarioKind((FIREFLY,)),
    "quota_exhausted": ScenarioKind((FIREFLY,)),
    "not_entitled": ScenarioKind((FIREFLY,), {"reason": "user_non_entitled"}),
    "validation_error": ScenarioKind((FIREFLY,)),
    "too_large_413": ScenarioKind((FIREFLY,)),
    "wrong_type_415": ScenarioKind((FIREFLY,)),
    "job_timeout": ScenarioKind((FIREFLY,)),
    "wrong_job_host": ScenarioKind((FIREFLY,), {"host": "jobs.attacker.invalid"}),
    "url_answer": ScenarioKind((AZURE_FOUNDRY,)),
    "request_moderated": ScenarioKind((AZURE_FOUNDRY,)),
    "content_moderated": ScenarioKind((AZURE_FOUNDRY,)),
    "content_credentials": ScenarioKind(PROVIDERS),
    "model_error": ScenarioKind((AZURE_ML,)),
    "out_of_memory": ScenarioKind((AZURE_ML,)),
    "run_too_long": ScenarioKind((AZURE_ML,)),
    "gateway_timeout": ScenarioKind((AZURE_ML,)),
}
_NUMBER_LIMITS = {
    "seconds": (0.0, SECONDS_MAX),
    "retry_after_s": (0.0, SECONDS_MAX),
    "status": (400, 599),
    "missing": (1, 10),
    "mb": (1, OVERSIZED_MB_MAX),
}


@dataclass(frozen=True)
class Scenario:
    """A chosen scenario; every parameter it has is present and valid."""

    name: str
    params: dict[str, str]

    def number(self, param: str) -> float:
        return float(self.params[param])


NORMAL = Scenario("normal", {})


class ScenarioRule(BaseModel):
    """A rule as posted to `/_control/scenarios`; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str
    provider: str | None = None
    params: dict[str, str | int | float] = Field(default_factory=dict)
    times: int | None = Field(default=None, ge=1)
    probability: float = Field(default=1.0, ge=0, le=1)
    seed: int = 0


@dataclass
class ActiveRule:
    """A rule with its own random sequence and the count of requests it changed."""

    rule: ScenarioRule
    scenario: Scenario
    fired: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.rule.seed)

    def fires(self, provider: str) -> bool:
        if self.rule.provider not in (None, provider):
            return False
        if self.rule.times is not None and self.fired >= self.rule.times:
            return False
        if self._random.random() >= self.rule.probability:
            return False
        self.fired += 1
        return True


@dataclass
class Scenarios:
    """The active rules, oldest first; the first one that fires decides."""

    rules: list[ActiveRule] = field(default_factory=list)

    def add(self, rule: ScenarioRule) -> None:
        """Activates a rule; raises ScenarioError if it could never apply."""
        if len(self.rules) >= RULES_MAX:
            raise ScenarioError(f"There are {RULES_MAX} scenario rules already.")
        if rule.provider is not None and rule.provider not in PROVIDERS:
            raise ScenarioError(f"provider must be one of {', '.join(PROVIDERS)}.")
        params = {name: str(value) for name, value in rule.params.items()}
        scenario = make_scenario(rule.scenario, params)
        for provider in PROVIDERS if rule.provider is None else (rule.provider,):
            _require_provider(scenario, provider)
        self.rules.append(ActiveRule(rule, scenario))

    def clear(self) -> int:
        removed = len(self.rules)
        self.rules.clear()
        return removed

    def as_json(self) -> list[dict[str, Any]]:
        return [{**item.rule.model_dump(), "fired": item.fired} for item in self.rules]

    def choose(self, provider: str, prompt: str, submission: int) -> Scenario:
        """Picks the scenario of the `submission`-th request with this prompt (first is 1).

        Raises ScenarioError for a tag that cannot be obeyed.
        """
        tagged = _tagged_scenario(provider, prompt, submission)
        if tagged is not None:
            return tagged
        for item in self.rules:
            if item.fires(provider):
                return item.scenario
        if BLOCKED_WORDS.search(prompt) is not None:
            return make_scenario("content_filter", {})
        return NORMAL


def make_scenario(name: str, params: dict[str, str]) -> Scenario:
    """Checks name and parameters and fills in the defaults; raises ScenarioError."""
    kind = SCENARIOS.get(name)
    if kind is None:
        raise ScenarioError(f"There is no scenario {name}; known: {', '.join(sorted(SCENARIOS))}.")
    unknown = sorted(set(params) - set(kind.defaults))
    if unknown:
        raise ScenarioError(f"The scenario {name} has no parameter {', '.join(unknown)}.")
    for param, value in params.items():
        _check_param(name, param, value)
    return Scenario(name, {**kind.defaults, **params})


def _tagged_scenario(provider: str, prompt: str, submission: int) -> Scenario | None:
    tag = TAG.search(prompt)
    if tag is None:
        if TAG_OPENING in prompt:
            raise ScenarioError("The scenario tag is not of the form [[scenario:NAME key=value]].")
        return None
    params = dict(pair.split("=", 1) for pair in tag.group(2).split())
    only_provider = params.pop("provider", provider)
    times = params.pop("times", None)
    if only_provider not in PROVIDERS:
        raise ScenarioError(f"provider must be one of {', '.join(PROVIDERS)}.")
    if times is not None and not times.isdecimal():
        raise ScenarioError("times must be a whole number.")
    scenario = make_scenario(tag.group(1), params)
    if only_provider != provider or (times is not None and submission > int(times)):
        return NORMAL
    _require_provider(scenario, provider)
    return scenario


def _require_provider(scenario: Scenario, provider: str) -> None:
    providers = SCENARIOS[scenario.name].providers
    if provider not in providers:
        raise ScenarioError(
            f"{provider} has no scenario {scenario.name}; limit it with provider={providers[0]}."
        )


def _check_param(name: str, param: str, value: str) -> None:
    if param == "shape":
        shapes = CONTENT_FILTER_SHAPES if name == "content_filter" else MALFORMED_SHAPES
        if value not in shapes:
            raise ScenarioError(f"shape must be one of {', '.join(shapes)}.")
        return
    if param not in _NUMBER_LIMITS:
        return
    low, high = _NUMBER_LIMITS[param]
    try:
        number = float(value)
    except ValueError:
        raise ScenarioError(f"{param} must be a number.") from None
    if not low <= number <= high:
        raise ScenarioError(f"{param} must be between {low:g} and {high:g}.")
