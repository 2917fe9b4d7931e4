"""What the simulators of Azure AI Foundry and Azure Machine Learning share: one call, one bill."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from devhost.simulators.invoice import BilledCall, Charge, prompt_sha256
from devhost.simulators.pictures import PictureRequest, padded, render
from devhost.simulators.provenance import with_credentials, with_note
from devhost.simulators.scenarios import Scenario, ScenarioError
from devhost.simulators.state import SimulatorState

MEGABYTE = 1024 * 1024
HTML = b"<!DOCTYPE html><html><body><h1>Sign in to the network</h1></body></html>"
# A prompt may say what Content Safety is to find in the picture: `[[picture:violence=6]]`.
PICTURE_TAG = re.compile(r"\[\[picture:([a-z_]+(?:=[0-9])?)\]\]")


@dataclass(eq=False)  # an exception is compared by identity and must be hashable
class Refusal(Exception):
    """An answer other than 200; `outcome` is the name it is counted under."""

    status: int
    body: dict[str, Any] | None
    outcome: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        if self.body is None:  # a gateway's page
            return web.Response(status=self.status, text="<html></html>", headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


@dataclass(frozen=True)
class PaidCall:
    """A submission that was counted, with its scenario and the lines it may cause."""

    state: SimulatorState
    scenario: Scenario
    billed: BilledCall

    def bill(self, *charges: Charge) -> None:
        self.state.invoice.add(self.billed, [each for each in charges if each.quantity > 0])

    def picture(self, request: PictureRequest) -> bytes:
        """One picture as the scenario wants it; slow, so call it in a thread."""
        if self.scenario.name == "not_an_image":
            return HTML
        picture = render(request, tiny=self.state.options.tiny_pictures)
        for note in PICTURE_TAG.findall(request.prompt):
            picture = with_note(picture, f"[[safety:{note}]]")
        if self.scenario.name == "content_credentials":
            picture = with_credentials(picture)
        if self.scenario.name == "oversized":
            picture = padded(picture, int(self.scenario.number("mb") * MEGABYTE))
        return picture


def open_call(
    state: SimulatorState, request: web.Request, names: tuple[str, str], prompt: str
) -> PaidCall:
    """Count a submission to (provider, model) and choose its scenario; raises ScenarioError."""
    provider, model = names
    submission = state.invoice.count_submission(provider, prompt)
    scenario = state.scenarios.choose(provider, prompt, submission)
    billed = BilledCall(
        provider=provider,
        model=model,
        prompt_sha256=prompt_sha256(prompt),
        request_id=str(uuid.uuid4()),
        client_request_id=_client_request_id(request),
        deployment=model,
    )
    return PaidCall(state, scenario, billed)


def _client_request_id(request: web.Request) -> str | None:
    """The caller's id; bytes that are not UTF-8 are replaced, because SQLite refuses them."""
    value = request.headers.get("x-ms-client-request-id")
    return None if value is None else value.encode(errors="replace").decode()


def has_credential(request: web.Request, key_header: str, state: SimulatorState) -> bool:
    """Whether a key or a bearer token is there that is not refused."""
    credential = request.headers.get(key_header, "").strip()
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith("bearer "):
        credential = authorization[len("bearer ") :].strip()
    return not state.refuses(credential)


async def read_object(request: web.Request) -> dict[str, Any] | None:
    """The JSON object of a request; None if it is none."""
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def whole_number(document: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    """A field that may be missing; raises ScenarioError with a sentence if it is out of range."""
    value = document.get(name)
    if value is None:
        return None
    if type(value) is not int or not low <= value <= high:
        raise ScenarioError(f"{name} must be a whole number from {low} to {high}.")
    return value


def malformed(shape: str, answer: dict[str, Any], data_field: str) -> bytes:
    """An answer that is damaged as a scenario asks."""
    if shape == "empty":
        return b""
    if shape == "missing_data":
        return json.dumps({key: each for key, each in answer.items() if key != data_field}).encode()
    body = json.dumps(answer).encode()
    return body[: len(body) // 2]
