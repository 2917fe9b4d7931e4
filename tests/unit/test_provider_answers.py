"""Answers of providers that may be anything: never an exception, never below what may be billed."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.providers.adobe_firefly_answers import (
    ENDINGS,
    SUCCEEDED,
    failed_job,
    is_status_path,
    outputs_of,
    refused_submission,
    status_url_of,
    warnings_of,
)
from shared.adapters.providers.azure_openai_answers import outcome_of_answer, outcome_of_error
from shared.adapters.providers.replicate_answers import (
    Ended,
    failed_run,
    inline_outputs,
    job_id_of,
)
from shared.adapters.providers.replicate_answers import refused_submission as refused_by_replicate
from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.attempts import Billed, Delivered, NotDelivered, Unknown
from shared.domain.provider_webhooks import Delivery, ended_job, read_delivery
from tests.contract.image_orders import order

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
WORDS = st.sampled_from(
    [
        *ENDINGS,
        "prompt_unsafe",
        "image_unsafe",
        "running",
        "error",
        "https://x.adobe.io/v3/status/1",
        "data:image/png;base64,",
    ]
)
KEYS = st.sampled_from(
    [
        "status",
        "error_code",
        "result",
        "outputs",
        "image",
        "url",
        "seed",
        "statusUrl",
        "links",
        "href",
        "promptHasDeniedWords",
        "id",
        "output",
        "error",
        "metrics",
        "predict_time",
        "logs",
        "data",
        "usage",
        "code",
        "message",
        "inner_error",
        "input_tokens",
    ]
)
ANYTHING = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, ANYTHING, max_size=6)
STATUSES = st.sampled_from([400, 401, 403, 408, 429, 451, 500, 504]) | st.integers(300, 599)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date", "x-access-error", "x-access-rate-limit-level"]),
    st.text(max_size=40),
)
SDXL = order("sdxl", count=3)
FLUX = order("flux-1.1-pro")


@given(answer=ANYTHING, status=STATUSES, headers=HEADERS)
def test_firefly_submission_is_refused_for_nothing_or_the_maximum(
    answer: Any, status: int, headers: dict[str, str]
) -> None:
    outcome = refused_submission(status, headers, answer)
    if isinstance(outcome, NotDelivered):
        assert outcome.billed is (
            Billed.MAXIMUM if outcome.reason == "http_408" else Billed.NOTHING
        )
    else:
        assert outcome == Unknown("gateway_error")


@given(job=OBJECTS)
def test_firefly_job_without_pictures_is_never_booked_below_the_maximum(job: Any) -> None:
    if job.get("status") != SUCCEEDED:
        assert failed_job(job, "job").billed is Billed.MAXIMUM
    assert len(outputs_of(job, 2)) <= 2
    assert set(warnings_of(job)) <= {"prompt_has_denied_words", "prompt_has_blocked_artists"}


@given(answer=ANYTHING)
def test_firefly_address_is_text_or_nothing(answer: Any) -> None:
    url = status_url_of(answer)
    assert url is None or isinstance(url, str)


@given(path=st.text(max_size=80) | st.from_regex(r"(/[a-z.%/-]{1,9}){0,3}/v3/status/.{0,9}"))
def test_firefly_status_path_has_no_way_out(path: str) -> None:
    if is_status_path(path):
        assert ".." not in path.split("/") and "?" not in path and "%" not in path
        assert path.count("/status/") >= 1


@given(answer=OBJECTS)
def test_replicate_run_that_failed_is_free_only_where_that_is_told(answer: Any) -> None:
    for wanted in (SDXL, FLUX):
        ended = Ended(wanted, "job", answer)
        outcome = failed_run(ended)
        if not ended.per_picture and answer.get("started_at"):
            assert outcome.billed is not Billed.NOTHING
        assert len(ended.addresses()) <= wanted.count
        assert (ended.usage(1) is None) <= (not ended.per_picture)
    assert all(text.startswith("data:") for text in inline_outputs(answer))


@given(answer=ANYTHING, status=STATUSES, headers=HEADERS)
def test_replicate_submission_has_an_end_whatever_was_answered(
    answer: Any, status: int, headers: dict[str, str]
) -> None:
    named = job_id_of(answer)
    assert isinstance(named, str) or named.billed is Billed.MAXIMUM
    outcome = refused_by_replicate(status, headers, answer)
    assert isinstance(outcome, Unknown) or outcome.billed is Billed.NOTHING


@given(answer=ANYTHING, status=STATUSES, headers=HEADERS)
async def test_azure_answer_has_an_end_whatever_it_is(
    answer: Any, status: int, headers: dict[str, str]
) -> None:
    outcome_of_error(status, answer, headers, None)
    outcome = await outcome_of_answer(json.loads(json.dumps(answer)), 2, None)
    if not isinstance(outcome, Delivered):
        assert isinstance(outcome, NotDelivered)
        assert outcome.billed is (Billed.MAXIMUM if outcome.usage is None else Billed.USAGE)


@given(headers=HEADERS, text=st.text(max_size=60))
def test_waiting_time_is_bounded_whatever_is_asked_for(headers: dict[str, str], text: str) -> None:
    seconds = parse_retry_after_s(headers, text)
    assert seconds is None or 0 <= seconds <= 3_600


def test_waiting_time_may_be_a_date_of_either_kind() -> None:
    date = "Sun, 22 Nov 2026 10:00:00 GMT"
    http = {"date": date, "retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}
    iso = {"date": date, "retry-after": "2026-11-22T10:00:30Z"}
    assert parse_retry_after_s(http) == parse_retry_after_s(iso) == 30.0
    assert parse_retry_after_s({"date": date, "retry-after": "2026-11-22T10:00:30"}) is None


@given(body=st.binary(max_size=60) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_webhook_names_a_job_or_nothing(body: bytes) -> None:
    job_id = ended_job(Delivery("msg_1", 0, (), body))
    assert job_id is None or (job_id.isalnum() and len(job_id) <= 64)


@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text(max_size=30),
    )
)
def test_webhook_headers_are_a_delivery_or_nothing(headers: dict[str, str]) -> None:
    delivery = read_delivery(headers, b"")
    assert delivery is None or ("." not in delivery.event_id and delivery.timestamp_s >= 0)
