"""Writes changes of people: the one way in which a user of the directory comes and changes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.domain.directory import Actor, PeopleFilter
from shared.domain.user_changes import SUPER_ADMINS_ID, UserChange, user_change
from shared.domain.users import User, read_user, user_document_id
from shared.errors import Conflict, FieldFault, PreconditionFailed, Rejected, Unavailable
from shared.ports import Clock
from shared.ports.directory import DirectoryStore

TRIES_MAX = 4  # of a change that meets a rival's count of Super Admins
NOT_RENAMED: Mapping[str, str | None] = {}
LAST_SUPER_ADMIN = "The last Super Admin stays: name another one first."


@dataclass(frozen=True)
class UserChanges:
    """Commits one revision of a person, or says which condition did not hold."""

    store: DirectoryStore
    clock: Clock

    async def find(self, tenant_id: str, object_id: str) -> User | None:
        document = await self.store.find(tenant_id, user_document_id(object_id))
        return read_user(document) if document else None

    async def check_user_name(
        self,
        before: User | None,
        after: User,
        renamed: Mapping[str, str | None] = NOT_RENAMED,
    ) -> None:
        """Raise Conflict if a change makes a sign-in name somebody's that another one has.

        A name that stands is let be, whoever else has it: nobody is kept from being shut out.
        `renamed` are the names, as keyed hashes, that people shall have by then: object id -> name.
        """
        key = after.lookups.get("user_name")
        if key is None or (before is not None and key == before.lookups.get("user_name")):
            return
        having = PeopleFilter(user_name_key=key)
        found = await self.store.people_from(after.tenant_id, having, 0, 2 + len(renamed))
        holders = {read_user(each).object_id for each in found} - renamed.keys()
        holders |= {object_id for object_id, name in renamed.items() if name == key}
        if holders - {after.object_id}:
            fault = FieldFault("/user_name", "somebody has it already")
            raise Conflict("This sign-in name is taken.", code="already_exists", faults=[fault])

    async def write(
        self, before: User | None, after: User, actor: Actor, reason: str | None = None
    ) -> User:
        """The user as it stands now.

        Raises PreconditionFailed if somebody was faster, Conflict if the department is closed or
        does not exist, or if nobody would be Super Admin any more.
        """
        now = self.clock.now().isoformat()
        after = replace(
            after,
            revision=before.revision + 1 if before else 1,
            created_at=before.created_at if before else now,
            changed_at=now,
            inactive_at=_inactive_at(before, after, now),
            change_id=self.clock.new_id(),
        )
        if before and before.department_id != after.department_id:
            after = after.moved_from(before.department_id, now)
        for _ in range(TRIES_MAX):
            counted = await self.store.find(after.tenant_id, SUPER_ADMINS_ID) is not None
            change = user_change(before, after, actor, reason=reason, super_admins_counted=counted)
            refused = await self.store.commit(after.tenant_id, change.operations)
            if refused is None:
                return after
            standing = await self.find(after.tenant_id, after.object_id)
            if standing is not None and standing.change_id == after.change_id:
                return after  # our own write, whose answer was lost and that was sent again
            if refused != change.super_admins_at or not after.is_acting_super_admin:
                raise _refusal(change, refused, before)
        raise Unavailable("The Super Admins change too fast to be counted.", retry_after_s=1)


def _inactive_at(before: User | None, after: User, now: str) -> str | None:
    """Whoever is let in again starts anew: what was opened before this moment stays shut."""
    if after.status != "active" or (before is not None and before.status != "active"):
        return now
    return before.inactive_at if before else None


def _refusal(change: UserChange, refused: int, before: User | None) -> Rejected:
    if refused == change.super_admins_at:
        return Conflict(LAST_SUPER_ADMIN, code="last_super_admin")
    if refused == change.department_at:
        return Conflict(
            "The department is closed, or there is none of this id.", code="department_closed"
        )
    if before is None:
        return already_exists()
    return PreconditionFailed("It was changed since you read it; read it again.")


def already_exists() -> Conflict:
    return Conflict("This account is in the directory already.", code="already_exists")
