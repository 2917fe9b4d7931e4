"""Legal holds: who may set and release them, and the tag on the blob that the rules obey."""

import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import policy_partition
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.legal_holds import LegalHold, picture_of
from shared.domain.storage_views import LegalHoldView, legal_hold_view
from shared.errors import Conflict, NotFound, PolicyDenied
from shared.ports import Clock, Directory, Ledger
from shared.ports.picture_storage import PictureRecords, PictureStorage
from shared.services.images import Images

logger = logging.getLogger("eig.legal_holds")


@dataclass(frozen=True)
class LegalHolds:
    """Writes the decision first, then the tag; the sweep tags what a dead worker left."""

    images: Images
    records: PictureRecords
    storage: PictureStorage
    ledger: Ledger
    directory: Directory
    clock: Clock
    looked_at: dict[str, str] = field(default_factory=dict)  # by department: the sweep's last one

    async def set(
        self, caller: Caller, image_id: str, reason: str, correlation_id: str
    ) -> LegalHoldView:
        """Hold a picture; a hold that stands stays as it is, with its own reason."""
        standing = await self._admitted(caller, image_id, correlation_id)
        if await self.storage.state(picture_of(image_id)) is None:
            raise NotFound("The picture has been deleted.")
        if standing is None or not standing.held:
            standing = await self._put(
                caller, image_id, standing, reason, correlation_id, held=True
            )
        await self._apply(standing)
        return legal_hold_view(standing)

    async def release(
        self, caller: Caller, image_id: str, reason: str, correlation_id: str
    ) -> LegalHoldView:
        """Leave a picture to its retention again; NotFound if it was never held."""
        standing = await self._admitted(caller, image_id, correlation_id)
        if standing is None:
            raise NotFound("This picture is not held.")
        if standing.held:
            standing = await self._put(
                caller, image_id, standing, reason, correlation_id, held=False
            )
        await self._apply(standing)
        return legal_hold_view(standing)

    async def sweep(self) -> int:
        """Tag what was decided and not tagged; how many. Standing holds are asserted again, a page
        of each department in turn: a writer that came late may have undone a tag."""
        applied = 0
        for department_id in await self.directory.departments():
            for hold in await self.records.unapplied_holds(department_id):
                applied += await self._guarded(self._apply(hold))
            for hold in await self._next_page(department_id):
                if hold.held:
                    await self._guarded(self._assert(hold))
        return applied

    async def _next_page(self, department_id: str) -> Sequence[LegalHold]:
        """The holds that this worker has not looked at for the longest time."""
        page = await self.records.holds(department_id, self.looked_at.get(department_id, ""))
        self.looked_at[department_id] = page[-1].image_id if page else ""
        return page

    async def _assert(self, hold: LegalHold) -> None:
        """Tag a standing hold, unless it was released since it was read: its revision says so."""
        await self.storage.set_hold(hold.picture, hold.revision, held=True)

    async def _guarded(self, step: Coroutine[Any, Any, None]) -> bool:
        """Whether it was done; one bad blob must not hold up the others."""
        try:
            await step
        except Exception:
            logger.exception("a hold could not be applied")
            return False
        return True

    async def _apply(self, hold: LegalHold) -> None:
        await self.storage.set_hold(hold.picture, hold.revision, held=hold.held)
        await self.records.hold_applied(hold)

    async def _put(
        self,
        caller: Caller,
        image_id: str,
        standing: LegalHold | None,
        reason: str,
        correlation_id: str,
        *,
        held: bool,
    ) -> LegalHold:
        hold = LegalHold(
            image_id=image_id,
            revision=standing.revision + 1 if standing else 1,
            held=held,
            reason=reason,
            actor=caller.key,
            since=self.clock.now().isoformat(),
            change_id=self.clock.new_id(),
        )
        event = hold.event(CLAIM_BY_ROLE[caller.role], correlation_id)
        if not await self.records.put_hold(hold, event):
            raise Conflict("Somebody else is deciding about this picture; look at it again.")
        return hold

    async def _admitted(
        self, caller: Caller, image_id: str, correlation_id: str
    ) -> LegalHold | None:
        """The hold as it stands, if the caller may decide; a refusal leaves an event."""
        await self.images.get(caller, image_id)
        if caller.reach(Permission.LEGAL_HOLDS_WRITE) >= Reach.ORGANISATION:
            return await self.records.hold(image_id)
        event = AuditEvent(
            action=f"hold.denied.{self.clock.new_id()}",
            object_id=image_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
        )
        department_id = picture_of(image_id).partition.department_id
        await self.ledger.note_event(policy_partition(department_id), event)
        raise PolicyDenied("Only an Org Admin sets and releases legal holds.")
