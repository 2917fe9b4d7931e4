"""The AlertStore port: one suite on the fake and on the SDK."""

import asyncio
from dataclasses import replace

from shared.domain.alerts import Delivery, alert_document_id, delivery_event, raised_event
from shared.domain.ids import Partition
from shared.domain.provider_health import HEALTH_PARTITION
from shared.domain.provider_notices import BreakerChange, provider_notice
from tests import builders
from tests.contract import alert_bench
from tests.contract.alert_bench import AlertBench

stores, bench = alert_bench.stores, alert_bench.bench  # fixtures, found by their names

RACERS = 64


async def test_alert_is_raised_with_its_event(bench: AlertBench) -> None:
    alert = bench.alert(hook="webhook")
    assert await bench.alerts.raise_once(alert, raised_event(alert))
    assert await bench.alerts.alert(alert.alert_id) == alert
    assert await bench.has_event(raised_event(alert))
    document = await bench.read(alert_document_id(bench.scope, 80))
    assert document is not None
    assert document["open_deliveries"] == 1


async def test_alert_is_raised_once_however_many_try(bench: AlertBench) -> None:
    alerts = [replace(bench.alert(), committed_micros=n) for n in range(RACERS)]
    won = await asyncio.gather(
        *(bench.alerts.raise_once(each, raised_event(each)) for each in alerts)
    )
    assert sum(won) == 1
    standing = await bench.alerts.alert(alerts[0].alert_id)
    assert standing == alerts[won.index(True)]


async def test_alert_stays_raised_after_its_event_has_left_the_outbox(bench: AlertBench) -> None:
    alert = bench.alert()
    await bench.alerts.raise_once(alert, raised_event(alert))
    container = await bench.stores.connection.container("ledger")
    await container.delete_item(
        f"e:{raised_event(alert).event_id}", partition_key=bench.partition.key
    )
    assert not await bench.alerts.raise_once(alert, raised_event(alert))
    assert not await bench.has_event(raised_event(alert))


async def test_alerts_of_other_thresholds_and_periods_are_others(bench: AlertBench) -> None:
    december = Partition(bench.partition.department_id, "202612")
    for alert in (bench.alert(80), bench.alert(90), replace(bench.alert(80), partition=december)):
        assert await bench.alerts.raise_once(alert, raised_event(alert))
    name = bench.scope.name
    assert await bench.alerts.raised(bench.partition) == {f"alert:{name}:80", f"alert:{name}:90"}
    assert await bench.alerts.raised(december) == {f"alert:{name}:80"}


async def test_alert_that_was_never_raised_is_none(bench: AlertBench) -> None:
    assert await bench.alerts.alert(bench.alert().alert_id) is None
    assert await bench.alerts.alert("nonsense") is None


async def test_record_writes_progress_and_its_event(bench: AlertBench) -> None:
    alert = bench.alert(hook="webhook", mail="email")
    await bench.alerts.raise_once(alert, raised_event(alert))
    hook = bench.channel_id("hook")
    told = alert.with_delivery(hook, Delivery("webhook", "delivered", 1, "http_204", "now"))
    event = delivery_event(told, hook, "now")
    assert await bench.alerts.record(told, event)
    assert await bench.alerts.alert(alert.alert_id) == told
    assert await bench.has_event(event)


async def test_record_of_an_older_revision_writes_nothing(bench: AlertBench) -> None:
    alert = bench.alert(hook="webhook", mail="email")
    await bench.alerts.raise_once(alert, raised_event(alert))
    first = alert.with_delivery(bench.channel_id("hook"), Delivery("webhook", attempts=1))
    late = alert.with_delivery(bench.channel_id("mail"), Delivery("email", "undelivered", 1))
    assert await bench.alerts.record(first, None)
    event = delivery_event(late, bench.channel_id("mail"), "now")
    assert not await bench.alerts.record(late, event)
    assert await bench.alerts.alert(alert.alert_id) == first
    assert not await bench.has_event(event)


async def test_undelivered_are_those_with_a_pending_channel_oldest_first(
    bench: AlertBench,
) -> None:
    later = bench.alert(90, raised_at="2026-11-15T13:00:00+00:00", hook="webhook")
    early = bench.alert(80, raised_at="2026-11-15T12:00:00+00:00", hook="webhook")
    untold = bench.alert(100)
    for alert in (later, early, untold):
        await bench.alerts.raise_once(alert, raised_event(alert))
    assert await bench.alerts.undelivered(bench.partition, 10) == [early, later]
    assert await bench.alerts.undelivered(bench.partition, 1) == [early]
    done = early.with_delivery(bench.channel_id("hook"), Delivery("webhook", "delivered", 1))
    await bench.alerts.record(done, None)
    assert await bench.alerts.undelivered(bench.partition, 10) == [later]


async def test_notice_of_a_provider_is_made_once_found_and_brought_to_its_channel(
    bench: AlertBench,
) -> None:
    change = BreakerChange(
        bench.partition.department_id, 7, "provider.opened", "provider_blocked", "a", "b"
    )
    hook = bench.channel_id("hook")
    notice = provider_notice(change, builders.TENANT, {hook: "webhook"})
    made = await asyncio.gather(*(bench.alerts.announce_once(notice) for _ in range(8)))
    assert sum(made) == 1
    neighbour = provider_notice(change, "another-tenant", {})
    assert await bench.alerts.announce_once(neighbour)
    assert await bench.alerts.alert(notice.alert_id) == notice
    assert await bench.alerts.alert(neighbour.alert_id) == neighbour
    assert await bench.alerts.undelivered(HEALTH_PARTITION, 10) == [notice]
    told = notice.with_delivery(hook, Delivery("webhook", "delivered", 1, "http_204", "now"))
    event = delivery_event(told, hook, "now")
    assert await bench.alerts.record(told, event)
    assert await bench.alerts.alert(notice.alert_id) == told
    assert await bench.has_event(event, HEALTH_PARTITION)
    assert await bench.alerts.undelivered(HEALTH_PARTITION, 10) == []


async def test_committed_budgets_are_those_with_something_reserved_or_spent(
    bench: AlertBench,
) -> None:
    assert await bench.alerts.committed_budgets(bench.partition) == []
    budgets = await bench.spend(850_000)
    found = await bench.alerts.committed_budgets(bench.partition)
    assert sorted(found, key=lambda b: b.scope.name) == sorted(budgets, key=lambda b: b.scope.name)
