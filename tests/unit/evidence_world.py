"""A generation of two pictures that two people approved, its log, and its receipt."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from shared.domain.attempts import StoredImage
from shared.domain.audit_entries import AuditRecord
from shared.domain.audit_events import event_mark
from shared.domain.identity import Role
from shared.domain.ledger import Document, partition_for
from shared.domain.settlements import resolution_for
from shared.services.audit_log import AuditLogReader
from shared.services.evidence import Evidence
from tests import builders
from tests.fakes.audit_log_files import FakeLogStores
from tests.proofs.audit_log_world import LOG_KEY, WITNESS_KEY, records, sequencer, witness
from tools.eig_verify.notes import read_key
from tools.eig_verify.receipt import Receipt, verify_receipt

SALT = "5a" * 16
PICTURES = (b"\x89PNG\r\n\x1a\none", b"\x89PNG\r\n\x1a\nanother")
OWNER = builders.caller()
AUDITOR = builders.caller(9, role=Role.ORG_ADMIN)
PARTITION = partition_for(builders.item().generation_id)
APPROVALS = tuple(
    replace(
        builders.event(builders.item().generation_id, f"approval.approved.{number}"),
        actor=f"tenant.approver-{number}",
        actor_role="DeptManager",
    )
    for number in (1, 2)
)
WORK = replace(
    builders.item(), approvals=tuple(event_mark(PARTITION, event) for event in APPROVALS)
)


class OneRecord:
    """The records of a ledger with one generation."""

    def __init__(self, record: Document) -> None:
        self.record = record

    async def generation(self, generation_id: str) -> Document | None:
        return self.record if generation_id == WORK.generation_id else None


def closed() -> tuple[Document, AuditRecord]:
    """The record and the last event of a generation that brought two pictures."""
    images = tuple(
        StoredImage(
            index=index,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            content_type="image/png",
            width=1,
            height=1,
        )
        for index, content in enumerate(PICTURES)
    )
    report = builders.report(WORK, images=images, request_id="req-1", job_id="job-1")
    resolution = resolution_for(WORK, report, builders.CLOSED_AT, SALT)
    return resolution.record, logged(resolution.event.as_json())


def logged(event: dict[str, Any]) -> AuditRecord:
    return AuditRecord(partition_for(WORK.generation_id).key, event["event_id"], event)


def approved() -> list[AuditRecord]:
    return [logged(event.as_json()) for event in APPROVALS]


def service(stores: FakeLogStores, seen: FakeLogStores, record: Document) -> Evidence:
    log = AuditLogReader(
        stores, stores, stores, stores, seen, LOG_KEY, WITNESS_KEY, builders.TENANT
    )
    return Evidence(OneRecord(record), log)  # type: ignore[arg-type]


async def world(
    before: int = 300, after: int = 20
) -> tuple[FakeLogStores, FakeLogStores, Evidence]:
    """A log with the generation's events somewhere in it, sequenced and witnessed."""
    record, end = closed()
    start = logged(builders.event(WORK.generation_id).as_json())
    found = [*records(0, before), start, *approved(), end, *records(before, before + after)]
    stores, seen = FakeLogStores(records=found), FakeLogStores()
    await sequencer(stores).run()
    await witness(seen).look(stores, stores)
    return stores, seen, service(stores, seen, record)


async def receipt() -> dict[str, Any]:
    _, _, evidence = await world()
    view = await evidence.receipt(OWNER, WORK.generation_id)
    document: dict[str, Any] = json.loads(view.model_dump_json())
    return document


def check(document: dict[str, Any], **more: Any) -> Receipt:
    """What the offline verifier says of a receipt; raises the first Fault."""
    return verify_receipt(
        document, read_key(LOG_KEY.key.text), read_key(WITNESS_KEY.key.text), **more
    )
