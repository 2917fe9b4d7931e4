"""Brings pictures back from the archive: charged once to the department, followed to their end."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.alerts import ChannelKind
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.budgets import Budget, Charge
from shared.domain.freezes import Target, standing_freeze, targets_of_scopes
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission
from shared.domain.image_notices import RehydrationNotice, rehydration_notice
from shared.domain.legal_holds import picture_of
from shared.domain.rehydrations import HOURS_MAX, UNDER_WAY, Rehydration
from shared.domain.storage_prices import Priority
from shared.domain.storage_tiers import StoredBlob
from shared.domain.storage_views import RehydrationView, rehydration_view
from shared.errors import (
    Conflict,
    Frozen,
    InvariantBroken,
    NotFound,
    PeriodNotOpen,
    Rejected,
    Unavailable,
)
from shared.ports import Clock, Directory, Ledger
from shared.ports.picture_storage import PictureRecords, PictureStorage
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.freezes import FreezeWatch
from shared.services.images import Images
from shared.services.storage_tariff import StorageTariff

ASK_TRIES_MAX = 5  # of one request, when others ask for the same picture at the same time
ABANDONED_AFTER = timedelta(seconds=30)  # an HTTP request that asked has ended long before

logger = logging.getLogger("eig.rehydrations")


@dataclass(frozen=True)
class Rehydrations:
    """Each step finds what the one before has left, whoever took it."""

    images: Images
    storage: PictureStorage
    records: PictureRecords
    tariff: StorageTariff
    ledger: Ledger
    periods: BudgetPeriods
    calendars: Calendars
    directory: Directory
    clock: Clock
    alerts: Alerts | None = None
    freezes: FreezeWatch | None = None

    async def ask(
        self, caller: Caller, image_id: str, priority: Priority, correlation_id: str
    ) -> RehydrationView:
        """Start a rehydration, or show the one that is under way; BudgetExceeded if it is dear."""
        await self.images.get(caller, image_id, Permission.IMAGES_REHYDRATE)
        for _ in range(ASK_TRIES_MAX):
            blob = await self.storage.state(picture_of(image_id))
            if blob is None:
                raise NotFound("The picture has been deleted.")
            standing = await self.records.rehydration(image_id)
            if standing is not None and standing.status in UNDER_WAY:
                _check_same(standing, priority)
                return self.view(await self._carried_out(standing))
            if blob.readable and standing is not None and standing.status == "available":
                return self.view(standing)
            if blob.readable:
                raise Conflict("The picture can be read as it is.", code="not_archived")
            wanted = await self._wanted(caller, image_id, blob, standing, priority, correlation_id)
            await self._check_not_frozen(wanted)
            if await self.records.put_rehydration(wanted, wanted.event("asked")):
                return self.view(await self._carried_out(wanted))
        raise Conflict("Others are asking for this picture at the same time; try again.")

    def view(self, rehydration: Rehydration) -> RehydrationView:
        hours = timedelta(hours=HOURS_MAX[rehydration.priority])
        return rehydration_view(rehydration, datetime.fromisoformat(rehydration.asked_at) + hours)

    async def sweep(self) -> int:
        """Look once at every rehydration that is not over; how many have moved on."""
        moved = 0
        for department_id in await self.directory.departments():
            for rehydration in await self.records.open_rehydrations(department_id):
                try:
                    after = await self._looked_after(rehydration)
                    moved += after.revision != rehydration.revision
                except Frozen:  # it waits
                    continue
                except Rejected:  # its record says so now
                    moved += 1
                except Exception:  # one bad picture must not hold up the others
                    logger.exception("a rehydration was not looked after")
        return moved

    async def _wanted(  # noqa: PLR0917 - the parts of one request
        self,
        caller: Caller,
        image_id: str,
        blob: StoredBlob,
        standing: Rehydration | None,
        priority: Priority,
        correlation_id: str,
    ) -> Rehydration:
        department_id = picture_of(image_id).partition.department_id
        quote = self.tariff.rehydration(blob, priority)
        own = caller.department_id == department_id
        now = self.clock.now().isoformat()
        return Rehydration(
            image_id=image_id,
            number=standing.number + 1 if standing else 1,
            revision=standing.revision + 1 if standing else 1,
            status="asked",
            priority=priority,
            size_bytes=blob.size_bytes,
            amount_micros=quote.amount_micros,
            usd_micros=quote.usd_micros,
            price_version=quote.prices.version,
            exchange_rate_version=quote.rate.version,
            tenant_id=caller.tenant_id,
            # An administrator of another department has no budget in this one.
            charge=caller.charge() if own else Charge(department_id, None),
            period=(await self.calendars.partition(department_id)).period,
            online_days=quote.online_days,
            asked_by=caller.key,
            asked_role=CLAIM_BY_ROLE[caller.role],
            asked_at=now,
            changed_at=now,
            change_id=self.clock.new_id(),
            correlation_id=correlation_id,
        )

    async def _carried_out(self, rehydration: Rehydration) -> Rehydration:
        """Charge, then start; a refusal ends it, and sees to it that nobody charges it later."""
        if rehydration.status != "asked":
            return rehydration
        await self._check_not_frozen(rehydration)
        budgets: Sequence[Budget] | None = None
        try:
            budgets = await self._charge(rehydration)
        except Rejected as refusal:
            now = self.clock.now().isoformat()
            if await self.ledger.give_up(rehydration.adjustment(now), now):
                await self._moved(rehydration, "refused", reason=refusal.problem_code)
                raise
            # Another worker has charged it, when a limit was raised: it is paid for.
        if budgets and self.alerts is not None:
            await self.alerts.note(rehydration.adjustment("").partition, budgets)
        try:
            await self.storage.rehydrate(rehydration.picture, rehydration.priority)
        except NotFound:
            return await self._moved(rehydration, "ended", reason="deleted")
        return await self._moved(rehydration, "pending")

    async def _charge(self, rehydration: Rehydration) -> Sequence[Budget] | None:
        adjustment = rehydration.adjustment(self.clock.now().isoformat())
        try:
            return await self.ledger.adjust(adjustment)
        except PeriodNotOpen:
            await self.periods.open(adjustment.partition, adjustment.charge.scopes())
        try:
            return await self.ledger.adjust(adjustment)
        except PeriodNotOpen as lagging:
            raise Unavailable("The budget could not be read yet.", retry_after_s=1) from lagging

    async def _looked_after(self, rehydration: Rehydration) -> Rehydration:
        now = self.clock.now()
        if rehydration.status == "asked":
            asked_at = datetime.fromisoformat(rehydration.asked_at)
            is_abandoned = now - asked_at >= ABANDONED_AFTER
            return await self._carried_out(rehydration) if is_abandoned else rehydration
        blob = await self.storage.state(rehydration.picture)
        if blob is None:
            return await self._moved(rehydration, "ended", reason="deleted")
        if rehydration.status == "available":
            if blob.readable:
                return rehydration
            return await self._moved(rehydration, "ended", reason="archived")
        if blob.readable:
            return await self._available(rehydration, blob)
        if not blob.rehydrating:  # it was charged and then never started, or started in vain
            await self.storage.rehydrate(rehydration.picture, rehydration.priority)
        return rehydration

    async def _available(self, rehydration: Rehydration, blob: StoredBlob) -> Rehydration:
        """Note that a picture is there, and in the same transaction whom that is told."""
        await self.storage.touch(rehydration.picture)
        channels: Mapping[str, ChannelKind] = {}
        if self.alerts is not None:
            channels = await self.alerts.addressed(
                rehydration.partition.department_id, rehydration.tenant_id, RehydrationNotice.kind
            )
        now = self.clock.now()
        until = now + timedelta(days=rehydration.online_days)
        moved = self._following(
            rehydration,
            "available",
            available_at=now.isoformat(),
            online_until=until.isoformat(),
        )
        return await self._written(moved, rehydration_notice(moved, blob.tier, channels))

    async def _moved(self, rehydration: Rehydration, status: Any, **changes: Any) -> Rehydration:
        """Write the next revision with its event, or find what somebody else wrote."""
        return await self._written(self._following(rehydration, status, **changes))

    def _following(self, rehydration: Rehydration, status: Any, **changes: Any) -> Rehydration:
        return replace(
            rehydration,
            status=status,
            revision=rehydration.revision + 1,
            changed_at=self.clock.now().isoformat(),
            change_id=self.clock.new_id(),
            **changes,
        )

    async def _written(
        self, moved: Rehydration, notice: RehydrationNotice | None = None
    ) -> Rehydration:
        outcome: Outcome = "denied" if moved.status == "refused" else "success"
        if await self.records.put_rehydration(moved, moved.event(moved.status, outcome), notice):
            return moved
        standing = await self.records.rehydration(moved.image_id)
        if standing is None:
            raise InvariantBroken("The record of a rehydration has vanished.")
        return standing

    async def _check_not_frozen(self, wanted: Rehydration) -> None:
        """Raise Frozen, and leave an event, if new spending of the payers is stopped."""
        if self.freezes is None:
            return
        charge = wanted.charge
        targets = [Target("global"), *targets_of_scopes(charge.department_id, charge.scopes())]
        standing = await self.freezes.current(wanted.tenant_id)
        freeze = standing_freeze(standing, targets, self.clock.now())
        if freeze is None:
            return
        event = AuditEvent(
            action=f"rehydration.denied.{self.clock.new_id()}",
            object_id=wanted.image_id,
            actor=wanted.asked_by,
            actor_role=wanted.asked_role,
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=wanted.correlation_id,
            reason=Frozen.code,
        )
        await self.ledger.note_event(wanted.partition, event)
        raise Frozen(
            f"New spending is frozen for {freeze.target.text}: {freeze.reason}",
            extra={"target": freeze.target.text, "reason": freeze.reason},
        )


def _check_same(standing: Rehydration, priority: Priority) -> None:
    if standing.priority != priority:
        raise Conflict(
            f"The picture is on its way back with priority {standing.priority}.",
            code="rehydration_under_way",
        )
