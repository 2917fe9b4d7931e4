"""Provisioning by an identity provider: it creates, changes, disables and deletes people.

It changes who somebody is, where they belong and whether they are let in; roles, tiers and rules
are the organisation's. It comes with a token of its own, of which two are valid while one
replaces the other.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.domain.departments import read_department
from shared.domain.directory import Actor, PeopleFilter
from shared.domain.personal_data import folded
from shared.domain.scim import GUID, PER_PAGE_MAX, ScimUser, Shown, patched
from shared.domain.users import NOBODY, Personal, User, read_user
from shared.errors import Conflict, NotFound, PreconditionFailed, ScimRefused, Unauthenticated
from shared.services.personal_data import PersonalData
from shared.services.user_changes import UserChanges, already_exists

ACTOR: Final = "system:scim"
TRIES_MAX: Final = 4  # of a change that meets rivals
NO_SUCH: Final = "There is no such user."
_SCHEME: Final = "bearer "


@dataclass(frozen=True)
class ScimTerms:
    """Whose people are provisioned, and who may do that."""

    tenant_id: str
    token_hashes: frozenset[str] = field(repr=False)  # SHA-256 of each valid token, in hex
    default_department_id: str | None = None  # of people who come without one that we know


@dataclass(frozen=True)
class Provisioning:
    """The users of a tenant as SCIM resources."""

    people: UserChanges
    personal: PersonalData
    terms: ScimTerms

    def check_token(self, authorization: str | None) -> None:
        """Raise Unauthenticated unless the provisioning app sent one of its valid tokens."""
        text = authorization or ""
        token = text[len(_SCHEME) :].strip() if text.lower().startswith(_SCHEME) else ""
        shown = hashlib.sha256(token.encode(errors="replace")).hexdigest()
        # All are compared, so that the time tells nothing of which came close.
        matches = [hmac.compare_digest(shown, each) for each in sorted(self.terms.token_hashes)]
        if not token or not any(matches):
            raise Unauthenticated("Send the token of the provisioning app.")

    async def list(self, start: int, count: int) -> tuple[int, Sequence[Shown]]:
        """How many there are in all, and those from place `start` (1-based)."""
        everybody = PeopleFilter(kind="person")
        tenant_id, store = self.terms.tenant_id, self.people.store
        total = await store.count_people(tenant_id, everybody)
        if count == 0:
            return total, []
        found = await store.people_from(tenant_id, everybody, start - 1, min(count, PER_PAGE_MAX))
        return total, await self._shown([read_user(document) for document in found])

    async def find(self, name: str, value: str) -> Sequence[Shown]:
        """Who has this userName, externalId or id; nobody, or one."""
        if name == "id" or (name == "external_id" and _is_guid(value)):
            # An external id that is a GUID is the object id, whatever else was written down.
            user = await self.people.find(self.terms.tenant_id, value) if _is_guid(value) else None
            found: Sequence[User] = (
                [user] if user and user.is_present and user.kind == "person" else []
            )
        elif name == "external_id":
            found = await self._people(PeopleFilter(kind="person", external_id=value))
        else:
            key = self.personal.user_name_key(self.terms.tenant_id, value)
            found = await self._people(PeopleFilter(kind="person", user_name_key=key))
        return await self._shown(found)

    async def get(self, object_id: str) -> Shown:
        [shown] = await self._shown([await self._standing(object_id)])
        return shown

    async def create(self, wanted: ScimUser, correlation_id: str) -> Shown:
        """Enter somebody; the external id must be the account's object id, which tokens name."""
        if wanted.external_id is None or not _is_guid(wanted.external_id):
            raise ScimRefused("invalidValue", "Map the object id of the account to externalId.")
        object_id, tenant_id = wanted.external_id, self.terms.tenant_id
        before = await self.people.find(tenant_id, object_id)
        if before is not None and before.is_present:
            raise already_exists()
        department_id = await self._department(wanted.department, None)
        blank = User(tenant_id, object_id, department_id, source="scim")
        if before is not None:  # what was decided about somebody holds when they come back
            blank = replace(blank, tier=before.tier, rules=before.rules)
        return await self._written(before, await self._following(blank, wanted), correlation_id)

    async def replace(
        self, object_id: str, wanted: ScimUser, expected: int | None, correlation_id: str
    ) -> Shown:
        """Make somebody what the provider says, as far as it may say so."""
        before = await self._standing(object_id)
        if expected is not None and expected != before.revision:
            raise PreconditionFailed("It was changed since you read it; read it again.")
        if wanted.external_id not in (None, object_id, before.external_id):
            raise ScimRefused("mutability", "externalId never changes.")
        department_id = await self._department(wanted.department, before.department_id)
        moved = department_id != before.department_id
        after = replace(
            before,
            department_id=department_id,
            cost_centre_id=None if moved else before.cost_centre_id,
        )
        after = await self._following(after, wanted)
        if after == before:
            return (await self._shown([before]))[0]
        return await self._written(before, after, correlation_id)

    async def patch(
        self, object_id: str, body: Mapping[str, Any], expected: int | None, correlation_id: str
    ) -> Shown:
        """Change what the operations name; a rival change makes it start over, if any will do."""
        for tries_left in reversed(range(TRIES_MAX)):
            standing = await self.get(object_id)
            try:
                unsaid = replace(standing.user, active=None)
                return await self.replace(
                    object_id,
                    patched(object_id, unsaid, body),
                    standing.revision if expected is None else expected,
                    correlation_id,
                )
            except PreconditionFailed:
                if expected is not None or tries_left == 0:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def delete(self, object_id: str, expected: int | None, correlation_id: str) -> None:
        """End an account; its records stay under the object id."""
        before = await self._standing(object_id)
        if expected is not None and expected != before.revision:
            raise PreconditionFailed("It was changed since you read it; read it again.")
        gone = replace(before.with_status("deleted", "organisation"), external_id=None)
        await self._written(before, await self.personal.sealed(gone, NOBODY), correlation_id)

    async def _following(self, user: User, wanted: ScimUser) -> User:
        if wanted.active is not None:  # said again, it is the organisation's word from now on
            user = user.with_status("active" if wanted.active else "disabled", "organisation")
        changed = replace(user, external_id=wanted.external_id or user.external_id)
        personal = Personal(wanted.user_name, wanted.display_name, wanted.email)
        [known] = await self.personal.opened([user])
        return changed if known == personal else await self.personal.sealed(changed, personal)

    async def _written(self, before: User | None, after: User, correlation_id: str) -> Shown:
        actor = Actor(ACTOR, "system", correlation_id)
        await self.people.check_user_name(before, after)
        try:
            [shown] = await self._shown([await self.people.write(before, after, actor)])
        except Conflict as refusal:
            if refusal.problem_code != "department_closed":
                raise
            # Providers take a 409 for somebody who is there already, and look for them.
            raise ScimRefused("invalidValue", refusal.detail) from refusal
        return shown

    async def _department(self, wanted: str | None, standing: str | None) -> str:
        """The department of this id or name, else the one that stands, else the default."""
        documents = await self.people.store.listed(self.terms.tenant_id, "department")
        departments = [read_department(each) for each in documents]
        by_name = {folded(each.name): each.department_id for each in departments if not each.closed}
        by_id = {each.department_id for each in departments if not each.closed}
        if wanted is not None:
            if wanted in by_id:
                return wanted
            if folded(wanted) in by_name:
                return by_name[folded(wanted)]
        found = standing or self.terms.default_department_id
        if found is None:
            raise ScimRefused("invalidValue", "There is no such department.")
        return found

    async def _standing(self, object_id: str) -> User:
        user = None
        if _is_guid(object_id):
            user = await self.people.find(self.terms.tenant_id, object_id)
        if user is None or not user.is_present or user.kind != "person":
            raise NotFound(NO_SUCH)
        return user

    async def _people(self, wanted: PeopleFilter) -> Sequence[User]:
        found = await self.people.store.people_from(self.terms.tenant_id, wanted, 0, PER_PAGE_MAX)
        return [read_user(document) for document in found]

    async def _shown(self, users: Sequence[User]) -> Sequence[Shown]:
        known = await self.personal.opened(users)
        return [_shown(user, each) for user, each in zip(users, known, strict=True)]


def _shown(user: User, personal: Personal) -> Shown:
    seen = ScimUser(
        user_name=personal.user_name,
        external_id=user.external_id or user.object_id,
        active=user.status == "active",
        display_name=personal.display_name,
        email=personal.email,
        department=user.department_id,
    )
    return Shown(user.object_id, seen, user.created_at, user.changed_at, user.revision)


def _is_guid(text: str) -> bool:
    return GUID.fullmatch(text) is not None
