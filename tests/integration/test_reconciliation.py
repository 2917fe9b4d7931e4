"""Freezes and reconciliation over HTTP: what is stopped, what is found, what is put right."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.integration.api import Json, Person, order, prompt, until
from tests.integration.batch_files import as_csv
from tests.integration.books import check_all
from tests.integration.cloud import Cloud, open_cloud, organisation
from tests.integration.test_uploads import batches_of, put

DEPARTMENT = "foundry"
FROZEN_WITHIN_S = 5.0  # the promise
PAUSE_S = 1.5  # rows that were not held back would have gone on by then
ROWS = 20
ACCEPT = {"decision": "accept", "reason": "looked at it"}


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


@asynccontextmanager
async def frozen(
    admin: Person, target: str, reason: str = "unexplained charges"
) -> AsyncIterator[Json]:
    """A freeze that is lifted whatever happens: the whole suite shares one cloud."""
    shown = await admin.send("PUT", f"/freezes/{target}", json={"reason": reason})
    try:
        yield shown.json()
    finally:
        await admin.send("DELETE", f"/freezes/{target}", params={"reason": "all clear"})


@asynccontextmanager
async def exports_lie(cloud: Cloud, **rule: object) -> AsyncIterator[None]:
    """The provider's export says otherwise than the provider did."""
    url = f"{cloud.simulators_url}/_control/exports"
    async with cloud.session.post(url, json=rule) as answer:
        assert answer.status == 201
    try:
        yield
    finally:
        async with cloud.session.delete(url) as answer:
            assert answer.status == 200


async def reconcile(admin: Person, provider: str) -> Json:
    body = {"provider": provider, "day": today()}
    return (await admin.post("/reconciliations", body)).json(201)


async def close(admin: Person, case_id: str, **body: object) -> Json:
    path = f"/cases/{quote(case_id)}/close"
    return (await admin.post(path, {"reason": "looked at it", **body})).json()


@pytest.fixture(scope="module")
async def own_cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    """A cloud of this module's own: a model that drifts is stopped for everybody."""
    if os.environ.get("EIG_TARGET"):
        pytest.skip("freezes would concern everybody who uses the target")
    async with open_cloud(tmp_path_factory.mktemp("reconciled")) as cloud:
        yield cloud
        await check_all(cloud)


@pytest.fixture(scope="module")
async def olga(own_cloud: Cloud) -> Person:
    return await own_cloud.person("olga")


@pytest.fixture(scope="module")
async def mia(own_cloud: Cloud) -> Person:
    return await own_cloud.person("mia")


@pytest.fixture(scope="module")
async def ava(own_cloud: Cloud) -> Person:
    return await own_cloud.person("ava")


@pytest.fixture(scope="module")
async def founder(own_cloud: Cloud) -> Person:
    """Somebody whose department nobody else uses."""
    file = organisation(DEPARTMENT, 100_000_000, [100_000_000])
    await own_cloud.seed(file)
    return await own_cloud.minted(claims={"oid": file["users"][0]["object_id"]})


async def test_frozen_model_is_refused_by_name_until_it_is_lifted(
    founder: Person, olga: Person
) -> None:
    body = order("flux-schnell")
    async with frozen(olga, "model:flux-schnell") as shown:
        assert (shown["target"], shown["lifted"]) == ("model:flux-schnell", False)

        async def refused() -> int:
            return (await founder.post("/generations", body)).status

        began = asyncio.get_running_loop().time()
        await until(refused, lambda status: status == 423, FROZEN_WITHIN_S)
        assert asyncio.get_running_loop().time() - began < FROZEN_WITHIN_S
        problem = (await founder.post("/generations", body)).problem(423, "frozen")
        assert problem["target"] == "model:flux-schnell"
        assert problem["reason"] == "unexplained charges"
        items = {"items": [order("flux-schnell"), order()]}
        (await founder.post("/batches", items)).problem(423, "frozen")
        assert "model:flux-schnell" in {
            freeze["target"] for freeze in (await olga.get("/freezes")).json()["items"]
        }
    assert (await founder.generate(order("flux-schnell")))["status"] == "succeeded"
    again = await olga.send("DELETE", "/freezes/model:flux-schnell", params={"reason": "again"})
    again.problem(404, "not_found")


async def test_freeze_pauses_a_batch_which_goes_on_when_it_is_lifted(
    own_cloud: Cloud, founder: Person, olga: Person
) -> None:
    items = [order(prompt=prompt(scenario="slow seconds=2")) for _ in range(ROWS)]
    batch = (await founder.post("/batches", {"items": items})).json(202)
    async with frozen(olga, f"department:{DEPARTMENT}"):
        await asyncio.sleep(FROZEN_WITHIN_S)
        paused = len(await own_cloud.submissions())
        await asyncio.sleep(PAUSE_S)
        assert len(await own_cloud.submissions()) == paused, "nothing is sent while it is frozen"
        shown = await founder.batch(batch["id"])
        assert shown["status"] == "running"
        assert shown["rows"]["succeeded"] < ROWS
        (await founder.post("/generations", order())).problem(423, "frozen")
    ended = await founder.ended_batch(batch["id"])
    assert (ended["status"], ended["rows"]["succeeded"]) == ("completed", ROWS)


async def test_manager_does_not_lift_what_an_admin_froze(mia: Person, olga: Person) -> None:
    target = "project:marketing.apollo"
    async with frozen(olga, target):
        lifted = await mia.send("DELETE", f"/freezes/{target}", params={"reason": "nah"})
        lifted.problem(403, "policy_denied")
        put_again = await mia.send("PUT", f"/freezes/{target}", json={"reason": "shorter"})
        put_again.problem(403, "policy_denied")


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "why not", "ends_at": "0001-01-01T00:00:00+14:00"},
        {"reason": "why not", "ends_at": "9999-12-31T23:59:59-14:00"},
        {"reason": "why\nnot"},
        {"reason": "why\u0000not"},
        {"reason": "why\u009bnot"},
    ],
)
async def test_freeze_that_makes_no_sense_answers_422(olga: Person, body: Json) -> None:
    answer = await olga.send("PUT", "/freezes/model:flux-schnell", json=body)
    assert answer.status == 422
    shown = await olga.send("DELETE", "/freezes/model:sdxl", params={"reason": "a\tb"})
    assert shown.status == 422


@pytest.mark.parametrize("case_id", ["a%2Fb", "a%5Cb", "a%3Fb", "a%23b", "%00", "a%20b", "..%2F"])
async def test_text_that_is_no_case_id_answers_404(olga: Person, case_id: str) -> None:
    assert (await olga.get(f"/cases/{case_id}")).status == 404
    assert (await olga.post(f"/cases/{case_id}/close", ACCEPT)).status == 404


@pytest.mark.parametrize(
    ("username", "target", "status"),
    [
        ("ava", "department:marketing", 403),
        ("mia", "department:design", 403),
        ("mia", "global", 403),
        ("olga", "model:dall-e-9", 404),
        ("olga", "anything", 404),
    ],
)
async def test_switch_of_others_does_not_move(
    cloud: Cloud, username: str, target: str, status: int
) -> None:
    person = await cloud.person(username)
    answer = await person.send("PUT", f"/freezes/{target}", json={"reason": "why not"})
    answer.problem(status, {403: "policy_denied", 404: "not_found"}[status])


async def test_manager_switches_a_project_of_their_own(mia: Person, olga: Person) -> None:
    target = "project:marketing.apollo"
    async with frozen(mia, target, "over budget") as shown:
        assert shown["target"] == target
        assert target in {f["target"] for f in (await mia.get("/freezes")).json()["items"]}
    assert target not in {f["target"] for f in (await olga.get("/freezes")).json()["items"]}


async def test_model_that_is_billed_otherwise_is_stopped_and_its_case_adjusted(
    own_cloud: Cloud, founder: Person, olga: Person
) -> None:
    made = await founder.generate(order("flux-schnell"))
    spent = (await founder.get(f"/budgets/department:{DEPARTMENT}")).json()["spent_micros"]
    try:
        async with exports_lie(own_cloud, model="black-forest-labs/flux-schnell", permille=2000):
            run = await reconcile(olga, "replicate")
            assert run["quarantined"] == ["flux-schnell"]
            figures = {each["model"]: each for each in run["models"]}
            assert figures["flux-schnell"]["drift_bp"] == 10_000
            again = await reconcile(olga, "replicate")
            assert (again["opened"], again["quarantined"]) == ({}, [])

        async def status() -> int:
            return (await founder.post("/generations", order("flux-schnell"))).status

        await until(status, lambda seen: seen == 423, FROZEN_WITHIN_S)
        freezes = (await olga.get("/freezes")).json()["items"]
        stopped = next(each for each in freezes if each["target"] == "model:flux-schnell")
        assert stopped["by"] == "system:reconciliation"
        case_id = made["id"]
        listed = {case["id"]: case for case in await olga.listed("/cases")}
        assert listed[case_id]["excess_usd_micros"] == made["cost"]["usd_micros"]
        (await founder.get(f"/cases/{quote(case_id)}")).problem(404, "not_found")
        for _ in range(2):
            closed = await close(olga, case_id, decision="adjust")
            assert closed["status"] == "closed"
        budget = (await founder.get(f"/budgets/department:{DEPARTMENT}")).json()
        assert budget["spent_micros"] >= spent + closed["ruling"]["amount_micros"]
        assert closed["ruling"]["usd_micros"] == made["cost"]["usd_micros"]
        # The export tells the truth again: what was booked beyond it comes back.
        assert (await reconcile(olga, "replicate"))["opened"]["amount_differs"] >= 1
        again = await close(olga, f"{case_id}:1", decision="adjust")
        assert again["ruling"]["usd_micros"] == -made["cost"]["usd_micros"]
    finally:
        for case in await olga.listed("/cases"):
            if case["model"] == "flux-schnell":
                sums_up = case["kind"] == "drift"
                await close(olga, case["id"], decision="accept" if sums_up else "adjust")
        await olga.send("DELETE", "/freezes/model:flux-schnell", params={"reason": "understood"})
    assert (await founder.generate(order("flux-schnell")))["status"] == "succeeded"


async def test_file_that_arrives_while_frozen_is_rejected_and_says_so(
    own_cloud: Cloud, founder: Person, olga: Person
) -> None:
    slot = (await founder.post("/batches/uploads", {"file_name": "rows.csv"})).json(201)
    async with frozen(olga, f"department:{DEPARTMENT}"):
        await asyncio.sleep(FROZEN_WITHIN_S)
        assert await put(own_cloud, slot["upload_url"], as_csv([order()])) == 201
        (batch_id,) = await batches_of(founder, slot)
        batch = await founder.ended_batch(batch_id)
        assert (batch["status"], batch["problem"]["code"]) == ("rejected", "frozen")
        assert "unexplained charges" in batch["problem"]["detail"]
        errors = await own_cloud.result_file(batch_id, "errors.csv")
        assert errors is not None and b"frozen" in errors
    assert (await founder.batch(batch_id))["status"] == "rejected", "upload it again"


async def test_unknown_outcome_is_settled_by_what_the_export_says(
    founder: Person, olga: Person
) -> None:
    shown = await founder.submit(order(scenario="timeout_after_work"))
    lost = await founder.ended_generation(shown["id"])
    assert lost["status"] == "indeterminate"
    run = await reconcile(olga, "azure_openai")
    assert run["resolved"] >= 1
    settled = await founder.generation(shown["id"])
    assert settled["status"] == "failed"
    assert settled["failure"]["reason"] == "found_in_usage_export"
    assert 0 < settled["cost"]["usd_micros"] < settled["quote"]["usd_micros"]
    assert settled["cost"]["estimated"] is False


async def test_batch_line_without_a_result_has_one_case(
    own_cloud: Cloud, founder: Person, olga: Person
) -> None:
    rows = [
        order(scenario=scenario, deadline="24h", id=scenario or "plain")
        for scenario in ("batch_no_line", None)
    ]
    batch = await founder.run_batch(rows)
    unlisted, plain = (
        item["generation"] for item in await founder.listed(f"/batches/{batch['id']}/items")
    )
    assert (unlisted["status"], plain["status"]) == ("failed", "succeeded")
    before = {case["id"] for case in await olga.listed("/cases")}
    await reconcile(olga, "azure_openai")
    opened = [case for case in await olga.listed("/cases") if case["id"] not in before]
    assert [(case["id"], case["kind"]) for case in opened] == [(unlisted["id"], "amount_differs")]
    closed = await close(olga, unlisted["id"], decision="adjust")
    billed = opened[0]["billed_usd_micros"]
    assert 0 < billed == unlisted["cost"]["usd_micros"] + closed["ruling"]["usd_micros"]


async def test_only_administrators_reconcile_and_decide(ava: Person, mia: Person) -> None:
    body = {"provider": "replicate", "day": today()}
    for person in (ava, mia):
        (await person.post("/reconciliations", body)).problem(403, "policy_denied")
        (await person.get("/reconciliations")).problem(403, "policy_denied")
    (await ava.get("/cases")).problem(403, "policy_denied")
    page = (await mia.get("/cases", params={"limit": "100"})).json()
    assert page["continuation"] is None
    wrong = await mia.get("/cases", params={"continuation": "design|202611"})
    assert wrong.problem(422, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        {"provider": "nobody", "day": "2026-11-20"},
        {"provider": "replicate"},
        {"provider": "replicate", "day": "2999-01-01"},
        {"provider": "replicate", "day": "2026-11-20", "extra": 1},
    ],
)
async def test_run_that_makes_no_sense_answers_422(olga: Person, body: Json) -> None:
    assert (await olga.post("/reconciliations", body)).status == 422


async def test_runs_are_listed_newest_first(olga: Person) -> None:
    run = await reconcile(olga, "replicate")
    listed = (await olga.get("/reconciliations")).json()["items"]
    assert listed[0]["id"] == run["id"]
    assert [each["ran_at"] for each in listed] == sorted(
        (each["ran_at"] for each in listed), reverse=True
    )
