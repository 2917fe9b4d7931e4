"""Azure OpenAI images under `/azure-openai`: deployments of GPT image models, and their bill."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from devhost.faults import abort_connection
from devhost.simulators.azure_openai_errors import (
    AzureRefusal,
    content_filtered,
    invalid_request,
    refusal_without_work,
    timed_out,
)
from devhost.simulators.azure_openai_models import AZURE_MODELS, AzureModel
from devhost.simulators.azure_openai_requests import (
    AUTO,
    DEFAULT_QUALITY,
    DEFAULT_SIZE,
    IMAGES_MAX,
    AzureImageRequest,
    read_image_request,
    require_credential,
)
from devhost.simulators.invoice import (
    AZURE,
    BilledCall,
    input_text_tokens,
    prompt_sha256,
)
from devhost.simulators.pictures import PictureRequest, padded, render
from devhost.simulators.provenance import with_credentials
from devhost.simulators.scenarios import Scenario, ScenarioError
from devhost.simulators.state import SimulatorState

PREFIX = "/azure-openai/openai"
MEGABYTE = 1024 * 1024
HTML = b"<!DOCTYPE html><html><body><h1>Sign in to the network</h1></body></html>"


def add_azure_openai(app: web.Application, state: SimulatorState) -> None:
    """Adds the v1 route and the deployment route to `app`."""
    service = AzureOpenAISimulator(state)
    app.router.add_post(f"{PREFIX}/v1/images/generations", service.serve)
    app.router.add_post(f"{PREFIX}/deployments/{{deployment}}/images/generations", service.serve)


@dataclass(frozen=True)
class AcceptedCall:
    """A request that the service works on; size and quality are resolved, never `auto`."""

    wanted: AzureImageRequest
    scenario: Scenario
    submission: int
    billed: BilledCall
    size: str
    quality: str

    @property
    def model(self) -> AzureModel:
        return AZURE_MODELS[self.wanted.deployment]


@dataclass(frozen=True)
class AzureOpenAISimulator:
    """Answers image requests; whatever it bills is on the invoice before the answer leaves."""

    state: SimulatorState

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request on either route; each answer carries its ids and is counted."""
        request_id = str(uuid.uuid4())
        try:
            require_credential(request.headers, self.state)
            deployment = request.match_info.get("deployment")
            wanted = await read_image_request(request, deployment)
            call = self._accept(request, wanted, request_id)
            response = await self._work(request, call)
            outcome = call.scenario.name
        except AzureRefusal as refusal:
            response = web.json_response(
                refusal.body, status=refusal.status, headers=refusal.headers
            )
            outcome = refusal.outcome
        self.state.outcomes[f"{AZURE} {outcome}"] += 1
        response.headers["apim-request-id"] = request_id
        response.headers["x-request-id"] = request_id
        return response

    def _accept(
        self, request: web.Request, wanted: AzureImageRequest, request_id: str
    ) -> AcceptedCall:
        """Counts the submission and chooses its scenario; raises AzureRefusal."""
        submission = self.state.invoice.count_submission(AZURE, wanted.prompt)
        try:
            scenario = self.state.scenarios.choose(AZURE, wanted.prompt, submission)
        except ScenarioError as error:
            raise invalid_request(str(error), "prompt", "invalid_scenario") from error
        size, quality = resolve(wanted, dearest=scenario.name == "worst_case_auto")
        billed = BilledCall(
            provider=AZURE,
            model=wanted.deployment,
            prompt_sha256=prompt_sha256(wanted.prompt),
            request_id=request_id,
            client_request_id=_client_request_id(request),
            deployment=wanted.deployment,
        )
        return AcceptedCall(wanted, scenario, submission, billed, size, quality)

    async def _work(self, request: web.Request, call: AcceptedCall) -> web.StreamResponse:
        """Takes the time of a real call, then bills and answers; raises AzureRefusal."""
        refusal = refusal_without_work(call.scenario)
        if refusal is not None:
            raise refusal
        delay_s = self.state.options.azure_delay_s
        if call.scenario.name == "slow":
            delay_s += call.scenario.number("seconds")
        await asyncio.sleep(delay_s)
        if call.scenario.name == "content_filter":
            self._bill_output("content_filter", call)
            created = int(self.state.clock.now_s())
            request_id = call.billed.request_id
            raise content_filtered(call.scenario, call.wanted.prompt, created, request_id)
        if call.scenario.name == "timeout_408":
            self._bill_output("timeout", call)
            raise timed_out(call.scenario)
        return await self._deliver(request, call)

    def _bill_output(self, kind: str, call: AcceptedCall) -> None:
        charge = call.model.output_charge(kind, call.size, call.quality, call.wanted.images)
        self.state.invoice.add(call.billed, [charge])

    async def _deliver(self, request: web.Request, call: AcceptedCall) -> web.StreamResponse:
        """Makes the pictures, bills them, and answers as far as the scenario lets it."""
        images = call.wanted.images
        if call.scenario.name == "fewer_images":
            images = max(0, images - int(call.scenario.number("missing")))
        created = int(self.state.clock.now_s())
        tiny = self.state.options.tiny_pictures
        body = await asyncio.to_thread(answer_body, call, images, created, tiny)
        charges = call.model.charges(call.size, call.quality, images, call.wanted.prompt)
        # A line of nothing is no line: with no picture left, only the prompt is billed.
        self.state.invoice.add(call.billed, [charge for charge in charges if charge.quantity > 0])
        if call.scenario.name == "timeout_after_work":
            await asyncio.sleep(call.scenario.number("seconds"))
            abort_connection(request)
        return web.Response(body=body, content_type="application/json")


def _client_request_id(request: web.Request) -> str | None:
    """The caller's id; bytes that are not UTF-8 are replaced, because SQLite refuses them."""
    value = request.headers.get("x-ms-client-request-id")
    return None if value is None else value.encode(errors="replace").decode()


def resolve(wanted: AzureImageRequest, *, dearest: bool) -> tuple[str, str]:
    """The size and quality of the pictures; `dearest` takes `auto` for what costs most."""
    if not dearest:
        size = DEFAULT_SIZE if wanted.size == AUTO else wanted.size
        return size, DEFAULT_QUALITY if wanted.quality == AUTO else wanted.quality
    candidates = [
        (tokens, size, quality)
        for size, by_quality in AZURE_MODELS[wanted.deployment].tokens.items()
        for quality, tokens in by_quality.items()
        if wanted.size in (AUTO, size) and wanted.quality in (AUTO, quality)
    ]
    _, size, quality = max(candidates)
    return size, quality


def answer_body(call: AcceptedCall, images: int, created: int, tiny: bool) -> bytes:
    """The bytes of the 200; slow, so call it in a thread."""
    shape = call.scenario.params.get("shape") if call.scenario.name == "malformed" else None
    if shape == "empty":
        return b""
    answer = {
        "created": created,
        "data": [{"b64_json": text} for text in _pictures_base64(call, images, tiny)],
        "background": call.wanted.background,
        "output_format": call.wanted.output_format,
        "quality": call.quality,
        "size": call.size,
        "usage": _usage(call, images),
    }
    if shape == "missing_data":
        del answer["data"]
    body = json.dumps(answer).encode()
    return body[: len(body) // 2] if shape == "invalid_json" else body


def _pictures_base64(call: AcceptedCall, images: int, tiny: bool) -> list[str]:
    width_px, height_px = (int(edge) for edge in call.size.split("x"))
    pictures = []
    for index in range(images):
        request = PictureRequest(
            call.wanted.prompt,
            # The service has no seed: asking again gives other pictures.
            call.submission * IMAGES_MAX + index,
            width_px,
            height_px,
            call.wanted.output_format,
            call.wanted.background == "transparent",
        )
        picture = HTML if call.scenario.name == "not_an_image" else render(request, tiny=tiny)
        if call.scenario.name == "content_credentials":
            picture = with_credentials(picture)
        if call.scenario.name == "oversized" and index == 0:  # ten such pictures would fill memory
            picture = padded(picture, int(call.scenario.number("mb") * MEGABYTE))
        pictures.append(base64.b64encode(picture).decode())
    return pictures


def _usage(call: AcceptedCall, images: int) -> dict[str, Any]:
    """The metered tokens: the same counts that the invoice prices."""
    text_tokens = input_text_tokens(call.wanted.prompt)
    image_tokens = call.model.output_tokens(call.size, call.quality, images)
    return {
        "input_tokens": text_tokens,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": 0},
        "output_tokens": image_tokens,
        "output_tokens_details": {"image_tokens": image_tokens, "text_tokens": 0},
        "total_tokens": text_tokens + image_tokens,
    }
