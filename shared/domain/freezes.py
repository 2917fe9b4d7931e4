"""Freezes: switches that stop new spending of everything, a provider, a model or a paying scope.

A target is written `global`, `provider:replicate`, `model:sdxl`, `department:marketing`,
`user:{object id}`, `project:{department}.{id}` or `cost_centre:{department}.{id}`. Its document is
kept when the freeze is lifted, so that its revision goes on and every change has its own event.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from shared.domain.budgets import Scope
from shared.domain.identity import CLAIM_BY_ROLE, ROLE_BY_CLAIM, Caller, Role
from shared.domain.ids import DEPARTMENT_ID_PATTERN, Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.models import MODELS
from shared.domain.predicates import equal

FREEZES: Final = "freezes"  # in place of a period: the partition of a tenant's freezes
GLOBAL: Final = "global"
REASON_CHARS_MAX: Final = 500
SYSTEM_ROLE: Final = "system"  # its freezes are lifted by an Org Admin
WAIT_S_MIN: Final = 2.0  # paused work that is asked again at once would only be paused again
WAIT_S_MAX: Final = 3_600.0
WAIT_SHARE: Final = 4  # paused work waits a quarter of the time it has been frozen for already

_SCOPE_ID: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_OBJECT_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAMES: Final[Mapping[str, re.Pattern[str]]] = {
    "department": re.compile(DEPARTMENT_ID_PATTERN),
    "user": re.compile(_OBJECT_ID),
    "project": re.compile(rf"{DEPARTMENT_ID_PATTERN}\.{_SCOPE_ID}"),
    "cost_centre": re.compile(rf"{DEPARTMENT_ID_PATTERN}\.{_SCOPE_ID}"),
}

TargetKind = Literal["global", "provider", "model", "department", "user", "project", "cost_centre"]


@dataclass(frozen=True)
class Target:
    """What a freeze stops; `name` is empty for `global`."""

    kind: TargetKind
    name: str = ""

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    @property
    def document_id(self) -> str:
        return f"freeze:{self.text}"

    @property
    def department_id(self) -> str | None:
        """The department a target lies in, as far as its name says so."""
        if self.kind == "department":
            return self.name
        if self.kind in ("project", "cost_centre"):
            return self.name.partition(".")[0]
        return None


@dataclass(frozen=True)
class Freeze:
    """One switch as it was last set. Times are ISO 8601 in UTC; `since` survives a repeated set."""

    target: Target
    reason: str
    actor: str
    since: str
    ends_at: str | None = None
    lifted: bool = False
    role: str = CLAIM_BY_ROLE[Role.ORG_ADMIN]  # of the actor; SYSTEM_ROLE for the system's own
    revision: int = 1
    change_id: str = ""  # of the request that wrote this revision: tells a repeat from a rival

    def stands(self, now: datetime) -> bool:
        """Whether it stops anything at this moment."""
        if self.lifted:
            return False
        return self.ends_at is None or now < datetime.fromisoformat(self.ends_at)

    def yields_to(self, caller: Caller, now: datetime) -> bool:
        """Whether somebody may lift or replace it: nobody their own, nor one of a higher role."""
        if not self.stands(now):
            return True
        if self.target == Target("user", caller.principal.object_id):
            return False
        return caller.role >= ROLE_BY_CLAIM.get(self.role, Role.ORG_ADMIN)

    def wait_s(self, now: datetime) -> float:
        """How long paused work waits before it asks again: longer the longer this has stood."""
        frozen_for = now - datetime.fromisoformat(self.since)
        wait = max(frozen_for, timedelta()) / WAIT_SHARE
        if self.ends_at is not None:
            wait = min(wait, datetime.fromisoformat(self.ends_at) - now)
        return min(WAIT_S_MAX, max(WAIT_S_MIN, wait.total_seconds()))

    def followed_by(self, change: "Freeze", now: datetime) -> "Freeze":
        """The next revision; what is extended while it stands keeps its beginning."""
        since = self.since if self.stands(now) else change.since
        return replace(change, since=since, revision=self.revision + 1)

    def as_json(self) -> dict[str, Any]:
        """What audit events show before and after a change."""
        return {
            "reason": self.reason,
            "since": self.since,
            "ends_at": self.ends_at,
            "lifted": self.lifted,
            "role": self.role,
        }


def parse_target(text: str) -> Target | None:
    """The target a caller named; None for what cannot be frozen."""
    if text == GLOBAL:
        return Target("global")
    kind, _, name = text.partition(":")
    if kind == "provider":
        known = name in {model.provider for model in MODELS.values()}
        return Target("provider", name) if known else None
    if kind == "model":
        return Target("model", name) if name in MODELS else None
    pattern = _NAMES.get(kind)
    if pattern is None or pattern.fullmatch(name) is None:
        return None
    return Target(kind, name)  # type: ignore[arg-type]  # every key of _NAMES is a kind


def targets_of_scopes(department_id: str, scopes: Iterable[Scope]) -> list[Target]:
    """The targets that would stop spending charged to these budgets of a department."""
    targets = []
    for scope in scopes:
        if scope.kind == "user":  # "{tenant}.{object id}": freezes are kept per tenant already
            targets.append(Target("user", scope.scope_id.rpartition(".")[2]))
        elif scope.kind == "department":
            targets.append(Target("department", scope.scope_id))
        else:
            targets.append(Target(scope.kind, f"{department_id}.{scope.scope_id}"))
    return targets


def targets_of_models(models: Iterable[str]) -> list[Target]:
    """The targets that would stop any of these models, `global` first."""
    named = sorted(set(models))
    providers = sorted({MODELS[model].provider for model in named if model in MODELS})
    return [
        Target("global"),
        *(Target("provider", provider) for provider in providers),
        *(Target("model", model) for model in named),
    ]


def standing_freeze(
    freezes: Iterable[Freeze], targets: Sequence[Target], now: datetime
) -> Freeze | None:
    """The first target, in the order given, that is frozen now."""
    standing = {freeze.target: freeze for freeze in freezes if freeze.stands(now)}
    return next((standing[target] for target in targets if target in standing), None)


def freeze_partition(tenant_id: str) -> Partition:
    """The organisation-wide ledger partition that holds a tenant's freezes and their outbox."""
    return Partition(f"organisation.{tenant_id}", FREEZES)


def freeze_document(tenant_id: str, freeze: Freeze) -> Document:
    return {
        "id": freeze.target.document_id,
        "pk": freeze_partition(tenant_id).key,
        "type": "freeze",
        "target_kind": freeze.target.kind,
        "target_name": freeze.target.name,
        "revision": freeze.revision,
        "switch": _switch_of(freeze),
    }


def put_operation(tenant_id: str, freeze: Freeze) -> Operation:
    """Write a freeze if its predecessor stands: revision 1 is created, n replaces n - 1."""
    if freeze.revision == 1:
        return Create(freeze_document(tenant_id, freeze))
    steps = (
        {"op": "set", "path": "/revision", "value": freeze.revision},
        {"op": "set", "path": "/switch", "value": _switch_of(freeze)},
    )
    return Patch(freeze.target.document_id, steps, equal({"revision": freeze.revision - 1}))


def read_freeze(document: Mapping[str, Any]) -> Freeze:
    return Freeze(
        target=Target(document["target_kind"], document["target_name"]),
        revision=int(document["revision"]),
        **document["switch"],
    )


def _switch_of(freeze: Freeze) -> dict[str, Any]:
    return {**freeze.as_json(), "actor": freeze.actor, "change_id": freeze.change_id}
