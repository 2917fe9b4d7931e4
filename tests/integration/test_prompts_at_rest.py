"""No stored document holds a prompt that its API shows; and no ciphertext opens elsewhere."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from devhost.stack import REPOSITORY, environment_without_settings
from shared.domain.sealed_fields import ERASED, Subject
from shared.settings import load_settings
from shared.wiring import Services
from tests.integration.api import Json, Person, order, until
from tests.integration.batch_files import as_csv
from tests.integration.cloud import Cloud, organisation
from tests.integration.sealed import key_file
from tests.integration.test_uploads import uploaded

AMPLE = 50_000_000
COSMOS_CONTAINERS = ("ledger", "keys", "audit", "directory")
PLANS = "batches"


def word() -> str:
    """A word that nothing else contains."""
    return f"SEALED{uuid4().hex}"


@dataclass(frozen=True)
class Released:
    """What went through the app, and the words that were in it."""

    person: Person
    object_id: str
    words: dict[str, str]
    single: Json
    batch: Json
    waiting: Json
    deferred: Json


@pytest.fixture(scope="module")
async def released(own_cloud: Cloud) -> Released:
    """Prompts on every way in: single, batch, file, waiting for an approval and for a period."""
    file = organisation("archive", AMPLE, [AMPLE, AMPLE], ["DeptManager"])
    await own_cloud.seed(file)
    oids = [user["object_id"] for user in file["users"]]
    manager = await own_cloud.minted(claims={"oid": oids[0]})
    person = await own_cloud.minted(claims={"oid": oids[1]})
    for name, overage in (("asks", "approval"), ("waits", "queue")):
        body = {"limit_micros": 0, "overage": overage}
        path, headers = f"/budgets/project:{name}", {"If-None-Match": "*"}
        assert (await manager.send("PUT", path, json=body, headers=headers)).status == 200
    words = {name: word() for name in ("single", "negative", "row", "file", "asks", "waits")}
    wanted = order("sdxl", prompt=words["single"], negative_prompt=words["negative"])
    rows = [order(prompt=f"{words['row']} {number}") for number in range(3)]
    single, batch, _, waiting, deferred = await asyncio.gather(
        person.generate(wanted),
        person.run_batch([*rows, order(prompt=words["row"], size="9x9")]),
        uploaded(own_cloud, person, as_csv([order(prompt=words["file"])])),
        person.submit(order(prompt=words["asks"], project="asks")),
        person.submit(order(prompt=words["waits"], project="waits")),
    )
    return Released(person, oids[1], words, single, batch, waiting, deferred)


@pytest.fixture
async def app(own_cloud: Cloud) -> AsyncIterator[Services]:
    """The app's services in this process, as one more worker."""
    services = Services(load_settings(own_cloud.environment))
    yield services
    await services.aclose()


async def test_no_stored_document_holds_a_prompt(own_cloud: Cloud, released: Released) -> None:
    await own_cloud.fire("AuditRelay")
    for container in COSMOS_CONTAINERS:
        text = json.dumps(await own_cloud.documents(container))
        for name, secret in released.words.items():
            assert secret not in text, (container, name)
            assert hashlib.sha256(secret.encode()).hexdigest() not in text, (container, name)


async def test_no_stored_plan_holds_a_prompt(own_cloud: Cloud, released: Released) -> None:
    assert own_cloud.storage is not None
    container = own_cloud.storage.get_container_client(PLANS)
    bodies = [
        await (await container.download_blob(blob.name)).readall()
        async for blob in container.list_blobs()
    ]
    assert any(b'"sealed"' in body for body in bodies)
    for body in bodies:
        for secret in released.words.values():
            assert secret.encode() not in body


async def test_owner_sees_every_prompt_in_clear(released: Released) -> None:
    person, words = released.person, released.words
    assert released.single["request"]["prompt"] == words["single"]
    assert released.single["request"]["negative_prompt"] == words["negative"]
    for each, name in ((released.waiting, "asks"), (released.deferred, "waits")):
        assert (await person.generation(each["id"]))["request"]["prompt"] == words[name]
    items = (await person.get(f"/batches/{released.batch['id']}/items")).json()["items"]
    shown = [each["generation"]["request"]["prompt"] for each in items if each["generation"]]
    assert shown == [f"{words['row']} {number}" for number in range(3)]
    listed = await person.listed("/generations", limit="50")
    assert words["file"] in {each["request"]["prompt"] for each in listed}
    assert len(listed) == 6  # what is deferred belongs to the next month


async def test_provider_got_the_prompt_itself(own_cloud: Cloud, released: Released) -> None:
    submitted = await own_cloud.submissions()
    for prompt in (released.words["single"], f"{released.words['row']} 1", released.words["file"]):
        assert submitted[hashlib.sha256(prompt.encode()).hexdigest()] == 1


async def test_repeat_is_recognised_by_its_sealed_hash(
    own_cloud: Cloud, released: Released
) -> None:
    key, body = uuid4().hex, order()
    first = await released.person.submit(body, key)
    assert (await released.person.submit(body, key))["id"] == first["id"]
    other = await released.person.post("/generations", order(), {"Idempotency-Key": key})
    other.problem(422, "idempotency_key_reused")
    holds = await own_cloud.documents("ledger", "c.operation_id = @id", id=first["id"])
    assert [each["request_hash"][:5] for each in holds if "request_hash" in each] == ["siv1:"]
    await released.person.ended_generation(first["id"])


async def test_ciphertext_of_another_document_does_not_open(
    own_cloud: Cloud, released: Released
) -> None:
    person = released.person
    other = await person.generate(order())
    container = own_cloud.container("ledger")
    mine, theirs = [
        (await own_cloud.documents("ledger", "c.id = @id", id=f"g:{each['id']}"))[0]
        for each in (released.single, other)
    ]
    swapped = mine | {"request": mine["request"] | {"prompt": theirs["request"]["prompt"]}}
    await container.upsert_item(swapped)
    try:
        answer = await person.get(f"/generations/{released.single['id']}")
        assert answer.status == 500
        assert other["request"]["prompt"].encode() not in answer.content
    finally:
        await container.upsert_item(mine)
    shown = await person.generation(released.single["id"])
    assert shown["request"]["prompt"] == released.words["single"]


async def rotate(cloud: Cloud) -> str:
    """Runs the command as an administrator does; its answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shared.rotate_keys",
        cwd=REPOSITORY,
        env={**environment_without_settings(), **cloud.environment},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return output.decode()


async def test_rotation_drill_without_a_pause(own_cloud: Cloud, released: Released) -> None:
    path = key_file(own_cloud)
    newer = f"drill {base64.b64encode(os.urandom(32)).decode()}\n"
    path.write_text(newer + path.read_text("ascii"), "ascii")
    made, output = await asyncio.gather(
        released.person.generate(order(prompt="during the rotation")), rotate(own_cloud)
    )
    assert made["status"] == "succeeded"
    assert output.startswith("wrapped by local:drill: ")
    assert output.endswith(" 0 left\n")
    assert (await rotate(own_cloud)).endswith(": 0 data keys moved, 0 left\n")
    keys = await own_cloud.documents("keys", "c.type = 'data_key' AND c.status = 'active'")
    assert {key["kek"] for key in keys} == {"local:drill"}
    path.write_text(newer, "ascii")  # the older version is gone
    await own_cloud.kill_host()  # and with it what was unwrapped before
    await own_cloud.start_host()
    shown = await released.person.generation(released.single["id"])
    assert shown["request"]["prompt"] == released.words["single"]


async def test_destroyed_key_erases_every_prompt_and_breaks_nothing(
    own_cloud: Cloud, released: Released, app: Services
) -> None:
    tenant_id = app.settings.token_tenant_id
    subject = Subject(tenant_id, f"{tenant_id}.{released.object_id}")
    for _ in range(2):
        await app.prompt_vault.destroy(
            subject,
            actor="system:test",
            actor_role="system",
            reason="erasure_requested",
            correlation_id=uuid4().hex,
        )
    await own_cloud.kill_host()  # a worker forgets within five minutes; a new one knows nothing
    await own_cloud.start_host()
    person = released.person
    listed = await person.listed("/generations", limit="50")
    assert {each["request"]["prompt"] for each in listed} == {ERASED}
    assert {each["request"]["negative_prompt"] for each in listed} <= {ERASED, None}
    items = (await person.get(f"/batches/{released.batch['id']}/items")).json()["items"]
    assert {each["generation"]["request"]["prompt"] for each in items if each["generation"]} == {
        ERASED
    }
    image = released.single["images"][0]["id"]
    assert (await person.get(f"/images/{image}/content")).status == 200
    again = await person.generate(order(prompt="a new beginning"))
    assert again["request"]["prompt"] == "a new beginning"
    for each in (released.waiting, released.deferred):
        assert (await person.generation(each["id"]))["request"]["prompt"] == ERASED
    assert (await person.delete(f"/generations/{released.deferred['id']}")).status < 300
    await own_cloud.fire("AuditRelay")

    async def events() -> list[Json]:
        return await own_cloud.documents("audit", "c.event.action = 'data_key.destroyed'")

    found = await until(events, lambda each: each)
    assert [each["event"]["object_id"] for each in found] == [f"data_key:{subject.user_key}:1"]
