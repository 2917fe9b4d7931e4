"""From a change of state to its entry in the log: none is lost, none is doubled, whatever dies.

That change and event commit together is the ledger's promise (test_crash_points.py). Here relay,
sequencer and witness carry the events on, and every call of theirs goes wrong once in every way.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.domain.audit_entries import AuditRecord
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.services.audit_relay import AuditRelay
from tests import builders
from tests.fakes.audit_log_files import Around, FakeLogStores, Interrupted, undisturbed
from tests.fakes.faults import Crashed
from tests.proofs.audit_log_world import check_derived, entries_of, sequencer, witness

PARTITIONS = (Partition("design", "202611"), Partition("marketing", "202611"))
CHANGES = 7  # in each partition
CALLS_MAX = 200
NO_ANSWER = TimeoutError("no answer")


@dataclass
class Trail:
    """Two partitions of a ledger, the audit container, and the log behind it."""

    around: Around = undisturbed
    changed: set[tuple[str, str]] = field(default_factory=set)
    outboxes: dict[str, dict[str, Document]] = field(default_factory=dict)
    log: FakeLogStores = field(default_factory=FakeLogStores)
    seen: FakeLogStores = field(default_factory=FakeLogStores)

    def change(self, partition: Partition, number: int) -> None:
        """One transaction: a change of state and its event."""
        event = builders.event(f"{partition.department_id}-{number}").as_json()
        self.changed.add((partition.key, event["event_id"]))
        item = {"id": f"e:{event['event_id']}", "event": event}
        self.outboxes.setdefault(partition.key, {})[item["id"]] = item

    # --- what the relay needs of the ledger and of the audit container -----------------------

    async def outbox(self, partition: Partition, limit: int) -> Sequence[Document]:
        waiting: list[Document] = await self.around(
            "outbox", lambda: list(self.outboxes.get(partition.key, {}).values())[:limit]
        )
        return waiting

    async def drop_outbox(self, partition: Partition, documents: Sequence[Document]) -> None:
        standing = self.outboxes[partition.key]
        await self.around("drop", lambda: [standing.pop(d["id"], None) for d in documents])

    async def append(self, partition: Partition, events: Sequence[Mapping[str, Any]]) -> None:
        def work() -> None:
            known = {(each.partition_key, each.document_id) for each in self.log.records}
            self.log.records += [
                AuditRecord(partition.key, event["event_id"], dict(event))
                for event in events
                if (partition.key, event["event_id"]) not in known
            ]

        await self.around("append", work)

    # --- the three functions -----------------------------------------------------------------

    async def timers(self) -> None:
        """One run of each, as the host starts them: the death of one ends all."""
        await AuditRelay(self, self).run(PARTITIONS)  # type: ignore[arg-type]
        await sequencer(self.log).run()
        await witness(self.seen).look(self.log, self.log)

    def disturb(self, around: Around) -> None:
        self.around = self.log.around = self.seen.around = around

    def check(self) -> None:
        """Each change has one entry, each entry one change, and nothing waits."""
        logged = [json.loads(entry) for entry in entries_of(self.log)]
        found = [(entry["partition"], entry["id"]) for entry in logged]
        assert len(found) == len(set(found))
        assert set(found) == self.changed
        assert not any(self.outboxes.values())
        check_derived(self.log)


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
@pytest.mark.parametrize("error", [Crashed("here"), NO_ANSWER], ids=["crash", "no answer"])
def test_no_event_is_lost_or_doubled_after_a_fault_at_any_call(
    done: bool, error: BaseException
) -> None:
    for at in range(CALLS_MAX):
        trail = Trail()
        disturbance = Interrupted(at, done=done, error=error)
        for number in range(CHANGES):
            for partition in PARTITIONS:
                trail.change(partition, number)
            if number == CHANGES // 2:
                trail.disturb(disturbance)
                with suppress(Crashed, TimeoutError):
                    asyncio.run(trail.timers())
        trail.disturb(undisturbed)
        asyncio.run(trail.timers())
        trail.check()
        if disturbance.calls <= at:
            assert at > 15
            return
    raise AssertionError("the timers make more calls than expected")
