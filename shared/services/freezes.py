"""Freezes: who may throw which switch, and the check that every spending path makes first."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.audit_events import AuditEvent
from shared.domain.freezes import (
    SYSTEM_ROLE,
    Freeze,
    Target,
    freeze_partition,
    parse_target,
    standing_freeze,
    targets_of_models,
    targets_of_scopes,
)
from shared.domain.freezes_views import FreezeList, FreezeView
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Principal, Reach, Role
from shared.domain.ledger import Reservation, partition_for
from shared.domain.work import WorkItem
from shared.errors import Conflict, Frozen, Invalid, NotFound, PolicyDenied, Unavailable
from shared.ports import Clock, Directory, Ledger
from shared.ports.freezes import FreezeStore

FRESH = timedelta(seconds=2)  # a set read earlier than this is read again before it is used
STALE_MAX = timedelta(seconds=4)  # an older set decides nothing; a second is left to act on it
READ_TIME_S = 2.0  # of one look: two of them and FRESH stay near STALE_MAX
PUTS_MAX = 5  # of one change, when others change the same switch at the same time

logger = logging.getLogger("eig.freezes")


class FreezeWatch:
    """One worker's view of the freezes; fails closed when they cannot be read for STALE_MAX.

    The age of a view counts from the moment its reading began, so a switch that was thrown before
    that moment is in it: nothing starts on a view older than STALE_MAX.
    """

    def __init__(self, store: FreezeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._views: dict[str, tuple[datetime, Sequence[Freeze]]] = {}
        self._looks: Counter[str] = Counter()
        self._reading = asyncio.Lock()

    async def current(self, tenant_id: str) -> Sequence[Freeze]:
        """The freezes as of at most STALE_MAX ago; raises Unavailable if nobody can say."""
        if self._age(tenant_id) > FRESH:
            looks = self._looks[tenant_id]
            async with self._reading:  # one look, good or bad, answers everybody who waits for it
                if self._looks[tenant_id] == looks:
                    await self._look(tenant_id)
        if self._age(tenant_id) > STALE_MAX:
            raise Unavailable("It is not known whether spending is frozen.", retry_after_s=5)
        return self._views[tenant_id][1]

    async def _look(self, tenant_id: str) -> None:
        self._looks[tenant_id] += 1
        began = self._clock.now()
        try:
            async with asyncio.timeout(READ_TIME_S):
                self._views[tenant_id] = (began, await self._store.freezes(tenant_id))
        except (Unavailable, TimeoutError):
            logger.warning("freezes could not be read", exc_info=True)

    def _age(self, tenant_id: str) -> timedelta:
        view = self._views.get(tenant_id)
        age = self._clock.now() - view[0] if view else timedelta.max
        return age if age >= timedelta() else timedelta.max  # the clock was set back: look again

    def forget(self) -> None:
        """Look again before the next use: this worker has just thrown a switch."""
        self._views.clear()


@dataclass(frozen=True)
class Freezes:
    """Sets and lifts freezes, and tells spending paths about them."""

    store: FreezeStore
    watch: FreezeWatch
    ledger: Ledger
    directory: Directory
    clock: Clock

    async def refusal(self, reservation: Reservation) -> Frozen | None:
        """Why this may not be reserved now; None if it may, or if it was reserved before."""
        hold, record = reservation.hold, reservation.record
        department_id = partition_for(hold.operation_id).department_id
        models = record["models"] if record["type"] == "batch" else [record["model"]]
        targets = [*targets_of_models(models), *targets_of_scopes(department_id, hold.scopes)]
        freeze = await self._standing(hold.tenant_id, targets)
        if freeze is None or await self.ledger.hold(hold.operation_id) is not None:
            return None
        return _refusal(freeze, self.clock.now())

    async def pause_s(self, item: WorkItem, model: str | None = None) -> float | None:
        """How long an attempt must wait before it asks again; None if it may go on.

        `model` is who shall be asked, if that is not the first choice of the work.

        Raises Unavailable when it is not known whether spending is frozen.
        """
        owner = item.owner
        scopes = item.charge.scopes()
        targets = [
            *targets_of_models([model or item.request.model]),
            *targets_of_scopes(owner.department_id, scopes),
        ]
        freeze = await self._standing(owner.tenant_id, targets)
        return freeze.wait_s(self.clock.now()) if freeze else None

    async def list(self, caller: Caller) -> FreezeList:
        """What stands, for an Org Admin; for a manager what touches their department."""
        _require_manager(caller)
        now = self.clock.now()
        standing = [f for f in await self.store.freezes(caller.tenant_id) if f.stands(now)]
        shown = [f for f in standing if await self._may_see(caller, f.target)]
        shown.sort(key=lambda freeze: freeze.target.text)
        return FreezeList(items=tuple(FreezeView.of(freeze) for freeze in shown))

    async def set(
        self,
        caller: Caller,
        target_text: str,
        reason: str,
        ends_at: datetime | None,
        correlation_id: str,
    ) -> FreezeView:
        """Freeze a target, or give a standing freeze another reason and end."""
        target = await self._admitted(caller, target_text, correlation_id)
        await self._check_there(caller.tenant_id, target)
        now = self.clock.now()
        if ends_at is not None and ends_at <= now:
            raise Invalid("A freeze cannot end in the past.", code="invalid_ends_at")
        wanted = Freeze(
            target=target,
            reason=reason,
            actor=caller.key,
            since=now.isoformat(),
            ends_at=ends_at.isoformat() if ends_at else None,
            role=CLAIM_BY_ROLE[caller.role],
            change_id=self.clock.new_id(),
        )
        return await self._switch(caller, wanted, correlation_id)

    async def lift(
        self, caller: Caller, target_text: str, reason: str, correlation_id: str
    ) -> FreezeView:
        """Let a target spend again; NotFound if it is not frozen."""
        target = await self._admitted(caller, target_text, correlation_id)
        now = self.clock.now()
        standing = await self.store.freeze(caller.tenant_id, target)
        if standing is None or standing.lifted:
            raise NotFound("This target is not frozen.")
        wanted = replace(
            standing,
            reason=reason,
            actor=caller.key,
            since=now.isoformat(),
            lifted=True,
            role=CLAIM_BY_ROLE[caller.role],
            change_id=self.clock.new_id(),
        )
        return await self._switch(caller, wanted, correlation_id)

    async def quarantine(
        self, tenant_id: str, target: Target, reason: str, actor: str, correlation_id: str
    ) -> bool:
        """Freeze a target without an end on the system's own account; False if it is already."""
        wanted = Freeze(
            target=target,
            reason=reason,
            actor=actor,
            since=self.clock.now().isoformat(),
            role=SYSTEM_ROLE,
            change_id=self.clock.new_id(),
        )

        def is_to_be(standing: Freeze | None) -> bool:
            """One that ends by itself is replaced: what drifts stays stopped."""
            if standing is None or standing.ends_at is not None:
                return True
            return not standing.stands(self.clock.now())

        return await self._put(tenant_id, wanted, is_to_be, correlation_id) is not None

    async def _switch(self, caller: Caller, wanted: Freeze, correlation_id: str) -> FreezeView:
        """Put a caller's change, unless what stands does not yield to them: that is denied."""

        def may_change(standing: Freeze | None) -> bool:
            return standing is None or standing.yields_to(caller, self.clock.now())

        freeze = await self._put(caller.tenant_id, wanted, may_change, correlation_id)
        if freeze is None:
            await self._note_denial(caller, wanted.target, correlation_id)
            raise PolicyDenied(
                "Somebody else has to change this freeze: nobody changes one on themself,"
                " nor one that was set in a higher role."
            )
        return FreezeView.of(freeze)

    async def _standing(self, tenant_id: str, targets: Sequence[Target]) -> Freeze | None:
        freezes = await self.watch.current(tenant_id)
        return standing_freeze(freezes, targets, self.clock.now())

    async def _put(
        self,
        tenant_id: str,
        wanted: Freeze,
        is_to_be: Callable[[Freeze | None], bool],
        correlation_id: str,
    ) -> Freeze | None:
        """The next revision, as it was put; None if it is not to follow what stands."""
        for _ in range(PUTS_MAX):
            standing = await self.store.freeze(tenant_id, wanted.target)
            if not is_to_be(standing):
                return None
            freeze = standing.followed_by(wanted, self.clock.now()) if standing else wanted
            event = _change_event(standing, freeze, correlation_id, self.clock.now())
            if await self.store.put(tenant_id, freeze, event):
                self.watch.forget()
                return freeze
        raise Conflict("Others are changing this freeze at the same time; try again.")

    async def _admitted(self, caller: Caller, target_text: str, correlation_id: str) -> Target:
        """The target, if it exists and the caller may switch it; a refusal leaves an event."""
        target = parse_target(target_text)
        if target is None:
            raise NotFound("There is no such target to freeze.")
        if await self._may_switch(caller, target):
            return target
        await self._note_denial(caller, target, correlation_id)
        raise PolicyDenied("This switch is not yours: ask an Org Admin.")

    async def _check_there(self, tenant_id: str, target: Target) -> None:
        """A department that does not exist would be frozen to no effect; one that has a freeze of
        former times can still be let go."""
        department_id = target.department_id
        if department_id and not await self.directory.has_department(tenant_id, department_id):
            raise NotFound("There is no such target to freeze.")

    async def _note_denial(self, caller: Caller, target: Target, correlation_id: str) -> None:
        event = AuditEvent(
            action=f"freeze.denied.{self.clock.new_id()}",
            object_id=target.document_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
        )
        await self.ledger.note_event(freeze_partition(caller.tenant_id), event)

    async def _may_switch(
        self,
        caller: Caller,
        target: Target,
        permission: Permission = Permission.FREEZES_WRITE,
    ) -> bool:
        reach = caller.reach(permission)
        if reach == Reach.ORGANISATION:
            return True
        if reach < Reach.DEPARTMENT:
            return False
        return await self._department_of(caller, target) == caller.department_id

    async def _may_see(self, caller: Caller, target: Target) -> bool:
        return target.kind in ("global", "provider", "model") or await self._may_switch(
            caller, target, Permission.FREEZES_READ
        )

    async def _department_of(self, caller: Caller, target: Target) -> str | None:
        if target.kind != "user":
            return target.department_id
        person = Principal(caller.tenant_id, target.name, Role.STANDARD_USER)
        user = await self.directory.user(person)
        return user.department_id if user else None


def _require_manager(caller: Caller) -> None:
    if caller.reach(Permission.FREEZES_READ) < Reach.DEPARTMENT:
        raise PolicyDenied("Only managers and administrators see what is frozen.")


def _refusal(freeze: Freeze, now: datetime) -> Frozen:
    retry_after_s = None
    if freeze.ends_at is not None:
        left = datetime.fromisoformat(freeze.ends_at) - now
        retry_after_s = max(1, int(left.total_seconds()) + 1)
    return Frozen(
        f"New spending is frozen for {freeze.target.text}: {freeze.reason}",
        retry_after_s=retry_after_s,
        extra={
            "target": freeze.target.text,
            "reason": freeze.reason,
            "since": freeze.since,
            "ends_at": freeze.ends_at,
        },
    )


def _change_event(
    before: Freeze | None, after: Freeze, correlation_id: str, now: datetime
) -> AuditEvent:
    details: dict[str, str | int | bool | None] = {"revision": after.revision}
    if before is not None:
        details |= {f"before_{name}": value for name, value in before.as_json().items()}
    details |= {f"after_{name}": value for name, value in after.as_json().items()}
    return AuditEvent(
        action=f"freeze.{'lifted' if after.lifted else 'set'}.{after.revision}",
        object_id=after.target.document_id,
        actor=after.actor,
        actor_role=after.role,
        outcome="success",
        occurred_at=now.isoformat(),
        correlation_id=correlation_id,
        details=details,
    )
