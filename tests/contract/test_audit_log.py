"""The AuditLog port: one suite on the fake and on the SDK."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from shared.adapters.cosmos_audit import CosmosAuditLog
from shared.domain.audit_entries import without_texts
from shared.domain.ids import Partition
from shared.errors import InvariantBroken, Unavailable
from shared.ports import EVENTS_PER_APPEND_MAX
from tests import builders
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import Stores, silent_account
from tests.fakes.audit_log import TEXT_KEY

stores = cosmos_stores.stores  # a fixture, found by its name

Event = Mapping[str, Any]
OURS = "5a" * 16  # a correlation id of our own making


@pytest.fixture
def partition() -> Partition:
    """A partition nobody else writes to."""
    return Partition(f"d{uuid.uuid4().hex[:12]}", "202611")


def events(first: int, last: int, **changes: Any) -> list[Event]:
    """The events of objects `first..last`, inclusive."""
    return [
        builders.event(f"object-{number:03d}").as_json() | {"correlation_id": OURS} | changes
        for number in range(first, last + 1)
    ]


def by_id(found: list[Event]) -> list[Event]:
    return sorted(found, key=lambda event: str(event["event_id"]))


async def test_append_keeps_every_event_unchanged(stores: Stores, partition: Partition) -> None:
    details = {"needed_micros": 2**53 - 1, "is_new": False, "note": None, "scope": "user"}
    sent = events(1, 3, reason="due", reason_is_code=True, details=details)
    await stores.audit.append(partition, sent)
    assert by_id(await stores.events(partition)) == sent


async def test_append_keeps_what_people_typed_as_keyed_hashes(
    stores: Stores, partition: Partition
) -> None:
    details = {"after_reason": "Jane complained", "comment": "jane", "scope": "user"}
    typed = {"reason": "zu teuer für Jane", "correlation_id": "jane.doe"}
    sent = events(1, 1, details=details, **typed)
    await stores.audit.append(partition, sent)
    [kept] = await stores.events(partition)
    assert kept == without_texts(sent[0], TEXT_KEY)
    assert "jane" not in json.dumps(kept).lower()
    await stores.audit.append(partition, [kept, *sent])  # once more, by whoever was slower
    assert await stores.events(partition) == [kept]


async def test_append_takes_as_many_events_as_the_limit(
    stores: Stores, partition: Partition
) -> None:
    sent = events(1, EVENTS_PER_APPEND_MAX)
    await stores.audit.append(partition, sent)
    assert by_id(await stores.events(partition)) == sent


async def test_append_of_more_than_the_limit_adds_nothing(
    stores: Stores, partition: Partition
) -> None:
    with pytest.raises(InvariantBroken):
        await stores.audit.append(partition, events(1, EVENTS_PER_APPEND_MAX + 1))
    assert await stores.events(partition) == []


async def test_append_repeated_adds_nothing(stores: Stores, partition: Partition) -> None:
    sent = events(1, EVENTS_PER_APPEND_MAX)
    for _ in range(2):
        await stores.audit.append(partition, sent)
    assert by_id(await stores.events(partition)) == sent


@pytest.mark.parametrize(
    "copied",
    [
        (1, 1),  # the first
        (8, 8),  # the last
        (3, 5),  # some in the middle
        (1, 7),  # all but the last
    ],
)
async def test_append_of_events_copied_in_part_adds_the_others(
    stores: Stores, partition: Partition, copied: tuple[int, int]
) -> None:
    await stores.audit.append(partition, events(*copied))
    await stores.audit.append(partition, events(1, 8))
    assert by_id(await stores.events(partition)) == events(1, 8)


async def test_append_of_another_event_under_the_same_id_leaves_the_first(
    stores: Stores, partition: Partition
) -> None:
    await stores.audit.append(partition, events(1, 1))
    await stores.audit.append(partition, events(1, 2, outcome="denied"))
    first, second = by_id(await stores.events(partition))
    assert (first["outcome"], second["outcome"]) == ("success", "denied")


async def test_append_of_the_same_event_twice_in_one_call_adds_it_once(
    stores: Stores, partition: Partition
) -> None:
    await stores.audit.append(partition, [*events(1, 2), *events(1, 1)])
    assert by_id(await stores.events(partition)) == events(1, 2)


async def test_append_by_two_relays_at_once_adds_each_event_once(
    stores: Stores, partition: Partition
) -> None:
    await asyncio.gather(
        stores.audit.append(partition, events(1, 12)),
        stores.audit.append(partition, events(5, 20)),
    )
    assert by_id(await stores.events(partition)) == events(1, 20)


async def test_append_of_nothing_is_no_call(stores: Stores, partition: Partition) -> None:
    await stores.audit.append(partition, [])
    assert await stores.events(partition) == []


async def test_append_is_per_partition(stores: Stores, partition: Partition) -> None:
    other = Partition(partition.department_id, "202612")
    await stores.audit.append(partition, events(1, 2))
    await stores.audit.append(other, events(2, 3))
    assert by_id(await stores.events(partition)) == events(1, 2)
    assert by_id(await stores.events(other)) == events(2, 3)


async def test_append_without_an_answer_is_unavailable() -> None:
    async with silent_account() as connection:
        with pytest.raises(Unavailable):
            await CosmosAuditLog(connection, TEXT_KEY).append(builders.PARTITION, events(1, 1))
