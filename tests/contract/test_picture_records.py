"""The PictureRecords port: one suite on the fake and on the adapter over the Cosmos DB emulator."""

import uuid
from dataclasses import replace

import pytest

from shared.adapters.cosmos_alerts import CosmosAlerts
from shared.adapters.cosmos_picture_records import CosmosPictureRecords
from shared.domain.alerts import ChannelKind
from shared.domain.blob_paths import PictureName
from shared.domain.ids import Partition, operation_id
from shared.domain.image_notices import rehydration_notice
from shared.domain.legal_holds import LegalHold
from shared.domain.rehydrations import Rehydration
from shared.domain.retention import RetentionPolicy
from tests import builders
from tests.contract.cosmos_stores import Stores, stores
from tests.fakes.alerts import FakeAlerts
from tests.fakes.clock import FakeClock
from tests.fakes.picture_storage import FakePictureRecords
from tests.fakes.records import FakeRecords

__all__ = ["stores"]
SINCE = "2026-11-15T12:00:00+00:00"


@pytest.fixture
def records(stores: Stores) -> CosmosPictureRecords:
    if isinstance(stores.records, FakeRecords):
        return FakePictureRecords(stores.connection._connection, FakeClock())  # type: ignore[attr-defined]
    return CosmosPictureRecords(stores.connection, FakeClock())


@pytest.fixture
def alerts(stores: Stores) -> CosmosAlerts:
    if isinstance(stores.records, FakeRecords):
        return FakeAlerts(stores.connection._connection)  # type: ignore[attr-defined]
    return CosmosAlerts(stores.connection)


@pytest.fixture
def name() -> PictureName:
    """A picture in a department of its own."""
    partition = Partition(f"d{uuid.uuid4().hex[:12]}", "202401")
    return PictureName(operation_id(partition, "x"), 0)


def department(name: PictureName) -> str:
    return name.partition.department_id


def hold_on(name: PictureName, revision: int = 1, *, held: bool = True) -> LegalHold:
    return LegalHold(name.image_id, revision, held, "Matter 1", "t.o", SINCE, uuid.uuid4().hex)


def rehydration_of(name: PictureName, **changes: object) -> Rehydration:
    made = Rehydration(
        image_id=name.image_id,
        number=1,
        revision=1,
        status="asked",
        priority="high",
        size_bytes=10,
        amount_micros=20,
        usd_micros=13,
        price_version="p-1",
        exchange_rate_version="x-1",
        tenant_id=builders.TENANT,
        charge=builders.caller(1, department(name)).charge("apollo"),
        period="202611",
        online_days=28,
        asked_by=builders.caller().key,
        asked_role="StandardUser",
        asked_at=SINCE,
        changed_at=SINCE,
        change_id=uuid.uuid4().hex,
        correlation_id="c-1",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def put_hold(records: CosmosPictureRecords, hold: LegalHold) -> bool:
    return await records.put_hold(hold, hold.event("OrgAdmin", "c-1"))


async def put(records: CosmosPictureRecords, rehydration: Rehydration) -> bool:
    return await records.put_rehydration(rehydration, rehydration.event(rehydration.status))


async def test_hold_is_unapplied_until_the_same_revision_is_noted(
    records: CosmosPictureRecords, name: PictureName
) -> None:
    assert await records.hold(name.image_id) is None
    first = hold_on(name)
    assert await put_hold(records, first)
    assert await records.hold(name.image_id) == first
    assert await records.unapplied_holds(department(name)) == [first]
    second = hold_on(name, 2, held=False)
    assert await put_hold(records, second)
    await records.hold_applied(first)  # late: says nothing of the second
    assert await records.unapplied_holds(department(name)) == [second]
    await records.hold_applied(second)
    assert await records.unapplied_holds(department(name)) == []
    assert await records.hold(name.image_id) == second
    assert await records.holds(department(name), "") == [second]
    assert await records.holds(department(name), name.image_id) == []


async def test_second_writer_of_a_revision_loses_and_a_repeated_one_wins(
    records: CosmosPictureRecords, name: PictureName
) -> None:
    first, other = rehydration_of(name), rehydration_of(name, priority="standard")
    assert await put(records, first)
    assert await put(records, first)  # its answer was lost
    assert not await put(records, other)
    assert not await put(records, replace(other, revision=3))
    assert await records.rehydration(name.image_id) == first


async def test_open_rehydrations_are_those_the_sweep_looks_after(
    records: CosmosPictureRecords, name: PictureName
) -> None:
    standing = rehydration_of(name)
    for revision, status in enumerate(("asked", "pending", "available", "ended"), start=1):
        standing = replace(standing, revision=revision, status=status, change_id=uuid.uuid4().hex)  # type: ignore[arg-type]
        assert await put(records, standing)
        found = await records.open_rehydrations(department(name))
        assert found == ([standing] if status != "ended" else [])


async def test_notice_stands_if_and_only_if_its_rehydration_became_available(
    records: CosmosPictureRecords, alerts: CosmosAlerts, name: PictureName
) -> None:
    asked = rehydration_of(name)
    assert await put(records, asked)
    there = {"status": "available", "available_at": SINCE, "online_until": "2026-12-13"}
    first, late = (
        rehydration_of(name, revision=2, change_id=change, **there) for change in ("a", "b")
    )
    hook: dict[str, ChannelKind] = {f"{department(name)}.hook": "webhook"}
    notices = [rehydration_notice(first, "cold", hook), rehydration_notice(late, "hot", {})]
    assert len({each.alert_id for each in notices}) == 1
    event = first.event("available")
    assert not await records.put_rehydration(
        replace(first, revision=3), replace(first, revision=3).event("available"), notices[0]
    )
    assert await alerts.alert(notices[0].alert_id) is None
    assert await records.put_rehydration(first, event, notices[0])
    assert await records.put_rehydration(first, event, notices[0])  # its answer was lost
    assert not await records.put_rehydration(late, late.event("available"), notices[1])
    assert await alerts.alert(notices[0].alert_id) == notices[0]
    assert await alerts.undelivered(first.partition, 10) == [notices[0]]
    assert await alerts.raised(first.partition) == {notices[0].document_id}


async def test_retention_is_the_default_until_it_is_put(
    records: CosmosPictureRecords, name: PictureName
) -> None:
    department_id = department(name)
    assert await records.retention(department_id) == RetentionPolicy(department_id)
    chosen = RetentionPolicy(department_id, 1, "one-year", "because", "t.o", SINCE)
    event = chosen.event("seven-years", "OrgAdmin", "c-1")
    assert await records.put_retention(chosen, event)
    assert await records.retention(department_id) == chosen
    assert await records.retention_of(department_id) == "one-year"
    assert not await records.put_retention(replace(chosen, retention="indefinite"), event)
