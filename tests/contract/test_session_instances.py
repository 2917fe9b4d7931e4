"""One session on two instances of the app, each a process of its own over one database."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_sessions import SESSIONS_CONTAINER
from shared.adapters.system_clock import SystemClock
from shared.domain.access_tokens import Authentication
from shared.domain.sessions import Device, PersonSessions, Session, SessionToken, sha256_hex
from shared.services.sessions import Sessions
from tests.contract.cosmos_account import open_account
from tests.contract.session_users import DATABASE, sessions_over
from tests.contract.token_takers import since_epoch_us

CLIENTS = 8  # of each process
DEVICE = "d" * 64


@dataclass
class Bench:
    """The test's own instance, and how others reach the same database."""

    sessions: Sessions
    endpoint: str
    key: str

    async def planted(self, rotated_ago: timedelta) -> SessionToken:
        """A session of today whose secret was last replaced so long ago."""
        now = SystemClock().now()
        token = SessionToken(str(uuid.uuid4()), str(uuid.uuid4()), uuid.uuid4().hex, b"s" * 32)
        session = Session(
            family_id=token.family_id,
            device=Device(DEVICE, DEVICE, "Browser on Linux", ""),
            created_at=now - timedelta(hours=1),
            seen_at=now,
            rotated_at=now - rotated_ago,
            secret_sha256=sha256_hex(token.secret),
            previous_sha256=None,
            successor_salt="5a" * 32,
            csrf_salt="c5" * 32,
            authentication=Authentication(),
            checked_at=now,
        )
        person = PersonSessions(token.tenant_id, token.object_id).changed((session,), "c")
        assert await self.sessions.store.write(person, [])
        return token

    @asynccontextmanager
    async def instance(self, token: SessionToken) -> AsyncIterator[Process]:
        """Another process that is ready to use the session; it is gone afterwards."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.contract.session_users"),
            *(self.endpoint, self.key, token.text(), DEVICE, str(CLIENTS)),
            stdin=PIPE,
            stdout=PIPE,
        )
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_account() as account:
        database = await account.client.create_database(DATABASE)
        await database.create_container(SESSIONS_CONTAINER, PartitionKey("/pk"), default_ttl=-1)
        connection = CosmosConnection(CosmosAccount(account.endpoint, DATABASE, account.key))
        yield Bench(sessions_over(connection), account.endpoint, account.key)
        await connection.aclose()


async def told(process: Process, last: bytes = b"") -> dict[str, Any]:
    """What came of its requests; without a last word it goes on until it is refused."""
    output, _ = await process.communicate(last)
    outcome: dict[str, Any] = json.loads(output)
    return outcome


async def start(*processes: Process) -> None:
    """Begin at the same time, and wait until each was let in."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        await process.stdin.drain()
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"in\n"


async def test_two_instances_that_renew_at_once_give_one_successor(bench: Bench) -> None:
    token = await bench.planted(timedelta(minutes=11))
    async with AsyncExitStack() as stack:
        instances = [await stack.enter_async_context(bench.instance(token)) for _ in range(2)]
        await start(*instances)
        outcomes = [await told(each, b"stop\n") for each in instances]
    assert all(each["let_in"] and not each["refused"] for each in outcomes)
    assert len({text for each in outcomes for text in each["successors"]}) == 1
    assert (await _stored(bench, token)).generation == 2


async def test_session_that_one_instance_revokes_is_over_on_the_other_at_once(
    bench: Bench,
) -> None:
    token = await bench.planted(timedelta(minutes=1))
    async with bench.instance(token) as instance:
        await start(instance)
        assert await bench.sessions.revoke_all(token.tenant_id, token.object_id, "c") == 1
        revoked_us = since_epoch_us(SystemClock().now())
        outcome = await told(instance)
    assert outcome["refused"] == CLIENTS
    assert outcome["last_began_us"] <= revoked_us


async def _stored(bench: Bench, token: SessionToken) -> Session:
    person = await bench.sessions.store.find(token.tenant_id, token.object_id)
    (session,) = person.sessions
    return session
