"""The route table: names, methods and paths, for the triggers, for OpenAPI and for the tests.

Plain strings only, because every worker reads it while it starts. What each operation takes and
answers stands in `http_operations.py`, under the same names.
"""

from typing import Final, Literal, NamedTuple

from functions import names

# host.json sets no route prefix, because clients of OpenAI and of SCIM expect paths of their own.
API: Final = "api/v1/"
SCIM: Final = "scim/v2/"
OPENAI: Final = "openai/v1/"


class Route(NamedTuple):
    """One operation of the API, as its trigger knows it."""

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    public: bool = False  # answers without an access token
    lets_apps_in: bool = False  # app-only tokens, too: pipelines
    steps_up: bool = False  # wants more proof than being signed in (docs/identity.md)
    rotates: bool = False  # a browser session gets a new secret
    query: bool = False  # takes parameters in its query string
    root: str = API


ROUTES: Final = (
    Route(names.SUBMIT_GENERATION, "POST", "generations", lets_apps_in=True),
    Route(names.LIST_GENERATIONS, "GET", "generations", lets_apps_in=True, query=True),
    Route(names.GET_GENERATION, "GET", "generations/{id}", lets_apps_in=True),
    Route(names.CANCEL_GENERATION, "DELETE", "generations/{id}", lets_apps_in=True),
    Route(names.GET_IMAGE, "GET", "images/{id}", lets_apps_in=True),
    Route(names.GET_IMAGE_CONTENT, "GET", "images/{id}/content", lets_apps_in=True, query=True),
    Route(names.GET_IMAGE_THUMBNAIL, "GET", "images/{id}/thumbnail", lets_apps_in=True),
    Route(names.REHYDRATE_IMAGE, "POST", "images/{id}/rehydrate"),
    Route(names.HOLD_IMAGE, "PUT", "images/{id}/hold"),
    Route(names.RELEASE_IMAGE, "POST", "images/{id}/hold/release", steps_up=True),
    Route(names.GET_RETENTION, "GET", "retention/{department}"),
    Route(names.PUT_RETENTION, "PUT", "retention/{department}", steps_up=True),
    Route(names.SUBMIT_BATCH, "POST", "batches", lets_apps_in=True, query=True),
    Route(names.CREATE_UPLOAD_SLOT, "POST", "batches/uploads", lets_apps_in=True),
    Route(names.GET_UPLOAD_SLOT, "GET", "batches/uploads/{id}", lets_apps_in=True),
    Route(names.GET_BATCH, "GET", "batches/{id}", lets_apps_in=True),
    Route(names.CANCEL_BATCH, "DELETE", "batches/{id}", lets_apps_in=True),
    Route(names.LIST_BATCH_ITEMS, "GET", "batches/{id}/items", lets_apps_in=True, query=True),
    Route(names.GET_BATCH_RECEIPT, "GET", "batches/{id}/receipt", lets_apps_in=True, query=True),
    Route(names.LIST_KEYS, "GET", "keys", public=True),
    Route(names.ESTIMATE, "POST", "estimates", lets_apps_in=True, query=True),
    Route(names.LIST_MODELS, "GET", "models", lets_apps_in=True),
    Route(names.LIST_PROVIDERS, "GET", "providers"),
    Route(names.LIST_BUDGETS, "GET", "budgets", query=True),
    Route(names.GET_BUDGET, "GET", "budgets/{scope}", query=True),
    Route(names.PUT_BUDGET, "PUT", "budgets/{scope}", steps_up=True, query=True),
    Route(names.DELETE_BUDGET, "DELETE", "budgets/{scope}", steps_up=True, query=True),
    Route(names.GET_ORGANISATION_BUDGET, "GET", "organisation/budget", query=True),
    Route(names.PUT_ORGANISATION_BUDGET, "PUT", "organisation/budget", steps_up=True),
    Route(names.MOVE_ALLOCATION, "POST", "organisation/allocations", steps_up=True),
    Route(names.LIST_ALLOCATIONS, "GET", "organisation/allocations", query=True),
    Route(names.LIST_FREEZES, "GET", "freezes"),
    Route(names.SET_FREEZE, "PUT", "freezes/{target}"),
    Route(names.LIFT_FREEZE, "DELETE", "freezes/{target}", steps_up=True, query=True),
    Route(names.LIST_ALERT_CHANNELS, "GET", "alert-channels", query=True),
    Route(names.GET_ALERT_CHANNEL, "GET", "alert-channels/{id}"),
    Route(names.PUT_ALERT_CHANNEL, "PUT", "alert-channels/{id}", steps_up=True),
    Route(names.DELETE_ALERT_CHANNEL, "DELETE", "alert-channels/{id}", steps_up=True),
    Route(names.TEST_ALERT_CHANNEL, "POST", "alert-channels/{id}/test"),
    Route(names.GET_ALERT, "GET", "alerts/{id}"),
    Route(names.CREATE_GRANT, "POST", "grants", steps_up=True),
    Route(names.LIST_GRANTS, "GET", "grants", query=True),
    Route(names.GET_GRANT, "GET", "grants/{id}"),
    Route(names.END_GRANT, "DELETE", "grants/{id}", steps_up=True),
    Route(names.CREATE_OVERRIDE, "POST", "overrides", steps_up=True),
    Route(names.LIST_APPROVALS, "GET", "approvals", query=True),
    Route(names.GET_APPROVAL, "GET", "approvals/{id}"),
    Route(names.DECIDE_ON_APPROVAL, "POST", "approvals/{id}/decisions", steps_up=True),
    Route(names.SPEND_REPORT, "GET", "reports/spend", query=True),
    Route(names.BURN_DOWN_REPORT, "GET", "reports/burn-down", query=True),
    Route(names.ANOMALY_REPORT, "GET", "reports/anomalies", query=True),
    Route(names.FINANCE_REPORT, "GET", "reports/finance", query=True),
    Route(names.STORAGE_REPORT, "GET", "reports/storage", query=True),
    Route(names.CLOSE_PERIOD, "POST", "statements", steps_up=True),
    Route(names.LIST_STATEMENTS, "GET", "statements", query=True),
    Route(names.GET_STATEMENT, "GET", "statements/{department}/{period}", query=True),
    Route(names.RECONCILE, "POST", "reconciliations"),
    Route(names.LIST_RECONCILIATIONS, "GET", "reconciliations"),
    Route(names.LIST_CASES, "GET", "cases", query=True),
    Route(names.GET_CASE, "GET", "cases/{id}"),
    Route(names.CLOSE_CASE, "POST", "cases/{id}/close", steps_up=True),
    Route(names.GET_ROUTING_POLICY, "GET", "routing/policies/{department}"),
    Route(names.PUT_ROUTING_POLICY, "PUT", "routing/policies/{department}", steps_up=True),
    Route(names.GET_PRIVACY_POLICY, "GET", "privacy/policies/{department}"),
    Route(names.PUT_PRIVACY_POLICY, "PUT", "privacy/policies/{department}", steps_up=True),
    Route(names.SCREEN_TEXT, "POST", "privacy/screenings"),
    Route(names.CREATE_PRIVACY_OVERRIDE, "POST", "privacy/overrides", steps_up=True),
    Route(names.LIST_PRIVACY_OVERRIDES, "GET", "privacy/overrides", query=True),
    Route(names.GET_PRIVACY_OVERRIDE, "GET", "privacy/overrides/{id}"),
    Route(
        names.APPROVE_PRIVACY_OVERRIDE, "POST", "privacy/overrides/{id}/approvals", steps_up=True
    ),
    Route(names.END_PRIVACY_OVERRIDE, "DELETE", "privacy/overrides/{id}"),
    Route(names.SIGN_IN, "GET", "auth/login", public=True, query=True),
    Route(names.SIGN_IN_CALLBACK, "GET", "auth/callback", public=True, query=True),
    Route(names.GET_SESSION, "GET", "auth/session"),
    Route(names.REFRESH_SESSION, "POST", "auth/refresh", rotates=True),
    Route(names.SIGN_OUT, "POST", "auth/logout"),
    Route(names.LIST_SESSIONS, "GET", "sessions"),
    Route(names.REVOKE_SESSION, "DELETE", "sessions/{id}"),
    Route(names.REVOKE_SESSIONS, "DELETE", "sessions"),
    Route(names.REVOKE_USER_SESSIONS, "DELETE", "users/{id}/sessions", steps_up=True),
    Route(names.GET_AUDIT_CHECKPOINT, "GET", "audit-log/checkpoint"),
    Route(names.LIST_AUDIT_KEYS, "GET", "audit-log/keys"),
    Route(names.GET_AUDIT_FILE, "GET", "audit-log/files", query=True),
    Route(names.GET_AUDIT_ENTRY, "GET", "audit-log/entries", query=True),
    Route(names.GET_INCLUSION_PROOF, "GET", "audit-log/inclusion", query=True),
    Route(names.GET_CONSISTENCY_PROOF, "GET", "audit-log/consistency", query=True),
    Route(names.GET_EVIDENCE, "GET", "generations/{id}/evidence"),
    Route(names.LIST_USERS, "GET", "users", query=True),
    Route(names.CREATE_USER, "POST", "users", steps_up=True),
    Route(names.IMPORT_USERS, "POST", "users/imports", steps_up=True, query=True),
    Route(names.GET_USER, "GET", "users/{id}"),
    Route(names.PUT_USER, "PUT", "users/{id}", steps_up=True),
    Route(names.PUT_USER_STATUS, "PUT", "users/{id}/status", steps_up=True),
    Route(names.DELETE_USER, "DELETE", "users/{id}", steps_up=True),
    Route(names.GET_USER_HISTORY, "GET", "users/{id}/history", query=True),
    Route(names.LIST_DEPARTMENTS, "GET", "departments", query=True),
    Route(names.CREATE_DEPARTMENT, "POST", "departments"),
    Route(names.GET_DEPARTMENT, "GET", "departments/{id}"),
    Route(names.PUT_DEPARTMENT, "PUT", "departments/{id}"),
    Route(names.CLOSE_DEPARTMENT, "DELETE", "departments/{id}"),
    Route(names.GET_DEPARTMENT_HISTORY, "GET", "departments/{id}/history", query=True),
    Route(names.LIST_ROLES, "GET", "roles"),
    Route(names.GET_ROLE, "GET", "roles/{id}"),
    Route(names.PUT_ROLE, "PUT", "roles/{id}", steps_up=True),
    Route(names.DELETE_ROLE, "DELETE", "roles/{id}", steps_up=True),
    Route(names.GET_MODEL_RULES, "GET", "organisation/model-rules"),
    Route(names.PUT_MODEL_RULES, "PUT", "organisation/model-rules", steps_up=True),
    Route(names.BOOTSTRAP, "POST", "bootstrap", public=True),
    Route(names.SCIM_CONFIG, "GET", "ServiceProviderConfig", public=True, root=SCIM),
    Route(names.SCIM_RESOURCE_TYPES, "GET", "ResourceTypes", public=True, root=SCIM),
    Route(names.SCIM_SCHEMAS, "GET", "Schemas", public=True, root=SCIM),
    Route(names.SCIM_LIST_USERS, "GET", "Users", public=True, root=SCIM),
    Route(names.SCIM_CREATE_USER, "POST", "Users", public=True, root=SCIM),
    Route(names.SCIM_GET_USER, "GET", "Users/{id}", public=True, root=SCIM),
    Route(names.SCIM_PUT_USER, "PUT", "Users/{id}", public=True, root=SCIM),
    Route(names.SCIM_PATCH_USER, "PATCH", "Users/{id}", public=True, root=SCIM),
    Route(names.SCIM_DELETE_USER, "DELETE", "Users/{id}", public=True, root=SCIM),
    Route(names.OPENAI_GENERATE, "POST", "images/generations", lets_apps_in=True, root=OPENAI),
    Route(names.OPENAI_LIST_MODELS, "GET", "models", lets_apps_in=True, root=OPENAI),
    Route(names.OPENAI_GET_MODEL, "GET", "models/{id}", lets_apps_in=True, root=OPENAI),
    Route(names.RECEIVE_REPLICATE_WEBHOOK, "POST", "webhooks/replicate", public=True),
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
