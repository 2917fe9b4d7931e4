"""The verifiable log from end to end: generate, wait for the checkpoint, prove, verify offline."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from devhost.note_keys import LOG_NAME, WITNESS_NAME, verifier
from devhost.stack import REPOSITORY, environment_without_settings
from shared.domain import merkle
from shared.domain.signed_notes import read_checkpoint, read_note, read_verifier
from tests.integration.api import Answer, Json, Person, order, until
from tests.integration.cloud import Cloud, organisation

TIMERS = ("AuditRelay", "AuditSequencer", "AuditWitness")


async def in_the_log(cloud: Cloud, person: Person, path: str, **params: str) -> Json:
    """An answer of the API that waits until the log shows what it is about."""

    async def look() -> Answer:
        for timer in TIMERS:
            await cloud.fire(timer)
            await asyncio.sleep(0.2)
        return await person.get(path, params)

    answer: Answer = await until(look, lambda seen: seen.status != 409)
    return answer.json()


async def cosigned(cloud: Cloud, olga: Person) -> str:
    """The newest checkpoint once the witness has signed it."""

    async def look() -> str:
        await cloud.fire("AuditSequencer")
        await cloud.fire("AuditWitness")
        return (await olga.get("/audit-log/checkpoint")).content.decode()

    note: str = await until(look, lambda seen: WITNESS_NAME in seen)
    return note


async def verify(*arguments: str | Path) -> tuple[int, str]:
    """Runs the verifier as an outsider does: alone, without the app's packages."""
    keys = ("--log-key", verifier(LOG_NAME), "--witness-key", verifier(WITNESS_NAME))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(
            "-I",
            "-S",
            "-c",
            "import runpy,sys; sys.path.insert(0, '.');"
            " runpy.run_module('tools.eig_verify', run_name='__main__')",
        ),
        *map(str, (*arguments, *keys)),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return int(process.returncode or 0), output.decode()


async def test_receipt_and_picture_verify_offline(
    own_cloud: Cloud, ava: Person, olga: Person, tmp_path: Path
) -> None:
    wanted = order()
    generation = await ava.generate(wanted)
    path = f"/generations/{generation['id']}/evidence"
    await in_the_log(own_cloud, ava, path)
    await cosigned(own_cloud, olga)
    receipt = await in_the_log(own_cloud, ava, path)
    assert wanted["prompt"] not in json.dumps(receipt)
    assert receipt["cost"]["amount_micros"] == generation["cost"]["amount_micros"]
    image = generation["images"][0]
    picture = await ava.get(image["content_url"].removeprefix("/api/v1"))
    (tmp_path / "picture").write_bytes(picture.content)
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    (tmp_path / "request.json").write_text(
        json.dumps({"prompt": wanted["prompt"], "negative_prompt": None})
    )
    files = ["--image", tmp_path / "picture", "--prompt", tmp_path / "request.json"]
    code, said = await verify("receipt", tmp_path / "receipt.json", *files)
    assert code == 0, said
    (tmp_path / "picture").write_bytes(picture.content + b"\0")
    code, said = await verify("receipt", tmp_path / "receipt.json", *files)
    assert code == 1 and "no picture of this receipt" in said
    receipt["cost"]["amount_micros"] += 1
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    code, said = await verify("receipt", tmp_path / "receipt.json")
    assert code == 1 and "receipt, cost" in said


async def test_exported_log_verifies_offline_and_grew_out_of_an_earlier_one(
    own_cloud: Cloud, ava: Person, olga: Person, tmp_path: Path
) -> None:
    (tmp_path / "earlier").write_text(await cosigned(own_cloud, olga))
    generation = await ava.generate(order())
    await in_the_log(own_cloud, ava, f"/generations/{generation['id']}/evidence")

    async def exported() -> tuple[int, str]:
        await cosigned(own_cloud, olga)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shared.export_audit_log", str(tmp_path / "log")),
            cwd=REPOSITORY,
            env={**environment_without_settings(), **own_cloud.environment},
        )
        assert await process.wait() == 0
        return await verify("log", tmp_path / "log", "--earlier", tmp_path / "earlier")

    # A checkpoint that the witness has not seen yet may be signed while the files are read.
    code, said = await until(exported, lambda seen: "witness" not in seen[1] or seen[0] == 0)
    assert code == 0, said
    entries = [path for path in (tmp_path / "log/tile/entries").rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in entries)
    assert generation["id"].encode() in content
    assert generation["request"]["prompt"].encode() not in content
    largest = max(entries, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes().replace(b"success", b"failure", 1))
    code, said = await verify("log", tmp_path / "log")
    assert code == 1 and "its hash is not the one in tile/0/" in said


async def test_proofs_over_http_hold(own_cloud: Cloud, ava: Person, olga: Person) -> None:
    generation = await ava.generate(order())
    event_id = f"{generation['id']}:generation.closed"
    entry = await in_the_log(own_cloud, olga, "/audit-log/entries", event_id=event_id)
    logged = json.loads(entry["entry"])
    assert (logged["id"], logged["outcome"]) == (event_id, "success")
    assert entry["leaf_hash"] == merkle.leaf_hash(entry["entry"].encode()).hex()
    again = await olga.get("/audit-log/inclusion", {"index": str(entry["index"])})
    assert again.content.decode().startswith(f"c2sp.org/tlog-proof@v1\nindex {entry['index']}\n")
    note = read_note(await cosigned(own_cloud, olga))
    keys = (await olga.get("/audit-log/keys")).json()
    assert keys == {"log": verifier(LOG_NAME), "witness": verifier(WITNESS_NAME)}
    assert all(note.is_signed_by(read_verifier(key)) for key in keys.values())
    size = read_checkpoint(note).size
    assert size > entry["index"]
    sizes = {"old": "1", "new": str(size)}
    grown = (await olga.get("/audit-log/consistency", sizes)).json()
    assert grown["new_size"] == size and grown["hashes"]


async def test_log_is_for_auditors_and_receipts_for_their_owners(
    own_cloud: Cloud, ava: Person, ben: Person, mia: Person
) -> None:
    generation = await ava.generate(order())
    path = f"/generations/{generation['id']}/evidence"
    await in_the_log(own_cloud, ava, path)
    (await ben.get(path)).problem(404, "not_found")
    (await mia.get(path)).json()
    for each in ("/audit-log/checkpoint", "/audit-log/files?name=tile/0/000"):
        (await mia.get(each)).problem(403, "policy_denied")


async def test_what_the_log_does_not_have_is_not_found(own_cloud: Cloud, olga: Person) -> None:
    await cosigned(own_cloud, olga)
    for path, params in (
        ("/audit-log/files", {"name": "tile/9/000"}),
        ("/audit-log/files", {"name": "../sequencer.json"}),
        ("/audit-log/entries", {"event_id": "nothing"}),
        ("/audit-log/inclusion", {"index": "1000000"}),
        ("/generations/202611-marketing-x/evidence", {}),
    ):
        (await olga.get(path, params)).problem(404, "not_found")
    (await olga.get("/audit-log/consistency", {"old": "9", "new": "3"})).problem(422, "invalid")


@pytest.fixture(scope="module")
async def asking(own_cloud: Cloud) -> tuple[Person, Person]:
    """A member and a manager of a department whose project asks for approvals."""
    file = organisation("auditing", 50_000_000, [50_000_000] * 2, ["DeptManager"])
    await own_cloud.seed(file)
    manager, member = [
        await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]
    ]
    answer = await manager.send(
        "PUT",
        "/budgets/project:proven",
        json={"limit_micros": 0, "overage": "approval"},
        headers={"If-None-Match": "*"},
    )
    assert answer.status == 200, answer.content
    return member, manager


async def test_receipts_bind_the_approvals_of_a_request_and_of_a_batch(
    own_cloud: Cloud, asking: tuple[Person, Person], olga: Person, tmp_path: Path
) -> None:
    member, manager = asking
    single = (await member.post("/generations", order(project="proven"))).json(202)
    posted = await member.send(
        "POST", "/batches", json={"items": [order(), order()]}, params={"project": "proven"}
    )
    batch = posted.json(202)
    for work in (single["id"], batch["id"]):
        (await manager.post(f"/approvals/{work}/decisions", {"decision": "approve"})).json()
    await member.ended_generation(single["id"])
    await member.ended_batch(batch["id"])
    receipts = []
    for generation_id in (single["id"], f"{batch['id']}.00002"):
        path = f"/generations/{generation_id}/evidence"
        await in_the_log(own_cloud, member, path)
        await cosigned(own_cloud, olga)
        receipts.append(await in_the_log(own_cloud, member, path))
    for receipt in receipts:
        assert len(receipt["approvers"]) == 1 and len(receipt["events"]) == 3
        (tmp_path / "receipt.json").write_text(json.dumps(receipt))
        code, said = await verify("receipt", tmp_path / "receipt.json")
        assert code == 0, said
        assert "approvers" not in said and "admission" not in said
        left_out = [
            each
            for each in receipt["events"]
            if not json.loads(each["entry"])["action"].startswith("approval.approved.")
        ]
        forged = {**receipt, "events": left_out, "approvers": []}
        (tmp_path / "receipt.json").write_text(json.dumps(forged))
        code, said = await verify("receipt", tmp_path / "receipt.json")
        assert code == 1 and "is left out" in said
    of_another = {name: receipts[1][name] for name in ("events", "checkpoint")}
    swapped = {**receipts[0], **of_another}
    (tmp_path / "receipt.json").write_text(json.dumps(swapped))
    code, said = await verify("receipt", tmp_path / "receipt.json")
    assert code == 1 and "it is not about this generation" in said


async def test_an_event_that_was_deleted_is_answered_from_the_log_and_noted_at_night(
    own_cloud: Cloud, ava: Person, olga: Person
) -> None:
    generation = await ava.generate(order())
    event_id = f"{generation['id']}:generation.closed"
    before = await in_the_log(own_cloud, olga, "/audit-log/entries", event_id=event_id)
    (document,) = await own_cloud.documents("audit", "c.id = @id", id=event_id)
    container = own_cloud.container("audit")
    await container.delete_item(document["id"], document["pk"])
    found = (await olga.get("/audit-log/entries", {"event_id": event_id})).json()
    assert found["entry"] == before["entry"]

    async def noted() -> list[Json]:
        await own_cloud.fire("AuditDeletions")
        await own_cloud.fire("AuditRelay")
        await asyncio.sleep(0.5)
        seen: list[Json] = await own_cloud.documents(
            "audit", "c.event.action = 'audit.event_missing'"
        )
        return seen

    missing = await until(noted, bool)
    assert [each["event"]["details"]["event"] for each in missing] == [event_id]
    body = {name: document[name] for name in ("id", "pk", "event")}
    await container.create_item(body)  # the others of this run look at a whole container
