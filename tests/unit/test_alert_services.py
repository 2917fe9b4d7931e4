"""Raising alerts and bringing them to their channels, over fakes."""

import asyncio
import json
from dataclasses import replace

import pytest

from shared.domain.budgets import Scope, budget_document
from shared.domain.deliveries import ATTEMPTS_MAX, Outcome
from shared.domain.identity import Caller, Role
from shared.errors import NotFound
from tests import builders
from tests.builders import PARTITION
from tests.fakes.faults import Fault, ScriptedFaults
from tests.unit.alert_world import (
    AVA,
    EMAIL,
    EVERYWHERE,
    HOOK,
    MAIL,
    MIA,
    OLGA,
    URL,
    WEBHOOK,
    World,
    budget,
)


async def test_note_raises_what_is_reached_once() -> None:
    world = World()
    for spent in (79, 85, 85, 95, 100, 60, 100):
        await world.alerts.note(PARTITION, [budget(spent)])
    name = "alert:department:marketing"
    assert await world.store.raised(PARTITION) == {f"{name}:{t}" for t in (80, 90, 100)}
    assert len(world.events("budget.alert")) == 3


async def test_note_asks_the_store_once_for_each_threshold() -> None:
    faults = ScriptedFaults("none")
    world = World(faults)
    await world.alerts.note(PARTITION, [budget(100)])
    asked = len(faults.calls)
    await world.alerts.note(PARTITION, [budget(100)])
    assert len(faults.calls) == asked


async def test_note_never_fails_its_caller_and_the_sweep_catches_up() -> None:
    world = World(ScriptedFaults("batch", *[Fault.UNREACHABLE] * 5))
    await world.alerts.note(PARTITION, [budget(85)])
    assert await world.store.raised(PARTITION) == frozenset()
    planted = budget_document(PARTITION, budget(85)) | {"spent_micros": 85}
    world.container.partitions[PARTITION.key] = {planted["id"]: planted}
    report = await world.alerts.sweep([PARTITION], world.orchestrations)
    assert (report.raised, report.errors) == (1, 0)
    assert (await world.alerts.sweep([PARTITION], world.orchestrations)).raised == 0


async def test_alert_is_addressed_to_enabled_channels_of_department_and_organisation() -> None:
    world = World()
    await world.put()
    await world.put(MAIL, EMAIL)
    await world.put("marketing.off", replace(WEBHOOK, enabled=False))
    await world.put("design.hook", caller=OLGA)
    await world.put(EVERYWHERE, caller=OLGA)
    alert = await world.raised()
    assert {c: d.kind for c, d in alert.deliveries.items()} == {
        HOOK: "webhook",
        MAIL: "email",
        EVERYWHERE: "webhook",
    }


async def test_sweep_starts_deliveries_that_are_not_running() -> None:
    world = World()
    await world.put()
    alert = await world.raised()
    for _ in range(2):
        await world.alerts.sweep([PARTITION], world.orchestrations)
    assert world.orchestrations.started == [(alert.alert_id, (HOOK,))]
    world.orchestrations.running.clear()  # it died
    await world.alerts.sweep([PARTITION], world.orchestrations)
    assert len(world.orchestrations.started) == 2
    await world.deliveries.attempt(alert.alert_id, HOOK, 1)
    world.orchestrations.running.clear()
    await world.alerts.sweep([PARTITION], world.orchestrations)
    assert len(world.orchestrations.started) == 2


@pytest.mark.parametrize(
    ("caller", "scope", "is_shown"),
    [
        (AVA, Scope("department", "marketing"), False),
        (AVA, Scope("user", AVA.key), True),
        (builders.caller(2), Scope("user", AVA.key), False),
        (MIA, Scope("user", AVA.key), True),
        (builders.caller(9, "design", Role.DEPT_MANAGER), Scope("project", "apollo"), False),
        (OLGA, Scope("project", "apollo"), True),
    ],
)
async def test_alert_is_shown_to_those_who_may_see_the_budget(
    caller: Caller, scope: Scope, is_shown: bool
) -> None:
    world = World()
    await world.alerts.note(PARTITION, [budget(85, scope)])
    (document_id,) = await world.store.raised(PARTITION)
    alert_id = world.container.peek(PARTITION.key, document_id)["alert_id"]  # type: ignore[index]
    if is_shown:
        view = await world.alerts.get(caller, alert_id)
        assert (view.threshold_percent, view.committed_micros) == (80, 85)
    else:
        with pytest.raises(NotFound):
            await world.alerts.get(caller, alert_id)


async def test_delivery_sends_the_signed_alert_and_ends_with_one_event() -> None:
    world = World()
    secret = await world.put()
    alert = await world.raised()
    step = await world.deliveries.attempt(alert.alert_id, HOOK, 1)
    assert step.status == "delivered"
    ((url, secrets, message),) = world.webhooks.sent
    assert (url, secrets, message.message_id) == (URL, (secret,), alert.alert_id)
    assert json.loads(message.body)["data"]["threshold_percent"] == 80
    assert world.events("budget.alert_delivered") == [
        f"e:{alert.alert_id}:budget.alert_delivered.{HOOK}"
    ]


async def test_delivery_repeated_by_a_replay_sends_nothing() -> None:
    world = World()
    await world.put()
    alert = await world.raised()
    world.webhooks.answers = [Outcome("later", "http_500")]
    assert (await world.deliveries.attempt(alert.alert_id, HOOK, 1)).status == "pending"
    repeated = await world.deliveries.attempt(alert.alert_id, HOOK, 1)
    assert (repeated.status, len(world.webhooks.sent)) == ("pending", 1)
    await world.deliveries.attempt(alert.alert_id, HOOK, 2)
    for attempt in (2, 3):
        again = await world.deliveries.attempt(alert.alert_id, HOOK, attempt)
        assert (again.status, len(world.webhooks.sent)) == ("delivered", 2)
    assert {message.message_id for *_, message in world.webhooks.sent} == {alert.alert_id}
    assert len({message.body for *_, message in world.webhooks.sent}) == 1


async def test_delivery_waits_as_long_as_the_receiver_asks() -> None:
    world = World()
    await world.put()
    alert = await world.raised()
    world.webhooks.answers = [Outcome("later", "http_429", 77)]
    step = await world.deliveries.attempt(alert.alert_id, HOOK, 1)
    assert step.retry_after_s == 77


async def test_delivery_is_given_up_after_the_last_try_with_one_event() -> None:
    world = World()
    await world.put()
    alert = await world.raised()
    world.webhooks.answers = [Outcome("later", "http_500")] * ATTEMPTS_MAX
    steps = [
        await world.deliveries.attempt(alert.alert_id, HOOK, n) for n in range(1, ATTEMPTS_MAX + 1)
    ]
    assert [step.status for step in steps] == ["pending"] * (ATTEMPTS_MAX - 1) + ["undelivered"]
    (event_id,) = world.events("budget.alert_undelivered")
    event = world.container.peek(PARTITION.key, event_id)["event"]  # type: ignore[index]
    assert (event["outcome"], event["reason"]) == ("failure", "http_500")
    assert event["details"] == {"channel": HOOK, "kind": "webhook", "attempts": ATTEMPTS_MAX}
    assert await world.store.undelivered(PARTITION, 10) == []


async def test_delivery_to_a_receiver_that_is_gone_switches_its_channel_off() -> None:
    world = World()
    await world.put()
    alert = await world.raised()
    world.webhooks.answers = [Outcome("gone", "http_410")]
    assert (await world.deliveries.attempt(alert.alert_id, HOOK, 1)).status == "undelivered"
    view = await world.channels.get(MIA, HOOK)
    assert (view.enabled, view.disabled_reason) == (False, "http_410")
    assert len(world.events("alert_channel.disabled")) == 1
    await world.alerts.note(PARTITION, [budget(95)])
    assert len(await world.store.undelivered(PARTITION, 10)) == 0


@pytest.mark.parametrize("change", ["deleted", "disabled"])
async def test_delivery_to_a_channel_that_is_no_more_ends(change: str) -> None:
    world = World()
    await world.put()
    alert = await world.raised()
    if change == "deleted":
        await world.channels.delete(MIA, HOOK, expected=1, correlation_id="c-1")
    else:
        await world.put(HOOK, replace(WEBHOOK, enabled=False), 1)
    assert (await world.deliveries.attempt(alert.alert_id, HOOK, 1)).status == "undelivered"
    assert world.webhooks.sent == []


async def test_delivery_by_mail_looks_again_until_the_service_is_done() -> None:
    world = World()
    await world.put(MAIL, EMAIL)
    alert = await world.raised()
    world.mailer.answers = [Outcome("accepted", "accepted", 30), Outcome("accepted", "in_progress")]
    first = await world.deliveries.attempt(alert.alert_id, MAIL, 1)
    assert (first.status, first.retry_after_s) == ("pending", 30)
    assert (await world.deliveries.attempt(alert.alert_id, MAIL, 2)).status == "pending"
    assert (await world.deliveries.attempt(alert.alert_id, MAIL, 3)).status == "delivered"
    (mail,) = world.mailer.sent.values()
    assert mail.to == EMAIL.recipients


async def test_deliveries_of_one_alert_do_not_undo_each_other() -> None:
    world = World()
    names = [f"marketing.hook-{n}" for n in range(12)]
    for name in names:
        await world.put(name)
    alert = await world.raised()
    await asyncio.gather(*(world.deliveries.attempt(alert.alert_id, name, 1) for name in names))
    found = await world.store.alert(alert.alert_id)
    assert found is not None
    assert {d.status for d in found.deliveries.values()} == {"delivered"}
    assert len(world.events("budget.alert_delivered")) == len(names)
