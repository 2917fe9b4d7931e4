"""Notices of openings and closings of breakers: once each, to organisations, naming nobody."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.alert_channels import ORGANISATION_WIDE, AlertChannel, channels_partition
from shared.domain.alert_messages import notice_mail, notice_message
from shared.domain.alerts import NoticeKind
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, ProviderOutcome
from shared.domain.deliveries import Outcome
from shared.domain.ids import partition_of
from shared.domain.ledger import Document
from shared.domain.notices import partition_of_notice, read_notice
from shared.domain.provider_health import HEALTH_PARTITION
from shared.domain.provider_notices import ProviderNotice, notice_document
from shared.errors import NotFound
from shared.services.provider_health import ProviderHealths
from shared.services.provider_notices import CHANGES_MAX, ProviderNotices
from tests import builders
from tests.builders import TENANT
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed, Fault, Faults, ScriptedFaults
from tests.fakes.provider_health import FakeProviderHealth
from tests.unit.alert_world import EMAIL, EVERYWHERE, HOOK, OLGA, WEBHOOK, World
from tests.unit.storage_world import NthCall

PROVIDER = "azure_openai"
MAIL = f"{ORGANISATION_WIDE}.mail"
NEIGHBOUR = "tenant-next-door"
BLOCKED = NotDelivered(Failure.PROVIDER_BLOCKED, Billed.NOTHING, "resource blocked for abuse")
LIMITED = NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "429", retry_after_s=60)
WORKED = Delivered((), None)
OPEN_S = 4 * 30  # of a block, the first time
CALLS_MAX = 40  # far more than one block and one run make


class TwoTenants(FakeDirectory):
    """The department `design` belongs to another organisation."""

    async def tenant_of(self, department_id: str) -> str | None:
        return NEIGHBOUR if department_id == "design" else await super().tenant_of(department_id)


class Bench:
    """A provider that is watched, and the sweep that tells of it."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.world = World(faults)
        self.health = FakeProviderHealth(self.world.connection)
        self.notices = ProviderNotices(
            self.health,
            self.world.store,
            self.world.alerts,
            TwoTenants(departments=["marketing", "design", "operations"]),
        )

    async def saw(self, outcome: ProviderOutcome, probe_id: str | None = None) -> None:
        """A worker that is new here tells how a call ended."""
        await self._worker().note(PROVIDER, outcome, None, probe_id)

    async def probe(self, outcome: ProviderOutcome) -> None:
        """The one call that goes when the breaker has been open for long enough."""
        self.world.clock.advance(10 * OPEN_S)
        admission = await self._worker().admit(PROVIDER)
        assert admission.probe_id
        await self.saw(outcome, admission.probe_id)

    async def put_next_door(self) -> None:
        """A channel of the other organisation under the same name."""
        channel = AlertChannel(EVERYWHERE, "webhook", url="https://hooks.example.net/b")
        event = builders.event("channel:b", "alert_channel.changed.1")
        partition = channels_partition(ORGANISATION_WIDE, NEIGHBOUR)
        await self.world.channel_store.put(partition, channel, event)

    def documents(self, kind: str) -> list[Document]:
        found = self.world.container.partitions.get(HEALTH_PARTITION.key, {}).values()
        return [each for each in found if each["type"] == kind]

    def made(self) -> list[ProviderNotice]:
        """Every notice that stands, in the order of what it tells."""
        found = [read_notice(each) for each in self.documents("alert")]
        notices = [each for each in found if isinstance(each, ProviderNotice)]
        return sorted(notices, key=lambda each: each.change.revision)

    def kinds(self) -> list[NoticeKind]:
        return [each.kind for each in self.made()]

    def _worker(self) -> ProviderHealths:
        open_for = timedelta(seconds=30)
        return ProviderHealths(self.health, self.world.clock, (PROVIDER,), open_for)


async def test_outage_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    bench = Bench()
    await bench.world.put(EVERYWHERE, caller=OLGA)
    await bench.saw(BLOCKED)
    for _ in range(3):  # what comes late, and longer openings, are the same outage
        await bench.saw(BLOCKED)
        await bench.notices.announce()
        await bench.probe(BLOCKED)
    assert bench.kinds() == ["provider.opened"]
    await bench.probe(WORKED)
    for _ in range(2):
        await bench.notices.announce()
    assert bench.kinds() == ["provider.opened", "provider.closed"]
    await bench.saw(BLOCKED)
    assert await bench.notices.announce() == 1
    assert bench.kinds() == ["provider.opened", "provider.closed", "provider.opened"]
    assert len({each.alert_id for each in bench.made()}) == 3


async def test_outages_that_no_sweep_saw_are_told_afterwards_all_of_them() -> None:
    bench = Bench()
    await bench.world.put(EVERYWHERE, caller=OLGA)
    for _ in range(2):
        await bench.saw(BLOCKED)
        await bench.probe(WORKED)
    assert await bench.notices.announce() == 4
    assert bench.kinds() == ["provider.opened", "provider.closed"] * 2


async def test_rate_limit_that_holds_calls_back_is_no_outage() -> None:
    bench = Bench()
    await bench.world.put(EVERYWHERE, caller=OLGA)
    for _ in range(2):
        await bench.saw(LIMITED)
    assert bench.documents("breaker_change") == []


async def test_messages_say_provider_reason_and_times_and_name_nobody() -> None:
    bench = Bench()
    await bench.world.put(EVERYWHERE, caller=OLGA)
    await bench.saw(BLOCKED)
    await bench.probe(WORKED)
    await bench.notices.announce()
    opened, closed = bench.made()
    began, ended = "2026-11-15T12:00:00+00:00", "2026-11-15T12:20:00+00:00"
    data = {"provider": PROVIDER, "reason": "provider_blocked", "since": began}
    assert json.loads(notice_message(opened).body) == {
        "type": "provider.opened",
        "timestamp": began,
        "data": data | {"until": "2026-11-15T12:02:00+00:00"},
    }
    assert json.loads(notice_message(closed).body) == {
        "type": "provider.closed",
        "timestamp": ended,
        "data": data | {"until": ended},
    }
    mails = [notice_mail(each, MAIL, EMAIL.recipients) for each in (opened, closed)]
    assert [each.subject for each in mails] == [
        "Provider azure_openai is left alone: provider_blocked",
        "Provider azure_openai works again",
    ]
    for mail, until in zip(mails, ("2026-11-15T12:02:00+00:00", ended), strict=True):
        for line in ("Reason: provider_blocked", f"Since: {began}", f"Until: {until}"):
            assert line in mail.text
        assert TENANT not in mail.text + mail.mail_id
    assert TENANT not in opened.alert_id


async def test_every_organisation_with_a_channel_that_wants_it_is_told_departments_are_not() -> (
    None
):
    bench = Bench()
    await bench.world.put(HOOK)
    await bench.world.put(EVERYWHERE, replace(WEBHOOK, events=("provider.opened",)), caller=OLGA)
    await bench.world.put(MAIL, replace(EMAIL, events=("budget.alert",)), caller=OLGA)
    await bench.put_next_door()
    await bench.saw(BLOCKED)
    await bench.probe(WORKED)
    assert await bench.notices.announce() == 3
    told = {(each.tenant_id, each.kind, *each.deliveries) for each in bench.made()}
    assert told == {
        (TENANT, "provider.opened", EVERYWHERE),
        (NEIGHBOUR, "provider.opened", EVERYWHERE),
        (NEIGHBOUR, "provider.closed", EVERYWHERE),
    }
    assert len({each.alert_id for each in bench.made()}) == 3


async def test_organisation_without_a_channel_is_not_told_later() -> None:
    bench = Bench()
    await bench.saw(BLOCKED)
    assert await bench.notices.announce() == 0
    await bench.world.put(EVERYWHERE, caller=OLGA)
    assert await bench.notices.announce() == 0
    assert bench.made() == []


async def test_sweeps_at_the_same_time_make_one_notice() -> None:
    bench = Bench()
    await bench.world.put(EVERYWHERE, caller=OLGA)
    await bench.saw(BLOCKED)
    made = await asyncio.gather(*(bench.notices.announce() for _ in range(10)))
    assert sum(made) == len(bench.made()) == 1


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST])
async def test_every_point_of_failure_leaves_exactly_one_notice_of_each(fault: Fault) -> None:
    for number in range(CALLS_MAX):
        faults = NthCall(number, fault)
        bench = Bench(faults)
        await bench.world.put(EVERYWHERE, caller=OLGA)
        await bench.put_next_door()
        faults.is_armed = True
        try:
            await bench.saw(BLOCKED)
            await bench.notices.announce()
        except Crashed:
            pass
        finally:
            faults.is_armed = False
        await bench.saw(BLOCKED)  # the next worker meets the block, if nobody has told of it
        for _ in range(2):
            await bench.notices.announce()
        assert sorted(each.tenant_id for each in bench.made()) == sorted([TENANT, NEIGHBOUR]), (
            number
        )
        assert len(bench.world.events("provider.opened")) == 1
        assert await bench.health.changes(CHANGES_MAX) == []
        if faults.count <= number:
            return  # there are fewer calls: every one of them has failed once
    raise AssertionError("CALLS_MAX is too small")


async def test_failure_of_the_store_is_left_to_the_next_sweep() -> None:
    faults = ScriptedFaults("create", *[Fault.UNREACHABLE] * 5)
    bench = Bench(faults)
    await bench.world.put(EVERYWHERE, caller=OLGA)
    await bench.saw(BLOCKED)
    assert await bench.notices.announce() == 0
    assert await bench.notices.announce() == 1


async def test_notice_is_delivered_by_the_alert_sweep_under_one_id() -> None:
    bench = Bench()
    secret = await bench.world.put(EVERYWHERE, caller=OLGA)
    await bench.world.put(MAIL, EMAIL, caller=OLGA)
    await bench.saw(BLOCKED)
    await bench.notices.announce()
    (notice,) = bench.made()
    for _ in range(2):
        report = await bench.world.alerts.sweep(
            bench.notices.partitions(), bench.world.orchestrations
        )
        assert (report.raised, report.errors) == (0, 0)
    assert bench.world.orchestrations.started == [(notice.alert_id, (EVERYWHERE, MAIL))]
    bench.world.webhooks.answers = [Outcome("later", "http_503")]
    attempt = bench.world.deliveries.attempt
    for number, status in ((1, "pending"), (2, "delivered"), (2, "delivered")):
        assert (await attempt(notice.alert_id, EVERYWHERE, number)).status == status
    assert (await attempt(notice.alert_id, MAIL, 1)).status == "delivered"
    sent = [(secrets, message) for _, secrets, message in bench.world.webhooks.sent]
    assert sent == [((secret,), notice_message(notice))] * 2
    assert list(bench.world.mailer.sent) == [f"{notice.alert_id}.{MAIL}"]
    assert [each.partition(":provider")[2] for each in bench.world.events("opened_")] == [
        f".opened_delivered.{EVERYWHERE}",
        f".opened_delivered.{MAIL}",
    ]
    assert await bench.world.store.undelivered(HEALTH_PARTITION, 10) == []


async def test_notice_is_found_by_its_id_and_no_budget_alert_to_show() -> None:
    bench = Bench()
    await bench.world.put(EVERYWHERE, caller=OLGA)
    await bench.saw(BLOCKED)
    await bench.notices.announce()
    (notice,) = bench.made()
    assert read_notice(json.loads(json.dumps(notice_document(notice)))) == notice
    assert partition_of_notice(notice.alert_id) == HEALTH_PARTITION
    assert partition_of(notice.alert_id) is None
    with pytest.raises(NotFound):
        await bench.world.alerts.get(OLGA, notice.alert_id)
