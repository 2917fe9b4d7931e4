"""The privacy screen: no text leaves before every layer has looked at it and the policy allows it.

The local layer looks first. What it stops goes no further, not even to the second layer; what it
masks is masked there, too. A layer that cannot answer stops the text.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.generations import GenerationRequest
from shared.domain.identifiers import Finding, merged
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Role
from shared.domain.ids import operation_of
from shared.domain.ledger import partition_for
from shared.domain.privacy import (
    DetectionTerms,
    Verdict,
    audit_texts,
    masked,
)
from shared.domain.privacy_overrides import PrivacyOverride
from shared.domain.privacy_policies import EffectivePolicy, PrivacyPolicy
from shared.domain.privacy_rules import check_rules, without_allowed
from shared.domain.privacy_views import ScreeningView, screening_view
from shared.errors import (
    PolicyDenied,
    PrivacyScreenUnavailable,
    Rejected,
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

    async def preview(
        self, caller: Caller, text: str, draft: PrivacyPolicy | None
    ) -> ScreeningView:
        """What would happen to a text, under the policy that holds or a draft of it."""
        policy = await self.watch.effective(caller.tenant_id, caller.department_id)
        if draft is not None:
            if caller.role < Role.DEPT_MANAGER:
                raise PolicyDenied("Only managers and administrators try drafts.")
            check_rules(draft.rules)
            policy = EffectivePolicy(draft, policy.organisation)
        who = Requester.of(caller, "preview", "preview")
        verdict = (await self.verdicts(who, policy, [{"text": text}]))[0]
        if isinstance(verdict, str):
            raise unavailable("language", verdict)
        return screening_view(text, verdict)

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
        found: dict[str, tuple[Finding, ...]] = {
            text: () for texts in requests for text in texts.values()
        }
        failures: dict[str, str] = {}
        overrides: Sequence[PrivacyOverride] = ()
        for detector in self.detectors:
            open_texts = self._sendable(found, policy, who, overrides)
            detections = await self._detections(detector, list(open_texts.values()), terms)
            for text, detection in zip(open_texts, detections, strict=True):
                if detection.failure:
                    failures[text] = detection.failure
                findings = merged([*found[text], *detection.findings])
                found[text] = without_allowed(text, findings, policy.allowed_values)
            overrides = overrides or await self._overrides(who, policy, found)
        return [
            self._verdict(texts, found, failures, policy, who, overrides) for texts in requests
        ]

    async def note(self, who: Requester, screened: ScreenedRequest) -> None:
        """Leave an audit event of a refusal: categories, places and keyed hashes, no text."""
        refusal, verdict = screened.refusal, screened.verdict
        if refusal is None:
            return
        details: dict[str, str | int | bool | None] = {"model": screened.request.model}
        if verdict is not None:
            words = audit_texts([each for each in verdict.judged if each.stops])
            stopped = sum(each.stops for each in verdict.judged)
            details |= {"policy": verdict.policy_version, "findings": words[0], "count": stopped}
        if isinstance(refusal, PrivacyScreenUnavailable):
            details |= {name: str(value) for name, value in refusal.extra.items()}
        await self.note_event(who, "denied", "denied", refusal.problem_code, details)

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

    def _sendable(
        self,
        found: Mapping[str, tuple[Finding, ...]],
        policy: EffectivePolicy,
        who: Requester,
        overrides: Sequence[PrivacyOverride],
    ) -> dict[str, str]:
        """The texts that the next layer may see, each with its masked form."""
        sendable = {}
        for text, findings in found.items():
            judged = self._judged("", text, findings, policy, who, overrides)
            if not any(each.stops for each in judged):
                sendable[text] = masked(text, judged)
        return sendable

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

    async def _overrides(
        self,
        who: Requester,
        policy: EffectivePolicy,
        found: Mapping[str, tuple[Finding, ...]],
    ) -> Sequence[PrivacyOverride]:
        """The department's overrides, if there is a warning to be passed."""
        classes = {finding.data_class for findings in found.values() for finding in findings}
        if all(policy.action(data_class) != "warn" for data_class in classes):
            return ()
        return await self.store.overrides(who.department_id, self.clock.now().isoformat())

    def _judged(
        self,
        name: str,
        text: str,
        findings: Sequence[Finding],
        policy: EffectivePolicy,
        who: Requester,
        overrides: Sequence[PrivacyOverride],
    ) -> tuple[Judged, ...]:
        return judged_text(
            name,
            text,
            findings,
            policy,
            overrides,
            user_key=who.user_key,
            now=self.clock.now(),
            key=self.key,
        )

    def _verdict(
        self,
        texts: Mapping[str, str],
        found: Mapping[str, tuple[Finding, ...]],
        failures: Mapping[str, str],
        policy: EffectivePolicy,
        who: Requester,
        overrides: Sequence[PrivacyOverride],
    ) -> Verdict | str:
        """What may leave of one request; the failure of a layer that could not read it."""
        judged: list[Judged] = []
        sendable: dict[str, str] = {}
        failure = None
        for name, text in texts.items():
            of_text = self._judged(name, text, found[text], policy, who, overrides)
            judged += of_text
            sendable[name] = masked(text, of_text)
            failure = failure or failures.get(text)
        verdict = Verdict(sendable, tuple(judged), policy.version)
        return failure if failure and not verdict.blocked else verdict


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
