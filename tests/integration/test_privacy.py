"""The privacy screen over HTTP: what is stopped, covered, let through, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.integration.api import Json, Person, order, until
from tests.integration.cloud import Cloud
from tests.privacy_prompts import medicare, tfn

FRESH_S = 5  # a worker may go on so long with a policy that another has changed
ORGANISATION = "/privacy/policies/organisation-wide"


def number(kind: str) -> str:
    """An identifier that nobody has sent before."""
    return {"tfn": tfn, "medicare": medicare}[kind](random.Random(uuid4().int))


async def put_policy(person: Person, path: str, body: Json) -> Json:
    answer = await person.send("PUT", path, json=body, headers={"If-Match": "*"})
    if answer.status == 412:
        answer = await person.send("PUT", path, json=body, headers={"If-None-Match": "*"})
    return answer.json()


@pytest.fixture
async def plain_policy(olga: Person) -> AsyncIterator[str]:
    """The path of design's policy, which says nothing again afterwards."""
    path = "/privacy/policies/design"
    yield path
    await put_policy(olga, path, {})


async def audited(cloud: Cloud, action: str, after: datetime) -> list[Json]:
    """Events of the screen since a moment, still in the outbox or copied already."""
    found: list[Json] = []
    for container, condition in (("ledger", "c.type = 'outbox'"), ("audit", "true")):
        found += [
            document["event"]
            for document in await cloud.documents(container, condition)
            if "event" in document
        ]
    return [
        event
        for event in {each["event_id"]: each for each in found}.values()
        if event["action"].startswith(action) and event["occurred_at"] >= after.isoformat()
    ]


async def test_a_tax_file_number_is_refused_and_nothing_is_charged(
    ledger: Cloud, ava: Person
) -> None:
    began, secret = datetime.now(UTC), number("tfn")
    before = (await ava.get("/budgets/user:me")).json()
    body = order(prompt=f"A form with TFN {secret} on a desk")
    problem = (await ava.post("/generations", body)).problem(422, "privacy_blocked")
    assert problem["errors"] == [{"field": "/prompt", "message": "au_tfn at 16, 9 characters"}]
    assert problem["overridable"] is False
    (found,) = problem["findings"]
    assert (found["category"], found["data_class"]) == ("au_tfn", "government")
    assert (found["offset"], found["length"], found["action"]) == (16, 9, "block")
    after = (await ava.get("/budgets/user:me")).json()
    assert (after["reserved_micros"], after["spent_micros"]) == (
        before["reserved_micros"],
        before["spent_micros"],
    )
    (event,) = await audited(ledger, "privacy.denied", began)
    assert (event["outcome"], event["reason"]) == ("denied", "privacy_blocked")
    assert event["details"]["findings"].startswith("prompt:au_tfn:block:at16+9=")
    assert secret not in json.dumps(event)


async def test_an_address_is_covered_before_the_prompt_is_kept_and_sent(
    cloud: Cloud, ava: Person
) -> None:
    key, mark = str(uuid4()), uuid4().hex
    body = order(prompt=f"A card for jane.{mark[:4]}@example.com {mark}")
    generation = await ava.generate(body, key)
    covered = f"A card for {'*' * 21} {mark}"
    assert generation["request"]["prompt"] == covered
    assert generation["privacy"]["redacted"] is True
    (found,) = generation["privacy"]["findings"]
    assert (found["category"], found["offset"], found["length"]) == ("email", 11, 21)
    sent = await cloud.submissions()
    assert sent[hashlib.sha256(covered.encode()).hexdigest()] == 1
    assert hashlib.sha256(body["prompt"].encode()).hexdigest() not in sent
    assert (await ava.generate(body, key))["id"] == generation["id"]
    other = body | {"prompt": body["prompt"].replace("jane", "john")}
    answer = await ava.post("/generations", other, {"Idempotency-Key": key})
    answer.problem(422, "idempotency_key_reused")


async def test_a_negative_prompt_is_looked_at_as_well(ava: Person) -> None:
    body = order("sdxl", negative_prompt=f"no TFN {number('tfn')}")
    problem = (await ava.post("/generations", body)).problem(422, "privacy_blocked")
    assert [each["field"] for each in problem["findings"]] == ["negative_prompt"]


async def test_health_information_needs_an_override_and_a_second_person(
    ava: Person, mia: Person, olga: Person
) -> None:
    body = order(prompt=f"A letter to Medicare {number('medicare')} {uuid4().hex}")
    problem = (await ava.post("/generations", body)).problem(422, "privacy_blocked")
    assert problem["overridable"] is True
    wish = {
        "data_classes": ["health"],
        "reason": "Brochure with the patients' consent",
        "ends_at": (datetime.now(UTC) + timedelta(minutes=5)).isoformat(),
    }
    (await ava.post("/privacy/overrides", wish)).problem(403, "policy_denied")
    override = (await mia.post("/privacy/overrides", wish)).json(201)
    assert override["status"] == "pending"
    (await ava.post("/generations", body)).problem(422, "privacy_blocked")
    path = f"/privacy/overrides/{override['id']}"
    own = await mia.send("POST", f"{path}/approvals")
    own.problem(403, "second_person_needed")
    assert (await olga.send("POST", f"{path}/approvals")).json()["status"] == "active"
    (await olga.send("POST", f"{path}/approvals")).problem(409, "already_decided")
    generation = await ava.generate(body)
    assert generation["status"] == "succeeded"
    assert generation["request"]["prompt"] == body["prompt"]
    assert {each["override_id"] for each in generation["privacy"]["findings"]} == {override["id"]}
    assert (await mia.delete(path)).json()["status"] == "ended"
    again = body | {"prompt": body["prompt"] + " again"}
    (await ava.post("/generations", again)).problem(422, "privacy_blocked")


@pytest.mark.parametrize(
    ("tag", "cause"),
    [
        ("throttled", "http_429"),
        ("outage", "http_500"),
        ("document_error", "document_error"),
        ("missing", "malformed"),
        ("wrong_offset", "malformed"),
        ("invalid_json", "malformed"),
        ("empty", "malformed"),
    ],
)
async def test_a_layer_that_cannot_answer_stops_the_text(
    ledger: Cloud, ava: Person, tag: str, cause: str
) -> None:
    began = datetime.now(UTC)
    body = order(prompt=f"Jane Citizen at the sea [[language:{tag}]] {uuid4().hex}")
    answer = await ava.post("/generations", body)
    problem = answer.problem(503, "privacy_screen_unavailable")
    assert (problem["retryable"], problem["cause"]) == (True, cause)
    assert answer.headers["Retry-After"] == "5"
    (event,) = await audited(ledger, "privacy.denied", began)
    assert event["reason"] == "privacy_screen_unavailable"
    assert (event["details"]["layer"], event["details"]["cause"]) == ("language", cause)


async def test_a_repeat_of_what_was_admitted_needs_no_screen(own_cloud: Cloud, ava: Person) -> None:
    key, body = str(uuid4()), order()
    first = await ava.generate(body, key)
    await own_cloud.simulator_fault(match="POST /azure-language", kind="error", status=500)
    try:
        answer = await ava.post("/generations", body, {"Idempotency-Key": key})
        (await ava.post("/generations", body)).problem(503, "privacy_screen_unavailable")
    finally:
        await own_cloud.no_simulator_faults()
    assert answer.json(202)["id"] == first["id"]


async def test_rows_that_may_not_leave_are_refused_in_the_plan(ledger: Cloud, ava: Person) -> None:
    began, secret = datetime.now(UTC), number("tfn")
    items = [
        order(prompt=f"A quiet bay {uuid4().hex}"),
        order(prompt=f"A form with TFN {secret}"),
        order(prompt=f"A card for jane@example.com {uuid4().hex}"),
        order(prompt="A bay [[language:document_error]]"),
    ]
    batch = await ava.run_batch(items)
    assert (batch["rows"]["valid"], batch["rows"]["invalid"]) == (2, 2)
    assert batch["status"] == "completed"
    rows = await ava.listed(f"/batches/{batch['id']}/items")
    assert [row["status"] for row in rows] == ["succeeded", "invalid", "succeeded", "invalid"]
    assert rows[1]["faults"] == [
        {"field": "/prompt", "message": "privacy_blocked: au_tfn at 16, 9 characters"}
    ]
    assert rows[3]["faults"][0]["message"].startswith("privacy_screen_unavailable: ")
    assert rows[2]["generation"]["request"]["prompt"].startswith("A card for **************** ")
    assert rows[2]["generation"]["privacy"]["redacted"] is True
    assert batch["quoted_micros"] == sum(row["quoted_micros"] or 0 for row in rows)
    (event,) = await audited(ledger, "privacy.screened", began)
    assert event["details"]["blocked_rows"] == event["details"]["unread_rows"] == 1
    assert "2/prompt:au_tfn:block:at16+9=" in event["details"]["findings"]
    assert "3/prompt:email:redact:at11+16=" in event["details"]["findings"]
    assert secret not in json.dumps(event)


async def test_a_batch_waits_for_a_screen_that_is_down(own_cloud: Cloud, ava: Person) -> None:
    await own_cloud.simulator_fault(match="POST /azure-language", kind="error", status=401)
    try:
        answer = await ava.post("/batches", {"items": [order()]})
    finally:
        await own_cloud.no_simulator_faults()
    assert answer.problem(503, "privacy_screen_unavailable")["cause"] == "http_401"


async def test_a_policy_is_changed_under_its_etag(
    olga: Person, pat: Person, plain_policy: str
) -> None:
    await put_policy(olga, plain_policy, {})
    read = await olga.get(plain_policy)
    etag = {"If-Match": read.headers["ETag"]}
    body = {"actions": {"contact": "block", "business": "redact"}}
    (await olga.send("PUT", plain_policy, json=body)).problem(428, "precondition_required")
    (await pat.send("PUT", plain_policy, json=body, headers=etag)).problem(403, "policy_denied")
    changed = (await olga.send("PUT", plain_policy, json=body, headers=etag)).json()
    assert changed["revision"] == read.json()["revision"] + 1
    assert changed["effective_actions"]["contact"] == "block"
    assert changed["effective_actions"]["secret"] == "block"
    stale = await olga.send("PUT", plain_policy, json=body, headers=etag)
    stale.problem(412, "precondition_failed")
    (await pat.get(plain_policy)).problem(403, "policy_denied")


async def test_rules_of_the_house_are_tried_before_they_hold(mia: Person, olga: Person) -> None:
    text = "Project Night\u200bingale at SITE-1234, mail press@example.com, reference 12.34.56.78.2"
    draft = {
        "rules": [
            {"name": "projects", "kind": "terms", "terms": ["project nightingale"]},
            {"name": "sites", "kind": "pattern", "pattern": r"\bSITE-\d{4}\b"}
            | {"data_class": "location"},
        ],
        "allowed_values": ["press@example.com"],
        "synonyms": {"au_tfn": ["reference"]},
    }  # fmt: skip
    shown = (await mia.post("/privacy/screenings", {"text": text, "draft": draft})).json()
    found = [(f["category"], f["rule"], f["action"]) for f in shown["findings"]]
    assert found == [
        ("custom", "projects", "block"),
        ("custom", "sites", "redact"),
        ("au_tfn", None, "block"),
    ]
    assert text[shown["findings"][0]["offset"] :].startswith("Project Night\u200bingale")
    assert "*********, mail press@example.com" in shown["redacted_text"]
    assert (shown["blocked"], shown["overridable"]) == (True, False)
    for pattern in (r"(a)\1", "(?=a)b", "a*", "(((a{1000}){1000}){1000})", "["):
        rule = {"name": "bad", "kind": "pattern", "pattern": pattern}
        answer = await mia.post("/privacy/screenings", {"text": text, "draft": {"rules": [rule]}})
        answer.problem(422, "invalid_rule")
        assert answer.fields() == {"/rules/0/pattern"}
    plain = (await olga.post("/privacy/screenings", {"text": "A quiet bay"})).json()
    assert (plain["action"], plain["findings"]) == ("allow", [])


async def test_a_person_may_try_the_policy_but_no_draft(ava: Person) -> None:
    shown = await ava.post("/privacy/screenings", {"text": "Jane Citizen, 12 Main Street, Perth"})
    assert [f["category"] for f in shown.json()["findings"]] == ["person", "address"]
    wish = {"text": "x", "draft": {"actions": {}}}
    (await ava.post("/privacy/screenings", wish)).problem(403, "policy_denied")


async def test_prompts_stay_where_the_policy_keeps_them(
    finn: Person, olga: Person, plain_policy: str
) -> None:
    await put_policy(olga, plain_policy, {"residency": {"mode": "named", "regions": ["US"]}})

    async def compared() -> dict[str, Json]:
        wish = {"models": ["gpt-image-2", "flux-schnell"], "prompt": "a bay"}
        answer = (await finn.post("/estimates", wish)).json()
        return {each["model"]: each for each in answer["candidates"]}

    def is_refused(found: dict[str, Json]) -> bool:
        return "residency_denied" in [r["code"] for r in found["gpt-image-2"]["refusals"]]

    found = await until(compared, is_refused, FRESH_S * 3)
    assert found["flux-schnell"]["eligible"] and not found["gpt-image-2"]["eligible"]
    refused = await finn.post("/generations", order())
    assert refused.problem(403, "residency_denied")["model"] == "gpt-image-2"
    assert (await finn.generate(order("flux-schnell")))["status"] == "succeeded"
    batch = await finn.run_batch([order(), order("flux-schnell")])
    assert (batch["rows"]["valid"], batch["rows"]["invalid"]) == (1, 1)
    await put_policy(olga, plain_policy, {"residency": {"mode": "australia"}})
    (await finn.post("/generations", order())).problem(403, "residency_denied")


async def test_prices_are_told_without_looking_at_the_prompt(own_cloud: Cloud, ava: Person) -> None:
    url = f"{own_cloud.simulators_url}/_control/language"

    async def calls() -> Json:
        async with own_cloud.session.get(url) as answer:
            counted: Json = await answer.json()
            return counted

    before = await calls()
    body = order(prompt=f"mail jane@example.com TFN {number('tfn')}")
    assert (await ava.post("/estimates", body)).json()["eligible"] is True
    assert (await ava.post("/estimates", {"items": [body]})).json()["valid_rows"] == 1
    assert await calls() == before


async def test_what_was_found_is_in_no_log_and_no_event(own_cloud: Cloud, ava: Person) -> None:
    canary = number("tfn")
    name = f"canary{uuid4().hex[:12]}"
    for tag in ("", " [[language:outage]]", " [[language:invalid_json]]"):
        await ava.post("/generations", order(prompt=f"TFN {canary}{tag}"))
        await ava.post("/generations", order(prompt=f"mail {name}@example.com{tag}"))
        await ava.post(
            "/batches", {"items": [order(prompt=f"mail {name}@example.com TFN {canary}")]}
        )
        await ava.post("/privacy/screenings", {"text": f"{name}@example.com {canary}{tag}"})
    texts = own_cloud.logs()
    texts["audit"] = json.dumps(await own_cloud.documents("audit"))
    texts["ledger"] = json.dumps(await own_cloud.documents("ledger"))
    for where, text in texts.items():
        assert canary not in text, where
        assert name not in text, where
