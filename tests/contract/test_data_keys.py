"""The store of wrapped data keys: as a fake, and through the SDK on an account."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_data_keys import KEYS_CONTAINER, CosmosDataKeys
from shared.adapters.cosmos_records import CosmosRecords
from shared.domain.audit_events import AuditEvent
from shared.domain.data_keys import DataKey, WrappedKey, data_key_event, keys_partition
from shared.domain.sealed_fields import Subject
from shared.ports import Records
from shared.ports.field_keys import DataKeys
from tests.contract.cosmos_account import open_account
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.field_keys import FakeDataKeys
from tests.fakes.records import FakeRecords

AT = "2026-11-15T12:00:00+00:00"
Stores = tuple[DataKeys, Records]


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if request.param == "fake":
        connection = FakeConnection()
        yield FakeDataKeys(connection), FakeRecords(connection, KEYS_CONTAINER)
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists(KEYS_CONTAINER, PartitionKey("/pk"))
        opened = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield CosmosDataKeys(opened), CosmosRecords(opened, KEYS_CONTAINER)
        await opened.aclose()


def tenant() -> str:
    return str(uuid.uuid4())


def key_of(tenant_id: str, person: str = "a", kek: str = "v1") -> DataKey:
    wrapped = WrappedKey(kek, "A256KW", b"wrapped bytes")
    return DataKey(Subject(tenant_id, f"{tenant_id}.{person}"), 1, wrapped, AT)


def event(key: DataKey, what: str = "created") -> AuditEvent:
    return data_key_event(key, what, AT, "c-1")


async def wrapped_otherwise(keys: DataKeys, kek: str) -> list[DataKey]:
    """All of them, in pages of three."""
    found: list[DataKey] = []
    while page := await keys.wrapped_otherwise(
        kek, found[-1].subject.user_key if found else "", limit=3
    ):
        assert len(page) <= 3
        found += page
    return found


async def actions(records: Records, tenant_id: str) -> list[str]:
    waiting = await records.outbox(keys_partition(tenant_id), 100)
    return sorted(each["event"]["action"] for each in waiting)


async def test_created_key_is_found_with_its_event(stores: Stores) -> None:
    keys, records = stores
    key = key_of(tenant())
    assert await keys.find(key.subject.tenant_id, [key.subject]) == {}
    assert await keys.create(key, event(key)) == key
    assert await keys.find(key.subject.tenant_id, [key.subject]) == {key.subject: key}
    assert await actions(records, key.subject.tenant_id) == ["data_key.created"]


async def test_second_creation_returns_the_key_that_stands(stores: Stores) -> None:
    keys, records = stores
    key = key_of(tenant())
    await keys.create(key, event(key))
    other = replace(key, wrapped=WrappedKey("v1", "A256KW", b"other bytes"))
    assert await keys.create(other, event(other)) == key
    assert len(await actions(records, key.subject.tenant_id)) == 1


async def test_many_people_are_found_in_one_call(stores: Stores) -> None:
    keys, _ = stores
    tenant_id = tenant()
    made = [key_of(tenant_id, person) for person in "abc"]
    for key in made:
        await keys.create(key, event(key))
    wanted = [made[0].subject, made[2].subject, Subject(tenant_id, f"{tenant_id}.nobody")]
    found = await keys.find(tenant_id, wanted)
    assert found == {key.subject: key for key in (made[0], made[2])}


async def test_rewrapping_happens_once_from_the_state_that_was_read(stores: Stores) -> None:
    keys, records = stores
    key = key_of(tenant())
    await keys.create(key, event(key))
    newer = WrappedKey("v2", "A256KW", b"wrapped anew")
    after = key.rewrapped(newer)
    assert await keys.rewrap(key, newer, event(after, "rewrapped.1"))
    assert not await keys.rewrap(key, newer, event(after, "rewrapped.1"))
    assert await keys.find(key.subject.tenant_id, [key.subject]) == {key.subject: after}
    assert await actions(records, key.subject.tenant_id) == [
        "data_key.created",
        "data_key.rewrapped.1",
    ]


async def test_destroyed_key_keeps_nothing_and_is_not_rewrapped(stores: Stores) -> None:
    keys, _ = stores
    key = key_of(tenant())
    await keys.create(key, event(key))
    assert await keys.destroy(key, event(key, "destroyed"))
    assert not await keys.destroy(key, event(key, "destroyed"))
    found = (await keys.find(key.subject.tenant_id, [key.subject]))[key.subject]
    assert (found.status, found.wrapped, found.number) == ("destroyed", None, 1)
    newer = WrappedKey("v2", "A256KW", b"wrapped anew")
    assert not await keys.rewrap(key, newer, event(key, "rewrapped.1"))
    assert key.subject not in {each.subject for each in await wrapped_otherwise(keys, "v2")}


async def test_key_after_a_destroyed_one_has_the_next_number(stores: Stores) -> None:
    keys, _ = stores
    key = key_of(tenant())
    await keys.create(key, event(key))
    await keys.destroy(key, event(key, "destroyed"))
    anew = replace(key, number=2, revision=2)
    assert await keys.create(anew, event(anew)) == anew
    rival = replace(anew, wrapped=WrappedKey("v1", "A256KW", b"rival"))
    assert await keys.create(rival, event(rival)) == anew
    assert await keys.find(key.subject.tenant_id, [key.subject]) == {key.subject: anew}


async def test_keys_of_an_older_version_are_listed_in_pages_over_all_tenants(
    stores: Stores,
) -> None:
    keys, _ = stores
    tenants = sorted([tenant(), tenant()])
    old = [key_of(tenant_id, person) for person in "dbca" for tenant_id in tenants]
    for key in (*old, *(key_of(tenant_id, "e", "v2") for tenant_id in tenants)):
        await keys.create(key, event(key))
    found = await wrapped_otherwise(keys, "v2")  # the account holds other tests' keys, too
    listed = [key.subject for key in found if key.subject.tenant_id in tenants]
    assert listed == [
        key_of(tenant_id, person).subject for tenant_id in tenants for person in "abcd"
    ]
    people = [key.subject.user_key for key in found]
    assert people == sorted(set(people))


async def test_outbox_of_the_keys_can_be_emptied(stores: Stores) -> None:
    keys, records = stores
    key = key_of(tenant())
    await keys.create(key, event(key))
    partition = keys_partition(key.subject.tenant_id)
    await records.drop_outbox(partition, await records.outbox(partition, 100))
    assert await actions(records, key.subject.tenant_id) == []
    assert await keys.find(key.subject.tenant_id, [key.subject]) == {key.subject: key}
