"""The error answers of Azure OpenAI images, each in the shape that the service documents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devhost.simulators.scenarios import Scenario

NOT_FILTERED = {"filtered": False, "severity": "safe"}
NOT_DETECTED = {"filtered": False, "detected": False}


@dataclass(eq=False)  # an exception is compared by identity and must be hashable
class AzureRefusal(Exception):
    """An answer other than 200; `outcome` is the name it is counted under."""

    status: int
    body: dict[str, Any]
    outcome: str
    headers: Mapping[str, str] = field(default_factory=dict)


def invalid_request(message: str, param: str | None, code: str = "invalid_value") -> AzureRefusal:
    """A 400 about one field of the body, or about the body when `param` is None."""
    error = {"code": code, "message": message, "param": param, "type": "invalid_request_error"}
    return AzureRefusal(400, {"error": error}, "invalid_request")


def body_too_large(bytes_max: int) -> AzureRefusal:
    message = f"The request body is larger than {bytes_max} bytes."
    return AzureRefusal(413, _error("RequestEntityTooLarge", message), "invalid_request")


def access_denied() -> AzureRefusal:
    message = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide"
        " a valid key for an active subscription and use a correct regional API endpoint for your"
        " resource."
    )
    return AzureRefusal(401, _error("401", message), "unauthorized")


def deployment_not_found() -> AzureRefusal:
    message = (
        "The API deployment for this resource does not exist. If you created the deployment within"
        " the last 5 minutes, please wait a moment and try again."
    )
    return AzureRefusal(404, _error("DeploymentNotFound", message), "deployment_not_found")


def resource_not_found() -> AzureRefusal:
    """What the deployment route says when `api-version` is missing or is not a date."""
    return AzureRefusal(404, _error("404", "Resource not found"), "resource_not_found")


def not_found(message: str) -> AzureRefusal:
    """A file or batch that does not exist."""
    error = {
        "code": "not_found",
        "message": message,
        "param": "id",
        "type": "invalid_request_error",
    }
    return AzureRefusal(404, {"error": error}, "not_found")


def timed_out(scenario: Scenario) -> AzureRefusal:
    return AzureRefusal(408, _error("Timeout", "The operation was timeout."), scenario.name)


def refusal_without_work(scenario: Scenario) -> AzureRefusal | None:
    """The answer of a scenario that fails before any work, which is never billed."""
    if scenario.name == "unauthorized":
        return access_denied()
    if scenario.name == "rate_limited":
        return _rate_limited(scenario.number("retry_after_s"), scenario.name)
    if scenario.name == "provider_blocked":
        return _resource_blocked(scenario.name)
    if scenario.name == "outage":
        message = "The server had an error while processing your request. Sorry about that!"
        body = _error("InternalServerError", message)
        return AzureRefusal(int(scenario.number("status")), body, scenario.name)
    return None


def content_filtered(
    scenario: Scenario, prompt: str, created: int, request_id: str
) -> AzureRefusal:
    """The 400 of a refused prompt or picture, in the scenario's shape."""
    shape = scenario.params["shape"]
    if shape == "moderation_blocked":
        body = _moderation_blocked(request_id)
    elif shape == "content_policy_violation":
        body = _policy_violation("inner_error", prompt)
    elif shape == "innererror":
        body = _policy_violation("innererror", prompt)
    else:
        what = "Generated image was filtered" if shape == "output_filtered" else "Your task failed"
        message = f"{what} as a result of our safety system."
        body = {"created": created, **_error("contentFilter", message)}
    return AzureRefusal(400, body, scenario.name)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _rate_limited(retry_after_s: float, outcome: str) -> AzureRefusal:
    seconds = math.ceil(retry_after_s)  # retry-after is in whole seconds: never too early
    message = (
        "Requests to the ImageGenerations_Create Operation under Azure OpenAI API version v1 have"
        " exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after"
        f" {seconds} seconds."
    )
    headers = {"retry-after": str(seconds), "retry-after-ms": str(math.ceil(retry_after_s * 1000))}
    return AzureRefusal(429, _error("429", message), outcome, headers)


def _resource_blocked(outcome: str) -> AzureRefusal:
    message = (
        "Your resource has been temporarily blocked because we detected behavior that may violate"
        " our content policy. Please contact support."
    )
    return AzureRefusal(403, _error("Forbidden", message), outcome)


def _moderation_blocked(request_id: str) -> dict[str, Any]:
    message = (
        "Your request was rejected by the safety system. If you believe this is an error, contact"
        f" us at help.openai.com and include the request ID {request_id}."
        " safety_violations=[violence]."
    )
    error = {
        "message": message,
        "type": "image_generation_user_error",
        "param": "",
        "code": "moderation_blocked",
    }
    return {"error": error}


def _policy_violation(inner_name: str, prompt: str) -> dict[str, Any]:
    """The shape of the DALL·E era; services spell the inner object in two ways."""
    inner = {
        "code": "ResponsibleAIPolicyViolation",
        "revised_prompt": prompt,
        "content_filter_results": {
            "hate": NOT_FILTERED,
            "self_harm": NOT_FILTERED,
            "sexual": NOT_FILTERED,
            "violence": {"filtered": True, "severity": "medium"},
            "profanity": NOT_DETECTED,
            "jailbreak": NOT_DETECTED,
        },
    }
    error = {
        "code": "content_policy_violation",
        "message": "Your request was rejected as a result of our safety system.",
        "param": None,
        "type": "invalid_request_error",
        inner_name: inner,
    }
    return {"error": error}
