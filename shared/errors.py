"""The whole error tree; every leaf has a stable code, an HTTP status and says if a retry can help.

    EigError
    ├── Rejected                    the caller must change something; never retried, logged at info
    │   ├── ScimRefused             400  scim: the protocol has a word of its own for it
    │   ├── Unauthenticated         401  unauthenticated
    │   │   └── InsufficientClaims  401  insufficient_claims: a challenge for the client to answer
    │   ├── BudgetExceeded          402  budget_exceeded
    │   ├── PolicyDenied            403  policy_denied
    │   │   ├── StepUpRequired      403  step_up_required: a stronger or fresher sign-in is needed
    │   │   └── ResidencyDenied     403  residency_denied: a model runs where prompts may not go
    │   ├── NotFound                404  not_found
    │   ├── MethodNotAllowed        405  method_not_allowed: the address takes other ones
    │   ├── NotAcceptable           406  not_acceptable: the answer is in no form that Accept names
    │   ├── Conflict                409  conflict (or a narrower code)
    │   │   ├── AllocationTooSmall  409  allocation_too_small: the organisation gave less than that
    │   │   ├── ImageArchived       409  image_archived: rehydrate it before it can be read
    │   │   ├── PeriodNotOpen       409  period_not_open: the budgets of a period do not exist yet
    │   │   └── PeriodClosed        409  period_closed: its statement is issued, or about to be
    │   ├── PreconditionFailed      412  precondition_failed: it was changed since it was read
    │   ├── PayloadTooLarge         413  payload_too_large
    │   ├── UnsupportedMediaType    415  unsupported_media_type
    │   ├── Invalid                 422  invalid (or a narrower code)
    │   ├── PrivacyBlocked          422  privacy_blocked: names categories and offsets
    │   ├── IdempotencyKeyReused    422  idempotency_key_reused
    │   ├── Frozen                  423  frozen: a freeze stops new spending
    │   ├── PreconditionRequired    428  precondition_required: send If-Match or If-None-Match
    │   ├── RateLimited             429  rate_limited: a limit of the person or the department
    │   └── HeadersTooLarge         431  headers_too_large
    ├── Unavailable                 503  unavailable: a system we need did not answer; retryable
    │   └── PrivacyScreenUnavailable 503 privacy_screen_unavailable: nothing leaves unscreened
    └── InvariantBroken             500  invariant_broken: a promise of ours does not hold; page ops

What a provider answers is not an exception: see `shared/domain/attempts.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldFault:
    """One field at fault: a JSON-pointer-like path, what is wrong, and how to mend it."""

    field: str
    message: str

    def as_json(self) -> dict[str, str]:
        return {"field": self.field, "message": self.message}


class EigError(Exception):
    """Root of every error this product raises on purpose."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        faults: Sequence[FieldFault] = (),
        retry_after_s: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """`detail` is shown to the caller: no prompt, token, secret or foreign error text in it."""
        super().__init__(detail)
        self.detail = detail
        self.problem_code = code or self.code
        self.faults = tuple(faults)
        self.retry_after_s = retry_after_s
        self.extra = dict(extra or {})

    @property
    def may_be_repeated(self) -> bool:
        """Whether the same request may succeed later: always so, or when we say from when on."""
        return self.retryable or self.retry_after_s is not None


class Rejected(EigError):
    """The request cannot be carried out as it is."""

    code = "rejected"
    status = 400
    title = "The request was rejected"


class ScimRefused(Rejected):
    """A provisioning request that is not as SCIM has it (RFC 7644, 3.12)."""

    code = "scim"

    def __init__(self, scim_type: str, detail: str) -> None:
        super().__init__(detail)
        self.scim_type = scim_type


class Unauthenticated(Rejected):
    """No valid access token came with the request."""

    code = "unauthenticated"
    status = 401
    title = "A valid access token is needed"
    challenge = 'Bearer error="invalid_token"'  # the header WWW-Authenticate


class InsufficientClaims(Unauthenticated):
    """The token is right but shows too little; the client can fetch one that shows more."""

    code = "insufficient_claims"
    title = "A stronger or fresher sign-in is needed"

    def __init__(self, detail: str, *, authorization_uri: str, claims: str) -> None:
        """`claims` is the base64 of a claims request; both end up in a header."""
        super().__init__(detail)
        self.challenge = (
            f'Bearer realm="", authorization_uri="{authorization_uri}",'
            f' error="insufficient_claims", claims="{claims}"'
        )


class BudgetExceeded(Rejected):
    """A hard budget has less left than the request may cost."""

    code = "budget_exceeded"
    status = 402
    title = "The budget does not cover this request"


class PolicyDenied(Rejected):
    """The caller is known but may not do this."""

    code = "policy_denied"
    status = 403
    title = "Not allowed"


class StepUpRequired(PolicyDenied):
    """A sensitive request, and the caller's sign-in is too weak or too old for it."""

    code = "step_up_required"
    title = "A stronger or fresher sign-in is needed"


class ResidencyDenied(PolicyDenied):
    """A model would process the prompt where the department's prompts may not go."""

    code = "residency_denied"
    title = "The prompt may not go where this model runs"


class NotFound(Rejected):
    """Nothing with this id that the caller may know of."""

    code = "not_found"
    status = 404
    title = "Not found"


class MethodNotAllowed(Rejected):
    """The address is one of ours, but not for this method."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class NotAcceptable(Rejected):
    """What would be answered is in no form that the request accepts."""

    code = "not_acceptable"
    status = 406
    title = "Not acceptable"


class Conflict(Rejected):
    """The current state does not allow the request."""

    code = "conflict"
    status = 409
    title = "The current state does not allow this"


class PeriodNotOpen(Conflict):
    """A budget document of the period does not exist yet; opening the period creates it."""

    code = "period_not_open"
    title = "The budget period is not open"


class AllocationTooSmall(Conflict):
    """A department's limit would pass what the organisation allocated to it."""

    code = "allocation_too_small"
    title = "The organisation's allocation does not cover this"


class ImageArchived(Conflict):
    """The bytes of a picture are in the archive tier, or on their way back from it."""

    code = "image_archived"
    title = "The picture is in the archive"


class PeriodClosed(Conflict):
    """A period whose statement is issued takes no entries; corrections go to the present one."""

    code = "period_closed"
    title = "The budget period is closed"


class PreconditionFailed(Rejected):
    """What was to be changed is no longer what the caller had read."""

    code = "precondition_failed"
    status = 412
    title = "It was changed since you read it"


class PreconditionRequired(Rejected):
    """A change that does not say which state it is meant for."""

    code = "precondition_required"
    status = 428
    title = "Say which state you are changing"


class PayloadTooLarge(Rejected):
    """The body or file is larger than the named limit."""

    code = "payload_too_large"
    status = 413
    title = "Too large"


class UnsupportedMediaType(Rejected):
    """The content type is none that the route reads."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported content type"


class Invalid(Rejected):
    """The request is well-formed but a field is wrong."""

    code = "invalid"
    status = 422
    title = "The request is not valid"


class PrivacyBlocked(Rejected):
    """The text holds data that may not leave; the refusal names categories and offsets."""

    code = "privacy_blocked"
    status = 422
    title = "The text holds data that may not leave"


class IdempotencyKeyReused(Rejected):
    """The idempotency key was used before with another body."""

    code = "idempotency_key_reused"
    status = 422
    title = "This idempotency key belongs to another request"


class Frozen(Rejected):
    """A freeze stops new spending of what this request would use or be charged to."""

    code = "frozen"
    status = 423
    title = "New spending is frozen"


class RateLimited(Rejected):
    """The caller, or their department, asks for more than their rate limits admit."""

    code = "rate_limited"
    status = 429
    title = "Too much was asked for"


class HeadersTooLarge(Rejected):
    """The headers of a request are larger than the named limit."""

    code = "headers_too_large"
    status = 431
    title = "Too large"


class Unavailable(EigError):
    """A system we depend on did not answer in time; whether it acted may be unknown."""

    code = "unavailable"
    status = 503
    retryable = True
    title = "Temporarily unavailable"


class PrivacyScreenUnavailable(Unavailable):
    """A layer of the privacy screen could not say what a text holds, so the text goes nowhere."""

    code = "privacy_screen_unavailable"
    title = "The privacy screen cannot answer"


class InvariantBroken(EigError):
    """A ledger or custody invariant does not hold; nothing was written because of that."""

    code = "invariant_broken"
    status = 500
    title = "An internal check failed"
