"""What the privacy API shows: policies, findings of a dry run, overrides."""

from typing import Literal

from pydantic import Field

from shared.domain.identifiers import DATA_CLASSES, DataClass, Layer
from shared.domain.privacy import FINDINGS_KEPT_MAX, Verdict, masked, strictest
from shared.domain.privacy_overrides import OverrideStatus, PrivacyOverride
from shared.domain.privacy_policies import Action, EffectivePolicy, PrivacyPolicy, ResidencyMode
from shared.domain.privacy_rules import RuleKind
from shared.domain.views import View


class ResidencyView(View):
    """Where prompts may be processed."""

    mode: ResidencyMode
    regions: tuple[str, ...]


class PrivacyRuleView(View):
    """A rule of the house."""

    name: str
    kind: RuleKind
    data_class: DataClass
    pattern: str | None
    terms: tuple[str, ...]


class PrivacyPolicyView(View):
    """One owner's policy, and what holds together with the organisation's."""

    department: str = Field(description="a department, or organisation-wide")
    actions: dict[DataClass, Action] = Field(description="what this owner says")
    effective_actions: dict[DataClass, Action] = Field(
        description="the stricter of both owners' words, or the default"
    )
    rules: tuple[PrivacyRuleView, ...]
    allowed_values: tuple[str, ...]
    synonyms: dict[str, tuple[str, ...]]
    language: str | None
    confidence_percent: int | None
    residency: ResidencyView | None
    revision: int = Field(description="0 until somebody writes a policy")
    updated_at: str | None


class PrivacyFindingView(View):
    """One identifier in a text: what, where, and what happens to it; never the text itself."""

    field: str
    category: str = Field(examples=["au_tfn"])
    data_class: DataClass
    action: Action
    offset: int = Field(description="in Unicode code points of the text as it was sent")
    length: int
    layer: Layer
    rule: str | None = Field(description="the rule of the house that found it")
    override_id: str | None = None


class ScreeningView(View):
    """What the screen would do with a text; nothing was stored."""

    action: Action = Field(description="the hardest thing that happens to any finding")
    blocked: bool
    overridable: bool = Field(description="whether an override would let it pass")
    redacted_text: str
    findings: tuple[PrivacyFindingView, ...]
    policy: str = Field(description="the policy revisions that decided")


class PrivacyOverrideView(View):
    """An exception to warnings."""

    id: str
    department: str
    data_classes: tuple[DataClass, ...]
    reason: str
    user: str | None = Field(description="object id; null: everybody of the department")
    status: OverrideStatus | Literal["expired"]
    granted_by: str
    approved_by: str | None
    created_at: str
    ends_at: str


class PrivacyOverrideList(View):
    """Overrides that have not ended, newest first."""

    items: tuple[PrivacyOverrideView, ...]


def policy_view(policy: PrivacyPolicy, effective: EffectivePolicy) -> PrivacyPolicyView:
    residency = policy.residency
    return PrivacyPolicyView(
        department=policy.owner,
        actions=dict(policy.actions),
        effective_actions={name: effective.action(name) for name in DATA_CLASSES},
        rules=tuple(PrivacyRuleView(**rule.as_json()) for rule in policy.rules),
        allowed_values=policy.allowed_values,
        synonyms=dict(policy.synonyms),
        language=policy.language,
        confidence_percent=policy.confidence_percent,
        residency=ResidencyView(mode=residency.mode, regions=residency.regions)
        if residency
        else None,
        revision=policy.revision,
        updated_at=policy.updated_at or None,
    )


def screening_view(text: str, verdict: Verdict) -> ScreeningView:
    return ScreeningView(
        action=strictest(verdict.judged),
        blocked=verdict.blocked,
        overridable=verdict.blocked and verdict.overridable,
        redacted_text=masked(text, verdict.judged),
        findings=tuple(
            PrivacyFindingView(**each.as_json()) for each in verdict.judged[:FINDINGS_KEPT_MAX]
        ),
        policy=verdict.policy_version,
    )


def override_view(override: PrivacyOverride, *, expired: bool) -> PrivacyOverrideView:
    ended = override.status == "ended"
    return PrivacyOverrideView(
        id=override.override_id,
        department=override.department_id,
        data_classes=override.data_classes,
        reason=override.reason,
        user=_person(override.user_key),
        status="expired" if expired and not ended else override.status,
        granted_by=str(_person(override.granted_by)),
        approved_by=_person(override.approved_by),
        created_at=override.created_at,
        ends_at=override.ends_at,
    )


def _person(user_key: str | None) -> str | None:
    return user_key.rpartition(".")[2] if user_key else None
