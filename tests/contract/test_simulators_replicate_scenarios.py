"""The simulated Replicate: each scenario and what it costs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devhost.simulators.invoice import REPLICATE
from devhost.simulators.scenarios import ScenarioRule
from tests.contract.replicate_service import (
    DELAY_S,
    FLUX_PATH,
    RunningService,
    predict_time_usd_micros,
    running_service,
    tagged,
)

FLUX_USD_MICROS = 3000
NSFW_SDXL = "NSFW content detected. Try running it again, or try a different prompt."
NSFW_FLUX = (
    "All generated images contained NSFW content. Try running it again with a different prompt."
)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    async with running_service(tmp_path) as service:
        yield service


@pytest.mark.parametrize(
    ("tag", "status", "body"),
    [
        (
            "rate_limited retry_after_s=30",
            429,
            {"detail": "Request was throttled. Your rate limit resets in ~30s."},
        ),
        (
            "unauthorized",
            401,
            {
                "title": "Unauthenticated",
                "detail": "You did not pass a valid authentication token",
                "status": 401,
            },
        ),
        (
            "insufficient_credit",
            402,
            {
                "title": "Insufficient credit",
                "detail": "You have insufficient credit to run this model.",
                "status": 402,
            },
        ),
        (
            "outage status=502",
            502,
            {
                "title": "Service unavailable",
                "detail": "The service is not available.",
                "status": 502,
            },
        ),
    ],
)
async def test_refused_submission_is_counted_and_free(
    service: RunningService, tag: str, status: int, body: dict[str, Any]
) -> None:
    answer = await service.sdxl(tagged(tag))
    assert (answer.status, answer.json) == (status, body)
    if status == 429:
        assert answer.headers["retry-after"] == "30"
    service.advance(1000)
    assert service.lines() == []
    (submissions,) = service.state.invoice.submissions()
    assert (submissions["submitted"], submissions["billed"]) == (1, 0)
    assert service.state.outcomes == {f"replicate {tag.split(maxsplit=1)[0]}": 1}


@pytest.mark.parametrize(
    ("tag", "sdxl_error", "flux_error"),
    [
        ("nsfw", NSFW_SDXL, NSFW_FLUX),
        ("fewer_images missing=4", NSFW_SDXL, NSFW_FLUX),
        ("failed", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", None),
        ("content_filter", "(E005)", None),
    ],
)
async def test_failed_run_is_billed_for_sdxl_and_free_for_flux(
    service: RunningService, tag: str, sdxl_error: str, flux_error: str | None
) -> None:
    sdxl = await service.ended(await service.sdxl(tagged(tag), num_outputs=3))
    assert (sdxl["status"], sdxl["output"]) == ("failed", None)
    assert sdxl_error in sdxl["error"]
    flux = await service.ended(await service.flux(tagged(tag), num_outputs=3))
    assert flux["status"] == "failed"
    assert (flux_error or sdxl_error) in flux["error"]
    assert service.total_usd_micros() == predict_time_usd_micros(sdxl)


async def test_blocked_word_fails_as_flagged(service: RunningService) -> None:
    failed = await service.ended(await service.sdxl("a scene of gore"))
    assert "flagged as sensitive" in failed["error"]


async def test_slow_takes_the_seconds_asked_for(service: RunningService) -> None:
    created = await service.sdxl(tagged("slow seconds=100"))
    service.advance(99)
    assert (await service.poll(created))["status"] == "processing"
    service.advance(2)
    done = await service.poll(created)
    assert done["status"] == "succeeded"
    assert done["metrics"]["predict_time"] <= 3.0


async def test_slow_start_stays_queued(service: RunningService) -> None:
    created = await service.sdxl(tagged("slow_start seconds=40"))
    service.advance(39)
    assert (await service.poll(created))["status"] == "starting"
    service.advance(2)
    assert (await service.poll(created))["status"] == "processing"
    service.advance(DELAY_S)
    assert (await service.poll(created))["status"] == "succeeded"


async def test_aborted_is_free_and_never_starts(service: RunningService) -> None:
    created = await service.sdxl(tagged("aborted"))
    service.advance(DELAY_S - 1)
    assert (await service.poll(created))["status"] == "starting"
    service.advance(1)
    aborted = await service.poll(created)
    assert (aborted["status"], aborted["output"]) == ("aborted", None)
    assert "started_at" not in aborted
    assert service.lines() == []


async def test_fewer_images_bills_flux_for_what_it_delivers(service: RunningService) -> None:
    done = await service.ended(await service.flux(tagged("fewer_images"), num_outputs=3))
    assert len(done["output"]) == 2
    assert service.lines() == [("output_image", 2, 2 * FLUX_USD_MICROS)]


async def test_timeout_after_work_drops_the_connection_and_bills(service: RunningService) -> None:
    with pytest.raises(aiohttp.ClientError):
        await service.flux(tagged("timeout_after_work"))
    assert service.lines() == []
    service.advance(DELAY_S)
    assert service.lines() == [("output_image", 1, FLUX_USD_MICROS)]


@pytest.mark.parametrize(("shape", "start"), [("invalid_json", b'{"id": "'), ("empty", b"")])
async def test_malformed_submission_answer_is_billed_all_the_same(
    service: RunningService, shape: str, start: bytes
) -> None:
    prompt = tagged(f"malformed shape={shape}")
    async with service.session.post(
        f"{service.base_url}{FLUX_PATH}", json={"input": {"prompt": prompt}}
    ) as response:
        body = await response.read()
    assert response.status == 201
    assert body.startswith(start) and len(body) <= 20
    service.advance(DELAY_S)
    assert service.lines() == [("output_image", 1, FLUX_USD_MICROS)]


async def test_malformed_success_without_output_is_billed(service: RunningService) -> None:
    done = await service.ended(await service.sdxl(tagged("malformed shape=missing_data")))
    assert (done["status"], done["output"]) == ("succeeded", None)
    assert service.total_usd_micros() == predict_time_usd_micros(done)


async def test_oversized_picture_has_the_size_asked_for(service: RunningService) -> None:
    done = await service.ended(await service.flux(tagged("oversized mb=2")))
    assert len((await service.call("GET", done["output"][0])).body) == 2 * 1024 * 1024


async def test_not_an_image_is_html_with_the_type_of_a_picture(service: RunningService) -> None:
    done = await service.ended(await service.sdxl(tagged("not_an_image")))
    file = await service.call("GET", done["output"][0])
    assert file.body.startswith(b"<!doctype html>")
    assert file.headers["content-type"] == "image/png"


async def test_expired_url_answers_the_status_asked_for(service: RunningService) -> None:
    done = await service.ended(await service.sdxl(tagged("expired_url status=410")))
    assert (await service.call("GET", done["output"][0])).status == 410


async def test_wrong_output_host_names_another_host(service: RunningService) -> None:
    done = await service.ended(await service.sdxl(tagged("wrong_output_host host=evil.invalid")))
    assert done["output"] == [f"https://evil.invalid/pbxt/{done['id']}/out-0.png"]


async def test_redirect_output_leads_to_the_picture(service: RunningService) -> None:
    done = await service.ended(await service.sdxl(tagged("redirect_output")))
    redirect = await service.call("GET", done["output"][0])
    assert redirect.status == 302
    moved = await service.call("GET", redirect.headers["location"])
    assert (moved.status, moved.body[:4]) == (200, b"\x89PNG")


async def test_address_scenarios_keep_their_address_when_waited_for(tmp_path: Path) -> None:
    async with running_service(tmp_path, delay_s=0) as service:
        answer = await service.sdxl(tagged("redirect_output"), headers={"prefer": "wait"})
        assert answer.json["output"][0].startswith("http://")


async def test_rule_changes_the_next_submission_only(service: RunningService) -> None:
    service.state.scenarios.add(ScenarioRule(scenario="rate_limited", provider=REPLICATE, times=1))
    assert [(await service.sdxl()).status for _ in range(2)] == [429, 201]


async def test_times_counts_the_submissions_of_the_prompt(service: RunningService) -> None:
    prompt = tagged("outage times=1")
    assert [(await service.sdxl(prompt)).status for _ in range(2)] == [503, 201]


async def test_impossible_scenario_is_refused_with_a_sentence(service: RunningService) -> None:
    answer = await service.sdxl(tagged("timeout_408"))
    assert answer.status == 422
    assert "replicate has no scenario timeout_408" in answer.json["detail"]
