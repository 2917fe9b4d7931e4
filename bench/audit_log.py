"""The audit log: events sequenced into Azurite a second, against hashing the same events alone.

The feed is in memory, so that the figures are the sequencer's and not the database emulator's.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from azure.storage.blob.aio import BlobServiceClient

from devhost.azurite import azurite_part, connection_string
from devhost.note_keys import (
    LOG_KEY_FILE,
    LOG_NAME,
    WITNESS_KEY_FILE,
    WITNESS_NAME,
    ensure_note_keys,
    verifier,
)
from devhost.ports import free_ports
from devhost.processes import Supervisor
from devhost.stack import REPOSITORY
from shared.adapters.blob import BlobAccount, BlobConnection
from shared.adapters.blob_audit_log import (
    CHECKPOINT_CONTAINER,
    LOG_CONTAINER,
    STATE_CONTAINER,
    WITNESS_CONTAINER,
    BlobCheckpoints,
    BlobLogFiles,
    BlobRegisters,
)
from shared.adapters.note_key_file import FileNoteSigner
from shared.adapters.system_clock import SystemClock
from shared.domain.audit_entries import AuditRecord, as_logged, entry_of
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.log_tiles import Edge, grow
from shared.domain.signed_notes import read_verifier
from shared.domain.witnessing import Cosigned
from shared.ports.audit_log import EVENTS_PER_PAGE_MAX, FeedPage
from shared.services.audit_sequencer import AuditSequencer
from shared.services.audit_witness import AuditWitness

EVENTS = 10_000
DEPARTMENTS = 4  # the index of each has buckets of its own
TEXT_KEY = b"bench"
CONTAINERS = (CHECKPOINT_CONTAINER, LOG_CONTAINER, STATE_CONTAINER, WITNESS_CONTAINER)


class Feed:
    """Events that are all there from the start."""

    def __init__(self, records: Sequence[AuditRecord]) -> None:
        self._records = records

    async def after(self, position: str | None) -> FeedPage:
        start = int(position or 0)
        records = self._records[start : start + EVENTS_PER_PAGE_MAX]
        return FeedPage(records, str(start + len(records)))

    async def named(self, event_id: str) -> Sequence[AuditRecord]:
        return [each for each in self._records if each.document_id == event_id]

    async def standing(self, partition_key: str, event_ids: Sequence[str]) -> Sequence[str]:
        found = {e.document_id for e in self._records if e.partition_key == partition_key}
        return [each for each in event_ids if each in found]


async def run() -> dict[str, Any]:
    """Sequence, publish and witness EVENTS events; then the same once more without storage."""
    records = [_record(number) for number in range(EVENTS)]
    with tempfile.TemporaryDirectory() as folder:
        ensure_note_keys(Path(folder))
        supervisor = Supervisor(REPOSITORY, os.environ)
        ports = free_ports()
        await supervisor.start(
            azurite_part(REPOSITORY, Path(folder, "azurite"), Path(folder, "azurite.log"), ports)
        )
        try:
            connection = BlobConnection(BlobAccount(connection_string(ports), None))
            await _create_containers(connection_string(ports))
            stored_s, witnessed_s = await _sequenced(Path(folder), connection, records)
            await connection.aclose()
        finally:
            await supervisor.stop_all()
    hashed_s = _hashed(records)
    return {
        "events": EVENTS,
        "canonical form, hashes and tiles alone: events/s": round(EVENTS / hashed_s),
        "sequenced into Azurite and signed: events/s": round(EVENTS / stored_s),
        "ratio": round(stored_s / hashed_s, 1),
        "witnessed after that: ms": round(witnessed_s * 1_000),
    }


async def _sequenced(
    folder: Path, connection: BlobConnection, records: Sequence[AuditRecord]
) -> tuple[float, float]:
    files, checkpoints = BlobLogFiles(connection), BlobCheckpoints(connection)
    sequencer = AuditSequencer(
        feed=Feed(records),
        files=files,
        registers=BlobRegisters(connection, STATE_CONTAINER),
        checkpoints=checkpoints,
        signer=FileNoteSigner(LOG_NAME, folder / LOG_KEY_FILE),
        text_key=TEXT_KEY,
    )
    witness = AuditWitness(
        read_verifier(verifier(LOG_NAME)),
        BlobRegisters(connection, WITNESS_CONTAINER),
        FileNoteSigner(WITNESS_NAME, folder / WITNESS_KEY_FILE),
        SystemClock(),
    )
    started = time.perf_counter()
    taken = await sequencer.run()
    stored = time.perf_counter()
    assert taken == EVENTS, taken
    assert isinstance(await witness.look(checkpoints, files), Cosigned)
    return stored - started, time.perf_counter() - stored


def _hashed(records: Sequence[AuditRecord]) -> float:
    started = time.perf_counter()
    grow(Edge(), [as_logged(entry_of(record, TEXT_KEY)) for record in records])
    return time.perf_counter() - started


async def _create_containers(connection: str) -> None:
    async with BlobServiceClient.from_connection_string(connection) as service:
        await asyncio.gather(*(service.create_container(name) for name in CONTAINERS))


def _record(number: int) -> AuditRecord:
    """An event as long as the one that ends a generation."""
    partition = Partition(f"department{number % DEPARTMENTS}", "202611")
    event = AuditEvent(
        action="generation.closed",
        object_id=f"202611-{partition.department_id}-{number:032x}",
        actor="system:orchestration",
        actor_role="system",
        outcome="success",
        occurred_at="2026-11-22T08:00:00+00:00",
        correlation_id=f"{number:032x}",
        details={
            "status": "succeeded",
            "model": "gpt-image-2",
            "provider": "azure_openai",
            "amount_micros": 17_402 + number,
            "price_version": "2026-11-01",
            "exchange_rate_version": "2026-11-20",
            "images_sha256": f"{number:064x}",
            "prompt_commitment": f"{number:064x}",
        },
    ).as_json()
    return AuditRecord(partition.key, event["event_id"], event)
