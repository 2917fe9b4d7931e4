"""Adobe Firefly: sign-in (IMS), image jobs on the v3 and v4 routes, their status, their pictures.

Jobs are looked at and cancelled on another host than the one that takes submissions, as at Adobe:
here by the name `localhost`. The routes and shapes are those of the specification 3.0.0; where it
is silent (bodies of 401, what `content_filter` does on v3) the simulator takes the likely form.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from devhost.faults import abort_connection
from devhost.simulators.adobe_firefly_jobs import (
    API_PATH,
    OUTPUTS_PATH,
    FireflyJob,
    billed_call,
    cancel_job,
    find_job,
    plan_job,
    save_job,
    settle_due_jobs,
    shard_origin,
)
from devhost.simulators.adobe_firefly_requests import (
    BodyError,
    FieldError,
    FireflyOrder,
    parse_object,
    parse_v3,
    parse_v4,
)
from devhost.simulators.invoice import FIREFLY, firefly_charge
from devhost.simulators.pictures import padded, render
from devhost.simulators.provenance import with_credentials
from devhost.simulators.scenarios import Scenario, ScenarioError
from devhost.simulators.state import SimulatorState

SIGN_IN_PATH = "/adobe-ims/ims/token/v3"
TOKEN_LIFETIME_S = 86_399
_TOKEN_KEY = b"simulated Adobe IMS"
NOT_AN_IMAGE = b"<!doctype html><title>Not a picture</title>"
MOVED_QUERY = "moved"
MEGABYTE = 1024 * 1024
_TRUNCATED_BYTES = 20  # of a malformed answer: ends within the job id

PLAIN_REFUSALS = {  # scenario: status and error code
    "validation_error": (422, "cai_assertion_violation_error"),
    "wrong_type_415": (415, "invalid_content_type"),
    "timeout_408": (408, "timeout_error"),
    "unauthorized": (401, "invalid_token"),
    "outage": (503, "runtime_error"),
}

Endpoint = Callable[[SimulatorState, web.Request], Awaitable[web.StreamResponse]]


def add_adobe_firefly(app: web.Application, state: SimulatorState) -> None:
    """Adds sign-in, jobs and outputs to `app`."""
    state.settlers.append(functools.partial(settle_due_jobs, state))
    app.router.add_post(SIGN_IN_PATH, functools.partial(_sign_in, state))
    routes: list[tuple[str, str, Endpoint]] = [
        ("POST", "/v3/images/generate-async", functools.partial(_start, 3)),
        ("POST", "/v4/images/generate-async", functools.partial(_start, 4)),
        ("GET", "/v3/status/{job}", _look),
        ("PUT", "/v3/cancel/{job}", _cancel),
    ]
    for method, path, endpoint in routes:
        app.router.add_route(method, API_PATH + path, _signed_in(state, endpoint))
    app.router.add_get(OUTPUTS_PATH + "/{job}/{number}.jpg", functools.partial(_output, state))


async def _sign_in(state: SimulatorState, request: web.Request) -> web.Response:
    form = await request.post()
    client_id, secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
    if form.get("grant_type") != "client_credentials" or not client_id or not form.get("scope"):
        return web.json_response({"error": "invalid_request"}, status=400)
    if state.refuses(secret):
        state.outcomes[f"{FIREFLY} sign_in_refused"] += 1
        return web.json_response({"error": "invalid_client"}, status=400)
    state.outcomes[f"{FIREFLY} sign_in"] += 1
    token = _token(client_id, int(state.clock.now_s()) + TOKEN_LIFETIME_S)
    answer = {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_LIFETIME_S}
    return web.json_response(answer)


def _token(client_id: str, expires_s: int) -> str:
    """A token that says whose it is and until when; good after a restart, too."""
    claims = f"{client_id}.{expires_s}"
    return f"{claims}.{hmac.new(_TOKEN_KEY, claims.encode(), hashlib.sha256).hexdigest()}"


def _signed_in(
    state: SimulatorState, endpoint: Endpoint
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        client_id, _, rest = token.rpartition(".")[0].rpartition(".")
        if not rest.isdecimal() or token != _token(client_id, int(rest)):
            return _refuse(state, 401, "invalid_token", "unauthorized")
        if state.clock.now_s() >= int(rest):
            return _refuse(state, 401, "expired_token", "unauthorized")
        if request.headers.get("x-api-key") != client_id:
            return _refuse(state, 403, "access_error", "access_error")
        try:
            return await endpoint(state, request)
        except BodyError as error:
            return _refuse(state, 400, str(error), "invalid")
        except FieldError as error:
            state.outcomes[f"{FIREFLY} invalid"] += 1
            return _validation_error(error)

    return handle


async def _start(route: int, state: SimulatorState, request: web.Request) -> web.StreamResponse:
    """Takes a job; `route` is the version of the path."""
    if request.content_type != "application/json":
        return _refuse(state, 415, "invalid_content_type", "invalid")
    body = parse_object(await request.read())
    model = request.headers.get("x-model-version", "image3" if route == 3 else "")
    order = parse_v3(model, body) if route == 3 else parse_v4(model, body)
    submission = state.invoice.count_submission(FIREFLY, order.prompt)
    try:
        scenario = state.scenarios.choose(FIREFLY, order.prompt, submission)
    except ScenarioError as error:
        raise FieldError("prompt", str(error), "value_error.scenario") from error
    state.outcomes[f"{FIREFLY} {scenario.name}"] += 1
    refusal = _refusal(state, order, scenario, route)
    if refusal is not None:
        return refusal
    job_id = f"urn:ff:jobs:eso851211:{uuid.uuid4()}"
    now_s = state.clock.now_s()
    save_job(state, plan_job(job_id, order, scenario, now_s, state.options.firefly_delay_s))
    if scenario.name == "timeout_after_work":
        await asyncio.sleep(scenario.number("seconds"))
        abort_connection(request)
    return _accepted(state, scenario, job_id, route)


def _accepted(
    state: SimulatorState, scenario: Scenario, job_id: str, route: int
) -> web.StreamResponse:
    base = shard_origin(state.options.origin) + API_PATH
    if scenario.name == "wrong_job_host":
        base = f"https://{scenario.params['host']}{API_PATH}"
    status_url, cancel_url = f"{base}/v3/status/{job_id}", f"{base}/v3/cancel/{job_id}"
    answer: dict[str, Any] = {"jobId": job_id, "statusUrl": status_url, "cancelUrl": cancel_url}
    if route == 4:
        links = {"result": {"href": status_url}, "cancel": {"href": cancel_url}}
        answer = {"links": links, "progress": 0}
    if scenario.name == "malformed" and scenario.params["shape"] != "missing_data":
        text = web.json_response(answer).text or ""
        kept = text[:_TRUNCATED_BYTES] if scenario.params["shape"] == "invalid_json" else ""
        return web.Response(status=202, text=kept, content_type="application/json")
    link = f'<{status_url}>; rel="result", <{cancel_url}>; rel="cancel"'
    return web.json_response(answer, status=202 if route == 3 else 200, headers={"Link": link})


def _refusal(
    state: SimulatorState, order: FireflyOrder, scenario: Scenario, route: int
) -> web.Response | None:
    """The answer of a scenario in which no job is made; free, but for a timeout."""
    if scenario.name == "content_451" or (route == 4 and scenario.name == "content_filter"):
        message = "The prompt did not pass content policy checks."
        return web.json_response({"error_code": "prompt_unsafe", "message": message}, status=451)
    if scenario.name == "too_large_413":
        return web.Response(status=413, text="<html>Too large</html>", content_type="text/html")
    if scenario.name == "rate_limited":
        return _rate_limited(scenario.number("retry_after_s"))
    if scenario.name in ("quota_exhausted", "not_entitled"):
        reason = scenario.params.get("reason", scenario.name)
        return _error(403, "access_error", {"x-access-error": reason})
    if scenario.name == "timeout_408":
        # What Adobe bills for it is not documented; the simulator takes the worst case.
        call = billed_call(order, f"timed-out-{uuid.uuid4()}")
        state.invoice.add(call, [firefly_charge(order.images)])
    status, code = PLAIN_REFUSALS.get(scenario.name, (0, ""))
    if scenario.name == "outage":
        status = int(scenario.number("status"))
    return _error(status, code) if status else None


def _rate_limited(retry_after_s: float) -> web.Response:
    """A 429 that names a date; both dates are from one look at the clock."""
    now_s = time.time()
    headers = {
        "Date": formatdate(now_s, usegmt=True),
        "Retry-After": formatdate(now_s + math.ceil(retry_after_s), usegmt=True),
        "x-access-rate-limit-level": "org",
    }
    return _error(429, "rate_limited", headers)


async def _look(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    job = _found(state, request)
    if job is None:
        return _error(404, "unknown_job_id")
    return web.json_response(job.as_json(state.options.origin, state.clock.now_s()))


async def _cancel(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    job = _found(state, request)
    if job is None:
        return _error(404, "unknown_job_id")
    if state.clock.now_s() >= job.ended_s:
        cancelled = job.ending == "cancelled"
        return _error(409, "job_already_canceled" if cancelled else "job_completed")
    cancel_job(state, job)
    return web.Response(status=200)


def _found(state: SimulatorState, request: web.Request) -> FireflyJob | None:
    """The job, if it is asked for on the host where it runs."""
    if request.host != urlsplit(shard_origin(state.options.origin)).netloc:
        return None
    return find_job(state, request.match_info["job"])


async def _output(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    """A picture; like the real storage it asks for no token, and its address ends."""
    job = find_job(state, request.match_info["job"])
    number = request.match_info["number"]
    if job is None or not number.isdecimal() or int(number) >= job.pictures:
        return web.Response(status=404, text="NoSuchKey")
    scenario = job.scenario
    if scenario.name == "expired_url" or not job.has_pictures(state.clock.now_s()):
        status = int(scenario.params.get("status", 403))
        return web.Response(status=status, text="Request has expired")
    if scenario.name == "redirect_output" and MOVED_QUERY not in request.query:
        location = f"{state.options.origin}{request.path}?{MOVED_QUERY}=1"
        return web.Response(status=302, headers={"location": location})
    picture = await asyncio.to_thread(_picture_bytes, state, job, int(number))
    return web.Response(body=picture, content_type="image/jpeg")


def _picture_bytes(state: SimulatorState, job: FireflyJob, number: int) -> bytes:
    if job.scenario.name == "not_an_image":
        return NOT_AN_IMAGE
    picture = render(job.picture(number), tiny=state.options.tiny_pictures)
    if job.scenario.name == "content_credentials":
        return with_credentials(picture)
    if job.scenario.name == "oversized":
        return padded(picture, int(job.scenario.number("mb") * MEGABYTE))
    return picture


def _refuse(state: SimulatorState, status: int, code: str, outcome: str) -> web.Response:
    state.outcomes[f"{FIREFLY} {outcome}"] += 1
    return _error(status, code)


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error_code": code}, status=status, headers=headers)


def _validation_error(error: FieldError) -> web.Response:
    fault = {"loc": ["body", error.loc], "msg": error.message, "type": error.kind}
    body = {"error_code": "validation_error", "validation_errors": [fault]}
    return web.json_response(body, status=422)
