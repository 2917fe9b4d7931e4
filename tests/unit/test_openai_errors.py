"""Our refusals as a client of OpenAI meets them."""

import json

import pytest

from functions.http_openai_errors import openai_problem
from shared.errors import (
    BudgetExceeded,
    Conflict,
    EigError,
    FieldFault,
    Frozen,
    Invalid,
    NotFound,
    PeriodNotOpen,
    PolicyDenied,
    RateLimited,
    Rejected,
    Unauthenticated,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "repeated"),
    [
        (BudgetExceeded("x"), 429, "insufficient_quota", "insufficient_quota", False),
        (RateLimited("x", retry_after_s=3), 429, "requests", "rate_limit_exceeded", True),
        (RateLimited("never at once"), 429, "requests", "rate_limit_exceeded", False),
        (NotFound("x", code="unknown_model"), 404, "invalid_request_error", "model_not_found", 0),
        (Invalid("x", code="model_retired"), 404, "invalid_request_error", "model_not_found", 0),
        (
            Rejected("x", code="content_rejected"),
            400,
            "image_generation_user_error",
            "moderation_blocked",
            False,
        ),
        (
            Rejected("x", code="privacy_blocked"),
            400,
            "image_generation_user_error",
            "content_policy_violation",
            False,
        ),
        (Unauthenticated("x"), 401, "invalid_request_error", "invalid_api_key", False),
        (PolicyDenied("x"), 403, "permission_error", "policy_denied", False),
        (Frozen("x"), 403, "permission_error", "frozen", False),
        (Frozen("x", retry_after_s=60), 403, "permission_error", "frozen", True),
        (
            Conflict("x", code="awaiting_approval"),
            409,
            "invalid_request_error",
            "awaiting_approval",
            False,
        ),
        (Conflict("x", code="deferred"), 409, "invalid_request_error", "deferred", False),
        (PeriodNotOpen("x"), 409, "invalid_request_error", "period_not_open", False),
        (Unavailable("x", code="not_ready"), 504, "server_error", "not_ready", True),
        (Unavailable("x"), 503, "server_error", "unavailable", True),
        (EigError("x"), 500, "server_error", "internal", False),
        # the end of a generation that its provider limited is final
        (EigError("x", code="rate_limited"), 429, "requests", "rate_limit_exceeded", False),
    ],
)
def test_refusal_has_the_form_and_advice_that_clients_act_on(
    error: EigError, status: int, kind: str, code: str, repeated: bool
) -> None:
    answer = openai_problem(error, "c-1")
    told = json.loads(answer.get_body())["error"]
    assert (answer.status_code, told["type"], told["code"]) == (status, kind, code)
    assert answer.headers["x-should-retry"] == str(bool(repeated)).lower()
    assert (answer.headers["x-eig-code"], answer.headers["x-request-id"]) == (
        error.problem_code,
        "c-1",
    )


def test_field_at_fault_has_the_clients_own_name() -> None:
    fault = FieldFault("/count", "at most 4")
    answer = openai_problem(Invalid("Too many.", faults=[fault]), "c")
    told = json.loads(answer.get_body())["error"]
    assert told["param"] == "n"
    assert told["message"] == "Too many. n: at most 4"
