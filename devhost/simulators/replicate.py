"""Replicate's HTTP API for SDXL and four official models, and the host that delivers pictures.

Bodies of 200, 201 and 401 follow recorded exchanges, 422 and 429 reported ones; 402, 404 and 5xx
are assumed. Not emulated: rate limits (the headers are constant), streams.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import math
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from devhost.faults import abort_connection
from devhost.simulators.invoice import OFFICIAL_USD_MICROS_PER_IMAGE, REPLICATE
from devhost.simulators.pictures import MEDIA_TYPES, padded, render
from devhost.simulators.provenance import with_credentials
from devhost.simulators.replicate_inputs import (
    InputError,
    NotEmulatedError,
    PictureOrder,
    model_of_version,
    parse_body,
    parse_cancel_after_s,
    parse_input,
    parse_wait_s,
)
from devhost.simulators.replicate_predictions import (
    API_PATH,
    DELIVERY_PATH,
    PROCESSING,
    Prediction,
    cancel_prediction,
    find_prediction,
    plan_prediction,
    save_prediction,
    settle_due,
)
from devhost.simulators.replicate_webhooks import WEBHOOK_SECRET, Webhooks, parse_webhook
from devhost.simulators.scenarios import Scenario, ScenarioError
from devhost.simulators.state import SimulatorState

PROBLEM = "application/problem+json"
CREATES_LEFT = "599"  # of 600 a minute; the limit itself is not emulated
READS_LEFT = "2999"
LIMIT_RESET_S = "1"
WAIT_STEP_S = 0.02  # how often a held request looks at its prediction
MOVED_QUERY = "moved"  # marks the address that a redirected picture was moved to
NOT_AN_IMAGE = b"<!doctype html><title>Not a picture</title>"
_AUTHORIZATION = re.compile(r"(?:Bearer|Token) +(\S+)", re.IGNORECASE)
_FILE_NAME = re.compile(r"out-(\d{1,2})\.(png|webp|jpg)")
_ADDRESS_SCENARIOS = ("expired_url", "wrong_output_host", "redirect_output")
_TRUNCATED_BYTES = 20  # of a malformed answer: ends within the id

WEBHOOKS = web.AppKey("replicate webhooks", Webhooks)

Endpoint = Callable[[SimulatorState, web.Request], Awaitable[web.StreamResponse]]


def add_replicate(app: web.Application, state: SimulatorState) -> None:
    """Adds the routes below `/replicate/v1` and `/replicate-delivery`."""
    state.settlers.append(functools.partial(settle_due, state))
    webhooks = Webhooks(state)
    app.on_cleanup.append(webhooks.stop)
    app[WEBHOOKS] = webhooks
    routes: list[tuple[str, str, Endpoint]] = [
        ("POST", "/predictions", _create_by_version),
        ("POST", "/models/{owner}/{name}/predictions", _create_by_model),
        ("GET", "/predictions/{id}", _show),
        ("POST", "/predictions/{id}/cancel", _cancel),
        ("GET", "/webhooks/default/secret", _show_webhook_secret),
        ("*", "/{rest:.*}", _not_emulated),
    ]
    for method, path, endpoint in routes:
        app.router.add_route(method, API_PATH + path, _authorized(state, endpoint))
    deliver = functools.partial(_deliver, state)
    app.router.add_get(DELIVERY_PATH + "/{id}/{file}", deliver)


def _authorized(
    state: SimulatorState, endpoint: Endpoint
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if match is None or state.refuses(match[1]):
            _count(state, "unauthenticated")
            return _unauthenticated()
        try:
            return await endpoint(state, request)
        except InputError as error:
            _count(state, "invalid")
            return _invalid(error)
        except NotEmulatedError as error:
            _count(state, "not_emulated")
            return _problem(501, "Not emulated", str(error))

    return handle


async def _create_by_version(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    body = parse_body(await request.read(), ("version", "input"))
    return await _create(state, request, model_of_version(body["version"]), body)


async def _create_by_model(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    model = f"{request.match_info['owner']}/{request.match_info['name']}"
    if (
        model not in OFFICIAL_USD_MICROS_PER_IMAGE
    ):  # SDXL is no official model: it is run by version only
        return _not_found()
    body = parse_body(await request.read(), ("input",))
    return await _create(state, request, model, body)


async def _create(
    state: SimulatorState, request: web.Request, model: str, body: dict[str, Any]
) -> web.StreamResponse:
    values = body["input"]
    order = parse_input(model, values)
    webhook = parse_webhook(body)
    wait_s = parse_wait_s(request.headers.get("prefer"))
    deadline_s = parse_cancel_after_s(request.headers.get("cancel-after"))
    submission = state.invoice.count_submission(REPLICATE, order.prompt)
    try:
        scenario = state.scenarios.choose(REPLICATE, order.prompt, submission)
    except ScenarioError as error:
        raise InputError("Scenario not possible", str(error)) from error
    _count(state, scenario.name)
    refusal = _refusal(scenario)
    if refusal is not None:
        return refusal
    prediction = _start(state, order, values, scenario, deadline_s)
    if webhook is not None:
        request.app[WEBHOOKS].watch(prediction, webhook)
    if scenario.name == "timeout_after_work":
        await asyncio.sleep(scenario.number("seconds"))
        abort_connection(request)
        return _created(state, prediction)
    if scenario.name == "malformed" and scenario.params["shape"] != "missing_data":
        return _malformed(state, prediction)
    if wait_s is None:
        return _created(state, prediction)
    return await _created_and_awaited(state, prediction, wait_s, request.headers["prefer"])


def _start(
    state: SimulatorState,
    order: PictureOrder,
    values: dict[str, Any],
    scenario: Scenario,
    deadline_s: float | None,
) -> Prediction:
    prediction = plan_prediction(
        prediction_id=_new_id(),
        order=order,
        values=values,
        scenario=scenario,
        created_s=state.clock.now_s(),
        delay_s=state.options.replicate_delay_s,
        deadline_s=deadline_s,
    )
    save_prediction(state, prediction)
    return prediction


def _created(state: SimulatorState, prediction: Prediction) -> web.Response:
    return _answer(201, _json_of(state, prediction), CREATES_LEFT)


async def _created_and_awaited(
    state: SimulatorState, prediction: Prediction, wait_s: float, prefer: str
) -> web.Response:
    """Holds the request until the prediction ends, or answers 202 after `wait_s` of real time."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + wait_s
    while state.clock.now_s() < prediction.ended_s and loop.time() < give_up_at:
        await asyncio.sleep(WAIT_STEP_S)
        prediction = find_prediction(state, prediction.id) or prediction
    now_s = state.clock.now_s()
    body = prediction.as_json(state.options.origin, now_s)
    if prediction.has_pictures(now_s) and prediction.scenario.name not in _ADDRESS_SCENARIOS:
        body = await _with_inline_pictures(state, prediction, body)
    status = 201 if now_s >= prediction.ended_s else 202
    response = _answer(status, body, CREATES_LEFT)
    response.headers["preference-applied"] = prefer
    return response


async def _with_inline_pictures(
    state: SimulatorState, prediction: Prediction, body: dict[str, Any]
) -> dict[str, Any]:
    """The answer as it was recorded: the pictures are ready before the run has been closed."""
    if body["output"] is None:
        return body
    output: Any = []
    for number in range(prediction.pictures):
        picture = await asyncio.to_thread(_picture_bytes, state, prediction, number)
        media_type = MEDIA_TYPES[prediction.order.format]
        output.append(f"data:{media_type};base64,{base64.b64encode(picture).decode()}")
    if isinstance(body["output"], str):
        output = output[0]
    not_yet = {"completed_at", "metrics", "started_at"}
    unfinished = {key: value for key, value in body.items() if key not in not_yet}
    return {**unfinished, "status": PROCESSING, "logs": "", "output": output}


async def _show(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    prediction = find_prediction(state, request.match_info["id"])
    if prediction is None:
        return _not_found()
    return _answer(200, _json_of(state, prediction), READS_LEFT)


async def _cancel(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    prediction = cancel_prediction(state, request.match_info["id"])
    if prediction is None:
        return _not_found()
    return _answer(200, _json_of(state, prediction), READS_LEFT)


async def _show_webhook_secret(_: SimulatorState, request: web.Request) -> web.StreamResponse:
    return _answer(200, {"key": WEBHOOK_SECRET}, READS_LEFT)


async def _not_emulated(_: SimulatorState, request: web.Request) -> web.StreamResponse:
    raise NotEmulatedError(f"{request.method} {request.path} is not emulated.")


async def _deliver(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    """A picture of a prediction; like the real delivery host it asks for no token."""
    file = _FILE_NAME.fullmatch(request.match_info["file"])
    prediction = find_prediction(state, request.match_info["id"])
    if file is None or prediction is None or not prediction.has_pictures(state.clock.now_s()):
        return web.Response(status=404, text="Not found")
    number, extension = int(file[1]), file[2]
    if number >= prediction.pictures or extension != prediction.order.extension:
        return web.Response(status=404, text="Not found")
    scenario = prediction.scenario
    if scenario.name == "expired_url":
        return web.Response(status=int(scenario.number("status")), text="The address has expired")
    if scenario.name == "redirect_output" and MOVED_QUERY not in request.query:
        location = f"{state.options.origin}{request.path}?{MOVED_QUERY}=1"
        return web.Response(status=302, headers={"location": location})
    body = await asyncio.to_thread(_picture_bytes, state, prediction, number)
    return web.Response(body=body, content_type=MEDIA_TYPES[prediction.order.format])


def _picture_bytes(state: SimulatorState, prediction: Prediction, number: int) -> bytes:
    scenario = prediction.scenario
    if scenario.name == "not_an_image":
        return NOT_AN_IMAGE
    picture = render(prediction.picture(number), tiny=state.options.tiny_pictures)
    if scenario.name == "content_credentials":
        return with_credentials(picture)
    if scenario.name == "oversized":
        return padded(picture, int(scenario.number("mb") * 1024 * 1024))
    return picture


def _refusal(scenario: Scenario) -> web.Response | None:
    """The answer of a scenario in which no prediction is created; such calls are free."""
    if scenario.name == "unauthorized":
        return _unauthenticated()
    if scenario.name == "insufficient_credit":
        return _problem(
            402, "Insufficient credit", "You have insufficient credit to run this model."
        )
    if scenario.name == "outage":
        return _problem(
            int(scenario.number("status")), "Service unavailable", "The service is not available."
        )
    if scenario.name == "rate_limited":
        seconds = math.ceil(scenario.number("retry_after_s"))
        detail = f"Request was throttled. Your rate limit resets in ~{seconds}s."
        headers = {"retry-after": str(seconds)}
        return web.json_response({"detail": detail}, status=429, headers=headers)
    return None


def _malformed(state: SimulatorState, prediction: Prediction) -> web.Response:
    """An answer without a usable id; the prediction runs all the same, and is billed."""
    body = b""
    if prediction.scenario.params["shape"] == "invalid_json":
        body = json.dumps(_json_of(state, prediction)).encode()[:_TRUNCATED_BYTES]
    return web.Response(status=201, body=body, content_type="application/json")


def _json_of(state: SimulatorState, prediction: Prediction) -> dict[str, Any]:
    return prediction.as_json(state.options.origin, state.clock.now_s())


def _answer(status: int, body: dict[str, Any], calls_left: str) -> web.Response:
    headers = {"ratelimit-remaining": calls_left, "ratelimit-reset": LIMIT_RESET_S}
    return web.json_response(body, status=status, headers=headers)


def _problem(status: int, title: str, detail: str, **more: Any) -> web.Response:
    body = {"title": title, "detail": detail, "status": status, **more}
    return web.json_response(body, status=status, content_type=PROBLEM)


def _unauthenticated() -> web.Response:
    return _problem(401, "Unauthenticated", "You did not pass a valid authentication token")


def _not_found() -> web.Response:
    return _problem(404, "Not found", "The requested resource could not be found.")


def _invalid(error: InputError) -> web.Response:
    fields = [asdict(field) for field in error.fields]
    more = {"invalid_fields": fields} if fields else {}
    return _problem(422, error.title, error.detail, **more)


def _count(state: SimulatorState, outcome: str) -> None:
    state.outcomes[f"{REPLICATE} {outcome}"] += 1


def _new_id() -> str:
    """26 letters and digits, as real ids have."""
    return base64.b32hexencode(secrets.token_bytes(16)).decode().rstrip("=").lower()
