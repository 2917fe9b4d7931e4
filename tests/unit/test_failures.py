"""What error answers mean: waiting times, refusals, categories and failure classes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.providers.failures import (
    CATEGORIES_MAX,
    failure_of_status,
    is_checker_refusal,
    is_definite,
    is_output_refusal,
    is_refusal,
    is_resource_block,
    refusal_categories,
)
from shared.adapters.retry_after import RETRY_AFTER_S_MAX, parse_retry_after_s
from shared.domain.attempts import Failure
from tests.fakes.clock import FakeClock

DATE = "Sun, 22 Nov 2026 09:00:00 GMT"
OUR_CLOCK = FakeClock(datetime(2026, 11, 22, 9, 0, 10, tzinfo=UTC))
DATE_SHAPED = r"Sun, [0-9]{1,20} Nov [0-9]{1,20} [0-9]{1,20}:[0-9]{1,20}:00 [+-][0-9]{1,20}"


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({}, "", None),
        ({"retry-after": "7"}, "", 7.0),
        ({"retry-after": " 7 "}, "", 7.0),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"retry-after-ms": "1500"}, "", 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, "", 9.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:30 GMT", "date": DATE}, "", 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 08:59:00 GMT", "date": DATE}, "", 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:30 GMT"}, "", 20.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:30 GMT", "date": "today"}, "", 20.0),
        ({"retry-after": "Sunday, 22-Nov-26 09:00:30 GMT", "date": DATE}, "", 30.0),
        ({"retry-after": "Sun Nov 22 09:00:30 2026", "date": DATE}, "", 30.0),
        ({"retry-after": "Sun Nov  1 09:00:30 2026"}, "", 0.0),
        ({"retry-after": "Sunday, 22-Nov-26 09:00:30 GMT"}, "", 20.0),
        ({"retry-after": "2026-11-22T09:00:30Z"}, "", 20.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:30", "date": DATE}, "", 30.0),
        ({"retry-after": "tomorrow", "date": DATE}, "", None),
        ({"retry-after": f"Sun, 22 Nov {'9' * 20} 09:00:30 GMT", "date": DATE}, "", None),
        ({"retry-after": f"Sun, 22 Nov 2026 09:00:30 +{'9' * 20}", "date": DATE}, "", None),
        ({"retry-after": DATE, "date": f"Sun, 22 Nov 2026 09:00:30 +{'9' * 9}"}, "", 0.0),
        ({"retry-after": "-5"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "999999999"}, "", RETRY_AFTER_S_MAX),
        ({"retry-after": "9" * 5_000}, "", RETRY_AFTER_S_MAX),
        ({}, "Request was throttled. Your rate limit resets in ~30s.", 30.0),
        ({}, "Please retry after 12 seconds.", 12.0),
        ({"retry-after": "3"}, "Please retry after 12 seconds.", 3.0),
    ],
)
def test_parse_retry_after_reads_each_form(
    headers: dict[str, str], text: str, seconds: float | None
) -> None:
    assert parse_retry_after_s(headers, text, OUR_CLOCK) == seconds


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]),
        st.text() | st.from_regex(DATE_SHAPED, fullmatch=True),
    ),
    st.text(),
)
def test_parse_retry_after_never_raises(headers: dict[str, str], text: str) -> None:
    seconds = parse_retry_after_s(headers, text)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_S_MAX


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (["contentFilter"], ""),
        (["content_policy_violation"], ""),
        (["moderation_blocked"], ""),
        ([None, "ResponsibleAIPolicyViolation"], ""),
        (["400"], "Your task failed as a result of our safety system."),
        ([None], "Generated image was filtered as a result of our safety system."),
        ([None], "Your request was rejected by the safety system. Include the request ID."),
        ([None], "Your request was rejected as a result of our safety system."),
        ([None], "The model produced invalid content."),
    ],
)
def test_is_refusal_knows_each_spelling(codes: list[object], text: str) -> None:
    assert is_refusal(codes, text)


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        ([], ""),
        (["InvalidPayload"], "Invalid size."),
        ([{"code": "contentFilter"}], ""),
        (["unknown_parameter"], "Unknown parameter: 'seed'."),
        (["invalid_value"], "Invalid value for 'moderation'."),
    ],
)
def test_is_refusal_leaves_other_errors_alone(codes: list[object], text: str) -> None:
    assert not is_refusal(codes, text)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("NSFW content detected. Try running it again, or try a different prompt.", True),
        ("All generated images contained NSFW content.", True),
        ("The input or output was flagged as sensitive. (E005)", True),
        ("CUDA out of memory", False),
        ("KeyError: 'E0051'", False),
        ("", False),
    ],
)
def test_is_checker_refusal_reads_the_error_of_a_failed_run(text: str, refused: bool) -> None:
    assert is_checker_refusal(text) is refused


def test_is_output_refusal_tells_the_picture_from_the_prompt() -> None:
    assert is_output_refusal("Generated image was filtered as a result of our safety system.")
    assert not is_output_refusal("Your task failed as a result of our safety system.")


def test_is_resource_block_reads_the_whole_account_block() -> None:
    assert is_resource_block("Your resource has been temporarily blocked because we detected ...")
    assert not is_resource_block("Public access is disabled. Please configure private endpoint.")


def test_refusal_categories_come_from_text_and_details() -> None:
    text = "Your request was rejected. safety_violations=[violence, Self-Harm]."
    filters = {
        "content_filter_results": {
            "hate": {"filtered": True, "severity": "high"},
            "sexual": {"filtered": False},
            "violence": {"filtered": True},
            "jailbreak": {"detected": True},
        },
        "moderation_details": {"categories": ["sexual/minors", 5], "moderation_stage": "input"},
    }
    assert refusal_categories(text, filters, None, "text") == (
        "hate",
        "self-harm",
        "sexual/minors",
        "violence",
    )


def test_refusal_categories_are_few_and_harmless() -> None:
    text = "safety_violations=[" + ",".join(f"kind{n}" for n in range(40)) + ",<script>,]"
    categories = refusal_categories(text)
    assert len(categories) == CATEGORIES_MAX
    assert all("<" not in name for name in categories)
    assert refusal_categories("", {"content_filter_results": [], "moderation_details": 1}) == ()


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (307, Failure.AUTH_OR_CONFIG),
        (400, Failure.INVALID_REQUEST),
        (401, Failure.AUTH_OR_CONFIG),
        (402, Failure.QUOTA_EXHAUSTED),
        (403, Failure.AUTH_OR_CONFIG),
        (404, Failure.AUTH_OR_CONFIG),
        (408, Failure.TIMEOUT),
        (422, Failure.INVALID_REQUEST),
        (429, Failure.RATE_LIMITED),
        (500, Failure.TRANSIENT),
        (503, Failure.TRANSIENT),
    ],
)
def test_failure_of_status_maps_each_class(status: int, failure: Failure) -> None:
    assert failure_of_status(status) is failure


@pytest.mark.parametrize(
    ("status", "body", "definite"),
    [
        (400, None, True),
        (429, "text", True),
        (500, {"code": "InternalServerError"}, True),
        (503, {}, True),
        (502, "<html>bad gateway</html>", False),
        (503, None, False),
        (504, {"code": "GatewayTimeout"}, False),
        (499, {"code": "ClientClosedRequest"}, False),
        (101, None, False),
        (204, None, False),
        (999, {}, False),
    ],
)
def test_is_definite_doubts_gateways(status: int, body: object, definite: bool) -> None:
    assert is_definite(status, body) is definite
