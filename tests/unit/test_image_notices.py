"""Notices of rehydrated pictures: one for each rehydration, to whom it concerns, naming nobody."""

import asyncio
import json
from dataclasses import replace

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.alert_messages import notice_mail, notice_message
from shared.domain.deliveries import Outcome
from shared.domain.ids import partition_of
from shared.domain.image_notices import RehydrationNotice, create_notice_operation
from shared.domain.ledger import Create
from shared.domain.notices import partition_of_notice, read_notice
from shared.errors import NotFound
from shared.services.alert_channels import AlertChannels, ChannelChange
from shared.services.alert_deliveries import AlertDeliveries
from tests import builders
from tests.builders import DEPARTMENT
from tests.fakes.alerts import (
    FakeAlertChannels,
    FakeAlertOrchestrations,
    FakeAlerts,
    FakeMailer,
    FakeWebhooks,
)
from tests.fakes.faults import Crashed, Fault
from tests.unit.storage_world import AVA, IMAGE, NAME, OLGA, NthCall, World

CALLS_MAX = 40  # far more than one sweep makes
HOOK, MAIL = f"{DEPARTMENT}.hook", f"{DEPARTMENT}.mail"
EVERYWHERE = f"{ORGANISATION_WIDE}.hook"
WEBHOOK = ChannelChange("webhook", url="https://hooks.example.com/a")
EMAIL = ChannelChange("email", recipients=("mia@contoso.example",))


class Channels:
    """The channels of a world and what was brought to them."""

    def __init__(self, world: World) -> None:
        self.webhooks, self.mailer = FakeWebhooks(), FakeMailer()
        self.store = FakeAlerts(world.connection)
        channels = FakeAlertChannels(world.connection)
        self.changes = AlertChannels(
            store=channels,
            directory=world.directory,
            ledger=CosmosLedger(world.connection.as_connection()),
            webhooks=self.webhooks,
            mailer=self.mailer,
            clock=world.clock,
        )
        self.deliveries = AlertDeliveries(
            self.store, channels, self.changes, self.webhooks, self.mailer, world.clock
        )

    async def put(self, channel_id: str, change: ChannelChange = WEBHOOK) -> None:
        await self.changes.put(OLGA, channel_id, change, expected=0, correlation_id="c-1")


def stored(world: World) -> list[RehydrationNotice]:
    """Every notice of a rehydration that stands."""
    found = [read_notice(each) for each in world.documents(lambda d: d["type"] == "alert")]
    return [each for each in found if isinstance(each, RehydrationNotice)]


async def returned(world: World) -> RehydrationNotice:
    """The notice of the picture's way back."""
    await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    world.storage.arrive()
    await world.rehydrations().sweep()
    (notice,) = stored(world)
    return notice


async def test_notice_says_what_can_be_read_where_until_when_and_names_nobody() -> None:
    world = World()
    notice = await returned(world)
    standing = await world.records.rehydration(IMAGE)
    assert standing is not None
    body = notice_message(notice).body
    assert json.loads(body) == {
        "type": "image.rehydrated",
        "timestamp": standing.available_at,
        "data": {
            "department_id": DEPARTMENT,
            "image_id": IMAGE,
            "tier": "cold",
            "available_until": standing.online_until,
            "content_path": f"/api/v1/images/{IMAGE}/content",
        },
    }
    assert len(body) < 600
    mail = notice_mail(notice, MAIL, EMAIL.recipients)
    assert mail.subject == f"Back from the archive: picture {IMAGE}"
    assert f"GET /api/v1/images/{IMAGE}/content" in mail.text
    assert f"Available until: {standing.online_until}" in mail.text
    for text in (body.decode(), mail.subject, mail.text):
        assert AVA.principal.object_id not in text
        assert AVA.tenant_id not in text


async def test_notice_is_found_by_its_id_which_is_no_operation() -> None:
    notice = await returned(World())
    operation = create_notice_operation(notice)
    assert isinstance(operation, Create)
    assert read_notice(json.loads(json.dumps(operation.document))) == notice
    assert partition_of_notice(notice.alert_id) == notice.partition
    assert partition_of(notice.alert_id) is None
    assert partition_of_notice(builders.single_id()) == partition_of(builders.single_id())
    assert partition_of_notice("policies-marketing") is None


async def test_crowd_of_sweeps_leaves_one_notice_and_the_next_way_back_another() -> None:
    world = World()
    await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
    assert stored(world) == []  # it takes hours
    world.storage.arrive()
    await asyncio.gather(*(world.rehydrations().sweep() for _ in range(10)))
    (first,) = stored(world)
    world.storage.blobs[NAME] = replace(world.storage.blobs[NAME], tier="archive")
    await world.rehydrations().sweep()
    await world.rehydrations().ask(AVA, IMAGE, "standard", "c-2")
    world.storage.arrive()
    await world.rehydrations().sweep()
    assert [each.rehydration_id for each in stored(world)] == [f"{IMAGE}.r1", f"{IMAGE}.r2"]
    assert len({each.alert_id for each in stored(world)}) == 2
    assert stored(world)[0] == first


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST])
async def test_every_point_of_failure_of_the_sweep_leaves_exactly_one_notice(fault: Fault) -> None:
    for number in range(CALLS_MAX):
        faults = NthCall(number, fault)
        world = World(faults)
        await Channels(world).put(HOOK)
        await world.rehydrations().ask(AVA, IMAGE, "standard", "c-1")
        world.storage.arrive()
        faults.is_armed = True
        try:
            await world.rehydrations().sweep()
        except Crashed:
            pass
        finally:
            faults.is_armed = False
        standing = await world.records.rehydration(IMAGE)
        assert standing is not None
        assert len(stored(world)) == (standing.status == "available"), number
        for _ in range(2):
            await world.rehydrations().sweep()
        (notice,) = stored(world)
        assert notice.pending == (HOOK,)
        assert world.actions("rehydration.available") == ["rehydration.available.3"]
        if faults.count <= number:
            return  # the sweep has fewer calls: every one of them has failed once
    raise AssertionError("CALLS_MAX is too small")


async def test_notice_goes_to_channels_of_department_and_organisation_that_want_it() -> None:
    world = World()
    channels = Channels(world)
    await channels.put(HOOK)
    await channels.put(EVERYWHERE, replace(WEBHOOK, events=("image.rehydrated",)))
    await channels.put(MAIL, EMAIL)
    await channels.put(f"{DEPARTMENT}.finance", replace(WEBHOOK, events=("budget.alert",)))
    await channels.put(f"{DEPARTMENT}.off", replace(WEBHOOK, enabled=False))
    await channels.put("design.hook")
    notice = await returned(world)
    assert {c: d.kind for c, d in notice.deliveries.items()} == {
        HOOK: "webhook",
        EVERYWHERE: "webhook",
        MAIL: "email",
    }
    money = await world.alerts().addressed(DEPARTMENT, AVA.tenant_id, "budget.alert")
    assert set(money) == {HOOK, MAIL, f"{DEPARTMENT}.finance"}


async def test_delivery_is_started_by_the_alert_sweep_and_retried_under_one_id() -> None:
    world = World()
    channels = Channels(world)
    await channels.put(HOOK)
    await channels.put(MAIL, EMAIL)
    notice = await returned(world)
    orchestrations = FakeAlertOrchestrations()
    for _ in range(2):
        report = await world.alerts().sweep([notice.partition], orchestrations)
        assert (report.raised, report.errors) == (0, 0)
    assert orchestrations.started == [(notice.alert_id, (HOOK, MAIL))]
    channels.webhooks.answers = [Outcome("later", "http_503")]
    for attempt, status in ((1, "pending"), (2, "delivered"), (2, "delivered")):
        step = await channels.deliveries.attempt(notice.alert_id, HOOK, attempt)
        assert step.status == status
    assert (await channels.deliveries.attempt(notice.alert_id, MAIL, 1)).status == "delivered"
    messages = [message for *_, message in channels.webhooks.sent]
    assert messages == [notice_message(notice)] * 2
    assert list(channels.mailer.sent) == [f"{notice.alert_id}.{MAIL}"]
    assert world.actions("image.rehydrated_") == [
        f"image.rehydrated_delivered.{HOOK}",
        f"image.rehydrated_delivered.{MAIL}",
    ]
    assert await channels.store.undelivered(notice.partition, 10) == []


async def test_notice_is_no_budget_alert_to_show() -> None:
    world = World()
    notice = await returned(world)
    with pytest.raises(NotFound):
        await world.alerts().get(OLGA, notice.alert_id)
