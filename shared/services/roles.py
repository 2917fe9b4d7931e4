"""Custom roles: who may do what beyond the built-in roles."""

from dataclasses import dataclass, replace
from typing import Any

from shared.domain.directory import Actor, PeopleFilter, differences
from shared.domain.identity import (
    CLAIM_BY_ROLE,
    ROLE_BY_CLAIM,
    Caller,
    Permission,
    Reach,
    require_reach,
)
from shared.domain.model_rules import NO_RULES, ModelRules
from shared.domain.permissions import BUILT_IN, Reaches, Role
from shared.domain.role_views import RoleList, RoleView
from shared.domain.roles import (
    CUSTOM_PREFIX,
    ROLE_ID,
    ROLES_MAX,
    SERVICE_RANK_MAX,
    CustomRole,
    check_may_give,
    read_role,
    role_document,
    role_document_id,
    role_state,
)
from shared.errors import Conflict, FieldFault, Invalid, NotFound, PolicyDenied
from shared.ports import Clock
from shared.ports.directory import DirectoryStore
from shared.services.directory_changes import (
    DirectoryChanges,
    Revision,
    actor_of,
    check_expected,
)
from shared.services.model_rules import shown_rules

NO_SUCH = "There is no such role."
ADMINS_ONLY = "Only administrators of the organisation see and change roles."
RULES_ADMINS_ONLY = "Only administrators of the organisation change rules of models."


@dataclass(frozen=True)
class RoleOrder:
    """A custom role as it shall be."""

    name: str
    rank: Role
    reaches: Reaches
    rules: ModelRules


@dataclass(frozen=True)
class Roles:
    """Shows and changes roles; nobody makes one that allows what they do not have."""

    store: DirectoryStore
    changes: DirectoryChanges
    clock: Clock

    async def list(self, caller: Caller) -> RoleList:
        """The built-in roles and the organisation's own."""
        require_reach(caller, Permission.ROLES_READ, Reach.ORGANISATION, ADMINS_ONLY)
        built_in = [RoleView.built_in(role) for role in reversed(Role)]
        custom = [read_role(each) for each in await self.store.listed(caller.tenant_id, "role")]
        shown = [RoleView.of(each) for each in custom if each.status == "active"]
        return RoleList(items=(*built_in, *shown))

    async def get(self, caller: Caller, role_id: str) -> RoleView:
        require_reach(caller, Permission.ROLES_READ, Reach.ORGANISATION, ADMINS_ONLY)
        built_in = ROLE_BY_CLAIM.get(role_id)
        if built_in is not None:
            return RoleView.built_in(built_in)
        return RoleView.of(await self._standing(caller.tenant_id, role_id))

    async def put(
        self,
        caller: Caller,
        role_id: str,
        order: RoleOrder,
        *,
        expected: int | None,
        correlation_id: str,
    ) -> RoleView:
        """Create or replace a custom role; whoever has it has the new one at their next request."""
        actor = actor_of(caller, correlation_id)
        before = await find_role(self.store, caller.tenant_id, role_id)
        await self._admit(caller, role_id, actor, before, order)
        if ROLE_ID.fullmatch(role_id) is None:
            raise Invalid(
                "A role is named custom:, then lower-case letters, digits and hyphens.",
                faults=[FieldFault("/id", "for instance custom:catalogue-pipeline")],
            )
        stands = before is not None and before.status == "active"
        check_expected(before.revision if before and stands else None, expected)
        if before is None and len(await self.store.listed(caller.tenant_id, "role")) >= ROLES_MAX:
            raise Conflict(f"An organisation has at most {ROLES_MAX} roles.", code="too_many")
        if order.rank > SERVICE_RANK_MAX:
            await self._check_no_pipeline_has(caller.tenant_id, role_id)
        now = self.clock.now().isoformat()
        after = CustomRole(
            tenant_id=caller.tenant_id,
            role_id=role_id,
            name=order.name,
            rank=order.rank,
            reaches={name: reach for name, reach in order.reaches.items() if reach},
            rules=order.rules,
            created_at=before.created_at if before else now,
            changed_at=now,
            revision=before.revision + 1 if before else 1,
            change_id=self.clock.new_id(),
        )
        await self._write(before, after, "role.changed" if before else "role.created", actor)
        return RoleView.of(after)

    async def delete(
        self, caller: Caller, role_id: str, *, expected: int | None, correlation_id: str
    ) -> None:
        """End a custom role nobody has; whoever is given it at this moment may do nothing."""
        actor = actor_of(caller, correlation_id)
        standing = await find_role(self.store, caller.tenant_id, role_id)
        await self._admit(caller, role_id, actor, standing, None)
        if standing is None or standing.status == "deleted":
            raise NotFound(NO_SUCH)
        check_expected(standing.revision, expected)
        if await self.store.count_people(caller.tenant_id, PeopleFilter(role_id=role_id)):
            raise Conflict("Somebody has this role; give them another one first.", code="in_use")
        after = replace(
            standing,
            status="deleted",
            changed_at=self.clock.now().isoformat(),
            revision=standing.revision + 1,
            change_id=self.clock.new_id(),
        )
        await self._write(standing, after, "role.deleted", actor)

    async def _admit(
        self,
        caller: Caller,
        role_id: str,
        actor: Actor,
        before: CustomRole | None,
        order: RoleOrder | None,
    ) -> None:
        """Raise PolicyDenied, leaving an event, unless the caller may change this role so."""
        try:
            require_reach(caller, Permission.ROLES_WRITE, Reach.ORGANISATION, ADMINS_ONLY)
            if caller.role_id == role_id:
                raise PolicyDenied("Nobody changes their own role.", code="own_role")
            if before is not None:
                check_may_give(caller, before.rank, {})
            if order is not None:
                check_may_give(caller, order.rank, order.reaches)
                if order.rules != (before.rules if before else NO_RULES):
                    write = Permission.MODEL_RULES_WRITE
                    require_reach(caller, write, Reach.ORGANISATION, RULES_ADMINS_ONLY)
        except PolicyDenied as refusal:
            await self.changes.note_denial(
                caller.tenant_id, role_document_id(_safe(role_id)), "role.change", actor, refusal
            )
            raise

    async def _check_no_pipeline_has(self, tenant_id: str, role_id: str) -> None:
        """Raise Conflict before a pipeline gets an administrator's role with a role it has.

        Whoever is given it at this moment is held to `SERVICE_RANK_MAX` on each request.
        """
        wanted = PeopleFilter(role_id=role_id, kind="service")
        if await self.store.count_people(tenant_id, wanted):
            raise Conflict("A pipeline has this role; give it another one first.", code="in_use")

    async def _standing(self, tenant_id: str, role_id: str) -> CustomRole:
        role = await find_role(self.store, tenant_id, role_id)
        if role is None or role.status == "deleted":
            raise NotFound(NO_SUCH)
        return role

    async def _write(
        self, before: CustomRole | None, after: CustomRole, action: str, actor: Actor
    ) -> None:
        revision = Revision(
            document=role_document(after),
            part="role",
            state=role_state(after),
            number=after.revision,
            exists=before is not None,
            action=action,
            details=differences(_shown(before) if before else None, _shown(after)),
        )
        await self.changes.write(revision, actor)


async def find_role(store: DirectoryStore, tenant_id: str, role_id: str) -> CustomRole | None:
    """A custom role of any status; None also for what is no custom role's name."""
    if ROLE_ID.fullmatch(role_id) is None:
        return None
    document = await store.find(tenant_id, role_document_id(role_id))
    return read_role(document) if document else None


async def described_role(
    store: DirectoryStore, tenant_id: str, role_id: str
) -> tuple[Role, Reaches]:
    """The rank of a role and what it allows; Invalid for one that does not exist."""
    built_in = ROLE_BY_CLAIM.get(role_id)
    if built_in is not None:
        return built_in, BUILT_IN[built_in]
    role = await find_role(store, tenant_id, role_id)
    if role is None or role.status == "deleted":
        raise Invalid(NO_SUCH, faults=[FieldFault("/role", "name a built-in or a custom role")])
    return role.rank, role.reaches


async def rank_of(store: DirectoryStore, tenant_id: str, role_id: str) -> Role:
    """The rank of a role that somebody has; the lowest if it is gone."""
    built_in = ROLE_BY_CLAIM.get(role_id)
    if built_in is not None:
        return built_in
    role = await find_role(store, tenant_id, role_id)
    return role.rank if role else Role.STANDARD_USER


async def reaches_of(store: DirectoryStore, tenant_id: str, role_id: str) -> Reaches:
    """What a role that somebody has allows; nothing if it is gone."""
    built_in = ROLE_BY_CLAIM.get(role_id)
    if built_in is not None:
        return BUILT_IN[built_in]
    role = await find_role(store, tenant_id, role_id)
    return role.reaches if role and role.status == "active" else {}


def _shown(role: CustomRole) -> dict[str, Any]:
    return {
        "name": role.name,
        "rank": CLAIM_BY_ROLE[role.rank],
        "permissions": ",".join(f"{n}={r.name.lower()}" for n, r in sorted(role.reaches.items())),
        "status": role.status,
        **shown_rules(role.rules),
    }


def _safe(role_id: str) -> str:
    """What of a caller's words may stand in an audit event."""
    known = role_id in ROLE_BY_CLAIM or ROLE_ID.fullmatch(role_id) is not None
    return role_id if known else f"{CUSTOM_PREFIX}malformed"
