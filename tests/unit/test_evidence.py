"""Receipts: what they say follows from the log, and every changed field is found offline."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.audit_entries import AuditRecord
from shared.domain.identity import Caller, Principal, Role
from shared.domain.settlements import resolution_for
from shared.domain.signed_notes import Checkpoint
from shared.errors import Conflict, InvariantBroken, NotFound, PolicyDenied
from shared.services.audit_witness import WITNESSED
from tests import builders
from tests.fakes.audit_log_files import FakeLogStores, FakeNoteSigner
from tests.proofs.audit_log_world import LOG_KEY, WITNESS_KEY, records, sequencer
from tests.unit.evidence_world import (
    AUDITOR,
    OWNER,
    PICTURES,
    WORK,
    approved,
    check,
    closed,
    receipt,
    service,
    world,
)
from tools.eig_verify.__main__ import main
from tools.eig_verify.faults import Fault


async def test_receipt_binds_pictures_prompt_cost_and_approver(tmp_path: Path) -> None:
    document = await receipt()
    assert [e["action"] for e in map(json.loads, (x["entry"] for x in document["events"]))] == [
        "generation.admitted",
        "approval.approved.1",
        "approval.approved.2",
        "generation.closed",
    ]
    assert [each["actor"] for each in document["approvers"]] == [
        "tenant.approver-1",
        "tenant.approver-2",
    ]
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


async def test_every_changed_field_of_a_receipt_is_found() -> None:
    document = await receipt()
    check(document)
    for path in leaves_of(document):
        if path == ("prompt", "salt"):  # with the prompt alone; see below
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
    for number in (1, 2, 3):  # both approvals, and the end
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
    assert f"The receipt of {WORK.generation_id} holds: 4 events" in capsys.readouterr().out
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
    for more in ([], [end], approved()):  # not copied, not sequenced, without what the end binds
        if more != [end]:
            await sequencer(stores).run()
        with pytest.raises(Conflict) as refused:
            await evidence.receipt(OWNER, WORK.generation_id)
        assert refused.value.problem_code == "not_in_log_yet"
        stores.records += more
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


@pytest.mark.parametrize(
    ("caller", "refusal"),
    [
        (builders.caller(3, role=Role.DEPT_MANAGER), PolicyDenied),
        (Caller(Principal("another-tenant", "x", Role.SUPER_ADMIN), "marketing"), NotFound),
    ],
)
async def test_the_log_is_for_the_operators_auditors(
    caller: Caller, refusal: type[PolicyDenied | NotFound]
) -> None:
    _, _, evidence = await world()
    log, event_id = evidence.log, f"{WORK.generation_id}:generation.closed"
    for call in (
        log.checkpoint(caller),
        log.file(caller, "tile/0/000"),
        log.entries(caller, event_id, None),
        log.inclusion(caller, 0),
        log.consistency(caller, 1, 2),
    ):
        with pytest.raises(refusal):
            await call
    assert (await log.keys()).log == LOG_KEY.key.text  # for everybody


async def test_a_changed_file_is_never_handed_out_as_a_proof() -> None:
    stores, _, evidence = await world()
    name = "tile/entries/001.p/68"
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


async def test_a_receipt_holds_after_its_prompt_and_salt_were_erased() -> None:
    stores, seen, _ = await world()
    record, end = closed()
    erased = service(stores, seen, {**record, "prompt_salt": None})
    document = json.loads((await erased.receipt(OWNER, WORK.generation_id)).model_dump_json())
    commitment = end.event["details"]["prompt_commitment"]
    assert document["prompt"] == {
        "algorithm": "hmac-sha256",
        "commitment": commitment,
        "salt": None,
    }
    for prompt in (None, {"prompt": WORK.request.prompt}):
        assert "prompt: its salt was erased" in check(document, prompt=prompt).unverified
    document["prompt"]["commitment"] = "ab" * 32
    with pytest.raises(Fault, match="the log says something else"):
        check(document)


def test_work_of_older_versions_binds_no_prompt() -> None:
    resolution = resolution_for(WORK, builders.report(WORK), builders.CLOSED_AT)
    assert resolution.record["prompt_salt"] is None
    assert resolution.event.details["prompt_commitment"] is None
    assert replace(WORK).record()["prompt_salt"] is None


async def test_an_event_that_was_deleted_after_it_was_logged_is_answered_from_the_log() -> None:
    stores, _, evidence = await world()
    event_id = f"{WORK.generation_id}:generation.closed"
    before = await evidence.log.entries(AUDITOR, event_id, None)
    stores.records.clear()
    assert await evidence.log.entries(AUDITOR, event_id, None) == before
    await evidence.receipt(OWNER, WORK.generation_id)
    other = "object-00007:generation.admitted"  # its id does not name its partition
    with pytest.raises(NotFound):
        await evidence.log.entries(AUDITOR, other, None)
    found = await evidence.log.entries(AUDITOR, other, "design|202611")
    assert json.loads(found.entry)["id"] == other


async def test_an_event_that_is_in_cosmos_alone_is_not_in_the_log_yet() -> None:
    stores, _, evidence = await world()
    stores.records += records(900, 901)
    with pytest.raises(Conflict) as refused:
        await evidence.log.entries(AUDITOR, stores.records[-1].document_id, None)
    assert refused.value.problem_code == "not_in_log_yet"


async def test_denials_after_the_end_push_no_approval_out_of_the_receipt() -> None:
    stores, _, evidence = await world()
    denied = [
        builders.event(WORK.generation_id, f"approval.denied.{number}") for number in range(300)
    ]
    partition_key = stores.records[300].partition_key
    stores.records += [AuditRecord(partition_key, e.event_id, e.as_json()) for e in denied]
    await sequencer(stores).run()
    view = await evidence.receipt(OWNER, WORK.generation_id)
    assert len(view.events) == 4 and len(view.approvers) == 2


async def test_a_forged_register_of_the_witness_is_passed_over() -> None:
    _, seen, evidence = await world()
    stranger = FakeNoteSigner(LOG_KEY.key.name, seed=9)
    text = Checkpoint(LOG_KEY.key.name, 10**9, b"x" * 32).text
    note = f"{text}\n{stranger.key.line(await stranger.sign(text.encode()))}"
    version, _ = seen.values[WITNESSED]
    seen.values[WITNESSED] = (version, json.dumps({"note": note}).encode())
    view = await evidence.receipt(OWNER, WORK.generation_id)
    assert WITNESS_KEY.key.name not in view.checkpoint


async def test_before_the_first_checkpoint_everything_is_not_in_the_log_yet() -> None:
    record, end = closed()
    stores = FakeLogStores(records=[end, *approved()])
    evidence = service(stores, FakeLogStores(), record)
    for _ in range(2):
        for call in (
            evidence.receipt(OWNER, WORK.generation_id),
            evidence.log.entries(AUDITOR, end.document_id, None),
        ):
            with pytest.raises(Conflict) as refused:
                await call
            assert refused.value.problem_code == "not_in_log_yet"
        await sequencer(stores).run()
        stores.notes.clear()  # it died before it signed
