"""The audit container: one event for each change of state, and nothing it must not hold."""

from __future__ import annotations

import asyncio
import json
import re
from uuid import uuid4

from devhost.local_settings import home_tenant_id, people
from tests.integration.api import Json, Person, order, until
from tests.integration.books import check_trail
from tests.integration.cloud import Cloud
from tests.integration.sealed import open_prompts
from tests.integration.test_uploads import uploaded

EVENT_FIELDS = {
    "schema_version",
    "event_id",
    "occurred_at",
    "action",
    "object_id",
    "actor",
    "actor_role",
    "outcome",
    "reason",
    "reason_is_code",
    "correlation_id",
    "details",
}


async def events_of(cloud: Cloud, object_id: str) -> list[Json]:
    """The events of one object after the relay has run, in the order of their time."""

    async def outbox() -> list[Json]:
        await cloud.fire("AuditRelay")
        await asyncio.sleep(0.2)
        return await cloud.documents("ledger", "c.type = 'outbox'")

    await until(outbox, lambda waiting: not waiting)
    found = await cloud.documents("audit", "c.event.object_id = @id", id=object_id)
    return sorted((each["event"] for each in found), key=lambda e: str(e["occurred_at"]))


POLICIES = re.compile(r"privacy:marketing\.\d+\+\d+,routing:marketing\.\d+\+\d+")


def oid(username: str) -> str:
    return str(next(user["oid"] for user in people()["users"] if user["username"] == username))


async def test_generation_leaves_admission_and_end(ledger: Cloud, ava: Person) -> None:
    answer = await ava.post(
        "/generations", order(), {"x-correlation-id": "trail-1", "Prefer": "wait=30"}
    )
    generation = answer.json()
    admitted, closed = await events_of(ledger, generation["id"])
    assert (admitted["action"], admitted["outcome"]) == ("generation.admitted", "success")
    assert admitted["actor"] == f"{home_tenant_id()}.{oid('ava')}"
    assert admitted["actor_role"] == "StandardUser"
    assert admitted["details"]["reserved_micros"] == generation["quote"]["amount_micros"]
    assert POLICIES.fullmatch(admitted["details"]["policy_version"])
    assert (closed["action"], closed["outcome"]) == ("generation.closed", "success")
    assert closed["actor"] == "system:orchestration"
    assert closed["details"]["amount_micros"] == generation["cost"]["amount_micros"]
    assert closed["details"]["sha256"] == generation["images"][0]["sha256"]
    for event in (admitted, closed):
        assert set(event) == EVENT_FIELDS
        assert event["correlation_id"] == admitted["correlation_id"]
        assert set(event["correlation_id"]) == {"hmac_sha256"}  # "trail-1" is the caller's own
        assert event["event_id"] == f"{generation['id']}:{event['action']}"


async def test_refusal_of_the_provider_is_a_failure(ledger: Cloud, ava: Person) -> None:
    generation = await ava.generate(order(scenario="content_filter"))
    _, closed = await events_of(ledger, generation["id"])
    assert (closed["outcome"], closed["reason"]) == ("failure", "content_rejected")
    assert closed["details"]["status"] == "refused"


async def test_unknown_outcome_is_an_event_of_its_own(ledger: Cloud, ava: Person) -> None:
    generation = await ava.generate(order(scenario="timeout_after_work"))
    actions = [event["action"] for event in await events_of(ledger, generation["id"])]
    assert actions == ["generation.admitted", "generation.indeterminate"]


async def test_batch_leaves_its_own_events_and_those_of_its_rows(
    ledger: Cloud, ava: Person
) -> None:
    batch = await ava.run_batch([order(), order()])
    admitted, completed = await events_of(ledger, batch["id"])
    assert (admitted["action"], completed["action"]) == ("batch.admitted", "batch.completed")
    assert POLICIES.fullmatch(admitted["details"]["policy_version"])
    for row in ("00001", "00002"):
        [event] = await events_of(ledger, f"{batch['id']}.{row}")
        assert event["action"] == "generation.closed"


async def test_canceled_generation_names_who_canceled_it(
    ledger: Cloud, ava: Person, mia: Person
) -> None:
    busy = order(scenario="rate_limited retry_after_s=20")
    generation_id = (await ava.post("/generations", busy)).json(202)["id"]

    async def cancel() -> int:
        return (await mia.delete(f"/generations/{generation_id}")).status

    await until(cancel, lambda status: status == 200, 10)
    events = {event["action"]: event for event in await events_of(ledger, generation_id)}
    assert set(events) == {
        "generation.admitted",
        "generation.cancel_requested",
        "generation.closed",
    }
    assert events["generation.cancel_requested"]["actor"].endswith(oid("mia"))


async def test_canceled_batch_names_who_canceled_it(
    ledger: Cloud, ava: Person, mia: Person
) -> None:
    items = [order(scenario="slow seconds=1") for _ in range(30)]
    batch = (await ava.post("/batches", {"items": items})).json(202)
    await mia.delete(f"/batches/{batch['id']}")
    await ava.ended_batch(batch["id"])
    events = {event["action"]: event for event in await events_of(ledger, batch["id"])}
    assert set(events) == {"batch.admitted", "batch.cancel_requested", "batch.canceled"}
    assert events["batch.cancel_requested"]["actor"].endswith(oid("mia"))
    assert events["batch.admitted"]["actor"].endswith(oid("ava"))


async def test_upload_leaves_slot_and_rejection(ledger: Cloud, ava: Person) -> None:
    batch = await uploaded(ledger, ava, b"not,a,batch\n1,2,3\n")
    [slot_event] = await events_of(ledger, batch["source"]["slot_id"])
    assert slot_event["action"] == "slot.created"
    [event] = await events_of(ledger, batch["id"])
    assert (event["action"], event["outcome"]) == ("batch.rejected", "denied")


async def test_denied_admission_is_an_event_each_time(ledger: Cloud, finn: Person) -> None:
    items = [order(count=10, quality="high") for _ in range(40)]
    key = {"Idempotency-Key": uuid4().hex}
    for _ in range(2):
        problem = (await finn.post("/batches", {"items": items}, key)).problem(
            402, "budget_exceeded"
        )
    denied = [
        document["event"]
        for document in await ledger.documents("audit", "c.event.reason = 'budget_exceeded'")
        if document["event"]["details"].get("needed_micros") == problem["needed_micros"]
    ]
    denied = denied or await _relayed_denials(ledger, problem["needed_micros"])
    assert len(denied) == 2
    assert {event["outcome"] for event in denied} == {"denied"}
    assert {event["details"]["scope"] for event in denied} == {problem["scope"]}


async def _relayed_denials(ledger: Cloud, needed_micros: int) -> list[Json]:
    await events_of(ledger, "none")
    found = await ledger.documents("audit", "c.event.reason = 'budget_exceeded'")
    return [
        each["event"]
        for each in found
        if each["event"]["details"]["needed_micros"] == needed_micros
    ]


async def test_relay_that_runs_several_times_at_once_copies_each_event_once(
    ledger: Cloud, ava: Person
) -> None:
    await ava.run_batch([order() for _ in range(40)])
    await asyncio.gather(*(ledger.fire("AuditRelay") for _ in range(4)))
    await check_trail(ledger)


async def test_audit_holds_no_prompt_and_no_name(ledger: Cloud, ava: Person) -> None:
    await ava.generate(order("sdxl", negative_prompt="crowds of strangers"))
    await events_of(ledger, "none")
    text = json.dumps(await ledger.documents("audit"), ensure_ascii=False)
    records = await ledger.documents("ledger", "c.type = 'generation'")
    await open_prompts(ledger, records)
    for record in records:
        for name in ("prompt", "negative_prompt"):
            secret = record["request"][name]
            assert not isinstance(secret, str) or secret not in text  # else nobody can open it
    for user in people()["users"]:
        assert user["name"] not in text
        assert user["preferred_username"] not in text
