"""The simulated Replicate: the shapes of its answers, and the life of a prediction."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from devhost.simulators.replicate_inputs import SDXL_VERSION
from tests.contract.replicate_service import (
    DELAY_S,
    PROMPT,
    SDXL_PATH,
    HeldClock,
    RunningService,
    predict_time_usd_micros,
    running_service,
)

FLUX_USD_MICROS = 3000
SDXL_INPUT = {"prompt": PROMPT}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    async with running_service(tmp_path) as service:
        yield service


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


async def test_created_prediction_has_the_recorded_shape(service: RunningService) -> None:
    answer = await service.sdxl(seed=42069, width=512, height=512)
    assert answer.status == 201
    assert answer.headers["ratelimit-remaining"] == "599"
    assert answer.headers["ratelimit-reset"] == "1"
    prediction_id = answer.json["id"]
    assert len(prediction_id) == 26 and prediction_id.isalnum()
    get_url = f"{service.base_url}/predictions/{prediction_id}"
    assert answer.json == {
        "id": prediction_id,
        "model": "stability-ai/sdxl",
        "version": SDXL_VERSION,
        "input": {"prompt": PROMPT, "seed": 42069, "width": 512, "height": 512},
        "logs": "",
        "output": None,
        "data_removed": False,
        "error": None,
        "status": "starting",
        "created_at": "2027-01-15T08:00:00.000000Z",
        "urls": {"get": get_url, "cancel": f"{get_url}/cancel"},
    }


async def test_prediction_moves_from_starting_to_succeeded_with_the_clock(
    service: RunningService,
) -> None:
    created = await service.sdxl(seed=7, num_outputs=2)
    service.advance(1.9)
    assert (await service.poll(created))["status"] == "starting"
    service.advance(0.2)
    processing = await service.poll(created)
    assert (processing["status"], processing["output"]) == ("processing", None)
    assert processing["started_at"] == "2027-01-15T08:00:02.000000Z"
    assert service.lines() == []
    service.advance(DELAY_S)
    done = await service.poll(created)
    assert done["status"] == "succeeded"
    assert done["completed_at"] == "2027-01-15T08:00:10.000000Z"
    assert done["logs"].startswith("Using seed: 7\n")
    assert 2.4 <= done["metrics"]["predict_time"] <= 6.0
    assert service.total_usd_micros() == predict_time_usd_micros(done)


async def test_sdxl_output_is_a_png_of_the_size_asked_for(service: RunningService) -> None:
    done = await service.ended(await service.sdxl(width=1216, height=832, num_outputs=2))
    files = [await service.call("GET", address) for address in done["output"]]
    assert [file.headers["content-type"] for file in files] == ["image/png"] * 2
    assert [picture(file.body).size for file in files] == [(1216, 832)] * 2
    assert files[0].body != files[1].body
    again = await service.call("GET", done["output"][0], headers={"authorization": ""})
    assert again.body == files[0].body


@pytest.mark.parametrize(
    ("values", "size", "file_format", "extension"),
    [
        ({}, (1024, 1024), "WEBP", "webp"),
        ({"aspect_ratio": "16:9", "output_format": "jpg"}, (1344, 768), "JPEG", "jpg"),
        ({"aspect_ratio": "9:16", "output_format": "png"}, (768, 1344), "PNG", "png"),
        ({"aspect_ratio": "3:2", "megapixels": "0.25"}, (608, 416), "WEBP", "webp"),
    ],
)
async def test_flux_output_has_the_size_and_format_asked_for(
    service: RunningService,
    values: dict[str, Any],
    size: tuple[int, int],
    file_format: str,
    extension: str,
) -> None:
    done = await service.ended(await service.flux(**values))
    assert done["version"] == "hidden"
    (address,) = done["output"]
    assert address.endswith(f"/out-0.{extension}")
    made = picture((await service.call("GET", address)).body)
    assert (made.size, made.format) == (size, file_format)


async def test_flux_is_billed_by_picture(service: RunningService) -> None:
    await service.ended(await service.flux(num_outputs=3))
    assert service.lines() == [("output_image", 3, 3 * FLUX_USD_MICROS)]


async def test_bill_is_dated_with_the_end_and_made_once_whoever_polls(
    service: RunningService,
) -> None:
    created = await service.sdxl()
    service.advance(500)
    for _ in range(3):
        await service.poll(created)
    service.lines()
    (line,) = service.state.invoice.as_json("replicate")["lines"]
    assert line["at"] == "2027-01-15T08:00:10.000000Z"
    assert line["job_id"] == line["request_id"] == created.json["id"]
    (submissions,) = service.state.invoice.submissions()
    assert (submissions["submitted"], submissions["billed"]) == (1, 1)


async def test_predict_time_depends_on_prompt_and_seed_and_not_on_the_delay(
    service: RunningService, tmp_path: Path
) -> None:
    slow = await service.ended(await service.sdxl(seed=1))
    other_seed = await service.ended(await service.sdxl(seed=2))
    async with running_service(tmp_path / "second", delay_s=0) as second:
        fast = (await second.sdxl(seed=1)).json
    assert fast["status"] == "succeeded"
    assert fast["metrics"]["predict_time"] == slow["metrics"]["predict_time"]
    assert other_seed["metrics"]["predict_time"] != slow["metrics"]["predict_time"]


async def test_seed_is_chosen_and_logged_if_none_is_sent(service: RunningService) -> None:
    first = await service.ended(await service.flux())
    second = await service.ended(await service.flux())
    assert first["logs"] != second["logs"]
    assert first["logs"] == (await service.call("GET", first["urls"]["get"])).json["logs"]


async def test_output_is_deleted_an_hour_after_the_end(service: RunningService) -> None:
    done = await service.ended(await service.sdxl())
    service.advance(3599)
    assert (await service.call("GET", done["output"][0])).status == 200
    service.advance(2)
    assert (await service.call("GET", done["output"][0])).status == 404
    removed = (await service.call("GET", done["urls"]["get"])).json
    assert (removed["status"], removed["data_removed"]) == ("succeeded", True)
    assert (removed["output"], removed["logs"], removed["input"]) == (None, None, {})
    assert removed["metrics"] == done["metrics"]


@pytest.mark.parametrize("name", ["out-1.png", "out-0.webp", "out-0", "../out-0.png"])
async def test_delivery_answers_404_for_a_file_that_was_not_made(
    service: RunningService, name: str
) -> None:
    done = await service.ended(await service.sdxl())
    folder = done["output"][0].removesuffix("out-0.png")
    assert (await service.call("GET", folder + name)).status == 404


async def test_delivery_answers_404_before_the_end(service: RunningService) -> None:
    created = await service.sdxl()
    address = f"{service.state.options.origin}/replicate-delivery/{created.json['id']}/out-0.png"
    assert (await service.call("GET", address)).status == 404


@pytest.mark.parametrize("authorization", ["", "Bearer wrong-token", "Basic r8_test", "Bearer "])
async def test_call_without_a_good_token_is_refused_as_recorded(
    service: RunningService, authorization: str
) -> None:
    answer = await service.sdxl(headers={"authorization": authorization})
    assert answer.status == 401
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json == {
        "title": "Unauthenticated",
        "detail": "You did not pass a valid authentication token",
        "status": 401,
    }
    assert service.state.invoice.submissions() == []


async def test_token_scheme_is_accepted(service: RunningService) -> None:
    assert (await service.sdxl(headers={"authorization": "Token r8_test"})).status == 201


@pytest.mark.parametrize(
    "version",
    [SDXL_VERSION, f"stability-ai/sdxl:{SDXL_VERSION}", "black-forest-labs/flux-schnell"],
)
async def test_version_names_a_model(service: RunningService, version: str) -> None:
    body = {"version": version, "input": SDXL_INPUT}
    answer = await service.call("POST", SDXL_PATH, json=body)
    assert answer.status == 201
    assert answer.json["model"] == (
        "black-forest-labs/flux-schnell" if "flux" in version else "stability-ai/sdxl"
    )


@pytest.mark.parametrize("version", ["stability-ai/sdxl", "0" * 64, ""])
async def test_unknown_version_is_refused(service: RunningService, version: str) -> None:
    body = {"version": version, "input": SDXL_INPUT}
    answer = await service.call("POST", SDXL_PATH, json=body)
    assert (answer.status, answer.json["title"]) == (422, "Invalid version or not permitted")


async def test_sdxl_is_not_an_official_model(service: RunningService) -> None:
    path = "/models/stability-ai/sdxl/predictions"
    assert (await service.call("POST", path, json={"input": SDXL_INPUT})).status == 404


async def test_unknown_prediction_answers_404(service: RunningService) -> None:
    assert (await service.call("GET", "/predictions/abc")).status == 404
    assert (await service.call("POST", "/predictions/abc/cancel")).status == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/predictions"), ("GET", "/account"), ("POST", "/files")]
)
async def test_other_calls_answer_501(service: RunningService, method: str, path: str) -> None:
    answer = await service.call(method, path)
    assert answer.status == 501
    assert answer.json["detail"] == f"{method} /replicate/v1{path} is not emulated."


async def test_webhook_secret_is_a_signing_key(service: RunningService) -> None:
    key = (await service.call("GET", "/webhooks/default/secret")).json["key"]
    assert len(base64.b64decode(key.removeprefix("whsec_"), validate=True)) >= 24


async def test_cancel_stops_a_run_and_bills_its_time(service: RunningService) -> None:
    created = await service.sdxl()
    service.advance(5.5)
    canceled = await service.call("POST", created.json["urls"]["cancel"])
    assert canceled.status == 200
    assert canceled.headers["ratelimit-remaining"] == "2999"
    assert canceled.json["status"] == "canceled"
    assert canceled.json["metrics"] == {"predict_time": 3.5, "total_time": 5.5}
    assert canceled.json["output"] is None
    service.advance(100)
    assert await service.poll(created) == canceled.json
    assert service.lines() == [("predict_time", 3500, 3413)]


async def test_cancel_before_the_start_is_free(service: RunningService) -> None:
    created = await service.sdxl()
    service.advance(1)
    canceled = (await service.call("POST", created.json["urls"]["cancel"])).json
    assert (canceled["status"], "started_at" in canceled) == ("canceled", False)
    service.advance(100)
    assert service.lines() == []


async def test_cancel_after_the_end_changes_nothing(service: RunningService) -> None:
    created = await service.sdxl()
    done = await service.ended(created)
    canceled = await service.call("POST", created.json["urls"]["cancel"])
    assert (canceled.status, canceled.json) == (200, done)
    assert service.total_usd_micros() == predict_time_usd_micros(done)


async def test_canceled_flux_is_free(service: RunningService) -> None:
    created = await service.flux()
    service.advance(5)
    await service.call("POST", created.json["urls"]["cancel"])
    assert service.lines() == []


@pytest.mark.parametrize("deadline", ["6s", "6", "0m6s"])
async def test_deadline_during_the_run_cancels_and_bills_the_time(
    service: RunningService, deadline: str
) -> None:
    canceled = await service.ended(await service.sdxl(headers={"cancel-after": deadline}))
    assert (canceled["status"], canceled["metrics"]["predict_time"]) == ("canceled", 4.0)
    assert canceled["completed_at"] == "2027-01-15T08:00:06.000000Z"
    assert service.lines() == [("predict_time", 4000, 3900)]


async def test_deadline_before_the_start_aborts_for_free(service: RunningService) -> None:
    prompt = f"{PROMPT} [[scenario:slow_start seconds=90]]"
    created = await service.sdxl(prompt, headers={"cancel-after": "1m"})
    service.advance(59)
    assert (await service.poll(created))["status"] == "starting"
    service.advance(2)
    aborted = await service.poll(created)
    assert (aborted["status"], aborted["metrics"]) == ("aborted", {"total_time": 60.0})
    service.advance(100)
    assert service.lines() == []


async def test_billed_time_stays_within_the_deadline(tmp_path: Path) -> None:
    async with running_service(tmp_path, delay_s=0) as service:
        answers = [
            await service.sdxl(seed=seed, num_outputs=4, headers={"cancel-after": "5s"})
            for seed in range(8)  # 4.8 to 12 s each, if there were no deadline
        ]
        times = [answer.json["metrics"]["predict_time"] for answer in answers]
        assert max(times) == 5.0
        assert {answer.json["status"] for answer in answers} == {"succeeded"}


async def test_deadline_after_the_end_changes_nothing(service: RunningService) -> None:
    done = await service.ended(await service.sdxl(headers={"cancel-after": "1h"}))
    assert done["status"] == "succeeded"


@pytest.mark.parametrize(
    ("prefer", "applied"), [("wait", "wait"), ("wait=10", "wait=10"), ("wait=60", "wait=60")]
)
async def test_wait_answers_processing_with_inline_pictures_as_recorded(
    tmp_path: Path, prefer: str, applied: str
) -> None:
    async with running_service(tmp_path, delay_s=0) as service:
        answer = await service.sdxl(headers={"prefer": prefer}, num_outputs=2)
        assert (answer.status, answer.headers["preference-applied"]) == (201, applied)
        assert (answer.json["status"], answer.json["logs"]) == ("processing", "")
        assert not {"completed_at", "metrics", "started_at"} & set(answer.json)
        done = await service.poll(answer)
        assert done["status"] == "succeeded"
        for inline, address in zip(answer.json["output"], done["output"], strict=True):
            head, _, data = inline.partition(",")
            assert head == "data:image/png;base64"
            assert base64.b64decode(data) == (await service.call("GET", address)).body
        assert service.total_usd_micros() == predict_time_usd_micros(done)


async def test_wait_answers_202_with_the_state_reached_when_the_time_is_up(
    service: RunningService,
) -> None:
    held = asyncio.create_task(service.flux(headers={"prefer": "wait=1"}))
    await asyncio.sleep(0.2)
    service.advance(3)
    answer = await held
    assert (answer.status, answer.json["status"]) == (202, "processing")
    assert answer.json["output"] is None


async def test_wait_answers_a_failed_run_as_it_is(tmp_path: Path) -> None:
    async with running_service(tmp_path, delay_s=0) as service:
        answer = await service.flux(f"{PROMPT} [[scenario:failed]]", headers={"prefer": "wait"})
        assert (answer.status, answer.json["status"]) == (201, "failed")


async def test_predictions_and_bills_survive_a_restart(tmp_path: Path) -> None:
    clock = HeldClock()
    async with running_service(tmp_path, clock) as service:
        billed = await service.ended(await service.sdxl())
        running = await service.sdxl(seed=3, num_outputs=4)
        canceled = await service.flux()
        await service.call("POST", canceled.json["urls"]["cancel"])
    clock.advance(DELAY_S)
    async with running_service(tmp_path, clock) as service:
        done = (await service.call("GET", f"/predictions/{running.json['id']}")).json
        assert done["status"] == "succeeded"
        assert len(done["output"]) == 4
        assert (await service.call("GET", done["output"][3])).status == 200
        again = (await service.call("GET", f"/predictions/{canceled.json['id']}")).json
        assert again["status"] == "canceled"
        expected = predict_time_usd_micros(billed) + predict_time_usd_micros(done)
        assert service.total_usd_micros() == expected


async def test_prediction_survives_a_connection_that_was_never_closed(tmp_path: Path) -> None:
    clock = HeldClock()
    async with running_service(tmp_path, clock) as first:
        created = await first.flux()
        async with running_service(tmp_path, clock) as second:  # a kill leaves the first one open
            second.advance(DELAY_S)
            path = f"/predictions/{created.json['id']}"
            assert (await second.call("GET", path)).json["status"] == "succeeded"
            assert second.total_usd_micros() == FLUX_USD_MICROS
        assert first.total_usd_micros() == FLUX_USD_MICROS
