"""Retention policies of departments, and the tags of pictures that were kept without one."""

import logging
from dataclasses import dataclass

from shared.domain.audit_events import AuditEvent
from shared.domain.blob_paths import RETENTION_TAG
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.retention import RetentionPolicy, retention_classes
from shared.domain.storage_tiers import LifecyclePolicy
from shared.domain.storage_views import RetentionView, retention_view
from shared.errors import FieldFault, Invalid, PolicyDenied, PreconditionFailed
from shared.ports import Clock, Directory, Ledger
from shared.ports.picture_storage import PictureRecords, PictureStorage
from shared.services.department_reach import department_within_reach

NO_SUCH = "There is no such department."

logger = logging.getLogger("eig.retention")


@dataclass(frozen=True)
class Retention:
    """Chooses among the classes that the lifecycle rules know; new pictures are tagged so."""

    records: PictureRecords
    storage: PictureStorage
    policy: LifecyclePolicy
    ledger: Ledger
    directory: Directory
    clock: Clock

    @property
    def classes(self) -> dict[str, int | None]:
        return retention_classes(self.policy.retention_days(RETENTION_TAG))

    async def get(self, caller: Caller, department_id: str) -> RetentionView:
        """How long a department keeps its pictures."""
        await self._check_visible(caller, department_id)
        return retention_view(await self.records.retention(department_id), self.classes)

    async def put(  # noqa: PLR0917 - who, what, why
        self,
        caller: Caller,
        department_id: str,
        retention: str,
        reason: str,
        expected: int | None,
        correlation_id: str,
    ) -> RetentionView:
        """Choose a class for the pictures to come; those that exist keep theirs."""
        await self._check_visible(caller, department_id)
        if retention not in self.classes:
            known = ", ".join(self.classes)
            fault = FieldFault("/retention", f"one of {known}")
            raise Invalid("There is no such retention class.", faults=[fault])
        standing = await self.records.retention(department_id)
        if caller.reach(Permission.RETENTION_WRITE) < Reach.ORGANISATION:
            await self._note_denial(caller, standing, correlation_id)
            raise PolicyDenied("Only an Org Admin changes how long pictures are kept.")
        if expected not in (None, standing.revision):
            raise PreconditionFailed("The policy was changed since you read it; read it again.")
        policy = RetentionPolicy(
            department_id=department_id,
            revision=standing.revision + 1,
            retention=retention,
            reason=reason,
            actor=caller.key,
            changed_at=self.clock.now().isoformat(),
        )
        event = policy.event(standing.retention, CLAIM_BY_ROLE[caller.role], correlation_id)
        if not await self.records.put_retention(policy, event):
            raise PreconditionFailed("The policy was changed since you read it; read it again.")
        return retention_view(policy, self.classes)

    async def sweep(self) -> int:
        """Decide for pictures that were kept while the policies could not be read; how many."""
        decided = 0
        for picture in await self.storage.undecided():
            try:
                found = await self.records.retention(picture.partition.department_id)
                await self.storage.decide(picture, found.retention)
                decided += 1
            except Exception:  # one bad blob must not hold up the others
                logger.exception("the retention of a picture could not be decided")
        return decided

    async def _check_visible(self, caller: Caller, department_id: str) -> None:
        await department_within_reach(
            self.directory, caller, department_id, Permission.RETENTION_READ, NO_SUCH
        )

    async def _note_denial(
        self, caller: Caller, standing: RetentionPolicy, correlation_id: str
    ) -> None:
        event = AuditEvent(
            action=f"retention.denied.{self.clock.new_id()}",
            object_id=f"retention:{standing.department_id}",
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
        )
        await self.ledger.note_event(standing.partition, event)
