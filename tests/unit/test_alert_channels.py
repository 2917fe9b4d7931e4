"""Alert channels: who may change them, their secrets, and their tests, over fakes."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.deliveries import Outcome
from shared.domain.identity import Caller
from shared.domain.ids import Partition
from shared.errors import Conflict, Invalid, NotFound, PolicyDenied, PreconditionFailed
from tests.unit.alert_world import (
    AVA,
    EMAIL,
    EVERYWHERE,
    HOOK,
    MAIL,
    MIA,
    OLGA,
    WEBHOOK,
    World,
)

PARTITION_OF_POLICIES = "marketing|policies"


async def test_secret_is_shown_once_and_rotated_with_an_overlap_of_a_day() -> None:
    world = World()
    first = await world.put()
    assert first.startswith("whsec_")
    assert (await world.channels.get(MIA, HOOK)).secret is None
    assert await world.put(HOOK, replace(WEBHOOK, enabled=True), 1) == ""
    second = await world.put(HOOK, replace(WEBHOOK, rotate_secret=True), 2)
    assert second != first
    alert = await world.raised()
    world.webhooks.answers = [Outcome("later", "http_500")]
    await world.deliveries.attempt(alert.alert_id, HOOK, 1)
    world.clock.advance(timedelta(hours=24).total_seconds() + 1)
    await world.deliveries.attempt(alert.alert_id, HOOK, 2)
    assert [secrets for _, secrets, _ in world.webhooks.sent] == [(second, first), (second,)]


async def test_secrets_stand_in_no_event_and_no_answer() -> None:
    world = World()
    secret = await world.put()
    await world.put(HOOK, replace(WEBHOOK, url="https://hooks.example.com/token-in-path"), 1)
    await world.channels.delete(MIA, HOOK, expected=2, correlation_id="c-1")
    for item_id in world.events("alert_channel"):
        event = json.dumps(world.container.peek(PARTITION_OF_POLICIES, item_id))
        assert secret not in event
        assert "token-in-path" not in event
    stored = json.dumps(world.container.peek(PARTITION_OF_POLICIES, f"channel:{HOOK}"))
    assert secret not in stored  # forgotten with the channel


@pytest.mark.parametrize(
    ("expected", "refusal"),
    [(0, PreconditionFailed), (2, PreconditionFailed), (1, None), (None, None)],
)
async def test_change_is_refused_unless_it_is_of_what_stands(
    expected: int | None, refusal: type[Exception] | None
) -> None:
    world = World()
    await world.put()
    if refusal is None:
        await world.put(HOOK, WEBHOOK, expected)
        assert (await world.channels.get(MIA, HOOK)).revision == 2
    else:
        with pytest.raises(refusal):
            await world.put(HOOK, WEBHOOK, expected)
        assert (await world.channels.get(MIA, HOOK)).revision == 1


async def test_channel_that_comes_back_has_a_new_secret_and_goes_on_counting() -> None:
    world = World()
    first = await world.put()
    await world.channels.delete(MIA, HOOK, expected=1, correlation_id="c-1")
    with pytest.raises(NotFound):
        await world.channels.get(MIA, HOOK)
    with pytest.raises(NotFound):
        await world.put(HOOK, WEBHOOK, 1)
    second = await world.put(HOOK, WEBHOOK, 0)
    assert second and second != first
    view = await world.channels.get(MIA, HOOK)
    assert (view.revision, view.former_secret_until) == (3, None)
    assert len(world.events("alert_channel.changed")) == 2


async def test_channel_keeps_its_kind() -> None:
    world = World()
    await world.put()
    with pytest.raises(Conflict):
        await world.put(HOOK, EMAIL, 1)


async def test_channels_of_one_owner_are_limited() -> None:
    world = World()
    for number in range(20):
        await world.put(f"marketing.hook-{number}")
    with pytest.raises(Conflict):
        await world.put("marketing.one-more")
    await world.put("design.hook", caller=OLGA)


@pytest.mark.parametrize(
    ("caller", "channel_id", "refusal"),
    [
        (AVA, HOOK, PolicyDenied),
        (AVA, "nonsense", PolicyDenied),
        (MIA, "design.hook", NotFound),
        (MIA, EVERYWHERE, NotFound),
        (MIA, "nonsense", NotFound),
        (MIA, "marketing.Hook", NotFound),
        (OLGA, "nowhere.hook", NotFound),
        (OLGA, "design.hook", None),
        (OLGA, EVERYWHERE, None),
        (MIA, HOOK, None),
    ],
)
async def test_channels_are_changed_by_those_who_look_after_them(
    caller: Caller, channel_id: str, refusal: type[Exception] | None
) -> None:
    world = World()
    if refusal is None:
        await world.put(channel_id, caller=caller)
        return
    with pytest.raises(refusal):
        await world.put(channel_id, caller=caller)
    assert len(world.events("alert_channel.denied")) == (refusal is PolicyDenied)


async def test_listing_shows_the_own_department_unless_another_is_named() -> None:
    world = World()
    await world.put()
    await world.put(EVERYWHERE, caller=OLGA)
    shown = await world.channels.list(MIA, None)
    assert [each.id for each in shown.items] == [HOOK]
    assert (await world.channels.list(OLGA, None)).items == ()
    assert [each.id for each in (await world.channels.list(OLGA, "marketing")).items] == [HOOK]
    everywhere = await world.channels.list(OLGA, ORGANISATION_WIDE)
    assert [each.id for each in everywhere.items] == [EVERYWHERE]
    with pytest.raises(PolicyDenied):
        await world.channels.list(AVA, None)
    with pytest.raises(NotFound):
        await world.channels.list(MIA, "design")


async def test_test_sends_a_ping_and_leaves_an_event() -> None:
    world = World()
    secret = await world.put()
    await world.put(MAIL, EMAIL)
    assert (await world.channels.test(MIA, HOOK, "c-1")).delivered
    ((_, secrets, message),) = world.webhooks.sent
    assert secrets == (secret,)
    assert json.loads(message.body)["type"] == "alert_channel.test"
    world.mailer.answers = [Outcome("later", "no_connection")]
    tried = await world.channels.test(MIA, MAIL, "c-1")
    assert (tried.delivered, tried.reason) == (False, "no_connection")
    assert len(world.events("alert_channel.tested")) == 2


async def test_mail_channel_is_refused_where_no_mail_is_sent() -> None:
    world = World()
    channels = replace(world.channels, mailer=None)
    with pytest.raises(Invalid):
        await channels.put(MIA, MAIL, EMAIL, expected=0, correlation_id="c-1")


async def test_events_of_a_channel_are_shown_audited_and_all_unless_named() -> None:
    world = World()
    await world.put()
    assert (await world.channels.get(MIA, HOOK)).events == ()
    await world.put(HOOK, replace(WEBHOOK, events=("budget.alert",)), 1)
    assert (await world.channels.get(MIA, HOOK)).events == ("budget.alert",)
    (event_id,) = [each for each in world.events("alert_channel.changed") if each.endswith("2")]
    outbox = world.container.peek(PARTITION_OF_POLICIES, event_id)
    assert outbox is not None
    details = outbox["event"]["details"]
    assert (details["before_events"], details["after_events"]) == ("all", "budget.alert")


async def test_channel_of_before_events_existed_wants_everything() -> None:
    world = World()
    await world.put()
    stored = world.container.partitions[PARTITION_OF_POLICIES][f"channel:{HOOK}"]
    del stored["channel"]["events"]
    (channel,) = await world.channel_store.channels(Partition("marketing", "policies"))
    assert channel.wants("budget.alert") and channel.wants("image.rehydrated")
