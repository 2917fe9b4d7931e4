"""Raises budget alerts: exactly once for each scope, period and threshold."""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.alert_channels import ORGANISATION_WIDE, channels_partition
from shared.domain.alert_views import AlertView, alert_view
from shared.domain.alerts import (
    CHANNELS_PER_ALERT_MAX,
    Alert,
    ChannelKind,
    NoticeKind,
    alert_document_id,
    raise_alert,
    raised_event,
    thresholds_of,
)
from shared.domain.budget_policies import POLICIES
from shared.domain.budgets import Budget
from shared.domain.identity import Caller, Ownership, Permission, require
from shared.domain.ids import Partition
from shared.domain.provider_health import HEALTH_PARTITION
from shared.errors import InvariantBroken, NotFound
from shared.ports import Clock, Directory
from shared.ports.alerts import AlertChannelStore, AlertOrchestrations, AlertStore

SEEN_MAX = 20_000  # alerts one worker remembers, about 3 MB; a forgotten one costs a refused create
STARTS_MAX = 50  # deliveries looked after in one partition and run; the oldest come first
_NO_BUDGETS = (POLICIES, HEALTH_PARTITION.period)  # partitions with other notices only
NO_SUCH = "There is no such alert."

logger = logging.getLogger("eig.alerts")


@dataclass
class AlertSweepReport:
    """What one run of the sweep did."""

    partitions: int = 0
    raised: int = 0
    started: int = 0
    errors: int = 0


@dataclass(frozen=True)
class Alerts:
    """Looks at budgets after a change and raises what they call for.

    The store decides whether an alert is new; what is remembered here only saves asking it.
    """

    store: AlertStore
    channels: AlertChannelStore
    directory: Directory
    clock: Clock
    _seen: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)

    async def note(self, partition: Partition, budgets: Sequence[Budget]) -> None:
        """Raise what these budgets call for, as they stand after a commit.

        The commit stands whatever happens here: a failure is logged and left to the sweep.
        """
        try:
            await self._raise_new(partition, thresholds_of(budgets))
        except Exception:
            logger.exception("alerts left to the sweep")

    async def sweep(
        self, partitions: Sequence[Partition], orchestrations: AlertOrchestrations
    ) -> AlertSweepReport:
        """Raise what nobody noted after a commit, and start deliveries that are not running.

        Those of policies and of providers have no budgets, but notices that are to be delivered.
        """
        report = AlertSweepReport()
        for partition in partitions:
            report.partitions += 1
            try:
                if partition.period not in _NO_BUDGETS:
                    report.raised += await self._catch_up(partition)
                report.started += await self._start(partition, orchestrations)
            except Exception:  # one bad partition must not hold up the others
                logger.exception("alerts of a partition not swept")
                report.errors += 1
        return report

    async def get(self, caller: Caller, alert_id: str) -> AlertView:
        """One alert, for those who may see its budget; NotFound for everybody else."""
        alert = await self.store.alert(alert_id)
        if not isinstance(alert, Alert):
            raise NotFound(NO_SUCH)
        person = alert.scope.scope_id if alert.scope.kind == "user" else ""
        owner = Ownership(alert.tenant_id, alert.partition.department_id, person)
        require(caller, Permission.ALERTS_READ, owner, "alert")
        return alert_view(alert)

    async def addressed(
        self, department_id: str | None, tenant_id: str, kind: NoticeKind
    ) -> Mapping[str, ChannelKind]:
        """The channels of a department and its organisation, or the latter's alone."""
        owners = [owner for owner in (department_id, ORGANISATION_WIDE) if owner is not None]
        found = [
            channel
            for owner in owners
            for channel in await self.channels.channels(channels_partition(owner, tenant_id))
        ]
        wanted = [channel for channel in found if channel.enabled and channel.wants(kind)]
        return {each.channel_id: each.kind for each in wanted[:CHANNELS_PER_ALERT_MAX]}

    async def _catch_up(self, partition: Partition) -> int:
        reached = thresholds_of(await self.store.committed_budgets(partition))
        if all(_place(partition, *each) in self._seen for each in reached):
            return 0
        for document_id in await self.store.raised(partition):
            self._remember((partition.key, document_id))
        return await self._raise_new(partition, reached)

    async def _start(self, partition: Partition, orchestrations: AlertOrchestrations) -> int:
        started = 0
        for alert in await self.store.undelivered(partition, STARTS_MAX):
            if not await orchestrations.is_running(alert.alert_id):
                await orchestrations.start_alert(alert.alert_id, alert.pending)
                started += 1
        return started

    async def _raise_new(self, partition: Partition, reached: Sequence[tuple[Budget, int]]) -> int:
        raised = 0
        for budget, threshold in reached:
            place = _place(partition, budget, threshold)
            if place in self._seen:
                continue
            self._remember(place)  # before the store is asked: of a crowd in here one asks
            try:
                raised += await self._raise(partition, budget, threshold)
            except BaseException:
                self._seen.pop(place, None)
                raise
        return raised

    async def _raise(self, partition: Partition, budget: Budget, threshold: int) -> bool:
        tenant_id = await self.directory.tenant_of(partition.department_id)
        if tenant_id is None:
            raise InvariantBroken("A department with a budget has no tenant.")
        alert = raise_alert(
            partition,
            budget,
            threshold,
            tenant_id=tenant_id,
            channels=await self.addressed(partition.department_id, tenant_id, Alert.kind),
            now=self.clock.now().isoformat(),
        )
        raised = await self.store.raise_once(alert, raised_event(alert))
        if raised:
            _log_raised(alert)
        return raised

    def _remember(self, place: tuple[str, str]) -> None:
        self._seen[place] = None
        self._seen.move_to_end(place)
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)


def _place(partition: Partition, budget: Budget, threshold: int) -> tuple[str, str]:
    return (partition.key, alert_document_id(budget.scope, threshold))


def _log_raised(alert: Alert) -> None:
    logger.info("budget alert raised", extra={"code": f"{alert.scope.kind}:{alert.threshold}"})
