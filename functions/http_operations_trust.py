"""Privacy and evidence: what each route takes and answers."""

from collections.abc import Mapping
from typing import Final

from functions import names
from functions.http_audit_log_models import (
    ConsistencyQuery,
    EntryQuery,
    FileQuery,
    InclusionQuery,
)
from functions.http_operation import Operation
from functions.http_privacy_models import (
    PrivacyOverrideRequest,
    PrivacyOverridesQuery,
    PrivacyPolicyRequest,
    ScreeningRequest,
)
from functions.http_routing_models import RoutingPolicyRequest
from functions.http_sessions_models import CallbackQuery, SignInQuery
from shared.domain.evidence_views import (
    AuditEntryView,
    AuditKeysView,
    ConsistencyView,
    EvidenceView,
)
from shared.domain.privacy_views import (
    PrivacyOverrideList,
    PrivacyOverrideView,
    PrivacyPolicyView,
    ScreeningView,
)
from shared.domain.routing_policy_views import RoutingPolicyView
from shared.domain.session_views import (
    CurrentSessionView,
    RevokedView,
    SessionList,
    SignedOutView,
)

TRUST_OPERATIONS: Final[Mapping[str, Operation]] = {
    names.GET_ROUTING_POLICY: Operation(
        "Show a routing policy", RoutingPolicyView, errors=(404,)
    ),
    names.PUT_ROUTING_POLICY: Operation(
        "Create or replace a routing policy", RoutingPolicyView, body=RoutingPolicyRequest,
        example={"default_strategy": "cheapest", "uplift_percent_max": 50},
        errors=(404, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.GET_PRIVACY_POLICY: Operation(
        "Show a privacy policy", PrivacyPolicyView, errors=(404,)
    ),
    names.PUT_PRIVACY_POLICY: Operation(
        "Create or replace a privacy policy", PrivacyPolicyView, body=PrivacyPolicyRequest,
        example={"actions": {"person": "redact"}, "residency": {"mode": "australia"}},
        errors=(404, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.SCREEN_TEXT: Operation(
        "Try the privacy screen with a text", ScreeningView, body=ScreeningRequest,
        example={"text": "A business card for jane@example.com"},
        errors=(413, 415, 422, 429, 503),
    ),
    names.CREATE_PRIVACY_OVERRIDE: Operation(
        "Override privacy warnings for a while", PrivacyOverrideView, status=201,
        body=PrivacyOverrideRequest,
        example={
            "data_classes": ["health"], "reason": "Brochure with consent of the patients",
            "ends_at": "2026-11-22T18:00:00Z",
        },
        errors=(404, 413, 415, 422),
    ),
    names.LIST_PRIVACY_OVERRIDES: Operation(
        "List privacy overrides", PrivacyOverrideList, query=PrivacyOverridesQuery,
        errors=(404, 422),
    ),
    names.GET_PRIVACY_OVERRIDE: Operation(
        "Show a privacy override", PrivacyOverrideView, errors=(404,)
    ),
    names.APPROVE_PRIVACY_OVERRIDE: Operation(
        "Approve a privacy override as the second person", PrivacyOverrideView,
        errors=(404, 409),
    ),
    names.END_PRIVACY_OVERRIDE: Operation(
        "End a privacy override", PrivacyOverrideView, errors=(404, 409)
    ),
    names.SIGN_IN: Operation(
        "Sign in with a browser", None, status=302, query=SignInQuery, errors=(404, 422),
        other_responses=("text/html",),
    ),
    names.SIGN_IN_CALLBACK: Operation(
        "Come back from the issuer", None, query=CallbackQuery, errors=(401, 403, 404, 422),
        other_responses=("text/html",),
    ),
    names.GET_SESSION: Operation("Show this session", CurrentSessionView, errors=(409,)),
    names.REFRESH_SESSION: Operation(
        "Give this session a new secret", CurrentSessionView, errors=(409,)
    ),
    names.SIGN_OUT: Operation("Sign out", SignedOutView, errors=(409,)),
    names.LIST_SESSIONS: Operation("List own sessions", SessionList),
    names.REVOKE_SESSION: Operation("End an own session", None, status=204, errors=(404,)),
    names.REVOKE_SESSIONS: Operation("End all own sessions", RevokedView),
    names.REVOKE_USER_SESSIONS: Operation(
        "End all sessions of a person", RevokedView, errors=(404,)
    ),
    names.GET_AUDIT_CHECKPOINT: Operation(
        "Fetch the audit log's newest checkpoint", None, errors=(404,),
        other_responses=("text/plain",),
    ),
    names.LIST_AUDIT_KEYS: Operation("List the keys of the audit log", AuditKeysView),
    names.GET_AUDIT_FILE: Operation(
        "Fetch a tile or a bundle of entries", None, query=FileQuery, errors=(404, 422),
        other_responses=("application/octet-stream",),
    ),
    names.GET_AUDIT_ENTRY: Operation(
        "Show an event in the audit log, with its proof", AuditEntryView, query=EntryQuery,
        errors=(404, 409, 422),
    ),
    names.GET_INCLUSION_PROOF: Operation(
        "Prove that an entry is in the audit log", None, query=InclusionQuery, errors=(404, 422),
        other_responses=("text/plain",),
    ),
    names.GET_CONSISTENCY_PROOF: Operation(
        "Prove that the audit log only grew", ConsistencyView, query=ConsistencyQuery,
        errors=(404, 422),
    ),
    names.GET_EVIDENCE: Operation(
        "Fetch the receipt of a generation", EvidenceView, errors=(404, 409)
    ),
}  # fmt: skip
