"""Our refusals in the shape of OpenAI's errors, with what its clients need to not repeat them."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import azure.functions as func

from shared.errors import EigError, FieldFault

JSON: Final = "application/json"
REQUEST_ID: Final = "x-request-id"  # what its clients show as `_request_id`
OURS: Final = "server_error"
UNFORESEEN: Final = "The request could not be completed."


class Shape(NamedTuple):
    """How one of our codes is told to a client of OpenAI."""

    status: int
    type: str
    code: str | None = None  # None: ours


INVALID: Final = "invalid_request_error"
# By our code first, then by our status. Clients repeat 408, 409, 429 and 5xx unless told not to.
_BY_CODE: Final[Mapping[str, Shape]] = {
    "budget_exceeded": Shape(429, "insufficient_quota", "insufficient_quota"),
    "unknown_model": Shape(404, INVALID, "model_not_found"),
    "model_retired": Shape(404, INVALID, "model_not_found"),
    "content_rejected": Shape(400, "image_generation_user_error", "moderation_blocked"),
    "privacy_blocked": Shape(400, "image_generation_user_error", "content_policy_violation"),
    "rate_limited": Shape(429, "requests", "rate_limit_exceeded"),
    "unauthenticated": Shape(401, INVALID, "invalid_api_key"),
    "not_ready": Shape(504, OURS),
}
_THEIR_NAMES: Final[Mapping[str, str]] = {"count": "n"}
_BY_STATUS: Final[Mapping[int, Shape]] = {
    401: Shape(401, INVALID),
    403: Shape(403, "permission_error"),
    404: Shape(404, INVALID),
    405: Shape(405, INVALID),
    409: Shape(409, INVALID),
    413: Shape(413, INVALID),
    423: Shape(403, "permission_error"),
    429: Shape(429, "requests"),
}


def openai_problem(error: EigError, correlation: str) -> func.HttpResponse:
    """The one place where an error becomes an answer of this endpoint."""
    shape = _shape(error)
    ours = error.status == HTTPStatus.INTERNAL_SERVER_ERROR and "generation_id" not in error.extra
    field = _field(error.faults[0]) if error.faults else ""
    body = {
        "error": {
            "message": UNFORESEEN if ours else _message(error),
            "type": shape.type,
            "param": field or None,  # the body as a whole has no name
            "code": shape.code or error.problem_code,
        }
    }
    headers = {
        "x-should-retry": str(error.may_be_repeated).lower(),
        "x-eig-code": error.problem_code,
        REQUEST_ID: correlation,
    }
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if "generation_id" in error.extra:
        headers["x-eig-generation-id"] = str(error.extra["generation_id"])
    return func.HttpResponse(
        json.dumps(body), status_code=shape.status, mimetype=JSON, headers=headers
    )


def _shape(error: EigError) -> Shape:
    found = _BY_CODE.get(error.problem_code) or _BY_STATUS.get(error.status)
    if found is not None:
        return found
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Shape(error.status, OURS)
    return Shape(400, INVALID)


def _field(fault: FieldFault) -> str:
    """The field of the client's body at fault; empty: the body as a whole."""
    name = fault.field.strip("/").replace("/", ".")
    return _THEIR_NAMES.get(name, name)


def _message(error: EigError) -> str:
    """The detail, the fields at fault with their mending, and the categories of a filter."""
    faults = "; ".join(f"{_field(each) or 'body'}: {each.message}" for each in error.faults)
    categories = ",".join(error.extra.get("categories") or ())
    parts = [error.detail, faults if faults and faults not in error.detail else ""]
    parts.append(f"safety_violations=[{categories}]" if categories else "")
    return " ".join(part for part in parts if part)
