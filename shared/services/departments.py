"""Departments of the organisation: create, show, rename, move in the tree, close."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.budgets import ScopeKind
from shared.domain.department_views import DepartmentList, DepartmentSummary, DepartmentView
from shared.domain.departments import (
    DEPARTMENTS_MAX,
    TREE_ID,
    Department,
    DepartmentTree,
    department_document,
    department_document_id,
    department_state,
    read_department,
    read_tree,
    tree_document,
)
from shared.domain.directory import (
    PEOPLE_PER_PAGE_MAX,
    Actor,
    PeopleFilter,
    differences,
    put_document,
)
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach, Role, require_reach
from shared.domain.ledger import Operation, Patch
from shared.domain.predicates import equal, has_no
from shared.domain.roles import read_role
from shared.domain.user_views import ChangeList
from shared.domain.users import User, read_user
from shared.errors import Conflict, FieldFault, Invalid, NotFound, PolicyDenied, PreconditionFailed
from shared.ports import POLICIES_PER_PAGE_MAX, BudgetPolicies, Clock
from shared.ports.directory import DirectoryStore
from shared.services.directory_changes import (
    DirectoryChanges,
    Revision,
    actor_of,
    check_expected,
    history_page,
)

NO_SUCH = "There is no such department."
ADMINS_ONLY = "Only administrators of the organisation change departments."
TRIES_MAX = 8  # of a creation that meets rival changes of the tree


@dataclass(frozen=True)
class Departments:
    """Everybody sees their own department, administrators all; closing one keeps its books."""

    store: DirectoryStore
    changes: DirectoryChanges
    policies: BudgetPolicies
    clock: Clock

    async def list(
        self, caller: Caller, search: str | None, continuation: str | None, limit: int
    ) -> DepartmentList:
        """A page of the departments the caller may see; `search` is a part of an id or a name."""
        read = Permission.DEPARTMENTS_READ
        require_reach(caller, read, Reach.DEPARTMENT, "Your role sees no departments.")
        tree = await self._tree(caller.tenant_id)
        everywhere = caller.reach(read) == Reach.ORGANISATION
        wanted, after = (search or "").casefold(), continuation or ""
        found = [
            department
            for department in map(
                read_department, await self.store.listed(caller.tenant_id, "department")
            )
            if (everywhere or department.department_id == caller.department_id)
            and department.department_id > after
            and (wanted in department.department_id or wanted in department.name.casefold())
        ]
        shown = [DepartmentSummary.of(department, tree) for department in found[:limit]]
        return DepartmentList(
            items=tuple(shown), continuation=shown[-1].id if len(found) > limit else None
        )

    async def get(self, caller: Caller, department_id: str) -> DepartmentView:
        """A department with its managers, projects and cost centres."""
        department = await self._visible(caller, department_id)
        return DepartmentView.of(
            department,
            await self._tree(caller.tenant_id),
            await self._managers(caller.tenant_id, department_id),
            await self._payers(department_id, "project"),
            await self._payers(department_id, "cost_centre"),
        )

    async def history(self, caller: Caller, department_id: str, before: int | None) -> ChangeList:
        """The changes of a department, newest first."""
        department = await self._visible(caller, department_id)
        return await history_page(self.store, caller.tenant_id, department.document_id, before)

    async def create(
        self,
        caller: Caller,
        department_id: str,
        name: str,
        parent_id: str | None,
        correlation_id: str,
    ) -> DepartmentView:
        """A new department; it has no budget until somebody gives it one."""
        actor = actor_of(caller, correlation_id)
        await self._admit(caller, department_id, actor)
        return await self.enter(caller.tenant_id, department_id, name, parent_id, actor)

    async def enter(
        self,
        tenant_id: str,
        department_id: str,
        name: str,
        parent_id: str | None,
        actor: Actor,
    ) -> DepartmentView:
        """The same for an actor who is nobody's caller, such as a seed."""
        if len(await self.store.listed(tenant_id, "department")) >= DEPARTMENTS_MAX:
            raise Conflict(f"There are at most {DEPARTMENTS_MAX} departments.", code="too_many")
        for tries_left in reversed(range(TRIES_MAX)):
            if await self.store.find(tenant_id, department_document_id(department_id)):
                raise already_exists()
            # The index first: should this worker die now, the id stays ours and a repeat goes on.
            if not await self.store.claim_department(tenant_id, department_id):
                raise already_exists()
            now = self.clock.now().isoformat()
            department = Department(
                tenant_id=tenant_id,
                department_id=department_id,
                name=name,
                created_at=now,
                changed_at=now,
                change_id=self.clock.new_id(),
            )
            tree = await self._tree(tenant_id)
            await self._check_parent(tenant_id, parent_id)  # after the tree: closing writes it
            moved = tree.moved(department_id, parent_id)
            try:
                await self._write(None, department, tree, moved, "department.created", actor)
            except PreconditionFailed:  # another department changed the tree meanwhile
                if tries_left == 0:
                    raise
            else:
                return DepartmentView.of(department, moved)
        raise AssertionError("unreachable: the last try returns or raises")

    async def replace(
        self,
        caller: Caller,
        department_id: str,
        name: str,
        parent_id: str | None,
        *,
        expected: int | None,
        correlation_id: str,
    ) -> DepartmentView:
        """Rename a department, or make it part of another one."""
        actor = actor_of(caller, correlation_id)
        await self._admit(caller, department_id, actor)
        before = await self._visible(caller, department_id)
        check_expected(before.revision, expected)
        tree = await self._tree(caller.tenant_id)
        if parent_id != tree.parents.get(before.department_id):
            await self._check_parent(caller.tenant_id, parent_id)
        after = self._next(replace(before, name=name))
        moved = tree.moved(before.department_id, parent_id)
        await self._write(before, after, tree, moved, "department.changed", actor)
        return await self.get(caller, department_id)

    async def close(
        self, caller: Caller, department_id: str, *, expected: int | None, correlation_id: str
    ) -> None:
        """Close a department that has neither people nor parts; its books stay."""
        actor = actor_of(caller, correlation_id)
        await self._admit(caller, department_id, actor)
        before = await self._visible(caller, department_id)
        check_expected(before.revision, expected)
        if before.closed:
            return
        tree = await self._tree(caller.tenant_id)
        if tree.children(before.department_id):
            raise Conflict("Other departments are part of it.", code="has_parts")
        wanted = PeopleFilter(department_id=before.department_id)
        if await self.store.count_people(caller.tenant_id, wanted):
            raise Conflict("People are in it; move them first.", code="has_people")
        after = self._next(replace(before, closed=True))
        step = {"op": "set", "path": "/closed", "value": 1}
        nobody_came = (
            has_no("arrivals") if before.arrivals is None else equal({"arrivals": before.arrivals})
        )
        shut = Patch(before.document_id, (step,), nobody_came)
        moved = tree.moved(before.department_id, None)
        await self._write(before, after, tree, moved, "department.closed", actor, [shut])

    def _next(self, changed: Department) -> Department:
        return replace(
            changed,
            revision=changed.revision + 1,
            changed_at=self.clock.now().isoformat(),
            change_id=self.clock.new_id(),
        )

    async def _write(  # noqa: PLR0917 - what was and what shall be, of the department and the tree
        self,
        before: Department | None,
        after: Department,
        tree: DepartmentTree,
        moved: DepartmentTree,
        action: str,
        actor: Actor,
        also: Sequence[Operation] = (),
    ) -> None:
        """The tree is written with every change: so it is one, whoever else changes it."""
        planted = put_document(
            tree_document(after.tenant_id),
            "parents",
            dict(moved.parents),
            moved.revision,
            exists=tree.revision > 0,
        )
        was = _shown(before, tree) if before else None
        revision = Revision(
            document=department_document(after),
            part="department",
            state=department_state(after),
            number=after.revision,
            exists=before is not None,
            action=action,
            details=differences(was, _shown(after, moved)),
        )
        await self.changes.write(revision, actor, [*also, planted])

    async def _admit(self, caller: Caller, department_id: str, actor: Actor) -> None:
        try:
            require_reach(caller, Permission.DEPARTMENTS_WRITE, Reach.ORGANISATION, ADMINS_ONLY)
        except PolicyDenied as refusal:
            await self.changes.note_denial(
                caller.tenant_id,
                department_document_id(department_id),
                "department.change",
                actor,
                refusal,
            )
            raise

    async def _check_parent(self, tenant_id: str, parent_id: str | None) -> None:
        if parent_id is None:
            return
        document = await self.store.find(tenant_id, department_document_id(parent_id))
        if document is None or read_department(document).closed:
            fault = FieldFault("/parent", "name a department that is there and open")
            raise Invalid("There is no such department to be part of.", faults=[fault])

    async def _visible(self, caller: Caller, department_id: str) -> Department:
        own = department_id == caller.department_id
        reach = caller.reach(Permission.DEPARTMENTS_READ)
        if reach < (Reach.DEPARTMENT if own else Reach.ORGANISATION):
            raise NotFound(NO_SUCH)
        name = department_document_id(department_id)
        document = await self.store.find(caller.tenant_id, name)
        if document is None:
            raise NotFound(NO_SUCH)
        return read_department(document)

    async def _tree(self, tenant_id: str) -> DepartmentTree:
        return read_tree(await self.store.find(tenant_id, TREE_ID))

    async def _managers(self, tenant_id: str, department_id: str) -> Sequence[str]:
        """The active people of a department whose role, custom ones too, has a manager's rank."""
        custom = map(read_role, await self.store.listed(tenant_id, "role"))
        role_ids = [CLAIM_BY_ROLE[role] for role in Role if role >= Role.DEPT_MANAGER]
        role_ids += [role.role_id for role in custom if role.rank >= Role.DEPT_MANAGER]
        found: list[str] = []
        for role_id in role_ids:
            wanted = PeopleFilter(department_id=department_id, role_id=role_id, status="active")
            found += [user.object_id for user in await self._people(tenant_id, wanted)]
        return sorted(found)

    async def _people(self, tenant_id: str, wanted: PeopleFilter) -> Sequence[User]:
        found: list[User] = []
        while True:
            page = await self.store.people_from(tenant_id, wanted, len(found), PEOPLE_PER_PAGE_MAX)
            found += [read_user(each) for each in page]
            if len(page) < PEOPLE_PER_PAGE_MAX:
                return found

    async def _payers(self, department_id: str, kind: ScopeKind) -> Sequence[str]:
        """Projects and cost centres are whatever has a budget that has not ended."""
        found, after = [], f"{kind}:"
        while True:
            page = await self.policies.policies(department_id, after=after)
            found += [
                each.scope.scope_id for each in page if each.scope.kind == kind and not each.deleted
            ]
            # They come in the order of their kinds.
            if len(page) < POLICIES_PER_PAGE_MAX or page[-1].scope.kind != kind:
                return found
            after = page[-1].scope.name


def _shown(department: Department, tree: DepartmentTree) -> dict[str, str | bool | None]:
    return {
        "name": department.name,
        "parent": tree.parents.get(department.department_id),
        "closed": department.closed,
    }


def already_exists() -> Conflict:
    return Conflict("This id of a department is taken.", code="already_exists")
