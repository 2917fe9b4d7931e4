"""What each route takes and answers: the models and OpenAPI facts beside `http_routes.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from functions import names
from functions.http_alert_channels_models import AlertChannelRequest, ChannelsQuery
from functions.http_approvals_models import ApprovalsQuery, DecisionRequest
from functions.http_audit_log_models import (
    ConsistencyQuery,
    EntryQuery,
    FileQuery,
    InclusionQuery,
)
from functions.http_budgets_models import BudgetQuery, BudgetRequest, BudgetsQuery, DepartmentQuery
from functions.http_estimates_models import EstimateBody
from functions.http_freezes_models import FreezeRequest, LiftQuery
from functions.http_grants_models import GrantRequest, GrantsQuery, OverrideRequest
from functions.http_models import (
    BatchQuery,
    BatchRequest,
    ChargeQuery,
    ContentQuery,
    GenerationBody,
    HistoryQuery,
    ImageLinkView,
    PageQuery,
    ReceiptQuery,
    UploadSlotRequest,
)
from functions.http_organisation_models import (
    AllocationRequest,
    AllocationsQuery,
    OrganisationBudgetQuery,
    OrganisationBudgetRequest,
)
from functions.http_privacy_models import (
    PrivacyOverrideRequest,
    PrivacyOverridesQuery,
    PrivacyPolicyRequest,
    ScreeningRequest,
)
from functions.http_reconciliation_models import (
    CaseClosing,
    CaseQuery,
    ReconciliationRequest,
)
from functions.http_reports_models import (
    CloseRequest,
    FinanceQuery,
    OneDepartmentQuery,
    SpanQuery,
    SpendQuery,
    StatementQuery,
)
from functions.http_storage_models import (
    HoldRequest,
    RehydrationRequest,
    ReleaseQuery,
    RetentionRequest,
    StorageReportQuery,
)
from shared.domain.alert_views import (
    AlertChannelList,
    AlertChannelTestView,
    AlertChannelView,
    AlertView,
)
from shared.domain.approval_views import ApprovalList, ApprovalView
from shared.domain.budget_views import BudgetList, BudgetView
from shared.domain.estimate_views import EstimateAnswer, ModelList
from shared.domain.evidence_views import (
    AuditEntryView,
    AuditKeysView,
    ConsistencyView,
    EvidenceView,
)
from shared.domain.freezes_views import FreezeList, FreezeView
from shared.domain.grant_views import GrantList, GrantView
from shared.domain.key_views import KeySetView
from shared.domain.organisation_views import (
    AllocationList,
    AllocationView,
    OrganisationBudgetView,
)
from shared.domain.privacy_views import (
    PrivacyOverrideList,
    PrivacyOverrideView,
    PrivacyPolicyView,
    ScreeningView,
)
from shared.domain.reconciliation_views import (
    CaseList,
    CaseView,
    ReconciliationList,
    ReconciliationView,
)
from shared.domain.report_views import AnomalyReport, BurnDownReport, SpendReport
from shared.domain.statement_views import PeriodList, StatementView
from shared.domain.storage_views import (
    ImageDetailView,
    LegalHoldView,
    RehydrationView,
    RetentionView,
    StorageReport,
)
from shared.domain.views import (
    BatchItemList,
    BatchView,
    GenerationList,
    GenerationView,
    HealthView,
    ReceiptView,
    UploadSlotView,
)


@dataclass(frozen=True)
class Operation:
    """What one route takes and answers; `errors` are its statuses besides the common ones."""

    summary: str
    response: type[BaseModel] | None
    status: int = 200
    body: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None  # of the body
    query: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    idempotent: bool = False  # takes an Idempotency-Key
    conditional: bool = False  # takes If-Match or If-None-Match
    other_bodies: tuple[str, ...] = ()
    other_responses: tuple[str, ...] = ()
    other_statuses: tuple[int, ...] = ()


_EXAMPLE: Final = {"model": "gpt-image-2", "prompt": "A lighthouse at dawn", "quality": "low"}
OPERATIONS: Final[Mapping[str, Operation]] = {
    names.SUBMIT_GENERATION: Operation(
        "Generate pictures", GenerationView, status=202, other_statuses=(200,),
        body=GenerationBody, example=_EXAMPLE, errors=(402, 409, 413, 415, 422), idempotent=True,
    ),
    names.LIST_GENERATIONS: Operation(
        "List generations", GenerationList, query=HistoryQuery, errors=(422,)
    ),
    names.GET_GENERATION: Operation("Show a generation", GenerationView, errors=(404,)),
    names.CANCEL_GENERATION: Operation("Cancel a generation", GenerationView, errors=(404, 409)),
    names.GET_IMAGE: Operation("Describe a picture", ImageDetailView, errors=(404,)),
    names.GET_IMAGE_CONTENT: Operation(
        "Fetch a picture", ImageLinkView, query=ContentQuery, errors=(404, 409, 413, 422),
        other_responses=("image/png", "image/jpeg", "image/webp", "image/gif"),
    ),
    names.GET_IMAGE_THUMBNAIL: Operation(
        "Fetch a picture's thumbnail", None, errors=(404, 409), other_responses=("image/webp",),
    ),
    names.REHYDRATE_IMAGE: Operation(
        "Bring a picture back from the archive", RehydrationView, status=202,
        body=RehydrationRequest, example={"priority": "high"},
        errors=(402, 404, 409, 413, 415, 422, 423),
    ),
    names.HOLD_IMAGE: Operation(
        "Hold a picture", LegalHoldView, body=HoldRequest,
        example={"reason": "Matter 2026-117"}, errors=(404, 409, 413, 415, 422),
    ),
    names.RELEASE_IMAGE: Operation(
        "Release a held picture", LegalHoldView, query=ReleaseQuery, errors=(404, 409, 422)
    ),
    names.GET_RETENTION: Operation(
        "Show how long a department keeps its pictures", RetentionView, errors=(404,)
    ),
    names.PUT_RETENTION: Operation(
        "Change how long the pictures to come are kept", RetentionView, body=RetentionRequest,
        example={"retention": "one-year", "reason": "Campaign material"},
        errors=(404, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.SUBMIT_BATCH: Operation(
        "Submit a batch", BatchView, status=202, body=BatchRequest, query=BatchQuery,
        example={"items": [{"id": "scene-01", **_EXAMPLE}]},
        errors=(402, 409, 413, 415, 422), idempotent=True,
        other_bodies=("text/csv", "application/jsonl", "application/x-ndjson"),
    ),
    names.CREATE_UPLOAD_SLOT: Operation(
        "Ask for an upload link", UploadSlotView, status=201, body=UploadSlotRequest,
        example={"file_name": "storyboard.csv"},
        errors=(413, 415, 422),
    ),
    names.GET_UPLOAD_SLOT: Operation("Show an upload slot", UploadSlotView, errors=(404,)),
    names.GET_BATCH: Operation("Show a batch", BatchView, errors=(404,)),
    names.CANCEL_BATCH: Operation("Cancel a batch", BatchView, status=202, errors=(404, 409)),
    names.LIST_BATCH_ITEMS: Operation(
        "List the rows of a batch", BatchItemList, query=PageQuery, errors=(404, 422)
    ),
    names.GET_BATCH_RECEIPT: Operation(
        "Fetch the receipt", ReceiptView, query=ReceiptQuery, errors=(404, 409, 422),
        other_responses=("text/csv", "application/jose"),
    ),
    names.LIST_KEYS: Operation("List the keys that receipts are signed with", KeySetView),
    names.ESTIMATE: Operation(
        "Price a request, compare models or dry-run a file", EstimateAnswer,
        body=EstimateBody, query=ChargeQuery, example=_EXAMPLE, errors=(404, 413, 415, 422),
        other_bodies=("text/csv", "application/jsonl", "application/x-ndjson"),
    ),
    names.LIST_MODELS: Operation("List models", ModelList),
    names.LIST_BUDGETS: Operation(
        "List budgets", BudgetList, query=BudgetsQuery, errors=(404, 422)
    ),
    names.GET_BUDGET: Operation(
        "Show a budget", BudgetView, query=BudgetQuery, errors=(404, 422)
    ),
    names.PUT_BUDGET: Operation(
        "Create or replace a budget", BudgetView, body=BudgetRequest, query=DepartmentQuery,
        example={"limit_micros": 250_000_000}, errors=(404, 409, 412, 413, 415, 422, 428),
        conditional=True,
    ),
    names.DELETE_BUDGET: Operation(
        "End a budget", None, status=204, query=DepartmentQuery, errors=(404, 412, 422, 428),
        conditional=True,
    ),
    names.GET_ORGANISATION_BUDGET: Operation(
        "Show the organisation's budget", OrganisationBudgetView, query=OrganisationBudgetQuery,
        errors=(404, 422),
    ),
    names.PUT_ORGANISATION_BUDGET: Operation(
        "Create or replace the organisation's budget", OrganisationBudgetView,
        body=OrganisationBudgetRequest, example={"limit_micros": 500_000_000, "period": "quarter"},
        errors=(404, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.MOVE_ALLOCATION: Operation(
        "Move allocation", AllocationView, status=201, body=AllocationRequest,
        example={
            "from": "design", "to": "marketing", "amount_micros": 5_000_000, "reason": "campaign",
        },
        errors=(402, 404, 409, 413, 415, 422), idempotent=True,
    ),
    names.LIST_ALLOCATIONS: Operation(
        "List movements of allocation", AllocationList, query=AllocationsQuery, errors=(404, 422)
    ),
    names.LIST_FREEZES: Operation("List what is frozen", FreezeList),
    names.SET_FREEZE: Operation(
        "Freeze new spending", FreezeView, body=FreezeRequest,
        example={"reason": "Unexplained charges"}, errors=(404, 409, 413, 415, 422),
    ),
    names.LIFT_FREEZE: Operation(
        "Lift a freeze", FreezeView, query=LiftQuery, errors=(404, 409, 422)
    ),
    names.LIST_ALERT_CHANNELS: Operation(
        "List alert channels", AlertChannelList, query=ChannelsQuery, errors=(404, 422)
    ),
    names.GET_ALERT_CHANNEL: Operation("Show an alert channel", AlertChannelView, errors=(404,)),
    names.PUT_ALERT_CHANNEL: Operation(
        "Create or replace an alert channel", AlertChannelView, body=AlertChannelRequest,
        example={"kind": "webhook", "url": "https://hooks.example.com/budget"},
        errors=(404, 409, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.DELETE_ALERT_CHANNEL: Operation(
        "Remove an alert channel", None, status=204, errors=(404, 412, 422, 428),
        conditional=True,
    ),
    names.TEST_ALERT_CHANNEL: Operation(
        "Send a signed ping or a test mail", AlertChannelTestView, errors=(404,)
    ),
    names.GET_ALERT: Operation("Show a budget alert", AlertView, errors=(404,)),
    names.CREATE_GRANT: Operation(
        "Raise limits for a time", GrantView, status=201, body=GrantRequest,
        example={
            "scopes": ["project:apollo"], "amount_micros": 20_000_000, "reason": "Launch week",
        },
        errors=(404, 409, 413, 415, 422), idempotent=True,
    ),
    names.LIST_GRANTS: Operation("List grants", GrantList, query=GrantsQuery, errors=(404, 422)),
    names.GET_GRANT: Operation("Show a grant", GrantView, errors=(404,)),
    names.END_GRANT: Operation("End a grant early", GrantView, errors=(404,)),
    names.CREATE_OVERRIDE: Operation(
        "Override limits in an emergency", GrantView, status=201, body=OverrideRequest,
        example={
            "scopes": ["department:marketing"], "amount_micros": 50_000_000,
            "reason": "Bushfire warnings must go out", "surcharge_percent": 10,
        },
        errors=(402, 404, 409, 413, 415, 422), idempotent=True,
    ),
    names.LIST_APPROVALS: Operation(
        "List approvals", ApprovalList, query=ApprovalsQuery, errors=(422,)
    ),
    names.GET_APPROVAL: Operation("Show an approval", ApprovalView, errors=(404,)),
    names.DECIDE_ON_APPROVAL: Operation(
        "Approve or reject", ApprovalView, body=DecisionRequest,
        example={"decision": "approve", "comment": "Agreed with the client"},
        errors=(404, 409, 413, 415, 422),
    ),
    names.SPEND_REPORT: Operation(
        "Add up spend", SpendReport, query=SpendQuery, errors=(404, 422),
        other_responses=("text/csv",),
    ),
    names.BURN_DOWN_REPORT: Operation(
        "Forecast a budget's burn-down", BurnDownReport, query=OneDepartmentQuery, errors=(404, 422)
    ),
    names.ANOMALY_REPORT: Operation(
        "List unusual days", AnomalyReport, query=SpanQuery, errors=(404, 422)
    ),
    names.FINANCE_REPORT: Operation(
        "Finance report as a page", None, query=FinanceQuery, errors=(404, 422),
        other_responses=("text/html",),
    ),
    names.STORAGE_REPORT: Operation(
        "Report and forecast storage", StorageReport, query=StorageReportQuery, errors=(404, 422),
        other_responses=("text/csv",),
    ),
    names.CLOSE_PERIOD: Operation(
        "Close a period and issue its statement", StatementView, body=CloseRequest,
        example={"department": "marketing", "period": "202610"},
        errors=(404, 409, 413, 415, 422),
    ),
    names.LIST_STATEMENTS: Operation(
        "List periods and their statements", PeriodList, query=OneDepartmentQuery, errors=(404, 422)
    ),
    names.GET_STATEMENT: Operation(
        "Fetch a chargeback statement", None, query=StatementQuery, errors=(404, 422),
        other_responses=("text/csv",),
    ),
    names.RECONCILE: Operation(
        "Compare a provider's day with the ledger", ReconciliationView, status=201,
        body=ReconciliationRequest,
        example={"provider": "azure_openai", "day": "2026-11-20"},
        errors=(404, 409, 413, 415, 422),
    ),
    names.LIST_RECONCILIATIONS: Operation("List what was compared", ReconciliationList),
    names.LIST_CASES: Operation("List cases", CaseList, query=CaseQuery, errors=(422,)),
    names.GET_CASE: Operation("Show a case", CaseView, errors=(404,)),
    names.CLOSE_CASE: Operation(
        "Decide a case", CaseView, body=CaseClosing,
        example={"decision": "accept", "reason": "Below our threshold"},
        errors=(402, 404, 409, 413, 415, 422),
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
        example={"text": "A business card for jane@example.com"}, errors=(413, 415, 422, 503),
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
    names.HEALTH_LIVE: Operation("Is the worker alive", HealthView),
    names.HEALTH_READY: Operation("Can the worker work", HealthView, other_statuses=(503,)),
    names.OPENAPI: Operation("This document", None),
}  # fmt: skip
