"""The privacy screen: no text leaves before every layer has looked at it and the policy allows it.

The local layer looks first. What it stops goes no further, not even to the second layer; what it
masks is masked there, too. A layer that cannot answer stops the text.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.generations import GenerationRequest
from shared.domain.identifiers import Finding, merged
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ids import operation_of
from shared.domain.ledger import partition_for
from shared.domain.models import MODELS
from shared.domain.privacy import (
    FINDINGS_KEPT_MAX,
    Detection,
    DetectionTerms,
    Judge,
    Judged,
    Verdict,
    audit_texts,
    keyed_hash,
)
from shared.domain.privacy_joints import crossing, joined
from shared.domain.privacy_policies import EffectivePolicy
from shared.domain.privacy_rules import without_allowed
from shared.errors import (
    EigError,
    FieldFault,
    PrivacyBlocked,
    PrivacyScreenUnavailable,
    Rejected,
    ResidencyDenied,
)
from shared.ports import Clock, Ledger
from shared.ports.privacy import PrivacyDetector, PrivacyStore
from shared.services.privacy_policies import PolicyWatch

SCREENED_FIELDS = ("prompt", "negative_prompt")
RETRY_AFTER_S = 5

logger = logging.getLogger("eig.privacy")


@dataclass(frozen=True)
class Requester:
    """Whose text is screened, and under which operation it is audited."""

    tenant_id: str
    department_id: str
    user_key: str
    actor_role: str
    operation_id: str
    correlation_id: str

    @classmethod
    def of(cls, caller: Caller, generation_id: str, correlation_id: str) -> "Requester":
        return cls(
            tenant_id=caller.tenant_id,
            department_id=caller.department_id,
            user_key=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            operation_id=operation_of(generation_id),
            correlation_id=correlation_id,
        )


@dataclass(frozen=True)
class ScreenedRequest:
    """A request as it may leave, or why it may not; `verdict` is None if nobody could say."""

    request: GenerationRequest
    verdict: Verdict | None = None
    refusal: Rejected | PrivacyScreenUnavailable | None = None

    @property
    def policy_version(self) -> str | None:
        """The revisions by which it was decided."""
        return self.verdict.policy_version if self.verdict else None

    @property
    def kept(self) -> dict[str, Any] | None:
        """What the generation's record says of the screen."""
        return self.verdict.as_json() if self.verdict else None


@dataclass(frozen=True)
class PrivacyScreen:
    """Looks at texts in layers and lets the policy decide."""

    detectors: Sequence[PrivacyDetector]  # in the order in which they look
    watch: PolicyWatch
    store: PrivacyStore
    ledger: Ledger
    clock: Clock
    key: bytes = field(repr=False)

    async def screen(self, who: Requester, request: GenerationRequest) -> ScreenedRequest:
        """One request before its money is reserved; a refusal is the caller's to note and raise."""
        policy = await self.watch.effective(who.tenant_id, who.department_id)
        denied = residency_refusal(policy, request.model)
        if denied is not None:
            return ScreenedRequest(request, refusal=denied)
        texts = texts_of(request)
        try:
            verdict = (await self.verdicts(who, policy, [texts]))[0]
        except PrivacyScreenUnavailable as failure:
            return ScreenedRequest(request, refusal=failure)
        if isinstance(verdict, str):
            return ScreenedRequest(request, refusal=unavailable("language", verdict))
        refusal = _blocked(verdict) if verdict.blocked else None
        return ScreenedRequest(with_texts(request, verdict), verdict, refusal)

    async def verdicts(
        self,
        who: Requester,
        policy: EffectivePolicy,
        requests: Sequence[Mapping[str, str]],
        *,
        patient: bool = False,
    ) -> list[Verdict | str]:
        """What may leave of each request (its texts by field), or why a layer could not read it.

        Raises PrivacyScreenUnavailable if a layer could not look at all.
        """
        terms = DetectionTerms(policy, patient)
        judge = Judge(policy, who.user_key, self.clock.now(), self.key)
        found: dict[str, tuple[Finding, ...]] = {
            text: () for texts in requests for text in texts.values()
        }
        failures: dict[str, str] = {}
        for detector in self.detectors:
            # What was stopped goes no further, and what was covered goes covered.
            shown = {text: judge.sendable(text, findings) for text, findings in found.items()}
            sent = {text: plain for text, plain in shown.items() if plain is not None}
            detections = await self._detections(detector, list(sent.values()), terms)
            for text, detection in zip(sent, detections, strict=True):
                if detection.failure:
                    failures[text] = detection.failure
                findings = merged([*found[text], *detection.findings])
                found[text] = without_allowed(text, findings, policy.allowed_values)
            judge = await self._with_overrides(judge, who, found)
        split = await self._split(requests, terms)
        judge = await self._with_overrides(judge, who, {"": [f for each in split for f in each]})
        return [
            _outcome(judge, texts, found, failures, crossing(texts, across))
            for texts, across in zip(requests, split, strict=True)
        ]

    async def _split(
        self, requests: Sequence[Mapping[str, str]], terms: DetectionTerms
    ) -> list[Sequence[Finding]]:
        """What the first layer finds in each request if all its fields are read as one text."""
        whole = {n: text for n, texts in enumerate(requests) if (text := joined(texts))}
        detections = await self._detections(self.detectors[0], list(whole.values()), terms)
        found = dict(zip(whole, detections, strict=True))
        return [found[n].findings if n in found else () for n in range(len(requests))]

    async def note(self, who: Requester, screened: ScreenedRequest) -> None:
        """Leave an audit event of a refusal, or of what was found in a request that may leave:
        categories, places and keyed hashes, no text."""
        refusal, verdict = screened.refusal, screened.verdict
        details: dict[str, str | int | bool | None] = {"model": screened.request.model}
        if verdict is not None and verdict.noted:
            words = audit_texts(verdict.noted)[0]
            count = len(verdict.noted)
            details |= {"policy_version": verdict.policy_version, "findings": words, "count": count}
        if isinstance(refusal, PrivacyScreenUnavailable):
            details |= {name: str(value) for name, value in refusal.extra.items()}
        if refusal is not None:
            await self.note_event(who, "denied", "denied", refusal.problem_code, details)
        elif verdict is not None and verdict.noted:
            await self.note_event(who, "screened", "success", None, details)

    def keyed_texts(self, request: GenerationRequest) -> dict[str, str]:
        """A keyed hash of each text of a request, by field."""
        return {name: keyed_hash(self.key, text) for name, text in texts_of(request).items()}

    async def note_event(
        self,
        who: Requester,
        verb: str,
        outcome: Outcome,
        reason: str | None,
        details: Mapping[str, str | int | bool | None],
    ) -> None:
        """Leave an audit event with the operation that was screened."""
        event = AuditEvent(
            action=f"privacy.{verb}.{self.clock.new_id()}",
            object_id=who.operation_id,
            actor=who.user_key,
            actor_role=who.actor_role,
            outcome=outcome,
            occurred_at=self.clock.now().isoformat(),
            correlation_id=who.correlation_id,
            reason=reason,
            details=details,
        )
        await self.ledger.note_event(partition_for(who.operation_id), event)

    async def _detections(
        self, detector: PrivacyDetector, texts: Sequence[str], terms: DetectionTerms
    ) -> Sequence[Detection]:
        """What a layer says; whatever goes wrong inside it means that it cannot answer."""
        try:
            detections = await detector.detect(texts, terms) if texts else ()
        except EigError:
            raise
        except Exception as error:
            logger.exception("a layer of the privacy screen failed")
            raise unavailable(detector.layer, type(error).__name__) from None
        if len(detections) != len(texts):
            raise unavailable(detector.layer, "malformed")
        return detections

    async def _with_overrides(
        self, judge: Judge, who: Requester, found: Mapping[str, Sequence[Finding]]
    ) -> Judge:
        """The same with the department's overrides, if there is a warning to be passed."""
        classes = {finding.data_class for findings in found.values() for finding in findings}
        if judge.overrides or all(judge.policy.action(each) != "warn" for each in classes):
            return judge
        overrides = await self.store.overrides(who.department_id, judge.now.isoformat())
        return replace(judge, overrides=overrides)


def _outcome(
    judge: Judge,
    texts: Mapping[str, str],
    found: Mapping[str, Sequence[Finding]],
    failures: Mapping[str, str],
    across: Mapping[str, Sequence[Finding]],
) -> Verdict | str:
    """What may leave of a request; why a layer could not read it, unless it is stopped anyway.

    `across` are the parts, by field, of what stands in several of them.
    """
    parts = {text: list(found[text]) for text in texts.values()}
    for name, text in texts.items():
        parts[text] += across[name]
    verdict = judge.verdict(texts, {text: merged(each) for text, each in parts.items()})
    unread = next((failures[text] for text in texts.values() if text in failures), None)
    return unread if unread and not verdict.blocked else verdict


def texts_of(request: GenerationRequest) -> dict[str, str]:
    """Every text of a request that a person wrote, by field."""
    fields = {name: getattr(request, name) for name in SCREENED_FIELDS}
    return {name: text for name, text in fields.items() if text is not None}


def with_texts(request: GenerationRequest, verdict: Verdict) -> GenerationRequest:
    """The request as it may leave."""
    return request.model_copy(update=dict(verdict.texts))


def residency_refusal(policy: EffectivePolicy, model: str) -> ResidencyDenied | None:
    """Why prompts of a department may not go to a model; None if they may."""
    capability = MODELS.get(model)
    if capability is None or policy.allows_model_in(capability.regions):
        return None
    return ResidencyDenied(
        f"Prompts of this department may not be processed where {model} runs.",
        faults=[FieldFault("/model", "choose a model that runs where your prompts may go")],
        extra={"model": model, "residency": capability.residency},
    )


def unavailable(layer: str, cause: str) -> PrivacyScreenUnavailable:
    """The refusal of a text that a layer could not look at."""
    return PrivacyScreenUnavailable(
        "The privacy screen could not look at the text, so it was not sent. Try again.",
        retry_after_s=RETRY_AFTER_S,
        extra={"layer": layer, "cause": cause},
    )


def _blocked(verdict: Verdict) -> PrivacyBlocked:
    stopping = [each for each in verdict.judged if each.stops]
    remedy = (
        "Leave them out, or ask a manager for an override."
        if verdict.overridable
        else "Leave them out."
    )
    return PrivacyBlocked(
        f"The text holds data that may not leave. {remedy}",
        faults=[FieldFault(f"/{each.field}", where(each)) for each in stopping],
        extra={
            "overridable": verdict.overridable,
            "findings": [each.as_json() for each in stopping[:FINDINGS_KEPT_MAX]],
        },
    )


def where(judged: Judged) -> str:
    """What was found and where, for a person."""
    found = judged.finding
    return f"{found.category} at {found.start}, {found.end - found.start} characters"
