"""Single generations: submit, wait, follow, cancel, and every way in which one can end."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import UTC, datetime, timedelta

import azure.durable_functions as df
import pytest

from devhost.host.durable_client_payload import client_binding_text
from functions.durable_client import DurableOrchestrations
from tests.integration.api import Json, Person, order, prompt, until
from tests.integration.books import invoiced_usd_micros
from tests.integration.cloud import Cloud


async def billed_usd_micros(cloud: Cloud, generation: Json) -> int:
    """What the providers' invoice says about one generation, found by its prompt."""
    wanted = hashlib.sha256(generation["request"]["prompt"].encode()).hexdigest()
    lines = [line for line in await cloud.invoice_lines() if line["prompt_sha256"] == wanted]
    assert len(invoiced_usd_micros(lines)) <= 1
    return sum(line["usd_micros"] for line in lines)


async def submitted(cloud: Cloud, generation: Json) -> int:
    """How often the prompt of a generation reached a provider."""
    wanted = hashlib.sha256(generation["request"]["prompt"].encode()).hexdigest()
    return (await cloud.submissions()).get(wanted, 0)


async def test_submit_answers_202_and_where_to_look(ava: Person) -> None:
    answer = await ava.post("/generations", order())
    shown = answer.json(202)
    assert answer.headers["Operation-Location"] == f"/api/v1/generations/{shown['id']}"
    assert int(answer.headers["Retry-After"]) > 0
    assert shown["status"] == "queued"
    assert shown["cost"] is None and shown["images"] == []

    ended = await ava.ended_generation(shown["id"])
    assert ended["status"] == "succeeded"
    assert ended["attempts"] == 1
    assert ended["quote"] == shown["quote"]
    assert ended["completed_at"] > ended["created_at"]


async def test_prefer_wait_answers_with_the_finished_result(ava: Person) -> None:
    answer = await ava.post("/generations", order(), {"Prefer": "respond-async, wait=60"})
    assert answer.json()["status"] == "succeeded"
    assert answer.headers["Preference-Applied"] == "wait"
    assert "Operation-Location" not in answer.headers


async def test_prefer_wait_that_runs_out_answers_202(ava: Person) -> None:
    started_s = time.monotonic()
    answer = await ava.post("/generations", order(scenario="slow seconds=3"), {"Prefer": "wait=1"})
    shown = answer.json(202)
    assert time.monotonic() - started_s < 3
    assert answer.headers["Operation-Location"].endswith(shown["id"])
    assert "Preference-Applied" not in answer.headers
    assert (await ava.ended_generation(shown["id"]))["status"] == "succeeded"


@pytest.mark.parametrize("preference", ["wait=soon", "wait=-5", "return=minimal", "wait", ""])
async def test_prefer_that_is_not_understood_is_ignored(ava: Person, preference: str) -> None:
    answer = await ava.post("/generations", order(), {"Prefer": preference})
    assert answer.status == 202


@pytest.mark.parametrize(
    ("model", "size", "output_format", "count"),
    [
        ("gpt-image-2", "1536x1024", "png", 2),
        ("gpt-image-2", "1024x1024", "jpeg", 1),
        ("sdxl", "1216x832", "png", 2),
        ("flux-schnell", "1344x768", "webp", 2),
        ("flux-schnell", "1024x1024", "jpeg", 1),
        ("flux-schnell", "832x1216", "png", 1),
    ],
)
async def test_every_model_delivers_what_was_ordered(
    cloud: Cloud, ava: Person, model: str, size: str, output_format: str, count: int
) -> None:
    body = order(model, size=size, output_format=output_format, count=count)
    generation = await ava.generate(body)
    assert generation["status"] == "succeeded"
    assert [f"{i['width']}x{i['height']}" for i in generation["images"]] == [size] * count
    assert {i["content_type"] for i in generation["images"]} == {f"image/{output_format}"}
    assert len({i["sha256"] for i in generation["images"]}) == count
    cost, quote = generation["cost"], generation["quote"]
    assert 0 < cost["amount_micros"] <= quote["amount_micros"]
    assert cost["usd_micros"] == await billed_usd_micros(cloud, generation) > 0
    assert cost["estimated"] is False


async def test_defaults_of_the_model_are_shown(ava: Person) -> None:
    request = (await ava.submit({"model": "flux-schnell", "prompt": "  a pier  "}))["request"]
    assert request["size"] == "1024x1024"
    assert request["output_format"] == "webp"
    assert request["count"] == 1
    assert request["prompt"] == "a pier"


async def test_seed_and_negative_prompt_reach_the_model(ava: Person) -> None:
    generation = await ava.generate(order("sdxl", seed=4711, negative_prompt="people"))
    assert generation["status"] == "succeeded"
    assert generation["images"][0]["seed"] == 4711


async def test_auto_size_and_quality_never_cost_more_than_quoted(cloud: Cloud, ava: Person) -> None:
    body = order(scenario="worst_case_auto", size="auto", quality="auto")
    generation = await ava.generate(body)
    assert generation["status"] == "succeeded"
    assert generation["cost"]["amount_micros"] <= generation["quote"]["amount_micros"]
    assert generation["cost"]["usd_micros"] == await billed_usd_micros(cloud, generation)


@pytest.mark.parametrize("model", ["gpt-image-2", "flux-schnell"])
async def test_fewer_pictures_than_asked_cost_what_came_and_say_so(
    cloud: Cloud, ava: Person, model: str
) -> None:
    generation = await ava.generate(order(model, "fewer_images missing=1", count=3))
    assert generation["status"] == "succeeded"
    assert len(generation["images"]) == 2
    assert generation["warnings"] == ["fewer_pictures"]
    assert generation["cost"]["usd_micros"] == await billed_usd_micros(cloud, generation)


async def test_prompt_that_the_named_model_cuts_is_a_warning_from_the_start(ava: Person) -> None:
    long = f"{prompt()} {'word ' * 76}"
    body = order("sdxl", prompt=long)
    assert (await ava.post("/estimates", body)).json()["warnings"] == ["prompt_cut"]
    submitted = await ava.submit(body)
    assert (submitted["status"], submitted["warnings"]) == ("queued", ["prompt_cut"])
    generation = await ava.ended_generation(submitted["id"])
    assert (generation["status"], generation["warnings"]) == ("succeeded", ["prompt_cut"])
    routed = await ava.generate(order("auto", prompt=long))
    codes = {each["model"]: each["code"] for each in routed["routing"]["excluded"]}
    assert (routed["warnings"], codes["sdxl"]) == ([], "prompt_cut")


@pytest.mark.parametrize(
    "shape",
    [
        "moderation_blocked",
        "contentFilter",
        "content_policy_violation",
        "innererror",
        "output_filtered",
    ],
)
async def test_refused_content_is_billed_and_not_tried_again(
    cloud: Cloud, ava: Person, shape: str
) -> None:
    generation = await ava.generate(order(scenario=f"content_filter shape={shape}"))
    assert generation["status"] == "refused"
    assert generation["failure"]["code"] == "content_rejected"
    assert generation["images"] == []
    assert generation["attempts"] == await submitted(cloud, generation) == 1
    assert generation["cost"]["usd_micros"] == await billed_usd_micros(cloud, generation) > 0
    assert generation["cost"]["estimated"] is True


@pytest.mark.parametrize(("model", "is_billed"), [("sdxl", True), ("flux-schnell", False)])
async def test_refused_picture_is_billed_by_time_only(
    cloud: Cloud, ava: Person, model: str, is_billed: bool
) -> None:
    generation = await ava.generate(order(model, "nsfw"))
    assert generation["status"] == "refused"
    assert generation["cost"]["usd_micros"] == await billed_usd_micros(cloud, generation)
    assert (generation["cost"]["usd_micros"] > 0) is is_billed


async def test_retryable_failures_take_new_attempts_while_it_may_help(
    cloud: Cloud, ava: Person
) -> None:
    async def mended(model: str, scenario: str) -> None:
        generation = await ava.generate(order(model, scenario))
        assert generation["status"] == "succeeded"
        assert generation["attempts"] == await submitted(cloud, generation) == 2
        assert generation["cost"]["usd_micros"] == await billed_usd_micros(cloud, generation)

    async def lasting() -> None:
        generation = await ava.generate(order(scenario="rate_limited retry_after_s=1"))
        assert generation["status"] == "failed"
        assert generation["failure"]["code"] == "rate_limited"
        assert generation["attempts"] == await submitted(cloud, generation) == 5
        assert generation["cost"]["amount_micros"] == generation["cost"]["usd_micros"] == 0

    await asyncio.gather(
        mended("gpt-image-2", "rate_limited retry_after_s=1 times=1"),
        mended("sdxl", "rate_limited retry_after_s=1 times=1"),
        mended("gpt-image-2", "outage status=503 times=1"),
        mended("sdxl", "outage status=500 times=1"),
        lasting(),
    )


@pytest.mark.parametrize(
    ("model", "scenario", "code"),
    [
        ("gpt-image-2", "timeout_408", "timeout"),
        ("gpt-image-2", "unauthorized", "auth_or_config"),
        ("gpt-image-2", "provider_blocked", "provider_blocked"),
        ("gpt-image-2", "malformed", "malformed"),
        ("gpt-image-2", "not_an_image", "malformed"),
        ("gpt-image-2", "fewer_images", "malformed"),
        ("sdxl", "insufficient_credit", "quota_exhausted"),
        ("sdxl", "failed", "malformed"),
        ("sdxl", "aborted", "timeout"),
        ("flux-schnell", "expired_url", "malformed"),
        ("flux-schnell", "wrong_output_host", "malformed"),
        ("flux-schnell", "redirect_output", "malformed"),
        ("flux-schnell", "not_an_image", "malformed"),
    ],
)
async def test_definite_failure_is_told_and_booked_once(
    cloud: Cloud, ava: Person, model: str, scenario: str, code: str
) -> None:
    generation = await ava.generate(order(model, scenario))
    assert generation["status"] == "failed"
    assert generation["failure"]["code"] == code
    assert generation["images"] == []
    assert generation["attempts"] == 1
    billed, cost = await billed_usd_micros(cloud, generation), generation["cost"]
    assert billed <= cost["usd_micros"] <= generation["quote"]["usd_micros"]
    is_metered = scenario in ("fewer_images", "not_an_image", "failed")
    assert (cost["usd_micros"] == billed and not cost["estimated"]) or not is_metered


async def test_running_generation_is_shown_as_running(ava: Person) -> None:
    shown = await ava.submit(order(scenario="slow seconds=2"))
    running = await until(
        lambda: ava.generation(shown["id"]), lambda g: g["status"] != "queued", 10
    )
    assert running["status"] == "running"
    assert (await ava.ended_generation(shown["id"]))["status"] == "succeeded"


async def test_cancel_before_the_next_call_releases_the_money(cloud: Cloud, ava: Person) -> None:
    shown = await ava.submit(order(scenario="rate_limited retry_after_s=20"))
    await until(lambda: submitted(cloud, shown), lambda count: count == 1, 10)

    async def cancel() -> int:
        answer = await ava.delete(f"/generations/{shown['id']}")
        assert answer.status == 200 or answer.problem(409, "already_submitted")
        return answer.status

    # The refused call may still be writing down how it ended.
    await until(cancel, lambda status: status == 200, 10)
    canceled = await ava.generation(shown["id"])
    assert canceled["status"] == "canceled"
    assert canceled["cost"]["amount_micros"] == 0
    assert await cancel() == 200
    assert await submitted(cloud, canceled) == 1


async def test_cancel_at_once_either_stops_the_call_or_says_too_late(
    cloud: Cloud, ava: Person
) -> None:
    async def one() -> None:
        shown = await ava.submit(order())
        answer = await ava.delete(f"/generations/{shown['id']}")
        ended = await ava.ended_generation(shown["id"])
        calls = await submitted(cloud, ended)
        if answer.status == 200:
            assert (ended["status"], calls) == ("canceled", 0)
        else:
            assert answer.problem(409, "already_submitted")
            assert (ended["status"], calls) == ("succeeded", 1)

    await asyncio.gather(*(one() for _ in range(8)))


async def test_cancel_while_the_provider_works_is_too_late(ava: Person) -> None:
    shown = await ava.submit(order(scenario="slow seconds=2"))
    await until(lambda: ava.generation(shown["id"]), lambda g: g["status"] == "running", 10)
    for _ in range(3):  # asking again does not make it less paid for
        (await ava.delete(f"/generations/{shown['id']}")).problem(409, "already_submitted")
    assert (await ava.ended_generation(shown["id"]))["status"] == "succeeded"


async def test_cancel_after_the_end_is_refused(ava: Person) -> None:
    ended = await ava.generate(order())
    (await ava.delete(f"/generations/{ended['id']}")).problem(409, "already_ended")


async def test_correlation_id_of_the_caller_is_kept(ava: Person) -> None:
    answer = await ava.post("/generations", order(), {"x-correlation-id": "my-request.7"})
    assert answer.headers["x-correlation-id"] == "my-request.7"


async def test_generation_whose_orchestration_was_purged_is_not_started_again(
    own_cloud: Cloud, ava: Person
) -> None:
    ended = await ava.generate(order())
    hub = df.DurableOrchestrationClient(client_binding_text(own_cloud.host_url, "EigTaskHub"))
    await own_cloud.fire("OrchestrationPurge")  # what is new stays
    assert await hub.get_status(ended["id"])
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert await DurableOrchestrations(hub).purge_ended(tomorrow) >= 1
    assert not await hub.get_status(ended["id"])

    for sweep in ("LedgerSweep", "OverageSweep", "OrchestrationPurge"):
        await own_cloud.fire(sweep)
    await ava.generate(order())  # the sweeps have time meanwhile
    assert not await hub.get_status(ended["id"])
    assert await submitted(own_cloud, ended) == 1
    assert (await ava.get(f"/generations/{ended['id']}")).json() == ended
