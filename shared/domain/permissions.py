"""What people may do: permissions, how far each reaches, and the five built-in roles as data.

A permission says what; its reach says on whose things: one's own, those of one's department, or
those of the whole organisation. Nothing ever reaches into another tenant.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final


class Role(IntEnum):
    """The five built-in roles, ordered: a higher one may do all that a lower one may."""

    STANDARD_USER = 1
    POWER_USER = 2
    DEPT_MANAGER = 3
    ORG_ADMIN = 4
    SUPER_ADMIN = 5


ROLE_BY_CLAIM: Final = {
    "StandardUser": Role.STANDARD_USER,
    "PowerUser": Role.POWER_USER,
    "DeptManager": Role.DEPT_MANAGER,
    "OrgAdmin": Role.ORG_ADMIN,
    "SuperAdmin": Role.SUPER_ADMIN,
}
CLAIM_BY_ROLE: Final = {role: claim for claim, role in ROLE_BY_CLAIM.items()}


class Reach(IntEnum):
    """On whose things a permission may be used; a wider reach includes the narrower ones."""

    NONE = 0
    OWN = 1
    DEPARTMENT = 2
    ORGANISATION = 3


class Permission(StrEnum):
    """Everything that can be allowed, as "noun.verb"."""

    GENERATIONS_CREATE = "generations.create"
    GENERATIONS_READ = "generations.read"
    GENERATIONS_CANCEL = "generations.cancel"
    IMAGES_REHYDRATE = "images.rehydrate"
    BATCHES_CREATE = "batches.create"
    BATCHES_READ = "batches.read"
    BATCHES_CANCEL = "batches.cancel"
    BUDGETS_READ = "budgets.read"
    BUDGETS_WRITE = "budgets.write"
    ALLOCATIONS_READ = "allocations.read"
    ALLOCATIONS_WRITE = "allocations.write"
    GRANTS_READ = "grants.read"
    GRANTS_WRITE = "grants.write"
    OVERRIDES_CREATE = "overrides.create"
    APPROVALS_READ = "approvals.read"
    APPROVALS_DECIDE = "approvals.decide"
    FREEZES_READ = "freezes.read"
    FREEZES_WRITE = "freezes.write"
    ALERTS_READ = "alerts.read"
    ALERT_CHANNELS_READ = "alert_channels.read"
    ALERT_CHANNELS_WRITE = "alert_channels.write"
    REPORTS_READ = "reports.read"
    STATEMENTS_READ = "statements.read"
    STATEMENTS_CLOSE = "statements.close"
    RECONCILIATIONS_WRITE = "reconciliations.write"
    CASES_READ = "cases.read"
    CASES_CLOSE = "cases.close"
    PRIVACY_READ = "privacy.read"
    PRIVACY_WRITE = "privacy.write"
    PRIVACY_OVERRIDES_READ = "privacy_overrides.read"
    PRIVACY_OVERRIDES_WRITE = "privacy_overrides.write"
    RETENTION_READ = "retention.read"
    RETENTION_WRITE = "retention.write"
    LEGAL_HOLDS_WRITE = "legal_holds.write"
    AUDIT_READ = "audit.read"
    USERS_READ = "users.read"
    USERS_WRITE = "users.write"
    DEPARTMENTS_READ = "departments.read"
    DEPARTMENTS_WRITE = "departments.write"
    ROLES_READ = "roles.read"
    ROLES_WRITE = "roles.write"
    MODEL_RULES_READ = "model_rules.read"
    MODEL_RULES_WRITE = "model_rules.write"
    PROVIDERS_READ = "providers.read"
    SESSIONS_REVOKE = "sessions.revoke"


Reaches = Mapping[Permission, Reach]

_NO, _OWN, _DEP, _ORG = Reach.NONE, Reach.OWN, Reach.DEPARTMENT, Reach.ORGANISATION

# One row per permission: Standard User, Power User, Dept Manager, Org Admin, Super Admin.
_ROWS: Final[Mapping[Permission, tuple[Reach, Reach, Reach, Reach, Reach]]] = {
    Permission.GENERATIONS_CREATE: (_OWN, _OWN, _OWN, _OWN, _OWN),
    Permission.GENERATIONS_READ: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.GENERATIONS_CANCEL: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.IMAGES_REHYDRATE: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.BATCHES_CREATE: (_OWN, _OWN, _OWN, _OWN, _OWN),
    Permission.BATCHES_READ: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.BATCHES_CANCEL: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.BUDGETS_READ: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.BUDGETS_WRITE: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.ALLOCATIONS_READ: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.ALLOCATIONS_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.GRANTS_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.GRANTS_WRITE: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.OVERRIDES_CREATE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.APPROVALS_READ: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.APPROVALS_DECIDE: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.FREEZES_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.FREEZES_WRITE: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.ALERTS_READ: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.ALERT_CHANNELS_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.ALERT_CHANNELS_WRITE: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.REPORTS_READ: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.STATEMENTS_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.STATEMENTS_CLOSE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.RECONCILIATIONS_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.CASES_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.CASES_CLOSE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.PRIVACY_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.PRIVACY_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.PRIVACY_OVERRIDES_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.PRIVACY_OVERRIDES_WRITE: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.RETENTION_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.RETENTION_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.LEGAL_HOLDS_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.AUDIT_READ: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.USERS_READ: (_OWN, _OWN, _DEP, _ORG, _ORG),
    Permission.USERS_WRITE: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.DEPARTMENTS_READ: (_DEP, _DEP, _DEP, _ORG, _ORG),
    Permission.DEPARTMENTS_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.ROLES_READ: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.ROLES_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.MODEL_RULES_READ: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.MODEL_RULES_WRITE: (_NO, _NO, _NO, _ORG, _ORG),
    Permission.PROVIDERS_READ: (_NO, _NO, _DEP, _ORG, _ORG),
    Permission.SESSIONS_REVOKE: (_OWN, _OWN, _OWN, _ORG, _ORG),
}

BUILT_IN: Final[Mapping[Role, Reaches]] = {
    role: {permission: row[role - 1] for permission, row in _ROWS.items() if row[role - 1]}
    for role in Role
}


def includes(wide: Reaches, narrow: Reaches) -> bool:
    """Whether whoever has the wide set may do everything that the narrow one allows."""
    return all(wide.get(name, Reach.NONE) >= reach for name, reach in narrow.items())


def narrowed(reaches: Reaches, most: Reaches) -> Reaches:
    """What both sets allow."""
    return {name: min(reach, most[name]) for name, reach in reaches.items() if name in most}
