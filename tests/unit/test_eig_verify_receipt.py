"""Receipts that a forger made out of genuine pieces: none of them verifies."""

import copy
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.audit_entries import AuditRecord
from shared.domain.audit_events import event_mark
from shared.domain.ids import Partition
from shared.domain.settlements import resolution_for
from tests import builders
from tests.fakes.audit_log_files import FakeLogStores
from tests.proofs.audit_log_world import LOG_KEY, WITNESS_KEY, records, sequencer, witness
from tests.unit.evidence_world import (
    APPROVALS,
    PICTURES,
    SALT,
    WORK,
    approved,
    check,
    closed,
    logged,
    receipt,
    service,
)
from tools.eig_verify.__main__ import main
from tools.eig_verify.documents import read_document
from tools.eig_verify.faults import Fault
from tools.eig_verify.notes import decoded, read_key, read_proof
from tools.eig_verify.receipt import verify_receipt

Json = dict[str, Any]
START = logged(builders.event(WORK.generation_id).as_json())
ELSEWHERE = Partition("design", "202611")


class Shown:
    """A log with more events than those of one generation, and receipts of any of them."""

    def __init__(self, extra: list[AuditRecord], end: AuditRecord | None = None) -> None:
        self.record, genuine = closed()
        found = [*records(0, 40), START, *approved(), end or genuine, *extra]
        self.stores, self.seen = FakeLogStores(records=found), FakeLogStores()

    async def ready(self) -> None:
        await sequencer(self.stores).run()
        await witness(self.seen).look(self.stores, self.stores)

    async def receipt(self) -> Json:
        view = await service(self.stores, self.seen, self.record).receipt(
            builders.caller(), WORK.generation_id
        )
        return dict(json.loads(view.model_dump_json()))

    async def event(self, record: AuditRecord, signed_by: Json) -> Json:
        """A genuine item for the events of a receipt."""
        log = service(self.stores, self.seen, self.record).log
        key = (record.partition_key, record.document_id)
        signed = await log.covering([key])
        assert signed.note == signed_by["checkpoint"]
        proven = await log.prove(*key, signed)
        return {"entry": proven.entry.decode(), "index": proven.index, "proof": proven.proof}


def approval_of(generation_id: str, partition: Partition, **changes: Any) -> AuditRecord:
    event = replace(builders.event(generation_id, "approval.approved.1"), **changes)
    return AuditRecord(partition.key, event.event_id, event.as_json())


HOME = Partition(*START.partition_key.split("|"))
OTHERS = {
    "an approval of another operation": approval_of(
        "202611-marketing-" + "0" * 32, HOME, actor="tenant.approver-1"
    ),
    "an approval of this operation in another partition": approval_of(
        WORK.generation_id, ELSEWHERE
    ),
    "one more approval of this operation": logged(
        builders.event(WORK.generation_id, "approval.approved.3").as_json()
    ),
    "a denial": logged(builders.event(WORK.generation_id, "approval.denied.1").as_json()),
    "an end of another generation": AuditRecord(
        HOME.key,
        f"{WORK.generation_id}.00001:generation.closed",
        builders.event(f"{WORK.generation_id}.00001", "generation.closed").as_json(),
    ),
    "an event whose id is another's": AuditRecord(
        HOME.key,
        "x:generation.admitted",
        {**builders.event("x").as_json(), "object_id": WORK.generation_id},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("replaced", [None, 1, 2])
async def test_a_genuine_event_of_something_else_is_refused(
    name: str, replaced: int | None
) -> None:
    shown = Shown([OTHERS[name]])
    await shown.ready()
    document = await shown.receipt()
    item = await shown.event(OTHERS[name], document)
    check(document)
    if replaced is None:
        document["events"].append(item)
    else:
        document["events"][replaced] = item
    approvers = [
        {"actor": each["actor"], "role": each.get("role"), "at": each["at"]}
        for each in map(json.loads, (event["entry"] for event in document["events"]))
        if each["action"].startswith("approval.approved.")
    ]
    with pytest.raises(Fault):
        check({**document, "approvers": approvers})


@pytest.mark.parametrize("gone", [1, 2])
async def test_an_approval_that_was_left_out_is_missed(gone: int) -> None:
    document = await receipt()
    del document["events"][gone], document["approvers"][gone - 1]
    with pytest.raises(Fault, match="is left out"):
        check(document)


async def test_an_approval_of_the_same_id_with_another_content_is_refused() -> None:
    """Somebody with the audit-writer's key logged other approvals before the true ones came."""
    shown = Shown([])
    other = {**APPROVALS[0].as_json(), "actor": "tenant.somebody-else"}
    shown.stores.records = [
        logged(other) if each.document_id == APPROVALS[0].event_id else each
        for each in shown.stores.records
    ]
    await shown.ready()
    with pytest.raises(Fault, match="did not let this work start"):
        check(await shown.receipt())


async def test_an_end_in_another_partition_is_refused() -> None:
    shown = Shown([])
    forged = replace(shown.stores.records[-1], partition_key=ELSEWHERE.key)
    shown.stores.records.append(forged)
    await shown.ready()
    document = await shown.receipt()
    document["events"][-1] = await shown.event(forged, document)
    with pytest.raises(Fault, match="another partition"):
        check(document)


async def test_an_event_that_stands_twice_is_refused() -> None:
    document = await receipt()
    for number in range(len(document["events"])):
        events = [*document["events"], document["events"][number]]
        with pytest.raises(Fault):
            check({**document, "events": events})


async def test_work_of_a_version_that_bound_no_approvals_says_so() -> None:
    older = replace(WORK, approvals=None)
    report = builders.report(older)
    resolution = resolution_for(older, report, builders.CLOSED_AT, SALT)
    shown = Shown([], logged(resolution.event.as_json()))
    shown.record = resolution.record
    await shown.ready()
    document = await shown.receipt()
    assert any(said.startswith("approvers:") for said in check(document).unverified)
    document["events"].append(await shown.event(approved()[0], document))
    document["approvers"] = [
        {"actor": "tenant.approver-1", "role": "DeptManager", "at": builders.CREATED_AT}
    ]
    with pytest.raises(Fault, match="binds no approvals"):
        check(document)


async def test_work_that_nobody_approved_has_no_approvers() -> None:
    alone = replace(WORK, approvals=())
    resolution = resolution_for(alone, builders.report(alone), builders.CLOSED_AT, SALT)
    shown = Shown([], logged(resolution.event.as_json()))
    shown.record = resolution.record
    await shown.ready()
    document = await shown.receipt()
    assert document["approvers"] == []
    assert not any(said.startswith("approvers:") for said in check(document).unverified)


def _pictures(document: Json, sha256s: list[str]) -> None:
    first = document["images"][0]
    document["images"] = [{**first, "sha256": each} for each in sha256s]


FORGERIES: dict[str, Callable[[Json], Any]] = {
    "two hashes in one field": lambda d: _pictures(
        d, [",".join(each["sha256"] for each in d["images"])]
    ),
    "pictures in another order": lambda d: d["images"].reverse(),
    "one picture left out": lambda d: d["images"].pop(),
    "one picture more": lambda d: d["images"].append(d["images"][0]),
    "a hash in capitals": lambda d: d["images"][0].update(sha256=d["images"][0]["sha256"].upper()),
    "a size as a text": lambda d: d["images"][0].update(
        size_bytes=str(d["images"][0]["size_bytes"])
    ),
    "an index as true": lambda d: d["images"][1].update(index=True),
    "an amount as a fraction": lambda d: d["cost"].update(
        amount_micros=float(d["cost"]["amount_micros"])
    ),
    "false as zero": lambda d: d["cost"].update(estimated=0),
    "another currency": lambda d: d["cost"].update(currency="USD"),
    "a cost with more to it": lambda d: d["cost"].update(tax_micros=1),
    "an approver with more to it": lambda d: d["approvers"][0].update(name="Eve"),
    "an index of an event as a text": lambda d: d["events"][0].update(
        index=str(d["events"][0]["index"])
    ),
    "an id of a row": lambda d: d.update(generation_id=f"{d['generation_id']}.00001"),
    "an id with a line break": lambda d: d.update(generation_id=f"{d['generation_id']}\n"),
    "a job that is left out": lambda d: d.pop("provider_job_id"),
    "pictures that are none": lambda d: d.update(images={}),
    "events that are none": lambda d: d.update(events=[None]),
    "a prompt that is left out": lambda d: d.update(prompt=None),
    "a salt of the same HMAC": lambda d: d["prompt"].update(salt=f"{d['prompt']['salt']}00"),
    "a salt with a space": lambda d: d["prompt"].update(salt=f" {d['prompt']['salt']}"),
    "a salt in capitals": lambda d: d["prompt"].update(salt=d["prompt"]["salt"].upper()),
    "another algorithm": lambda d: d["prompt"].update(algorithm="sha256"),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_receipt_that_says_it_differently_is_refused(name: str) -> None:
    document = await receipt()
    prompt = {"prompt": WORK.request.prompt, "negative_prompt": WORK.request.negative_prompt}
    check(document, prompt=prompt)
    changed = copy.deepcopy(document)
    FORGERIES[name](changed)
    assert changed != document or json.dumps(changed) != json.dumps(document)
    with pytest.raises(Fault):
        check(changed, prompt=prompt)


async def test_what_nothing_proves_is_named() -> None:
    document = await receipt()
    document["note"] = "approved by the board"
    document["images"][0]["title"] = "A lighthouse"
    document["events"][0]["comment"] = "urgent"
    said = check(document).unverified
    for part in ("'note'", "'title'", "'comment'", "prompt, salt", "image 1:", "image 2:"):
        assert any(part in each for each in said), part
    del document["events"][0]
    assert any("who asked for it" in each for each in check(document).unverified)


async def test_a_receipt_with_all_that_belongs_to_it_leaves_nothing_unverified(
    tmp_path: Path,
) -> None:
    pictures = [tmp_path / "one", tmp_path / "two"]
    for path, content in zip(pictures, PICTURES, strict=True):
        path.write_bytes(content)
    prompt = {"prompt": WORK.request.prompt, "negative_prompt": WORK.request.negative_prompt}
    document = await receipt()
    assert check(document, prompt=prompt, images=pictures).unverified == ()
    left = check(document, prompt=prompt, images=pictures[1:]).unverified
    assert left == ("image 1: no file was given to compare",)
    with pytest.raises(Fault, match="given before"):
        check(document, images=[pictures[0], pictures[0]])


async def test_a_picture_of_another_size_or_type_is_refused(tmp_path: Path) -> None:
    shown = Shown([])
    path = tmp_path / "picture"
    path.write_bytes(PICTURES[0])
    for changes, why in (({"size_bytes": 1}, "bytes"), ({"content_type": "image/jpeg"}, "no im")):
        report = builders.report(WORK)
        images = closed()[0]["images"]
        forged = tuple(
            report.images[0].model_copy(update={**image, **(changes if n == 0 else {})})
            for n, image in enumerate(images)
        )
        resolution = resolution_for(
            WORK, builders.report(WORK, images=forged), builders.CLOSED_AT, SALT
        )
        shown = Shown([], logged(resolution.event.as_json()))
        shown.record = resolution.record
        await shown.ready()
        with pytest.raises(Fault, match=why):
            check(await shown.receipt(), images=[path])


@pytest.mark.parametrize("content_type", [[], {}, ["image/png"], None, 1])
async def test_a_type_that_is_no_text_is_a_fault_where_the_log_binds_none(
    tmp_path: Path, content_type: Any
) -> None:
    _, end = closed()
    event = json.loads(json.dumps(end.event))
    del event["details"]["images_form"]  # a version that bound neither sizes nor types
    shown = Shown([], replace(end, event=event))
    await shown.ready()
    document = await shown.receipt()
    path = tmp_path / "picture"
    path.write_bytes(PICTURES[0])
    check(document, images=[path])
    document["images"][0]["content_type"] = content_type
    with pytest.raises(Fault, match="its content_type is no text"):
        check(document, images=[path])


async def test_one_key_for_log_and_witness_is_refused() -> None:
    document = await receipt()
    log = read_key(LOG_KEY.key.text)
    for witness_key in (log, replace(log, name="another"), replace(log, point=(1, 1))):
        with pytest.raises(Fault, match="the log's own"):
            verify_receipt(document, log, witness_key)
    name = LOG_KEY.key.text.partition("+")[2]
    with pytest.raises(Fault):
        read_key(f"+{name}")


async def test_a_second_way_to_write_the_same_bytes_is_refused() -> None:
    document = await receipt()
    for number, event in enumerate(document["events"]):
        lines = event["proof"].split("\n")
        content = b64decode(lines[2])
        spare = next(
            other
            for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            if (other := f"{lines[2][:-2]}{last}=") != lines[2] and b64decode(other) == content
        )
        with pytest.raises(Fault, match="second form"):
            decoded(spare, "here")
        changed = copy.deepcopy(document)
        changed["events"][number]["proof"] = "\n".join([*lines[:2], spare, *lines[3:]])
        with pytest.raises(Fault):
            check(changed)
    proof = document["events"][0]["proof"].replace("\nindex", "\nextra AAAA\nindex", 1)
    with pytest.raises(Fault):
        read_proof(proof, "here")
    assert b64encode(decoded("AAAA", "here")) == b"AAAA"


@pytest.mark.parametrize(
    "content",
    [
        '{"format":"eig-evidence/1","format":"eig-evidence/1"}',
        '{"cost":{"amount_micros":1,"amount_micros":2}}',
        '{"cost":NaN}',
        '{"cost":' + "[" * 100_000,
        "[]",
    ],
)
def test_json_that_readers_could_take_in_two_ways_is_refused(content: str) -> None:
    with pytest.raises((Fault, ValueError)):
        read_document(content, "receipt")


async def test_the_command_names_what_is_unverified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(await receipt()))
    keys = ["--log-key", LOG_KEY.key.text, "--witness-key", WITNESS_KEY.key.text]
    assert main(["receipt", str(file), *keys]) == 0
    said = capsys.readouterr().out
    assert "UNVERIFIED image 1: no file was given to compare\n" in said
    assert "UNVERIFIED prompt, salt" in said
    assert main(["receipt", str(file), "--log-key", keys[1], "--witness-key", keys[1]]) == 1


def test_marks_are_the_hash_that_an_outsider_computes() -> None:
    mark = event_mark(HOME, APPROVALS[0])
    assert mark.startswith(f"{APPROVALS[0].event_id}=")
    for changes in ({"actor": "x"}, {"actor_role": "x"}, {"occurred_at": "x"}, {"outcome": "x"}):
        assert event_mark(HOME, replace(APPROVALS[0], **changes)) != mark  # type: ignore[arg-type]
    assert event_mark(ELSEWHERE, APPROVALS[0]) != mark


async def test_a_prompt_that_the_log_does_not_bind_is_refused() -> None:
    resolution = resolution_for(WORK, builders.report(WORK), builders.CLOSED_AT)
    shown = Shown([], logged(resolution.event.as_json()))
    shown.record = resolution.record
    await shown.ready()
    document = await shown.receipt()
    assert document["prompt"] is None
    check(document)
    for commitment in (None, "ab" * 32):
        said = {"algorithm": "hmac-sha256", "commitment": commitment, "salt": SALT}
        with pytest.raises(Fault):
            check({**document, "prompt": said})
    with pytest.raises(Fault, match="binds no prompt"):
        check(document, prompt={"prompt": "x"})
