"""Signals of ended jobs over their port: in memory, and in Cosmos DB."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.adapters.cosmos_job_signals import (
    LIMITS_CONTAINER,
    SIGNAL_TTL_S,
    CosmosJobSignals,
)
from shared.adapters.providers.replicate import FOLLOW_GRACE_S
from shared.domain.prices import RUN_SECONDS_MAX
from shared.ports.job_signals import JobSignals
from tests.contract.cosmos_stores import Stores, stores
from tests.fakes.job_signals import FakeJobSignals
from tests.fakes.records import FakeRecords

__all__ = ["stores"]


@pytest_asyncio.fixture
async def signals(stores: Stores) -> AsyncIterator[JobSignals]:
    if isinstance(stores.records, FakeRecords):
        yield FakeJobSignals()
    else:
        yield CosmosJobSignals(stores.connection, "replicate")


@pytest.fixture
def job_id() -> str:
    return uuid.uuid4().hex


async def test_word_reaches_whoever_waits_and_counts_once(signals: JobSignals, job_id: str) -> None:
    await signals.expect(job_id)
    assert not await signals.is_told(job_id)
    assert await signals.tell(job_id, "msg_1")
    assert not await signals.tell(job_id, "msg_1")
    assert not await signals.tell(job_id, "msg_2")
    assert await signals.is_told(job_id)


async def test_word_that_nobody_waits_for_leaves_nothing_behind(
    signals: JobSignals, job_id: str
) -> None:
    assert not await signals.tell(job_id, "msg_1")
    await signals.expect(job_id)
    assert not await signals.is_told(job_id)


async def test_waiting_again_forgets_nothing_that_was_told(
    signals: JobSignals, job_id: str
) -> None:
    await signals.expect(job_id)
    await signals.tell(job_id, "msg_1")
    await signals.expect(job_id)
    assert await signals.is_told(job_id)


async def test_forgotten_job_is_neither_awaited_nor_told(signals: JobSignals, job_id: str) -> None:
    await signals.expect(job_id)
    await signals.forget(job_id)
    await signals.forget(job_id)
    assert not await signals.tell(job_id, "msg_1")
    assert not await signals.is_told(job_id)


async def test_word_that_comes_many_times_at_once_is_taken_once(
    signals: JobSignals, job_id: str
) -> None:
    await signals.expect(job_id)
    taken = await asyncio.gather(*(signals.tell(job_id, f"msg_{n}") for n in range(6)))
    assert sorted(taken) == [False] * 5 + [True]


async def test_signal_that_nobody_could_delete_is_dropped_by_the_store(
    stores: Stores, job_id: str
) -> None:
    await CosmosJobSignals(stores.connection, "replicate").expect(job_id)
    container = await stores.connection.container(LIMITS_CONTAINER)
    kept = await container.read_item("signal", f"job|replicate|{job_id}")
    assert kept["ttl"] == SIGNAL_TTL_S > RUN_SECONDS_MAX + FOLLOW_GRACE_S
