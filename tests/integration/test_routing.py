"""Routing over HTTP: who serves a request and why, fallbacks in one hold, policies of departments.

After the module the books must balance line by line with every provider's invoice (conftest.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from tests.integration.api import Json, Person, prompt, until
from tests.integration.cloud import Cloud

OURS = ["gpt-image-2", "sdxl", "flux-schnell"]
POLICY = "/routing/policies/marketing"


def routed(model: str, scenario: str | None = None, **wishes: object) -> Json:
    return {"model": model, "prompt": prompt(scenario=scenario), "routing": wishes}


async def put_policy(person: Person, body: Json, path: str = POLICY) -> Json:
    answer = await person.send("PUT", path, json=body, headers={"If-Match": "*"})
    if answer.status == 412:
        answer = await person.send("PUT", path, json=body, headers={"If-None-Match": "*"})
    return answer.json()


@pytest.fixture
async def generous(mia: Person) -> AsyncIterator[None]:
    """Fallbacks of marketing may cost four times as much."""
    await put_policy(mia, {"uplift_percent_max": 300})
    yield
    await put_policy(mia, {})


async def entry_of(cloud: Cloud, generation_id: str) -> Json:
    [entry] = await cloud.documents("ledger", "c.id = @id", id=f"x:{generation_id}")
    return entry


async def submissions(cloud: Cloud, body: Json) -> int:
    wanted = hashlib.sha256(body["prompt"].encode()).hexdigest()
    return (await cloud.submissions()).get(wanted, 0)


async def test_auto_serves_the_cheapest_and_says_why_the_others_do_not(ava: Person) -> None:
    body = routed("auto", models=OURS) | {"output_format": "png"}
    estimate = (await ava.post("/estimates", body)).json()
    assert estimate["model"] == "flux-schnell"
    assert estimate["eligible"] is True
    shown = (await ava.generate(body))["routing"]
    assert (shown["strategy"], shown["chosen"]) == ("cheapest", "flux-schnell")
    assert shown["candidates"][0]["quoted_micros"] == estimate["quote"]["amount_micros"]
    excluded = {each["model"]: each for each in shown["excluded"]}
    assert set(OURS) <= {each["model"] for each in shown["candidates"]} | set(excluded)
    assert excluded["gpt-image-2"]["code"] == "over_uplift"
    assert [each["outcome"] for each in shown["attempts"]] == ["succeeded"]


async def test_quality_and_a_feature_decide_who_serves(ava: Person) -> None:
    body = routed("auto", models=OURS, strategy="quality") | {"negative_prompt": "fog"}
    shown = (await ava.post("/estimates", body)).json()
    assert shown["model"] == "sdxl"
    codes = {each["model"]: each["code"] for each in shown["routing"]["excluded"]}
    assert codes["gpt-image-2"] == codes["flux-schnell"] == "unsupported"


async def test_nobody_who_can_serve_is_a_refusal_that_names_everybody(ava: Person) -> None:
    body = routed("auto", models=OURS, max_price_micros=1)
    refusal = (await ava.post("/generations", body)).problem(422, "no_candidate")
    codes = {each["model"]: each["code"] for each in refusal["excluded"]}
    assert {codes[model] for model in OURS} == {"over_max_price"}


async def test_a_billed_timeout_falls_through_inside_the_same_hold(
    ledger: Cloud, ava: Person, generous: None
) -> None:
    scenario = "timeout_408 provider=azure_openai"
    body = routed("gpt-image-2", scenario, fallback=True, models=["gpt-image-2", "sdxl"])
    done = await ava.generate(body)
    assert done["status"] == "succeeded"
    assert (done["provider"], done["routing"]["chosen"]) == ("replicate", "sdxl")
    wanted = hashlib.sha256(body["prompt"].encode()).hexdigest()
    lines = [line for line in await ledger.invoice_lines() if line["prompt_sha256"] == wanted]
    assert {line["provider"] for line in lines} == {"azure_openai", "replicate"}
    entry = await entry_of(ledger, done["id"])
    assert [line["failure"] for line in entry["lines"]] == ["timeout", None]
    assert all(line["amount_micros"] > 0 for line in entry["lines"])
    assert entry["raised_micros"] > 0
    attempts = done["routing"]["attempts"]
    assert [each["model"] for each in attempts] == ["gpt-image-2", "sdxl"]
    assert done["cost"]["amount_micros"] == sum(each["amount_micros"] for each in attempts)


async def test_a_refusal_for_content_stays_where_it_is_unless_the_policy_says_otherwise(
    ledger: Cloud, ava: Person, mia: Person, generous: None
) -> None:
    scenario = "content_filter provider=azure_openai"

    def body() -> Json:
        return routed("gpt-image-2", scenario, fallback=True, models=["gpt-image-2", "sdxl"])

    first = body()
    refused = await ava.generate(first)
    assert (refused["status"], refused["failure"]["code"]) == ("refused", "content_rejected")
    assert await submissions(ledger, first) == 1
    await put_policy(mia, {"uplift_percent_max": 300, "content_fallback": True})
    elsewhere = await mia.generate(body())
    if elsewhere["status"] != "succeeded":  # another worker still goes by what it has read
        elsewhere = await mia.generate(body())
    assert (elsewhere["status"], elsewhere["provider"]) == ("succeeded", "replicate")


async def test_an_unknown_outcome_is_not_tried_elsewhere(
    ledger: Cloud, ava: Person, generous: None
) -> None:
    scenario = "timeout_after_work provider=azure_openai"
    body = routed("gpt-image-2", scenario, fallback=True, models=["gpt-image-2", "sdxl"])
    unknown = await ava.generate(body)
    assert unknown["status"] == "indeterminate"
    assert await submissions(ledger, body) == 1


async def test_rows_of_a_file_choose_their_models(ledger: Cloud, ava: Person) -> None:
    rows = [
        routed("auto", models=OURS) | {"id": "auto"},
        routed("auto", models=["sdxl"], max_price_micros=1) | {"id": "none"},
        {"model": "sdxl", "prompt": prompt(), "id": "named"},
    ]
    batch = await ava.run_batch(rows)
    assert (batch["rows"]["succeeded"], batch["rows"]["invalid"]) == (2, 1)
    items = (await ava.get(f"/batches/{batch['id']}/items")).json()["items"]
    by_id = {each["item_id"]: each for each in items}
    assert by_id["auto"]["generation"]["routing"]["chosen"] == "flux-schnell"
    assert "no_candidate" in str(by_id["none"]["faults"]) or "over_max_price" in str(
        by_id["none"]["faults"]
    )


async def test_a_policy_is_written_in_revisions_and_holds(
    ledger: Cloud, ava: Person, mia: Person, olga: Person
) -> None:
    (await ava.get(POLICY)).problem(403, "policy_denied")
    denied = await ava.send("PUT", POLICY, json={}, headers={"If-Match": "*"})
    denied.problem(403, "policy_denied")
    (await mia.get("/routing/policies/design")).problem(404, "not_found")
    wanted = {"allowed_strategies": ["cheapest", "pinned"], "denied_providers": ["replicate"]}
    shown = await put_policy(mia, wanted)
    try:
        assert shown["effective"]["denied_providers"] == ["replicate"]
        assert shown["effective"]["uplift_percent_max"] == 100
        etag = (await mia.get(POLICY)).headers["ETag"]
        stale = await mia.send("PUT", POLICY, json={}, headers={"If-Match": '"99"'})
        stale.problem(412, "precondition_failed")
        (await mia.send("PUT", POLICY, json={})).problem(428, "precondition_required")
        assert etag == f'"{shown["revision"]}"'
        refused = await mia.post("/generations", {"model": "sdxl", "prompt": prompt()})
        refused.problem(403, "model_denied")
        unwanted = routed("auto", strategy="quality")
        (await mia.post("/generations", unwanted)).problem(403, "strategy_denied")
    finally:
        await put_policy(mia, {})
    events = await ledger.documents("ledger", "c.type = 'outbox'")
    events += await ledger.documents("audit", "true")
    actions = {each["event"]["action"] for each in events if "event" in each}
    assert f"routing_policy.changed.{shown['revision']}" in actions
    assert any(action.startswith("routing.denied.") for action in actions)
    assert any(action.startswith("routing_policy.denied.") for action in actions)
    wide = "/routing/policies/organisation-wide"
    assert (await olga.get(wide)).json()["department"] == "organisation-wide"
    (await mia.get(wide)).problem(404, "not_found")


async def test_a_repeat_under_its_key_is_the_same_whatever_the_route_would_be_now(
    ava: Person, mia: Person
) -> None:
    body, key = routed("auto", models=OURS), prompt()[:60].replace(" ", "-")
    first = await ava.generate(body, key)
    await put_policy(mia, {"denied_models": OURS})
    try:
        assert (await ava.generate(body, key))["id"] == first["id"]
    finally:
        await put_policy(mia, {})


async def test_a_fallback_is_taken_up_by_its_job_after_kill_9(
    own_cloud: Cloud, ava: Person, generous: None
) -> None:
    """The first model fails and bills; while the second one works, the host is killed."""
    body = routed("gpt-image-2", fallback=True, models=["gpt-image-2", "sdxl"])
    fails = {"scenario": "timeout_408", "provider": "azure_openai", "times": 1}
    lasts = {"scenario": "slow", "provider": "replicate", "params": {"seconds": 4}, "times": 1}
    try:
        for rule in (fails, lasts):
            await own_cloud.scenario(**rule)
        shown = await ava.submit(body)

        async def job_id() -> str | None:
            found = await own_cloud.documents("ledger", "c.id = @id", id=f"a:{shown['id']}:2")
            return found[0]["job_id"] if found else None

        job = await until(job_id, lambda value: value, 15)
        await own_cloud.kill_host()
        await own_cloud.start_host()
    finally:
        await own_cloud.no_scenarios()
    ended = await ava.ended_generation(shown["id"])
    assert (ended["status"], ended["provider"]) == ("succeeded", "replicate")
    entry = await entry_of(own_cloud, shown["id"])
    first, second = entry["lines"]
    assert (first["failure"], second["job_id"]) == ("timeout", job)
    wanted = hashlib.sha256(body["prompt"].encode()).hexdigest()
    lines = [line for line in await own_cloud.invoice_lines() if line["prompt_sha256"] == wanted]
    for line in entry["lines"]:
        billed = sum(each["usd_micros"] for each in lines if each["provider"] == line["provider"])
        assert billed == line["usd_micros"] > 0 or line["estimated"]
