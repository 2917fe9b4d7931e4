"""People and pipelines of the organisation: invite, show, change, disable, delete."""

from dataclasses import dataclass, replace

from shared.domain.budgets import Scope
from shared.domain.departments import department_document_id, read_department
from shared.domain.directory import PEOPLE_PER_PAGE_MAX, Actor, PeopleFilter
from shared.domain.identity import (
    Caller,
    Ownership,
    Permission,
    PrincipalKind,
    Reach,
    require,
    require_reach,
)
from shared.domain.model_rules import NO_RULES, ModelRules
from shared.domain.models import MODELS
from shared.domain.permissions import includes
from shared.domain.roles import SERVICE_RANK_MAX, check_may_give, check_outranks, held_rank
from shared.domain.user_views import ChangeList, UserList, UserView
from shared.domain.users import (
    DEFAULT_ROLE,
    DEFAULT_TIER,
    NOBODY,
    Personal,
    Tier,
    User,
    UserStatus,
    read_user,
    user_document_id,
)
from shared.errors import FieldFault, Invalid, NotFound, PolicyDenied
from shared.ports import BudgetPolicies
from shared.services.directory_changes import (
    DirectoryChanges,
    actor_of,
    check_expected,
    history_page,
)
from shared.services.personal_data import PersonalData
from shared.services.roles import described_role, find_role, rank_of, reaches_of
from shared.services.user_changes import UserChanges, already_exists

NO_SUCH = "There is no such user."
NO_DEPARTMENT = "There is no such department."
SHUT_OUT = "An administrator of the organisation shut this account; ask one to let them in."
NOT_YOURSELF = "Nobody changes their own account; ask somebody else."


@dataclass(frozen=True)
class UserOrder:
    """A person or pipeline as they shall be."""

    department_id: str
    role_id: str = DEFAULT_ROLE
    kind: PrincipalKind = "person"
    tier: Tier = DEFAULT_TIER
    cost_centre_id: str | None = None
    personal: Personal = NOBODY
    external_id: str | None = None
    rules: ModelRules = NO_RULES


@dataclass(frozen=True)
class Users:
    """Everybody sees their own account; managers their department's, administrators everybody's."""

    people: UserChanges
    changes: DirectoryChanges
    personal: PersonalData
    policies: BudgetPolicies

    async def list(
        self,
        caller: Caller,
        wanted: PeopleFilter,
        search: str | None,
        continuation: str | None,
        limit: int,
    ) -> UserList:
        """A page of the people the caller may see; `search` are words of names and addresses."""
        wanted = await self._narrowed(caller, wanted)
        if search:
            keys = self.personal.search_keys(caller.tenant_id, search)
            if not keys:
                return UserList(items=(), continuation=None)  # there is no word in it
            wanted = replace(wanted, search_keys=keys)
        page = await self.people.store.people(
            caller.tenant_id, wanted, continuation, min(limit, PEOPLE_PER_PAGE_MAX)
        )
        users = [read_user(document) for document in page.documents]
        known = await self.personal.opened(users)
        shown = tuple(UserView.of(u, p) for u, p in zip(users, known, strict=True))
        return UserList(items=shown, continuation=page.continuation)

    async def _narrowed(self, caller: Caller, wanted: PeopleFilter) -> PeopleFilter:
        if caller.reach(Permission.USERS_READ) == Reach.ORGANISATION:
            if wanted.department_id is not None:
                name = department_document_id(wanted.department_id)
                if await self.people.store.find(caller.tenant_id, name) is None:
                    raise NotFound(NO_DEPARTMENT)
            return wanted
        require_reach(caller, Permission.USERS_READ, Reach.DEPARTMENT, "Only managers list people.")
        if wanted.department_id not in (None, caller.department_id):
            raise NotFound(NO_DEPARTMENT)
        return replace(wanted, department_id=caller.department_id)

    async def get(self, caller: Caller, object_id: str) -> UserView:
        """One account; `me` is the caller's own."""
        wanted = caller.principal.object_id if object_id == "me" else object_id
        return await self._view(await self._visible(caller, wanted))

    async def history(self, caller: Caller, object_id: str, before: int | None) -> ChangeList:
        """The changes of an account, newest first; of a deleted one for who sees everybody."""
        wanted = caller.principal.object_id if object_id == "me" else object_id
        everywhere = caller.reach(Permission.USERS_READ) == Reach.ORGANISATION
        user = await self._visible(caller, wanted, with_deleted=everywhere)
        return await history_page(self.people.store, caller.tenant_id, user.document_id, before)

    async def create(
        self,
        caller: Caller,
        object_id: str,
        order: UserOrder,
        correlation_id: str,
    ) -> UserView:
        """Enter somebody who can sign in at the identity provider already, or soon will."""
        actor = actor_of(caller, correlation_id)
        await self.check_order(caller, None, object_id, order, actor)
        before = await self.people.find(caller.tenant_id, object_id)
        if before is not None and before.status != "deleted":
            raise already_exists()
        blank = User(caller.tenant_id, object_id, order.department_id)
        after = await self.ordered(blank, order)
        await self.people.check_user_name(before, after)
        return await self._view(await self.people.write(before, after, actor))

    async def replace(
        self,
        caller: Caller,
        object_id: str,
        order: UserOrder,
        *,
        expected: int | None,
        correlation_id: str,
    ) -> UserView:
        """Change an account as a whole; a move takes effect for whatever is asked for next."""
        actor = actor_of(caller, correlation_id)
        before = await self._visible(caller, object_id)
        await self.check_order(caller, before, before.object_id, order, actor)
        check_expected(before.revision, expected)
        if order.kind != before.kind:
            fault = FieldFault("/kind", "it never changes")
            raise Invalid("A person does not become a pipeline, nor the other way.", faults=[fault])
        after = await self.ordered(before, order)
        await self.people.check_user_name(before, after)
        return await self._view(await self.people.write(before, after, actor))

    async def set_status(
        self,
        caller: Caller,
        object_id: str,
        status: UserStatus,
        reason: str | None,
        correlation_id: str,
        *,
        expected: int | None = None,
    ) -> UserView:
        """Disable, enable or delete; whoever has another status has no access from then on.

        Deleting removes the personal data and keeps the object id, which records name.
        """
        actor = actor_of(caller, correlation_id)
        before = await self._visible(caller, object_id)
        await self._admit(caller, before, None, actor, before.object_id, lets_in=status == "active")
        check_expected(before.revision, expected)
        everywhere = caller.reach(Permission.USERS_WRITE) == Reach.ORGANISATION
        after = before.with_status(status, "organisation" if everywhere else "department")
        if after == before:
            return await self._view(before)
        if status == "deleted":
            after = await self.personal.sealed(replace(after, external_id=None), NOBODY)
        return await self._view(await self.people.write(before, after, actor, reason))

    async def check_order(
        self,
        caller: Caller,
        before: User | None,
        object_id: str,
        order: UserOrder,
        actor: Actor | None = None,
    ) -> None:
        """Raise unless the caller may make this of an account; with an actor, a denial is noted."""
        if actor is None:
            await self._check_may_write(caller, before, order, object_id)
        else:
            await self._admit(caller, before, order, actor, object_id)
        if before is None or before.department_id != order.department_id:
            await self._check_department(caller, order.department_id)
        rank, _ = await described_role(self.people.store, caller.tenant_id, order.role_id)
        if order.kind == "service" and rank > SERVICE_RANK_MAX:
            fault = FieldFault("/role", "choose a role below administrators")
            raise Invalid("A pipeline has no administrator's role.", faults=[fault])
        await self._check_cost_centre(order)

    async def ordered(self, user: User, order: UserOrder) -> User:
        """The user as ordered, sealed."""
        changed = replace(
            user,
            kind=order.kind,
            department_id=order.department_id,
            role_id=order.role_id,
            tier=order.tier,
            cost_centre_id=order.cost_centre_id,
            external_id=order.external_id,
            rules=order.rules,
        )
        [known] = await self.personal.opened([user])
        if known == order.personal:  # a new envelope would look like a change
            return changed
        return await self.personal.sealed(changed, order.personal)

    async def _admit(
        self,
        caller: Caller,
        before: User | None,
        order: UserOrder | None,
        actor: Actor,
        object_id: str,
        *,
        lets_in: bool = False,
    ) -> None:
        try:
            await self._check_may_write(caller, before, order, object_id)
            if lets_in and before is not None:
                await self._check_may_let_in(caller, before)
        except PolicyDenied as refusal:
            await self.changes.note_denial(
                caller.tenant_id, user_document_id(object_id), "user.change", actor, refusal
            )
            raise

    async def _check_may_write(
        self, caller: Caller, before: User | None, order: UserOrder | None, object_id: str
    ) -> None:
        write = Permission.USERS_WRITE
        require_reach(caller, write, Reach.DEPARTMENT, "Your role does not change accounts.")
        if object_id == caller.principal.object_id:
            raise PolicyDenied(NOT_YOURSELF, code="own_account")
        everywhere = caller.reach(write) == Reach.ORGANISATION
        if before is not None:
            if not everywhere and before.department_id != caller.department_id:
                raise PolicyDenied("This person is of another department.")
            rank = await rank_of(self.people.store, before.tenant_id, before.role_id)
            check_outranks(caller, held_rank(before.kind, rank))
        if order is None:
            return
        known = before or await self._left_behind(caller.tenant_id, object_id)
        if before is None and known is not None:
            _check_not_shut_out(caller, known)
        if before is None or before.role_id != order.role_id:
            role = await described_role(self.people.store, caller.tenant_id, order.role_id)
            check_may_give(caller, *role)
            await self._check_may_change_models(caller, known, order.role_id)
        if order.tier != (known.tier if known else DEFAULT_TIER) and not everywhere:
            raise PolicyDenied("Only administrators of the organisation change tiers.")
        if order.rules != (known.rules if known else NO_RULES):
            require_reach(
                caller,
                Permission.MODEL_RULES_WRITE,
                Reach.ORGANISATION,
                "Only administrators of the organisation change rules of models.",
            )

    async def _check_may_let_in(self, caller: Caller, user: User) -> None:
        """Whoever lets somebody in again gives them what their role allows."""
        _check_not_shut_out(caller, user)
        reaches = await reaches_of(self.people.store, user.tenant_id, user.role_id)
        if not includes(caller.reaches, reaches):
            raise PolicyDenied("Their role allows what yours does not.", code="role_too_wide")

    async def _check_may_change_models(
        self, caller: Caller, known: User | None, role_id: str
    ) -> None:
        """A change of role opens no model that its giver may not use, nor one that was denied."""
        if caller.reach(Permission.MODEL_RULES_WRITE) == Reach.ORGANISATION:
            return
        given = await self._rules_of_role(caller.tenant_id, role_id)
        taken = await self._rules_of_role(caller.tenant_id, known.role_id) if known else NO_RULES
        for model in MODELS.values():
            name = (model.model, model.provider)
            opens = given.says(*name) == "allow" and caller.model_refusal(*name) is not None
            if opens or (taken.says(*name) == "deny" and given.says(*name) != "deny"):
                raise PolicyDenied(
                    f"The change opens the model {model.model}, which is not yours to allow.",
                    code="role_too_wide",
                )

    async def _rules_of_role(self, tenant_id: str, role_id: str) -> ModelRules:
        custom = await find_role(self.people.store, tenant_id, role_id)
        return custom.rules if custom else NO_RULES

    async def _left_behind(self, tenant_id: str, object_id: str) -> User | None:
        """Who was deleted; what administrators decided about them holds when they come back."""
        user = await self.people.find(tenant_id, object_id)
        return user if user and user.status == "deleted" else None

    async def _check_department(self, caller: Caller, department_id: str) -> None:
        """Another department is not there for who may not put anybody into it."""
        own = department_id == caller.department_id
        everywhere = caller.reach(Permission.USERS_WRITE) == Reach.ORGANISATION
        document = None
        if own or everywhere:
            name = department_document_id(department_id)
            document = await self.people.store.find(caller.tenant_id, name)
        if document is None or read_department(document).closed:
            fault = FieldFault("/department", "name one that is there and open")
            raise NotFound(NO_DEPARTMENT, faults=[fault])

    async def _check_cost_centre(self, order: UserOrder) -> None:
        if order.cost_centre_id is None:
            return
        scope = Scope("cost_centre", order.cost_centre_id)
        policy = await self.policies.policy(order.department_id, scope)
        if policy is None or policy.deleted:
            fault = FieldFault("/cost_centre", "name one that has a budget in the department")
            raise Invalid("The department has no such cost centre.", faults=[fault])

    async def _visible(self, caller: Caller, object_id: str, *, with_deleted: bool = False) -> User:
        user = await self.people.find(caller.tenant_id, object_id)
        if user is None or not (user.is_present or with_deleted):
            raise NotFound(NO_SUCH)
        owner = Ownership(user.tenant_id, user.department_id, user.key)
        require(caller, Permission.USERS_READ, owner, "user")
        return user

    async def _view(self, user: User) -> UserView:
        [known] = await self.personal.opened([user])
        return UserView.of(user, known)


def _check_not_shut_out(caller: Caller, user: User) -> None:
    """Whom the organisation shut out only the organisation lets in again."""
    everywhere = caller.reach(Permission.USERS_WRITE) == Reach.ORGANISATION
    if user.shut_out_by == "organisation" and not everywhere:
        raise PolicyDenied(SHUT_OUT, code="shut_out_by_organisation")
