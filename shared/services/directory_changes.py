"""Writes one revision of an object of the directory, with its history and its audit event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.audit_events import outbox_document
from shared.domain.directory import (
    HISTORY_PER_PAGE_MAX,
    Actor,
    Change,
    change_event,
    directory_partition,
    noted,
    put_document,
)
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ledger import Create, Document, Operation
from shared.domain.user_views import ChangeList, ChangeView
from shared.errors import NotFound, PolicyDenied, PreconditionFailed
from shared.ports import Clock
from shared.ports.directory import DirectoryStore


@dataclass(frozen=True)
class Revision:
    """The next state of an object: `state` replaces the part of its document named `part`."""

    document: Document  # what stands around the state, with id and tenant
    part: str
    state: Document  # names the request that wrote it as `change_id`
    number: int
    exists: bool
    action: str
    details: Mapping[str, str | int | bool | None]


@dataclass(frozen=True)
class DirectoryChanges:
    """Commits revisions and notes denials."""

    store: DirectoryStore
    clock: Clock

    async def write(self, revision: Revision, actor: Actor, also: Sequence[Operation] = ()) -> None:
        """Commit it, `also` included; PreconditionFailed if somebody was faster."""
        document, tenant_id = revision.document, revision.document["pk"]
        change = Change(
            object_id=document["id"],
            revision=revision.number,
            action=revision.action,
            changed_at=self.clock.now().isoformat(),
            details=revision.details,
        )
        put = put_document(
            document, revision.part, revision.state, revision.number, exists=revision.exists
        )
        operations = [put, *also, *noted(tenant_id, change, actor)]
        if await self.store.commit(tenant_id, operations) is None:
            return
        standing = await self.store.find(tenant_id, document["id"])
        ours = revision.state["change_id"]  # its answer may have been lost: then it was sent again
        if standing is None or standing[revision.part]["change_id"] != ours:
            raise PreconditionFailed("It was changed since you read it; read it again.")

    async def note_denial(
        self, tenant_id: str, object_id: str, action: str, actor: Actor, refusal: PolicyDenied
    ) -> None:
        """Record that nothing was changed, and why."""
        change = Change(
            object_id=object_id,
            revision=0,
            action=f"{action}_denied.{self.clock.new_id()}",
            changed_at=self.clock.now().isoformat(),
            details={},
            reason=refusal.problem_code,
        )
        event = change_event(change, actor, "denied")
        partition = directory_partition(tenant_id)
        await self.store.commit(tenant_id, [Create(outbox_document(partition, event))])


async def history_page(
    store: DirectoryStore, tenant_id: str, object_id: str, before: int | None
) -> ChangeList:
    """A page of the changes of an object, newest first; the continuation is a revision."""
    found = await store.history(tenant_id, object_id, before, HISTORY_PER_PAGE_MAX)
    last = found[-1]["revision"] if len(found) == HISTORY_PER_PAGE_MAX else None
    more = str(last) if last and last > 1 else None
    return ChangeList(items=tuple(ChangeView.of(each) for each in found), continuation=more)


def actor_of(caller: Caller, correlation_id: str) -> Actor:
    return Actor(caller.key, CLAIM_BY_ROLE[caller.role], correlation_id)


def check_expected(standing: int | None, expected: int | None, *, may_create: bool = True) -> None:
    """Raise unless the revision that was read is the one that stands; see http_preconditions."""
    if expected == 0 and standing is not None:
        raise PreconditionFailed("It exists already; send If-Match to change it.")
    if standing is None and (expected != 0 or not may_create):
        raise NotFound("There is nothing of this id to change.")
    if expected and standing != expected:
        raise PreconditionFailed("It was changed since you read it; read it again.")
