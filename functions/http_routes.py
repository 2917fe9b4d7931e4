"""The route table: names, methods and paths, for the triggers, for OpenAPI and for the tests.

Plain strings only, because every worker reads it while it starts. What each operation takes and
answers stands in `http_operations.py`, under the same names.
"""

from typing import Final, Literal, NamedTuple

from functions import names

# host.json sets no route prefix, because clients of OpenAI and of SCIM expect paths of their own.
API: Final = "api/v1/"


class Route(NamedTuple):
    """One operation of the API, as its trigger knows it."""

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    public: bool = False  # answers without an access token
    root: str = API


ROUTES: Final = (
    Route(names.SUBMIT_GENERATION, "POST", "generations"),
    Route(names.LIST_GENERATIONS, "GET", "generations"),
    Route(names.GET_GENERATION, "GET", "generations/{id}"),
    Route(names.CANCEL_GENERATION, "DELETE", "generations/{id}"),
    Route(names.GET_IMAGE, "GET", "images/{id}"),
    Route(names.GET_IMAGE_CONTENT, "GET", "images/{id}/content"),
    Route(names.GET_IMAGE_THUMBNAIL, "GET", "images/{id}/thumbnail"),
    Route(names.REHYDRATE_IMAGE, "POST", "images/{id}/rehydrate"),
    Route(names.HOLD_IMAGE, "PUT", "images/{id}/hold"),
    Route(names.RELEASE_IMAGE, "DELETE", "images/{id}/hold"),
    Route(names.GET_RETENTION, "GET", "retention/{department}"),
    Route(names.PUT_RETENTION, "PUT", "retention/{department}"),
    Route(names.SUBMIT_BATCH, "POST", "batches"),
    Route(names.CREATE_UPLOAD_SLOT, "POST", "batches/uploads"),
    Route(names.GET_UPLOAD_SLOT, "GET", "batches/uploads/{id}"),
    Route(names.GET_BATCH, "GET", "batches/{id}"),
    Route(names.CANCEL_BATCH, "DELETE", "batches/{id}"),
    Route(names.LIST_BATCH_ITEMS, "GET", "batches/{id}/items"),
    Route(names.GET_BATCH_RECEIPT, "GET", "batches/{id}/receipt"),
    Route(names.LIST_KEYS, "GET", "keys", public=True),
    Route(names.ESTIMATE, "POST", "estimates"),
    Route(names.LIST_MODELS, "GET", "models"),
    Route(names.LIST_BUDGETS, "GET", "budgets"),
    Route(names.GET_BUDGET, "GET", "budgets/{scope}"),
    Route(names.PUT_BUDGET, "PUT", "budgets/{scope}"),
    Route(names.DELETE_BUDGET, "DELETE", "budgets/{scope}"),
    Route(names.GET_ORGANISATION_BUDGET, "GET", "organisation/budget"),
    Route(names.PUT_ORGANISATION_BUDGET, "PUT", "organisation/budget"),
    Route(names.MOVE_ALLOCATION, "POST", "organisation/allocations"),
    Route(names.LIST_ALLOCATIONS, "GET", "organisation/allocations"),
    Route(names.LIST_FREEZES, "GET", "freezes"),
    Route(names.SET_FREEZE, "PUT", "freezes/{target}"),
    Route(names.LIFT_FREEZE, "DELETE", "freezes/{target}"),
    Route(names.LIST_ALERT_CHANNELS, "GET", "alert-channels"),
    Route(names.GET_ALERT_CHANNEL, "GET", "alert-channels/{id}"),
    Route(names.PUT_ALERT_CHANNEL, "PUT", "alert-channels/{id}"),
    Route(names.DELETE_ALERT_CHANNEL, "DELETE", "alert-channels/{id}"),
    Route(names.TEST_ALERT_CHANNEL, "POST", "alert-channels/{id}/test"),
    Route(names.GET_ALERT, "GET", "alerts/{id}"),
    Route(names.CREATE_GRANT, "POST", "grants"),
    Route(names.LIST_GRANTS, "GET", "grants"),
    Route(names.GET_GRANT, "GET", "grants/{id}"),
    Route(names.END_GRANT, "DELETE", "grants/{id}"),
    Route(names.CREATE_OVERRIDE, "POST", "overrides"),
    Route(names.LIST_APPROVALS, "GET", "approvals"),
    Route(names.GET_APPROVAL, "GET", "approvals/{id}"),
    Route(names.DECIDE_ON_APPROVAL, "POST", "approvals/{id}/decisions"),
    Route(names.SPEND_REPORT, "GET", "reports/spend"),
    Route(names.BURN_DOWN_REPORT, "GET", "reports/burn-down"),
    Route(names.ANOMALY_REPORT, "GET", "reports/anomalies"),
    Route(names.FINANCE_REPORT, "GET", "reports/finance"),
    Route(names.STORAGE_REPORT, "GET", "reports/storage"),
    Route(names.CLOSE_PERIOD, "POST", "statements"),
    Route(names.LIST_STATEMENTS, "GET", "statements"),
    Route(names.GET_STATEMENT, "GET", "statements/{department}/{period}"),
    Route(names.RECONCILE, "POST", "reconciliations"),
    Route(names.LIST_RECONCILIATIONS, "GET", "reconciliations"),
    Route(names.LIST_CASES, "GET", "cases"),
    Route(names.GET_CASE, "GET", "cases/{id}"),
    Route(names.CLOSE_CASE, "POST", "cases/{id}/close"),
    Route(names.GET_PRIVACY_POLICY, "GET", "privacy/policies/{department}"),
    Route(names.PUT_PRIVACY_POLICY, "PUT", "privacy/policies/{department}"),
    Route(names.SCREEN_TEXT, "POST", "privacy/screenings"),
    Route(names.CREATE_PRIVACY_OVERRIDE, "POST", "privacy/overrides"),
    Route(names.LIST_PRIVACY_OVERRIDES, "GET", "privacy/overrides"),
    Route(names.GET_PRIVACY_OVERRIDE, "GET", "privacy/overrides/{id}"),
    Route(names.APPROVE_PRIVACY_OVERRIDE, "POST", "privacy/overrides/{id}/approvals"),
    Route(names.END_PRIVACY_OVERRIDE, "DELETE", "privacy/overrides/{id}"),
    Route(names.GET_AUDIT_CHECKPOINT, "GET", "audit-log/checkpoint"),
    Route(names.LIST_AUDIT_KEYS, "GET", "audit-log/keys"),
    Route(names.GET_AUDIT_FILE, "GET", "audit-log/files"),
    Route(names.GET_AUDIT_ENTRY, "GET", "audit-log/entries"),
    Route(names.GET_INCLUSION_PROOF, "GET", "audit-log/inclusion"),
    Route(names.GET_CONSISTENCY_PROOF, "GET", "audit-log/consistency"),
    Route(names.GET_EVIDENCE, "GET", "generations/{id}/evidence"),
    Route(names.HEALTH_LIVE, "GET", "health/live", public=True),
    Route(names.HEALTH_READY, "GET", "health/ready", public=True),
    Route(names.OPENAPI, "GET", "openapi.json", public=True),
)

BY_NAME: Final = {route.name: route for route in ROUTES}


def path_of(name: str) -> str:
    """The trigger's route template of a function."""
    return BY_NAME[name].root + BY_NAME[name].path


def location_of(name: str, resource_id: str) -> str:
    """Where a caller finds a resource: the path of a function whose route takes an `{id}`."""
    return f"/{path_of(name)}".format(id=resource_id)
