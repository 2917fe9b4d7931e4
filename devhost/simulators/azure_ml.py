"""An Azure Machine Learning online endpoint under `/azure-ml/score`, and the time it bills.

It answers as `azureml/score.py` does behind the gateway of a managed online endpoint: an error of
the script becomes a 424 with the script's status in a header and its body as it was.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import secrets
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from devhost.faults import abort_connection
from devhost.simulators.invoice import AZURE_ML, machine_charge
from devhost.simulators.paid_calls import (
    PaidCall,
    Refusal,
    has_credential,
    malformed,
    open_call,
    read_object,
    whole_number,
)
from devhost.simulators.pictures import PictureRequest
from devhost.simulators.scenarios import Scenario, ScenarioError
from devhost.simulators.state import SimulatorState

ROUTE = "/azure-ml/score"
DEPLOYMENT = "blue"
MODEL = "stable-diffusion-xl-base-1.0"
MODEL_VERSION = "stable-diffusion-xl-base-1.0:1"
OPTIONAL = frozenset({"seed", "negative_prompt"})
REQUIRED = frozenset({
    "model", "prompt", "width", "height", "count", "output_format", "seconds_max",
})  # fmt: skip
PROMPT_CHARS_MAX = 4_000
SIDE_MIN, SIDE_MAX, SIDE_STEP = 512, 1_536, 64
PIXELS_MAX = 1_100_000
COUNT_MAX = 2
SECONDS_MAX = 120
SEED_MAX = 2**32 - 1
STATUS_OF = {"invalid_request": 400, "run_failed": 500, "run_too_long": 504, "out_of_memory": 507}
RUN_MS_MIN, RUN_MS_SPREAD = 2_000, 2_500  # of one picture


@dataclass(frozen=True)
class ScoringRequest:
    """A checked request of the scoring contract."""

    prompt: str
    width: int
    height: int
    count: int
    seed: int
    output_format: str
    seconds_max: int


def add_azure_ml(app: web.Application, state: SimulatorState) -> None:
    """Adds the scoring route to `app`."""
    app.router.add_post(ROUTE, ScoringSimulator(state).serve)


@dataclass(frozen=True)
class ScoringSimulator:
    """Answers scoring requests; what it bills is on the invoice before the answer leaves."""

    state: SimulatorState

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request; each answer is counted."""
        try:
            response, outcome = await self._answer(request)
        except Refusal as refusal:
            response, outcome = refusal.response(), refusal.outcome
        self.state.outcomes[f"{AZURE_ML} {outcome}"] += 1
        response.headers.setdefault("x-ms-request-id", secrets.token_hex(16))
        return response

    async def _answer(self, request: web.Request) -> tuple[web.StreamResponse, str]:
        if not has_credential(request, "authorization", self.state):
            raise _gateway(401, "Unauthorized", "key_auth_access_denied", "unauthorized")
        if request.headers.get("azureml-model-deployment", DEPLOYMENT) != DEPLOYMENT:
            raise _gateway(404, "NotFound", "no such deployment")
        try:
            wanted = _wanted(await read_object(request))
            call = open_call(self.state, request, (AZURE_ML, MODEL), wanted.prompt)
        except ScenarioError as error:
            raise _model_error("invalid_request", str(error), 0) from error
        response = await self._work(request, call, wanted)
        response.headers["x-ms-request-id"] = call.billed.request_id
        return response, call.scenario.name

    async def _work(
        self, request: web.Request, call: PaidCall, wanted: ScoringRequest
    ) -> web.StreamResponse:
        scenario = call.scenario
        _refuse_without_work(scenario)
        delay_s = self.state.options.azure_delay_s
        await asyncio.sleep(
            delay_s + (scenario.number("seconds") if scenario.name == "slow" else 0)
        )
        run_ms = _run_ms(wanted)
        self._fail(call, wanted, run_ms)
        pictures = wanted.count
        if scenario.name == "fewer_images":
            pictures = max(0, pictures - int(scenario.number("missing")))
        body = await asyncio.to_thread(_body, call, wanted, pictures, run_ms)
        call.bill(machine_charge(run_ms))
        if scenario.name == "timeout_after_work":
            await asyncio.sleep(scenario.number("seconds"))
            abort_connection(request)
        return web.Response(body=body, content_type="application/json")

    def _fail(self, call: PaidCall, wanted: ScoringRequest, run_ms: int) -> None:
        """Raises the answer of a scenario in which a run began and made no picture."""
        name = call.scenario.name
        limit_ms = wanted.seconds_max * 1_000
        if name == "timeout_408":  # the endpoint's own limit: it cannot say how long the run was
            call.bill(machine_charge(limit_ms))
            raise _gateway(408, "RequestTimeout", "The request timed out.", name)
        if name == "gateway_timeout":
            call.bill(machine_charge(limit_ms))
            raise Refusal(504, None, name)
        if name == "run_too_long":
            call.bill(machine_charge(limit_ms))
            raise _model_error("run_too_long", "The run took too long.", limit_ms, name)
        if name == "out_of_memory":
            call.bill(machine_charge(run_ms))
            raise _model_error("out_of_memory", "The device has no memory left.", run_ms, name)
        if name == "model_error":
            call.bill(machine_charge(run_ms))
            raise _model_error("run_failed", "The run failed.", run_ms, name)


def _wanted(document: dict[str, Any] | None) -> ScoringRequest:
    """The checked request; raises ScenarioError with a sentence."""
    if document is None or not REQUIRED <= set(document) <= REQUIRED | OPTIONAL:
        raise ScenarioError("The fields are not those of the contract.")
    if document["model"] != MODEL:
        raise ScenarioError(f"This endpoint serves {MODEL}.")
    for name in ("prompt", "negative_prompt"):
        text = document.get(name, "-")
        if not isinstance(text, str) or not 1 <= len(text) <= PROMPT_CHARS_MAX:
            raise ScenarioError(f"{name} must have 1 to {PROMPT_CHARS_MAX} characters.")
    if document["output_format"] not in ("png", "jpeg"):
        raise ScenarioError("output_format must be png or jpeg.")
    width, height = (_number(document, name, SIDE_MIN, SIDE_MAX) for name in ("width", "height"))
    if width % SIDE_STEP or height % SIDE_STEP or width * height > PIXELS_MAX:
        raise ScenarioError("This size is not one of the model's.")
    seed = whole_number(document, "seed", 0, SEED_MAX)
    return ScoringRequest(
        prompt=document["prompt"],
        width=width,
        height=height,
        count=_number(document, "count", 1, COUNT_MAX),
        seed=secrets.randbits(32) if seed is None else seed,
        output_format=document["output_format"],
        seconds_max=_number(document, "seconds_max", 1, SECONDS_MAX),
    )


def _number(document: dict[str, Any], name: str, low: int, high: int) -> int:
    value = whole_number(document, name, low, high)
    if value is None:
        raise ScenarioError(f"{name} is missing.")
    return value


def _run_ms(wanted: ScoringRequest) -> int:
    """How long a run takes: the same for the same prompt and seed, and never above its limit."""
    digest = PictureRequest(wanted.prompt, wanted.seed, wanted.width, wanted.height).digest()
    each_ms = RUN_MS_MIN + int.from_bytes(digest[:4], "big") % RUN_MS_SPREAD
    return min(each_ms * wanted.count, wanted.seconds_max * 1_000)


def _body(call: PaidCall, wanted: ScoringRequest, pictures: int, run_ms: int) -> bytes:
    """The bytes of the 200; slow, so call it in a thread."""
    images = []
    for number in range(pictures):
        seed = (wanted.seed + number) % (SEED_MAX + 1)
        request = PictureRequest(
            wanted.prompt, seed, wanted.width, wanted.height, wanted.output_format
        )
        is_plain = call.scenario.name == "oversized" and number > 0
        picture = b"" if is_plain else call.picture(request)
        images.append({"b64_json": base64.b64encode(picture).decode(), "seed": seed})
    answer = {"model_version": MODEL_VERSION, "seconds": _seconds(run_ms), "images": images}
    if call.scenario.name == "malformed":
        return malformed(call.scenario.params["shape"], answer, "images")
    return json.dumps(answer).encode()


def _seconds(run_ms: int) -> str:
    return f"{run_ms // 1_000}.{run_ms % 1_000:03d}"


def _refuse_without_work(scenario: Scenario) -> None:
    """Raises the answer of a scenario that fails before any work, which costs nothing."""
    name = scenario.name
    if name == "unauthorized":
        raise _gateway(401, "Unauthorized", "key_auth_access_denied", name)
    if name == "provider_blocked":
        raise _gateway(403, "Forbidden", "The identity may not score this endpoint.", name)
    if name == "rate_limited":
        seconds = math.ceil(scenario.number("retry_after_s"))
        refusal = _gateway(429, "TooManyRequests", "Too many pending requests.", name)
        refusal.headers = {"retry-after": str(seconds), "x-ms-ratelimit-remaining-requests": "0"}
        raise refusal
    if name == "outage":
        status = int(scenario.number("status"))
        raise _gateway(status, "InternalServerError", "Something went wrong.", name)


def _gateway(status: int, code: str, message: str, outcome: str = "invalid_request") -> Refusal:
    """An error of the endpoint itself."""
    return Refusal(status, {"error": {"code": code, "message": message}}, outcome)


def _model_error(code: str, message: str, run_ms: int, outcome: str = "invalid_request") -> Refusal:
    """An error of the scoring script as the gateway passes it on."""
    body = {"error": {"code": code, "message": message}, "seconds": _seconds(run_ms)}
    headers = {
        "ms-azureml-model-error-statuscode": str(STATUS_OF[code]),
        "ms-azureml-model-error-reason": "model_error",
    }
    return Refusal(424, body, outcome, headers)
