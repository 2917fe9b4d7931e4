"""Replicate: following a job through faults, and fetching its pictures from safe places only."""

from collections.abc import AsyncIterator

import pytest

from shared.adapters.providers import fetching, replicate
from shared.adapters.providers.fetching import is_allowed_address
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Unknown
from tests.contract.image_orders import Recorder, order, png
from tests.contract.replicate_server import (
    JOB,
    PICTURE,
    POLL,
    SDXL,
    STARTING,
    SUBMIT,
    ended,
    poll_gives,
    problem,
    replicate_provider,
    replicate_server,
)
from tests.contract.scripted_server import Answer, ScriptedServer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with replicate_server() as server:
        yield server


@pytest.fixture
async def provider(server: ScriptedServer) -> AsyncIterator[ReplicateProvider]:
    async with replicate_provider(server) as provider:
        yield provider


async def test_generate_delivers_no_more_than_was_ordered(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended(output=[server.origin + PICTURE] * 3))
    outcome = await provider.generate(order("sdxl", count=2), Recorder())
    assert isinstance(outcome, Delivered) and len(outcome.images) == 2


DOWNLOADS: dict[str, tuple[Answer, str]] = {
    "expired_403": (Answer(403, b"<Error>expired</Error>"), "output_expired"),
    "gone_404": (Answer(404, b""), "output_expired"),
    "redirect": (Answer(302, b"", {"location": "/elsewhere"}), "no_usable_picture"),
    "no_picture": (Answer(body=b"hello"), "no_usable_picture"),
    "too_large": (Answer(body=png().ljust(2_000, b"\0")), "no_usable_picture"),
    "too_large_unsaid": (
        Answer(body=png().ljust(2_000, b"\0"), ending="no_length"),
        "no_usable_picture",
    ),
}


@pytest.mark.parametrize("kind", DOWNLOADS)
async def test_generate_is_billed_but_without_picture_when_the_download_is_no_good(
    kind: str,
    server: ScriptedServer,
    provider: ReplicateProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "IMAGE_BYTES_MAX", 1_000)
    answer, reason = DOWNLOADS[kind]
    server.answers(PICTURE, answer)
    poll_gives(server, ended(output=[server.origin + PICTURE]))
    outcome = await provider.generate(SDXL, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed, outcome.reason) == (
        Failure.MALFORMED,
        Billed.USAGE,
        reason,
    )
    assert [seen.path for seen in server.seen][-1] == PICTURE


@pytest.mark.parametrize(
    "answer", [Answer(503, b""), Answer(429, b""), Answer(ending="reset"), Answer(ending="cut_off")]
)
async def test_generate_stays_open_when_a_picture_may_still_be_fetched(
    answer: Answer, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    second = "/pbxt/out-1.png"
    server.answers(second, answer)
    poll_gives(server, ended(output=[server.origin + PICTURE, server.origin + second]))
    wanted = order("sdxl", count=2)
    assert await provider.generate(wanted, Recorder()) == Unknown("output_unreachable", JOB)
    server.answers(second, Answer(body=png(9, 9)))
    resumed = await provider.resume(wanted, JOB)
    assert isinstance(resumed, Delivered) and len(resumed.images) == 2
    assert server.count("POST") == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.attacker.invalid/out.png",
        "https://replicate.delivery.attacker.invalid/out.png",
        "http://127.0.0.1:9/out.png",
        "http://169.254.169.254/metadata",
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1/out.png",
        "http://[",
        "data:text/html;base64,PGI+",
        "data:image/png,raw",
        "data:image/png;base64,%%%",
        "",
    ],
)
async def test_generate_fetches_nothing_from_other_addresses(
    url: str, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended(output=[url]))
    outcome = await provider.generate(SDXL, Recorder())
    assert isinstance(outcome, NotDelivered) and outcome.reason == "no_usable_picture"
    assert {seen.path for seen in server.seen} == {SUBMIT, POLL}


async def test_resume_rides_out_faults_while_polling(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    server.answers(
        POLL,
        Answer(503, b""),
        Answer(429, problem("throttled"), {"retry-after-ms": "20"}),
        Answer(ending="reset"),
        Answer(body=b"<html>"),
        Answer(body={"status": "brand_new_status"}),
        Answer(body=ended("canceled")),
    )
    outcome = await provider.resume(SDXL, JOB)
    assert isinstance(outcome, NotDelivered) and outcome.failure is Failure.CANCELED
    assert server.count("POST") == 0


async def test_resume_tolerates_unreadable_polls_that_are_not_in_a_row(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    unreadable, readable = Answer(body=b"<html>"), Answer(body=STARTING)
    twice = [unreadable, unreadable, readable]
    server.answers(POLL, *twice, *twice, Answer(body=ended("canceled")))
    assert isinstance(await provider.resume(SDXL, JOB), NotDelivered)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(401, problem("Unauthenticated")), "poll_http_401"),
        (Answer(404, problem("Not found")), "poll_http_404"),
        (Answer(302, b"", {"location": "/v1/predictions"}), "poll_http_302"),
        (Answer(body=b"<html>"), "unreadable_job"),
    ],
)
async def test_resume_leaves_the_outcome_open_when_it_cannot_see_the_job(
    answer: Answer, reason: str, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    server.answers(POLL, answer)
    assert await provider.resume(SDXL, JOB) == Unknown(reason, JOB)


async def test_resume_gives_up_at_the_deadline(
    server: ScriptedServer, provider: ReplicateProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate, "FOLLOW_GRACE_S", 0.1)
    poll_gives(server, STARTING)
    stuck = order("sdxl", run_seconds_max=0)
    assert await provider.resume(stuck, JOB) == Unknown("not_finished_in_time", JOB)


async def test_resume_puts_no_foreign_text_into_an_address(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    assert await provider.resume(SDXL, "../x") == Unknown("malformed_job_id", "../x")
    assert server.seen == []


async def test_a_closed_provider_opens_new_connections(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended("canceled"))
    await provider.resume(SDXL, JOB)
    await provider.aclose()
    await provider.aclose()
    assert isinstance(await provider.resume(SDXL, JOB), NotDelivered)


HOSTS = frozenset({"replicate.delivery", "*.replicate.delivery", "127.0.0.1:9400"})


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://replicate.delivery/pbxt/out.png", True),
        ("https://replicate.delivery:443/out.png", True),
        ("https://pbxt.replicate.delivery/out.png", True),
        ("http://127.0.0.1:9400/out.png", True),
        ("http://replicate.delivery/out.png", False),
        ("https://replicate.delivery:8443/out.png", False),
        ("https://127.0.0.1/out.png", False),
        ("https://evilreplicate.delivery/out.png", False),
        ("https://replicate.delivery.evil.example/out.png", False),
        ("https://replicate.delivery@evil.example/out.png", False),
        ("https://user@replicate.delivery/out.png", False),
        ("https:///out.png", False),
        ("https://replicate.delivery:port/out.png", False),
        ("https://a..replicate.delivery/out.png", False),
        ("https://.replicate.delivery/out.png", False),
        (f"https://{'a' * 64}.replicate.delivery/out.png", False),
        ("https://" + "a." * 130 + "replicate.delivery/out.png", False),
        ("https://replicate.delivery/" + "a" * 5_000, False),
    ],
)
def test_is_allowed_address_needs_https_and_a_listed_host(url: str, allowed: bool) -> None:
    assert is_allowed_address(url, HOSTS) is allowed
