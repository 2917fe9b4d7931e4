"""Budgets, approvals, reports, reconciliation: what each route takes and answers."""

from collections.abc import Mapping
from typing import Final

from functions import names
from functions.http_alert_channels_models import AlertChannelRequest, ChannelsQuery
from functions.http_approvals_models import ApprovalsQuery, DecisionRequest
from functions.http_budgets_models import BudgetQuery, BudgetRequest, BudgetsQuery, DepartmentQuery
from functions.http_freezes_models import FreezeRequest, LiftQuery
from functions.http_grants_models import GrantRequest, GrantsQuery, OverrideRequest
from functions.http_operation import Operation
from functions.http_organisation_models import (
    AllocationRequest,
    AllocationsQuery,
    OrganisationBudgetQuery,
    OrganisationBudgetRequest,
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
from shared.domain.freezes_views import FreezeList, FreezeView
from shared.domain.grant_views import GrantList, GrantView
from shared.domain.organisation_views import (
    AllocationList,
    AllocationView,
    OrganisationBudgetView,
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
    StorageReport,
)

MONEY_OPERATIONS: Final[Mapping[str, Operation]] = {
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
    names.LIST_RECONCILIATIONS: Operation(
        "List what was compared", ReconciliationList, errors=(404,)
    ),
    names.LIST_CASES: Operation("List cases", CaseList, query=CaseQuery, errors=(422,)),
    names.GET_CASE: Operation("Show a case", CaseView, errors=(404,)),
    names.CLOSE_CASE: Operation(
        "Decide a case", CaseView, body=CaseClosing,
        example={"decision": "accept", "reason": "Below our threshold"},
        errors=(402, 404, 409, 413, 415, 422),
    ),
}  # fmt: skip
