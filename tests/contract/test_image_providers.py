"""One suite for every image provider: how each ending is reported, with the invoice as witness.

To join: rows in `provider_bench.TRIALS`. What only one provider does stands in the test modules of
its own (`test_image_providers_{provider}.py`) or, if the invoice is needed, at the end of this one.
"""

import asyncio

import pytest

from devhost.simulators.provenance import PNG_HEAD_BYTES, with_credentials
from shared.adapters import azure_http
from shared.adapters.providers import azure_openai_connection, sessions
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Unknown
from shared.domain.images import image_dimensions, sniff_image
from shared.domain.models import MODELS
from tests.contract.image_orders import bytes_of
from tests.contract.provider_bench import FAST_S, RETENTION_S, Bench, bench, server

__all__ = ["bench", "server"]  # the fixtures


async def test_generate_delivers_the_pictures_and_meters_what_is_billed(bench: Bench) -> None:
    count = bench.most(2)
    outcome = await bench.generate("A lighthouse at dawn", count=count)
    assert isinstance(outcome, Delivered) and outcome.usage is not None
    for image in outcome.images:
        data = await bytes_of(image)
        kind = sniff_image(data)
        assert kind is not None and kind.name == bench.order().output_format
        assert image_dimensions(data) == sides(bench.order().size)
    assert outcome.usage.images == len(outcome.images) == count
    assert await bench.quantities() == bench.trial.billed(outcome.usage)
    assert await bench.submissions("A lighthouse at dawn") == 1


async def test_generate_records_the_job_if_there_is_one(bench: Bench) -> None:
    outcome = await bench.generate("A lighthouse at dawn")
    assert isinstance(outcome, Delivered)
    assert bench.recorder.jobs == ([outcome.job_id] if bench.trial.has_jobs else [])
    assert (outcome.job_id is not None) is bench.trial.has_jobs


async def test_generate_honours_the_seed_where_the_model_has_one(bench: Bench) -> None:
    outcome = await bench.generate("A lighthouse at dawn", seed=1234)
    assert isinstance(outcome, Delivered)
    assert outcome.images[0].seed == (1234 if MODELS[bench.model].seed else None)


async def test_generate_makes_the_size_that_was_ordered(bench: Bench) -> None:
    sizes = MODELS[bench.model].sizes
    for size in [name for name in sizes if "x" in name][:3]:
        outcome = await bench.generate("A pier", size=size, provider_size=sizes[size])
        assert isinstance(outcome, Delivered)
        assert image_dimensions(await bytes_of(outcome.images[0])) == sides(size)


async def test_generate_hands_on_the_bytes_as_they_came(bench: Bench) -> None:
    formats = MODELS[bench.model].output_formats
    wanted = "png" if "png" in formats else "jpeg"
    prompt = "[[scenario:content_credentials]] A pier"
    outcome = await bench.generate(prompt, output_format=wanted)
    assert isinstance(outcome, Delivered)
    data = await bytes_of(outcome.images[0])
    # The manifest names the digest of the rest, so that a change of either would show.
    assert with_credentials(without_credentials(data)) == data


def without_credentials(data: bytes) -> bytes:
    """The picture without the chunk or segment that carries its manifest."""
    if data.startswith(b"\x89PNG"):
        length = int.from_bytes(data[PNG_HEAD_BYTES : PNG_HEAD_BYTES + 4], "big") + 12
        return data[:PNG_HEAD_BYTES] + data[PNG_HEAD_BYTES + length :]
    return data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]


async def test_generate_delivers_what_came_when_fewer_pictures_came(bench: Bench) -> None:
    count = bench.most(3)
    outcome = await bench.generate("[[scenario:fewer_images missing=1]] A pier", count=count)
    if count == 1:  # then none is left
        assert isinstance(outcome, NotDelivered)
        assert outcome.failure in (Failure.CONTENT_REJECTED, Failure.MALFORMED)
        return
    assert isinstance(outcome, Delivered)
    assert len(outcome.images) == count - 1


async def test_generate_reports_refused_content_and_what_it_costs(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:content_filter]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert outcome.failure is Failure.CONTENT_REJECTED
    billed = await bench.quantities()
    assert (outcome.billed is Billed.NOTHING) is (billed == {})
    if bench.trial.billed_by_time:
        assert outcome.usage is not None
        assert billed == bench.trial.billed(outcome.usage)


@pytest.mark.parametrize(
    ("scenario", "failure"),
    [
        ("rate_limited retry_after_s=3", Failure.RATE_LIMITED),
        ("unauthorized", Failure.AUTH_OR_CONFIG),
        ("outage", Failure.TRANSIENT),
        ("outage status=500", Failure.TRANSIENT),
    ],
)
async def test_generate_costs_nothing_when_the_provider_did_not_work(
    scenario: str, failure: Failure, bench: Bench
) -> None:
    prompt = f"[[scenario:{scenario}]] A pier"
    outcome = await bench.generate(prompt)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (failure, Billed.NOTHING)
    assert outcome.retry_after_s == (3.0 if failure is Failure.RATE_LIMITED else None)
    assert await bench.quantities() == {}
    is_asked_twice = failure is Failure.AUTH_OR_CONFIG and bench.trial.renews_token
    assert await bench.submissions(prompt) == (2 if is_asked_twice else 1)
    assert bench.recorder.jobs == []


async def test_generate_is_unknown_when_the_answer_is_lost_after_the_work(bench: Bench) -> None:
    prompt = "[[scenario:timeout_after_work]] A pier"
    outcome = await bench.generate(prompt)
    assert outcome == Unknown("connection_lost")
    assert await bench.submissions(prompt) == 1
    await asyncio.sleep(10 * FAST_S)
    assert await bench.quantities() != {}


async def test_generate_was_never_sent_when_nobody_listens(bench: Bench) -> None:
    outcome = await bench.unreachable.generate(bench.order(), bench.recorder)
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")


async def test_generate_was_never_sent_when_the_name_is_not_found_in_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    for module in (azure_http, azure_openai_connection, sessions):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.2)
    provider = bench.trial.provider_at("http://provider.invalid")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silence)
    async with asyncio.timeout(2):  # else it would be a lost answer, minutes later
        outcome = await provider.generate(bench.order(), bench.recorder)
    await provider.aclose()
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")


@pytest.mark.parametrize("shape", ["invalid_json", "missing_data", "empty"])
async def test_generate_never_books_less_than_the_bill_for_a_malformed_answer(
    shape: str, bench: Bench
) -> None:
    prompt = f"[[scenario:malformed shape={shape}]] A pier"
    outcome = await bench.generate(prompt, run_seconds_max=5)
    if isinstance(outcome, NotDelivered):
        assert outcome.failure is Failure.MALFORMED
        assert outcome.billed in (Billed.MAXIMUM, Billed.USAGE)
    else:
        assert isinstance(outcome, Unknown)
    assert await bench.submissions(prompt) == 1


async def test_generate_takes_no_text_for_a_picture(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:not_an_image]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert outcome.failure is Failure.MALFORMED
    assert outcome.billed in (Billed.MAXIMUM, Billed.USAGE)


async def test_generate_takes_no_picture_over_the_cap(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:oversized mb=51]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert outcome.failure is Failure.MALFORMED
    assert outcome.billed in (Billed.MAXIMUM, Billed.USAGE)


async def test_resume_never_submits(bench: Bench) -> None:
    prompt = "A lighthouse at dawn"
    first = await bench.generate(prompt)
    assert isinstance(first, Delivered)
    bill = await bench.quantities()
    for _ in range(2):
        resumed = await bench.provider.resume(bench.order(prompt), first.job_id or "no-job")
        if bench.trial.has_jobs:
            assert isinstance(resumed, Delivered)
            assert resumed.usage is not None and first.usage is not None
            assert bench.trial.billed(resumed.usage) == bench.trial.billed(first.usage)
            assert resumed.job_id == first.job_id
        else:
            assert isinstance(resumed, Unknown)
    assert await bench.submissions(prompt) == 1
    assert await bench.quantities() == bill


async def test_many_orders_at_once_are_each_submitted_once(bench: Bench) -> None:
    prompts = [f"A pier, study {number}" for number in range(8)]
    outcomes = await asyncio.gather(*(bench.generate(prompt) for prompt in prompts))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert [await bench.submissions(prompt) for prompt in prompts] == [1] * len(prompts)


REPLICATE = ["sdxl", "flux-schnell", "flux-1.1-pro"]
REPLICATE_ONLY = [
    ("nsfw", Failure.CONTENT_REJECTED, "picture_refused"),
    ("failed", Failure.MALFORMED, "run_failed"),
    ("expired_url", Failure.MALFORMED, "output_expired"),
    ("wrong_output_host", Failure.MALFORMED, "no_usable_picture"),
    ("redirect_output", Failure.MALFORMED, "no_usable_picture"),
    ("insufficient_credit", Failure.QUOTA_EXHAUSTED, "http_402"),
]


@pytest.mark.parametrize(("scenario", "failure", "reason"), REPLICATE_ONLY)
@pytest.mark.parametrize("bench", REPLICATE, indirect=True)
async def test_replicate_books_what_is_billed_for_a_run_without_pictures(
    scenario: str, failure: Failure, reason: str, bench: Bench
) -> None:
    outcome = await bench.generate(f"[[scenario:{scenario}]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.reason) == (failure, reason)
    billed = await bench.quantities()
    assert (outcome.billed is Billed.NOTHING) is (billed == {})
    if outcome.usage is not None:
        assert billed == bench.trial.billed(outcome.usage)


@pytest.mark.parametrize("bench", REPLICATE, indirect=True)
async def test_replicate_aborted_run_is_free(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:aborted]] A pier", run_seconds_max=5)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.TIMEOUT, Billed.NOTHING)
    assert await bench.quantities() == {}


@pytest.mark.parametrize("bench", ["sdxl"], indirect=True)
async def test_replicate_run_is_canceled_by_the_deadline_we_set(bench: Bench) -> None:
    prompt = "[[scenario:slow seconds=8]] A pier"
    running = asyncio.create_task(bench.generate(prompt, run_seconds_max=5))
    while not bench.recorder.jobs:
        await asyncio.sleep(FAST_S)
    bench.server.state.clock.advance(6)
    outcome = await running
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.CANCELED, Billed.USAGE)
    assert outcome.usage is not None
    assert await bench.quantities() == {"predict_time": int(outcome.usage.seconds * 1000)}


@pytest.mark.parametrize("bench", REPLICATE, indirect=True)
async def test_replicate_outputs_are_gone_after_the_retention_time(bench: Bench) -> None:
    first = await bench.generate("A pier")
    assert isinstance(first, Delivered) and first.job_id is not None
    bench.server.state.clock.advance(RETENTION_S)
    resumed = await bench.provider.resume(bench.order("A pier"), first.job_id)
    assert isinstance(resumed, NotDelivered)
    assert (resumed.billed, resumed.reason) == (Billed.USAGE, "output_expired")
    assert resumed.usage == first.usage


AZURE = ["gpt-image-2", "gpt-image-2.5-sunburst by-deployment"]


@pytest.mark.parametrize("bench", AZURE, indirect=True)
@pytest.mark.parametrize(
    ("scenario", "failure", "billed"),
    [
        ("provider_blocked", Failure.PROVIDER_BLOCKED, Billed.NOTHING),
        ("timeout_408", Failure.TIMEOUT, Billed.OUTPUT),
        ("content_filter shape=contentFilter", Failure.CONTENT_REJECTED, Billed.OUTPUT),
        ("content_filter shape=innererror", Failure.CONTENT_REJECTED, Billed.OUTPUT),
        ("content_filter shape=output_filtered", Failure.CONTENT_REJECTED, Billed.OUTPUT),
        (
            "content_filter shape=content_policy_violation",
            Failure.CONTENT_REJECTED,
            Billed.OUTPUT,
        ),
    ],
)
async def test_azure_openai_books_the_output_where_azure_bills_it(
    scenario: str, failure: Failure, billed: Billed, bench: Bench
) -> None:
    outcome = await bench.generate(f"[[scenario:{scenario}]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (failure, billed)
    assert ((await bench.quantities()) == {}) is (billed is Billed.NOTHING)


@pytest.mark.parametrize("bench", AZURE, indirect=True)
@pytest.mark.parametrize(
    "scenario", ["fewer_images", "not_an_image", "malformed shape=missing_data"]
)
async def test_azure_openai_books_what_it_metered_without_a_usable_picture(
    scenario: str, bench: Bench
) -> None:
    outcome = await bench.generate(f"[[scenario:{scenario}]] A pier")
    assert isinstance(outcome, NotDelivered) and outcome.usage is not None
    assert (outcome.failure, outcome.billed) == (Failure.MALFORMED, Billed.USAGE)
    metered = bench.trial.billed(outcome.usage)
    assert {kind: n for kind, n in metered.items() if n} == await bench.quantities()


def sides(size: str) -> tuple[int, int]:
    width, height = size.split("x")
    return int(width), int(height)


FIREFLY = ["firefly-image3", "firefly-image5"]
FIREFLY_ENDINGS = [
    ("content_451", Failure.CONTENT_REJECTED, Billed.NOTHING, "prompt_refused"),
    ("quota_exhausted", Failure.QUOTA_EXHAUSTED, Billed.NOTHING, "quota_exhausted"),
    ("not_entitled", Failure.AUTH_OR_CONFIG, Billed.NOTHING, "user_non_entitled"),
    (
        "not_entitled reason=invalid_ims_scope",
        Failure.AUTH_OR_CONFIG,
        Billed.NOTHING,
        "invalid_ims_scope",
    ),
    ("validation_error", Failure.INVALID_REQUEST, Billed.NOTHING, "http_422"),
    ("too_large_413", Failure.INVALID_REQUEST, Billed.NOTHING, "http_413"),
    ("wrong_type_415", Failure.INVALID_REQUEST, Billed.NOTHING, "http_415"),
    ("rate_limited", Failure.RATE_LIMITED, Billed.NOTHING, "http_429_org"),
    ("timeout_408", Failure.TIMEOUT, Billed.MAXIMUM, "http_408"),
    ("failed", Failure.MALFORMED, Billed.MAXIMUM, "run_failed"),
    ("job_timeout", Failure.TIMEOUT, Billed.MAXIMUM, "run_timed_out"),
    ("wrong_job_host", Failure.MALFORMED, Billed.MAXIMUM, "status_address_not_allowed"),
    ("expired_url", Failure.MALFORMED, Billed.USAGE, "output_expired"),
    ("wrong_output_host", Failure.MALFORMED, Billed.USAGE, "no_usable_picture"),
    ("redirect_output", Failure.MALFORMED, Billed.USAGE, "no_usable_picture"),
]


@pytest.mark.parametrize(("scenario", "failure", "billed", "reason"), FIREFLY_ENDINGS)
@pytest.mark.parametrize("bench", FIREFLY, indirect=True)
async def test_firefly_books_the_maximum_once_a_job_was_accepted(
    scenario: str, failure: Failure, billed: Billed, reason: str, bench: Bench
) -> None:
    outcome = await bench.generate(f"[[scenario:{scenario}]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed, outcome.reason) == (failure, billed, reason)
    bench.server.state.clock.advance(1)  # a job that we lost sight of runs to its end
    assert (await bench.usd_micros() == 0) is (billed is Billed.NOTHING)


@pytest.mark.parametrize("bench", FIREFLY, indirect=True)
async def test_firefly_refusal_in_a_job_costs_the_maximum_and_at_submission_nothing(
    bench: Bench,
) -> None:
    outcome = await bench.generate("[[scenario:content_filter]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.categories) == (Failure.CONTENT_REJECTED, ("prompt_unsafe",))
    on_submission = bench.model == "firefly-image5"
    assert outcome.billed is (Billed.NOTHING if on_submission else Billed.MAXIMUM)
    assert (await bench.quantities() == {}) is on_submission


@pytest.mark.parametrize("bench", FIREFLY, indirect=True)
async def test_firefly_says_when_words_were_left_out(bench: Bench) -> None:
    plain = await bench.generate("A pier")
    outcome = await bench.generate("[[scenario:denied_words]] A pier")
    assert isinstance(plain, Delivered) and isinstance(outcome, Delivered)
    assert (plain.warnings, outcome.warnings) == ((), ("prompt_has_denied_words",))


@pytest.mark.parametrize("bench", ["firefly-image3"], indirect=True)
async def test_firefly_names_the_seed_of_each_picture(bench: Bench) -> None:
    sent = await bench.generate("A pier", count=3, seed=2**32 - 2)
    assert isinstance(sent, Delivered)
    assert [image.seed for image in sent.images] == [2**32 - 2, 2**32 - 1, 0]
    unsent = await bench.generate("A pier", count=2)
    assert isinstance(unsent, Delivered)
    assert len({image.seed for image in unsent.images} - {None}) == 2


@pytest.mark.parametrize("bench", FIREFLY, indirect=True)
async def test_firefly_job_is_cancelled_at_our_deadline(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:slow seconds=60]] A pier", run_seconds_max=1)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.TIMEOUT, Billed.MAXIMUM)
    assert outcome.reason == "canceled"
    assert await bench.quantities() == {"firefly_image": 1}


@pytest.mark.parametrize("bench", FIREFLY, indirect=True)
async def test_firefly_token_that_has_ended_is_replaced_once(bench: Bench) -> None:
    first = await bench.generate("A pier")
    bench.server.state.clock.advance(25 * 3_600)  # the simulator's clock, not that of the token
    second = await bench.generate("A pier")
    assert isinstance(first, Delivered) and isinstance(second, Delivered)
    assert await bench.submissions("A pier") == 2
    assert second.job_id is not None
    # An hour later the pictures are gone, and with them what can be resumed.
    bench.server.state.clock.advance(RETENTION_S)
    resumed = await bench.provider.resume(bench.order("A pier"), second.job_id)
    assert isinstance(resumed, NotDelivered)
    assert (resumed.billed, resumed.reason) == (Billed.USAGE, "output_expired")
