"""The SessionStore port: one suite on the fake and on the SDK."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection, read_or_none
from shared.adapters.cosmos_sessions import SESSIONS_CONTAINER, CosmosSessions
from shared.domain.access_tokens import Authentication
from shared.domain.sessions import (
    PROFILES,
    Device,
    PersonSessions,
    Session,
    SessionToken,
    read_token,
    session_partition,
    session_partitions,
    sessions_id,
    sha256_hex,
)
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection

POLICY = PROFILES["standard"]
NOW = datetime(2026, 11, 22, 9, 0, 0, 123456, tzinfo=UTC)


@dataclass
class Bench:
    """A person of their own."""

    store: CosmosSessions
    connection: CosmosConnection
    tenant_id: str
    object_id: str

    def session(self, number: int = 1) -> Session:
        secret = bytes([number]) * 32
        return Session(
            family_id=f"{number:032x}",
            device=Device("d" * 64, "a" * 64, "Firefox on Linux", "203.0.113.0/24"),
            created_at=NOW,
            seen_at=NOW + timedelta(seconds=1),
            rotated_at=NOW + timedelta(seconds=2),
            secret_sha256=sha256_hex(secret),
            previous_sha256=None,
            successor_salt="5a" * 32,
            csrf_salt="c5" * 32,
            authentication=Authentication(frozenset({"c1", "c2"}), NOW),
            checked_at=NOW,
            refresh_token={"v": 1, "alg": "A256GCM", "kid": "1", "nonce": "n", "ct": "c"},
        )

    def first(self, change: str = "c1") -> PersonSessions:
        return PersonSessions(self.tenant_id, self.object_id).changed((self.session(),), change)

    async def stored(self, item_id: str) -> dict[str, object] | None:
        container = await self.connection.container(SESSIONS_CONTAINER)
        key = session_partition(self.tenant_id, self.object_id).key
        return await read_or_none(container, item_id, key)


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[CosmosConnection]:
    if request.param == "fake":
        yield FakeConnection().as_connection()
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists(
            SESSIONS_CONTAINER, PartitionKey("/pk"), default_ttl=-1
        )
        opened = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield opened
        await opened.aclose()


@pytest.fixture
def bench(connection: CosmosConnection) -> Bench:
    store = CosmosSessions(connection, POLICY, FakeClock(NOW))
    return Bench(store, connection, str(uuid.uuid4()), str(uuid.uuid4()))


async def test_person_without_sessions_has_none(bench: Bench) -> None:
    found = await bench.store.find(bench.tenant_id, bench.object_id)
    assert (found.sessions, found.revision) == ((), 0)


async def test_sessions_are_what_was_written_with_their_events(bench: Bench) -> None:
    first = bench.first()
    events = [builders.event(f"session:{bench.object_id}", f"session.{n}") for n in range(3)]
    assert await bench.store.write(first, events)
    assert await bench.store.find(bench.tenant_id, bench.object_id) == first
    for event in events:
        waiting = await bench.stored(f"e:{event.event_id}")
        assert waiting is not None and "ttl" not in waiting
    document = await bench.stored(sessions_id(bench.object_id))
    assert document is not None and document["ttl"] == 13 * 3_600


async def test_another_tenant_sees_nothing(bench: Bench) -> None:
    await bench.store.write(bench.first(), [])
    found = await bench.store.find(str(uuid.uuid4()), bench.object_id)
    assert found.revision == 0


async def test_write_repeated_after_a_lost_answer_is_taken(bench: Bench) -> None:
    first = bench.first()
    assert await bench.store.write(first, [builders.event(bench.object_id, "a")])
    assert await bench.store.write(first, [builders.event(bench.object_id, "a")])
    second = first.changed((bench.session(), bench.session(2)), "c2")
    assert await bench.store.write(second, [builders.event(bench.object_id, "b")])
    assert await bench.store.write(second, [builders.event(bench.object_id, "b")])
    assert await bench.store.find(bench.tenant_id, bench.object_id) == second


async def test_write_by_several_at_once_is_taken_from_one(bench: Bench) -> None:
    first = bench.first()
    for base in (PersonSessions(bench.tenant_id, bench.object_id), first):
        rivals = [base.changed((bench.session(n),), f"{base.revision}-{n}") for n in range(1, 6)]
        if base is first:
            rivals[0] = first.changed((), "winner")
        taken = await asyncio.gather(
            *(
                bench.store.write(each, [builders.event(bench.object_id, each.change_id)])
                for each in rivals
            )
        )
        assert sum(taken) == 1
        standing = await bench.store.find(bench.tenant_id, bench.object_id)
        assert standing == rivals[taken.index(True)]
        for each, won in zip(rivals, taken, strict=True):
            event = builders.event(bench.object_id, each.change_id)
            assert (await bench.stored(f"e:{event.event_id}") is not None) is won


async def test_write_on_what_the_store_has_dropped_is_not_taken(bench: Bench) -> None:
    vanished = replace(bench.first(), revision=7)
    assert not await bench.store.write(vanished, [builders.event(bench.object_id, "x")])


async def test_document_has_no_ttl_of_the_past(bench: Bench) -> None:
    old = bench.session()
    old = replace(old, created_at=NOW - timedelta(days=3))
    await bench.store.write(
        PersonSessions(bench.tenant_id, bench.object_id).changed((old,), "c"), []
    )
    document = await bench.stored(sessions_id(bench.object_id))
    assert document is not None and document["ttl"] == 3_600


def test_token_is_read_as_it_was_written_and_in_no_other_spelling() -> None:
    token = SessionToken(str(uuid.uuid4()), str(uuid.uuid4()), "ab" * 16, bytes(range(32)))
    text = token.text()
    assert read_token(text) == token and len(text) == 107
    assert "secret" not in repr(token)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [text[:-1] + each for each in last if each != text[-1]]
    assert sum(read_token(each) == token for each in spellings) == 0
    for bad in ("", "a", text[:-1], text + "A", text + "=", f" {text}", text + "\n", "é" * 107):
        assert read_token(bad) is None


def test_people_are_spread_over_the_partitions_that_the_relay_looks_at() -> None:
    tenant = str(uuid.uuid4())
    known = {each.key for each in session_partitions(tenant)}
    found = {session_partition(tenant, str(uuid.uuid4())).key for _ in range(400)}
    assert found == known and len(known) == 8


def test_document_is_small_enough_for_many_sessions() -> None:
    person = Bench(None, None, str(uuid.uuid4()), str(uuid.uuid4())).first()  # type: ignore[arg-type]
    from shared.domain.sessions import sessions_document

    assert len(json.dumps(sessions_document(person, POLICY, NOW))) < 2_000
