"""Our refusals in the form of SCIM's errors (RFC 7644, 3.12)."""

import json
from http import HTTPStatus
from typing import Final

import azure.functions as func

from shared.errors import EigError, Unauthenticated

SCIM_JSON: Final = "application/scim+json"
UNFORESEEN: Final = "The request could not be completed."


def scim_problem(error: EigError, _correlation: str = "") -> func.HttpResponse:
    """The one place where an error becomes an answer of provisioning; the protocol has no 422."""
    from shared.domain.scim import error_body

    status = error.status
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        status = int(HTTPStatus.BAD_REQUEST)
    body = error_body(error, status)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:  # its detail is for the log
        body["detail"] = UNFORESEEN
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return func.HttpResponse(
        json.dumps(body), status_code=status, mimetype=SCIM_JSON, headers=headers
    )
