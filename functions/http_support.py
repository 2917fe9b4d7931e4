"""The single HTTP edge: caller, body, problem+json, headers, correlation. Handlers do the rest."""

import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import azure.functions as func

from functions.http_access import log_answer, log_refusal
from functions.http_auth import Identity, identify, put_cookies
from functions.http_cors import cors_headers
from functions.http_queries import check_query
from shared.answer_headers import answer_headers
from shared.domain.json_objects import RepeatedNameError, unique_names
from shared.errors import (
    EigError,
    FieldFault,
    HeadersTooLarge,
    Invalid,
    NotAcceptable,
    NotFound,
    PayloadTooLarge,
    Rejected,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from shared.telemetry import (
    accepted_correlation_id,
    configure_logging,
    correlation_id,
    new_correlation_id,
)

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from shared.domain.identity import Caller
    from shared.services.sessions import OpenSession

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
JSON_BYTES_MAX: Final = 1024 * 1024  # two prompts of 32,000 characters, each escaped as 12 bytes
FAULTS_MAX: Final = 50  # named in one answer
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
IDEMPOTENCY_KEY_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,255}")
CORRELATION_HEADER: Final = "x-correlation-id"
PATH_ID_CHARS_MAX: Final = 128  # the longest of ours is a cost centre's freeze target, with 101
# As much as every id of ours keeps to. No separator: a store may take it for one, or trim it. No
# per cent sign: a host may leave %2F as it came. No dots alone: an address would climb by them.
_PATH_ID: Final = re.compile(
    rf"(?!\.{{1,2}}$)(?!\s)[^/\\?#%\u0000-\u001f\u007f-\u009f]{{1,{PATH_ID_CHARS_MAX}}}(?<!\s)"
)
HEADERS_CHARS_MAX: Final = 32_768  # of all; a token has at most half of that
HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
_NO_WORTH = re.compile(r"(?:^|;)\s*q=0(?:\.0*)?\s*(?:$|;)")
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,4})(?:$|[,;\s])", re.IGNORECASE)

Body = TypeVar("Body", bound="BaseModel")
logger = logging.getLogger("eig.http")


@dataclass(frozen=True)
class Call:
    """One request on its way in: who asks, and readers that refuse what does not fit."""

    request: func.HttpRequest
    correlation_id: str
    caller: "Caller | None"
    session: "OpenSession | None" = None  # if it was a cookie that told who asks

    @property
    def known_caller(self) -> "Caller":
        """The caller of a route that is not public."""
        if self.caller is None:
            raise RuntimeError("this route is public and has no caller")
        return self.caller

    def path(self, name: str) -> str:
        """An id in the address; NotFound for what no id looks like."""
        value = str(self.request.route_params.get(name, ""))
        if not _PATH_ID.fullmatch(value):
            raise NotFound("There is nothing of this id.")
        return value

    def media_type(self) -> str:
        """The content type without its parameters, lower case."""
        return (self.request.headers.get("content-type") or "").partition(";")[0].strip().lower()

    def raw_body(self, bytes_max: int) -> bytes:
        """The body as it was sent; raise PayloadTooLarge above the limit."""
        if self.request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise UnsupportedMediaType("Send the body without a Content-Encoding.")
        body: bytes = self.request.get_body() or b""
        if len(body) > bytes_max:
            raise PayloadTooLarge(f"The body may have at most {bytes_max} bytes.")
        return body

    def body(self, model: type[Body], bytes_max: int = JSON_BYTES_MAX) -> Body:
        """The JSON body as a checked model; unknown and repeated fields are refused."""
        if self.media_type() != JSON:
            raise UnsupportedMediaType(f"Send the body as {JSON}.")
        content = self.raw_body(bytes_max)
        read = _checked(lambda: model.model_validate_json(content))
        _check_names(content)
        return read

    def query(self, model: type[Body]) -> Body:
        """The query string as a checked model; unknown parameters are refused."""
        return _checked(lambda: model.model_validate(dict(self.request.params)))

    def idempotency_key(self) -> str | None:
        """The caller's key for safe repeats; None when none was sent."""
        key = self.request.headers.get(IDEMPOTENCY_KEY)
        if key is None:
            return None
        if not IDEMPOTENCY_KEY_PATTERN.fullmatch(key):
            raise Invalid(
                f"{IDEMPOTENCY_KEY} must be 1 to 255 printable ASCII characters without spaces.",
                faults=[FieldFault(f"/headers/{IDEMPOTENCY_KEY}", "send a UUID, for instance")],
            )
        return str(key)

    def wait_s(self, seconds_max: int) -> int:
        """Seconds of `Prefer: wait=N`, capped; 0 without it."""
        found = _WAIT.search(self.request.headers.get("Prefer") or "")
        return min(int(found[1]), seconds_max) if found else 0


Act = Callable[[Call], Awaitable[func.HttpResponse]]
Refuse = Callable[[EigError, str], func.HttpResponse]  # with the correlation id


async def handle(
    request: func.HttpRequest,
    act: Act,
    *,
    public: bool = False,
    route: str | None = None,
    refuse: Refuse | None = None,
) -> func.HttpResponse:
    """Identify the caller, act, and turn every ending into an answer with our headers.

    `route` names the row of the route table; a row that asks for more must be named.
    """
    configure_logging()
    started = time.perf_counter()
    correlation = accepted_correlation_id(
        request.headers.get(CORRELATION_HEADER), new_correlation_id()
    )
    correlation_id.set(correlation)
    answer_headers.set({})
    identity = Identity()
    cross_origin: Mapping[str, str] = {}
    try:
        cross_origin = cors_headers(request)
        _check_headers(request)
        if not public:
            await identify(request, route, correlation, identity)
        check_query(request)
        response = await act(Call(request, correlation, identity.caller, identity.session))
        _check_accepted(request, response)
        await log_answer(request, identity, response.status_code, correlation)
    except EigError as refusal:
        error = await _logged(refusal, request, identity, correlation)
        _log_refusal(error)
        response = (refuse or problem_response)(error, correlation)
        if isinstance(error, Unauthenticated):
            response.headers["WWW-Authenticate"] = error.challenge
    except Exception:
        logger.exception("unforeseen error")
        unforeseen = EigError("The request could not be completed.")
        response = (refuse or problem_response)(unforeseen, correlation)
    for name, value in {**HEADERS, **answer_headers.get(), **cross_origin}.items():
        response.headers.setdefault(name, value)  # a page brings a policy of its own
    response.headers[CORRELATION_HEADER] = correlation
    put_cookies(response, identity)
    logger.info(
        "request",
        extra={
            "method": request.method,
            "status": response.status_code,
            "duration_ms": round((time.perf_counter() - started) * 1_000, 1),
        },
    )
    return response


def _check_headers(request: func.HttpRequest) -> None:
    """Raise HeadersTooLarge above what any client of ours needs."""
    size = sum(len(name) + len(value) for name, value in request.headers.items())
    if size > HEADERS_CHARS_MAX:
        raise HeadersTooLarge(f"The headers may have at most {HEADERS_CHARS_MAX} characters.")


def _check_accepted(request: func.HttpRequest, response: func.HttpResponse) -> None:
    """Raise NotAcceptable for a read whose answer the request says it cannot take."""
    accepted = request.headers.get("Accept")
    if not accepted or request.method != "GET" or response.status_code != HTTPStatus.OK:
        return  # what changed something is told in whatever form there is
    if not accepts(accepted, response.mimetype or ""):
        raise NotAcceptable(f"This is answered as {response.mimetype}.")


def accepts(accepted: str, media_type: str) -> bool:
    """Whether an Accept header takes a media type (RFC 9110, 12.5.1); the narrowest range says."""
    ranges = [media_type, f"{media_type.partition('/')[0]}/*", "*/*"]
    if media_type.endswith("+json"):
        ranges.insert(1, JSON)
    worth: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        worth[name.strip()] = not _NO_WORTH.search(parameters)
    return next((worth[each] for each in ranges if each in worth), False)


async def _logged(
    error: EigError, request: func.HttpRequest, identity: Identity, correlation: str
) -> EigError:
    """What is answered once a refusal stands in the access log: itself, or that it cannot."""
    try:
        await log_refusal(request, identity, error, correlation)
    except EigError as fault:
        return fault
    except Exception:
        logger.exception("unforeseen error")
        return EigError("The request could not be completed.")
    return error


def json_response(
    model: "BaseModel", status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """A response model as JSON."""
    return func.HttpResponse(
        model.model_dump_json(), status_code=status, mimetype=JSON, headers=dict(headers or {})
    )


def problem_response(error: EigError, correlation: str) -> func.HttpResponse:
    """RFC 9457: the one place where an error becomes an answer."""
    ours = error.status == HTTPStatus.INTERNAL_SERVER_ERROR  # its detail is for the log
    body: dict[str, Any] = {
        "type": f"urn:eig:problem:{error.problem_code}",
        "title": error.title,
        "status": error.status,
        "code": error.problem_code,
        "detail": "The request could not be completed." if ours else error.detail,
        "instance": f"urn:eig:request:{correlation}",
        "retryable": error.may_be_repeated,
    }
    if error.faults:
        body["errors"] = [fault.as_json() for fault in error.faults[:FAULTS_MAX]]
    body.update(error.extra)
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return func.HttpResponse(
        json.dumps(body), status_code=error.status, mimetype=PROBLEM, headers=headers
    )


def _checked(validate: Callable[[], Body]) -> Body:
    """What a validation makes of the request; raises Invalid when it finds faults."""
    from pydantic import ValidationError

    try:
        return validate()
    except ValidationError as error:
        raise invalid_body(error) from None


def _check_names(content: bytes) -> None:
    """Raise Invalid for a JSON object that says something twice; pydantic would keep the last."""
    try:
        # Numbers stay text: Python refuses long ones, and they have been read already.
        json.loads(content, object_pairs_hook=unique_names, parse_int=str, parse_float=str)
    except RepeatedNameError as error:
        raise Invalid(
            "The body says something twice.", code="invalid_json", faults=[error.fault]
        ) from None
    except (ValueError, RecursionError):  # whatever only one of the two readers takes
        raise Invalid("The body is not valid JSON.", code="invalid_json") from None


def invalid_body(error: "ValidationError") -> Invalid:
    """Name each field at fault; what was sent is never repeated."""
    faults = [
        FieldFault("/" + "/".join(str(part) for part in each["loc"]), str(each["msg"]))
        for each in error.errors(include_input=False, include_url=False)[:FAULTS_MAX]
    ]
    if any(each["type"] == "json_invalid" for each in error.errors(include_input=False)):
        return Invalid("The body is not valid JSON.", code="invalid_json", faults=faults)
    return Invalid("Some fields are not valid.", faults=faults)


def _log_refusal(error: EigError) -> None:
    extra = {"code": error.problem_code, "status": error.status}
    if isinstance(error, Rejected):
        logger.info("refused", extra=extra)
    elif isinstance(error, Unavailable):
        logger.warning("unavailable", extra=extra, exc_info=True)
    else:
        # Our own errors carry no input: their text may be logged, and ops need it.
        logger.error(f"failed: {error.detail}", extra=extra, exc_info=True)
