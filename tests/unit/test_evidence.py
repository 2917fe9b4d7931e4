"""Receipts: what they say follows from the log, and every changed field is found offline."""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.attempts import StoredImage
from shared.domain.audit_entries import AuditRecord
from shared.domain.identity import Role
from shared.domain.ledger import Document, partition_for
from shared.domain.settlements import resolution_for
from shared.errors import Conflict, InvariantBroken, NotFound, PolicyDenied
from shared.services.audit_log import AuditLogReader
from shared.services.audit_witness import WITNESSED
from shared.services.evidence import Evidence
from tests import builders
from tests.fakes.audit_log_files import FakeLogStores
from tests.proofs.audit_log_world import LOG_KEY, WITNESS_KEY, records, sequencer, witness
from tools.eig_verify.__main__ import main
from tools.eig_verify.faults import Fault
from tools.eig_verify.notes import read_key
from tools.eig_verify.receipt import verify_receipt

SALT = "5a" * 16
PICTURES = (b"picture one", b"picture two")
OWNER = builders.caller()
AUDITOR = builders.caller(9, role=Role.ORG_ADMIN)
WORK = builders.item()


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


def approved() -> AuditRecord:
    event = builders.event(WORK.generation_id, "approval.approved.1").as_json()
    return logged({**event, "actor": "tenant.approver", "actor_role": "DeptManager"})


def service(stores: FakeLogStores, seen: FakeLogStores, record: Document) -> Evidence:
    log = AuditLogReader(stores, stores, stores, stores, seen, LOG_KEY, WITNESS_KEY)
    return Evidence(OneRecord(record), stores, log)  # type: ignore[arg-type]


async def world(
    before: int = 300, after: int = 20
) -> tuple[FakeLogStores, FakeLogStores, Evidence]:
    """A log with the generation's events somewhere in it, sequenced and witnessed."""
    record, end = closed()
    start = logged(builders.event(WORK.generation_id).as_json())
    found = [*records(0, before), start, approved(), end, *records(before, before + after)]
    stores, seen = FakeLogStores(records=found), FakeLogStores()
    await sequencer(stores).run()
    await witness(seen).look(stores, stores)
    return stores, seen, service(stores, seen, record)


async def receipt() -> dict[str, Any]:
    _, _, evidence = await world()
    view = await evidence.receipt(OWNER, WORK.generation_id)
    document: dict[str, Any] = json.loads(view.model_dump_json())
    return document


def check(document: dict[str, Any], **more: Any) -> None:
    verify_receipt(document, read_key(LOG_KEY.key.text), read_key(WITNESS_KEY.key.text), **more)


async def test_receipt_binds_pictures_prompt_cost_and_approver(tmp_path: Path) -> None:
    document = await receipt()
    assert [e["action"] for e in map(json.loads, (x["entry"] for x in document["events"]))] == [
        "generation.admitted",
        "approval.approved.1",
        "generation.closed",
    ]
    assert document["approvers"][0]["actor"] == "tenant.approver"
    assert (document["provider_request_id"], document["provider_job_id"]) == ("req-1", "job-1")
    assert WORK.request.prompt not in json.dumps(document)
    pictures = []
    for number, content in enumerate(PICTURES):
        pictures.append(tmp_path / f"{number}.png")
        pictures[-1].write_bytes(content)
    prompt = {"prompt": WORK.request.prompt, "negative_prompt": WORK.request.negative_prompt}
    check(document, images=pictures, prompt=prompt)
    with pytest.raises(Fault, match="not the prompt"):
        check(document, prompt={**prompt, "prompt": "another"})
    pictures[0].write_bytes(b"another")
    with pytest.raises(Fault, match="no picture"):
        check(document, images=pictures)


def leaves_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves_of(value[key], (*path, key))
    else:
        yield path


# Facts that no event of the log carries: they help a person, and prove nothing.
UNPROVEN = {"size_bytes", "content_type", "algorithm", "salt", "currency", "index"}


async def test_every_changed_field_of_a_receipt_is_found() -> None:
    document = await receipt()
    check(document)
    for path in leaves_of(document):
        if path[-1] in UNPROVEN and path[0] != "events":
            continue
        changed = copy.deepcopy(document)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        value = holder[path[-1]]
        holder[path[-1]] = (
            not value
            if isinstance(value, bool)
            else (value + 1 if isinstance(value, int) else f"{value}x")
        )
        with pytest.raises(Fault):
            check(changed)


async def test_every_part_that_is_left_out_is_found() -> None:
    document = await receipt()
    for name in set(document) - {"events"}:
        with pytest.raises(Fault):
            check({key: value for key, value in document.items() if key != name})
    for number in (1, 2):  # the approval, and the end
        events = [e for at, e in enumerate(document["events"]) if at != number]
        with pytest.raises(Fault):
            check({**document, "events": events})


async def test_the_command_checks_a_receipt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(await receipt()))
    keys = ["--log-key", LOG_KEY.key.text, "--witness-key", WITNESS_KEY.key.text]
    assert main(["receipt", str(file), *keys]) == 0
    assert f"The receipt of {WORK.generation_id} holds: 3 events" in capsys.readouterr().out
    file.write_text("[]")
    assert main(["receipt", str(file), *keys]) == 1
    file.write_text("{")
    assert main(["receipt", str(file), *keys]) == 2


async def test_receipt_is_for_whoever_may_see_the_generation() -> None:
    _, _, evidence = await world()
    await evidence.receipt(AUDITOR, WORK.generation_id)
    for caller, generation_id in ((builders.caller(2), WORK.generation_id), (OWNER, "nonsense")):
        with pytest.raises(NotFound):
            await evidence.receipt(caller, generation_id)


async def test_receipt_waits_for_the_end_and_for_the_log() -> None:
    record, end = closed()
    stores = FakeLogStores(records=records(0, 3))
    evidence = service(stores, FakeLogStores(), {**record, "cost": None})
    with pytest.raises(Conflict) as refused:
        await evidence.receipt(OWNER, WORK.generation_id)
    assert refused.value.problem_code == "not_ended"
    evidence = service(stores, FakeLogStores(), record)
    await sequencer(stores).run()
    for more in ([], [end]):  # not copied yet, copied and not sequenced yet
        stores.records += more
        with pytest.raises(Conflict) as refused:
            await evidence.receipt(OWNER, WORK.generation_id)
        assert refused.value.problem_code == "not_in_log_yet"
    await sequencer(stores).run()
    await evidence.receipt(OWNER, WORK.generation_id)


async def test_the_witnessed_checkpoint_is_taken_if_it_reaches_far_enough() -> None:
    stores, seen, evidence = await world()
    stores.records += records(400, 410)
    await sequencer(stores).run()
    document = json.loads((await evidence.receipt(OWNER, WORK.generation_id)).model_dump_json())
    check(document)
    assert WITNESS_KEY.key.name in document["checkpoint"]
    assert WITNESS_KEY.key.name not in await evidence.log.checkpoint(AUDITOR)
    seen.values.pop(WITNESSED)
    document = json.loads((await evidence.receipt(OWNER, WORK.generation_id)).model_dump_json())
    assert WITNESS_KEY.key.name not in document["checkpoint"]


async def test_the_log_is_for_auditors() -> None:
    _, _, evidence = await world()
    log = evidence.log
    manager = builders.caller(3, role=Role.DEPT_MANAGER)
    for call in (
        log.checkpoint(manager),
        log.file(manager, "tile/0/000"),
        log.entries(manager, "x", None),
        log.inclusion(manager, 0),
        log.consistency(manager, 1, 2),
    ):
        with pytest.raises(PolicyDenied):
            await call


async def test_a_changed_file_is_never_handed_out_as_a_proof() -> None:
    stores, _, evidence = await world()
    name = "tile/entries/001.p/67"
    stores.contents[name] = stores.contents[name].replace(b"success", b"failure")
    with pytest.raises(InvariantBroken):
        await evidence.receipt(OWNER, WORK.generation_id)


async def test_events_that_share_an_id_need_their_partition() -> None:
    stores, _, evidence = await world()
    stores.records += records(0, 1, "marketing|202611")
    await sequencer(stores).run()
    event_id = stores.records[0].document_id
    with pytest.raises(Conflict) as refused:
        await evidence.log.entries(AUDITOR, event_id, None)
    assert refused.value.problem_code == "ambiguous"
    found = await evidence.log.entries(AUDITOR, event_id, "marketing|202611")
    assert json.loads(found.entry)["partition"] == "marketing|202611"


def test_work_of_older_versions_binds_no_prompt() -> None:
    resolution = resolution_for(WORK, builders.report(WORK), builders.CLOSED_AT)
    assert resolution.record["prompt_salt"] is None
    assert resolution.event.details["prompt_commitment"] is None
    assert replace(WORK).record()["prompt_salt"] is None
