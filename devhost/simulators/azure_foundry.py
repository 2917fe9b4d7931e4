"""FLUX on Azure AI Foundry under `/azure-foundry`: the provider route, and its bill.

One picture for each call, inline or, with the scenario `url_answer`, behind an address. Nothing is
filtered. What Microsoft does not document is chosen here and said in README.md: that requests which
Black Forest Labs moderates are billed like pictures, and the shapes of errors.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import secrets
from dataclasses import dataclass, field

from aiohttp import web

from devhost.faults import abort_connection
from devhost.simulators.invoice import AZURE_FOUNDRY, foundry_charge
from devhost.simulators.paid_calls import (
    PaidCall,
    Refusal,
    has_credential,
    malformed,
    open_call,
    read_object,
    whole_number,
)
from devhost.simulators.pictures import MEDIA_TYPES, PictureRequest
from devhost.simulators.scenarios import Scenario, ScenarioError
from devhost.simulators.state import SimulatorState

PREFIX = "/azure-foundry/providers/blackforestlabs/v1"
DELIVERY = "/azure-foundry-delivery"
DEPLOYMENTS = ("flux-2-pro", "flux-pro-1.1")
FIELDS = frozenset({"model", "prompt", "width", "height", "output_format", "num_images", "seed"})
PROMPT_CHARS_MAX = 32_000
SIDE_MIN, SIDE_MAX, SIDE_STEP = 256, 2_048, 16
PIXELS_MAX = 4_194_304
SEED_MAX = 2**32 - 1
PICTURES_KEPT_MAX = 50  # behind addresses; a client fetches at once
MODERATED = {"request_moderated": "Request Moderated", "content_moderated": "Content Moderated"}


def add_azure_foundry(app: web.Application, state: SimulatorState) -> None:
    """Adds the provider route and the addresses of pictures to `app`."""
    service = FoundrySimulator(state)
    app.router.add_post(f"{PREFIX}/{{deployment}}", service.serve)
    app.router.add_get(f"{DELIVERY}/{{name}}", service.deliver)


@dataclass(frozen=True)
class FoundrySimulator:
    """Answers image requests; what it bills is on the invoice before the answer leaves."""

    state: SimulatorState
    pictures: dict[str, tuple[Scenario, str, bytes]] = field(default_factory=dict)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request; each answer is counted."""
        try:
            response, outcome = await self._answer(request)
        except Refusal as refusal:
            response, outcome = refusal.response(), refusal.outcome
        self.state.outcomes[f"{AZURE_FOUNDRY} {outcome}"] += 1
        response.headers.setdefault("apim-request-id", secrets.token_hex(16))
        return response

    async def _answer(self, request: web.Request) -> tuple[web.StreamResponse, str]:
        if not has_credential(request, "api-key", self.state):
            message = "Access denied due to invalid subscription key."
            raise _error(401, "401", message, "unauthorized")
        if request.query.get("api-version") != "preview":
            raise _error(404, "404", "Resource not found")
        deployment = request.match_info["deployment"]
        if deployment not in DEPLOYMENTS:
            raise _error(404, "DeploymentNotFound", "The deployment does not exist.")
        try:
            wanted = _wanted(await read_object(request), deployment)
            call = open_call(self.state, request, (AZURE_FOUNDRY, deployment), wanted.prompt)
        except ScenarioError as error:
            raise _error(400, "invalid_value", str(error)) from error
        response = await self._work(request, call, wanted)
        response.headers["apim-request-id"] = call.billed.request_id
        return response, call.scenario.name

    async def _work(
        self, request: web.Request, call: PaidCall, wanted: PictureRequest
    ) -> web.StreamResponse:
        scenario = call.scenario
        _refuse_without_work(scenario)
        delay_s = self.state.options.azure_delay_s
        await asyncio.sleep(
            delay_s + (scenario.number("seconds") if scenario.name == "slow" else 0)
        )
        if scenario.name == "timeout_408":
            call.bill(foundry_charge(1))
            raise _error(408, "Timeout", "The operation was timeout.", scenario.name)
        if scenario.name in MODERATED:
            call.bill(foundry_charge(1))
            body = {"id": secrets.token_hex(8), "status": MODERATED[scenario.name], "result": None}
            return web.json_response(body)
        pictures = 0 if scenario.name == "fewer_images" else 1
        body_bytes = await asyncio.to_thread(self._body, call, wanted, pictures)
        call.bill(foundry_charge(pictures))
        if scenario.name == "timeout_after_work":
            await asyncio.sleep(scenario.number("seconds"))
            abort_connection(request)
        return web.Response(body=body_bytes, content_type="application/json")

    def _body(self, call: PaidCall, wanted: PictureRequest, pictures: int) -> bytes:
        """The bytes of the 200; slow, so it runs in a thread."""
        data = []
        for _ in range(pictures):
            picture = call.picture(wanted)
            if call.scenario.name in ("url_answer", "wrong_output_host", "redirect_output"):
                data.append({"url": self._address(call.scenario, wanted.format, picture)})
            else:
                data.append({"b64_json": base64.b64encode(picture).decode()})
        answer = {"created": int(self.state.clock.now_s()), "data": data}
        if call.scenario.name == "malformed":
            return malformed(call.scenario.params["shape"], answer, "data")
        return json.dumps(answer).encode()

    def _address(self, scenario: Scenario, image_format: str, picture: bytes) -> str:
        while len(self.pictures) >= PICTURES_KEPT_MAX:
            self.pictures.pop(next(iter(self.pictures)))
        name = secrets.token_hex(16)
        self.pictures[name] = (scenario, image_format, picture)
        if scenario.name == "wrong_output_host":
            return f"https://{scenario.params['host']}{DELIVERY}/{name}"
        return f"{self.state.options.origin}{DELIVERY}/{name}"

    async def deliver(self, request: web.Request) -> web.StreamResponse:
        """A picture behind an address; like the real host it asks for no token."""
        found = self.pictures.get(request.match_info["name"])
        if found is None:
            return web.Response(status=404, text="Not found")
        scenario, image_format, picture = found
        if scenario.name == "redirect_output" and "moved" not in request.query:
            location = f"{self.state.options.origin}{request.path}?moved=1"
            return web.Response(status=302, headers={"location": location})
        return web.Response(body=picture, content_type=MEDIA_TYPES[image_format])


def _wanted(document: dict[str, object] | None, deployment: str) -> PictureRequest:
    """The checked request; raises ScenarioError with a sentence."""
    if document is None:
        raise ScenarioError("The body must be a JSON object.")
    unknown = sorted(set(document) - FIELDS)
    if unknown:
        raise ScenarioError(f"Unknown parameter: {unknown[0]!r}.")
    if document.get("model") != deployment:
        raise ScenarioError("model must be the deployment of the address, in lower case.")
    prompt, image_format = document.get("prompt"), document.get("output_format", "jpeg")
    if not isinstance(prompt, str) or not 1 <= len(prompt) <= PROMPT_CHARS_MAX:
        raise ScenarioError(f"prompt must be a string of 1 to {PROMPT_CHARS_MAX} characters.")
    if image_format not in ("png", "jpeg"):
        raise ScenarioError("output_format must be png or jpeg.")
    whole_number(document, "num_images", 1, 1)
    seed = whole_number(document, "seed", 0, SEED_MAX)
    sides = [
        whole_number(document, name, SIDE_MIN, SIDE_MAX) or 1_024 for name in ("width", "height")
    ]
    if any(side % SIDE_STEP for side in sides) or sides[0] * sides[1] > PIXELS_MAX:
        raise ScenarioError(f"width and height must be multiples of {SIDE_STEP}, up to 4 MP.")
    chosen = secrets.randbits(32) if seed is None else seed
    return PictureRequest(prompt, chosen, sides[0], sides[1], str(image_format))


def _refuse_without_work(scenario: Scenario) -> None:
    """Raises the answer of a scenario that fails before any work, which is never billed."""
    if scenario.name == "unauthorized":
        raise _error(401, "401", "Access denied due to invalid subscription key.", scenario.name)
    if scenario.name == "provider_blocked":
        message = "Your resource has been temporarily blocked. Please contact support."
        raise _error(403, "Forbidden", message, scenario.name)
    if scenario.name == "rate_limited":
        seconds = math.ceil(scenario.number("retry_after_s"))
        refusal = _error(429, "429", f"Please retry after {seconds} seconds.", scenario.name)
        refusal.headers = {"retry-after": str(seconds)}
        raise refusal
    if scenario.name == "outage":
        status = int(scenario.number("status"))
        raise _error(status, "InternalServerError", "Something went wrong.", scenario.name)


def _error(status: int, code: str, message: str, outcome: str = "invalid_request") -> Refusal:
    return Refusal(status, {"error": {"code": code, "message": message}}, outcome)
