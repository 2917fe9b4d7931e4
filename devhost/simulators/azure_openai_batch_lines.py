"""The lines of a batch's input file: what each asks for, and how it will end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devhost.simulators.azure_openai import AcceptedCall, resolve
from devhost.simulators.azure_openai_errors import (
    AzureRefusal,
    content_filtered,
    invalid_request,
    refusal_without_work,
    timed_out,
)
from devhost.simulators.azure_openai_requests import AzureImageRequest, parse_image_request
from devhost.simulators.invoice import (
    AZURE,
    GPT_IMAGE_2,
    BilledCall,
    Charge,
    at_batch_price,
    prompt_sha256,
)
from devhost.simulators.scenarios import NORMAL, Scenario

ENDPOINT = "/v1/images/generations"
BATCH_DEPLOYMENT = "gpt-image-2-batch"  # a deployment of the type Global Batch, of gpt-image-2
LINES_MAX = 50_000  # documented
CUSTOM_ID_CHARS_MAX = 72  # not documented: our longest generation id and its attempt
SHOWN_FAULTS_MAX = 10
_CUSTOM_ID = re.compile(rf"[ -~]{{1,{CUSTOM_ID_CHARS_MAX}}}")


@dataclass(frozen=True)
class LineFault:
    """Why a whole batch fails its validation."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "object": "error"}


@dataclass(frozen=True)
class BatchLine:
    """One request and its decided end; `done_s` None: it is never worked on.

    `number` counts lines from 1; `status` is that of the answer in the output or error file.
    """

    number: int
    custom_id: str
    request_id: str
    body: dict[str, Any]
    scenario: Scenario
    submission: int
    done_s: float | None

    def ended_by(self, moment_s: float) -> bool:
        return self.done_s is not None and self.done_s <= moment_s

    def call(self, job_id: str) -> AcceptedCall:
        """The request as the image service accepts it; raises AzureRefusal if it does not."""
        wanted = read_body(self.body)
        size, quality = resolve(wanted, dearest=self.scenario.name == "worst_case_auto")
        billed = BilledCall(
            provider=AZURE,
            model=GPT_IMAGE_2,
            prompt_sha256=prompt_sha256(wanted.prompt),
            request_id=self.request_id,
            client_request_id=self.custom_id,
            deployment=BATCH_DEPLOYMENT,
            job_id=f"{job_id}/{self.custom_id}",
        )
        return AcceptedCall(wanted, self.scenario, self.submission, billed, size, quality)

    def charges(self, call: AcceptedCall) -> list[Charge]:
        """What its end costs, at the batch price."""
        wanted, name = call.wanted, self.scenario.name
        if name in ("content_filter", "timeout_408"):
            kind = "timeout" if name == "timeout_408" else name
            charges = [call.model.output_charge(kind, call.size, call.quality, wanted.images)]
        elif refusal_without_work(self.scenario) is not None:
            charges = []
        else:
            images = self.images(wanted)
            charges = call.model.charges(call.size, call.quality, images, wanted.prompt)
        return at_batch_price([charge for charge in charges if charge.quantity > 0])

    def images(self, wanted: AzureImageRequest) -> int:
        missing = self.scenario.number("missing") if self.scenario.name == "fewer_images" else 0
        return max(0, wanted.images - int(missing))

    def refusal(self, call: AcceptedCall, created_s: int) -> AzureRefusal | None:
        """The error answer of this line, or None when it delivers."""
        if self.scenario.name == "content_filter":
            return content_filtered(self.scenario, call.wanted.prompt, created_s, self.request_id)
        if self.scenario.name == "timeout_408":
            return timed_out(self.scenario)
        return refusal_without_work(self.scenario)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read_line(document: dict[str, Any]) -> BatchLine:
    """A line that `as_json` wrote."""
    return BatchLine(**{**document, "scenario": Scenario(**document["scenario"])})


def read_body(body: dict[str, Any]) -> AzureImageRequest:
    return parse_image_request({name: value for name, value in body.items() if name != "model"})


def prompt_of(body: dict[str, Any]) -> str | None:
    """The prompt of a body that the image service would work on; None for any other."""
    try:
        return read_body(body).prompt
    except AzureRefusal:
        return None


def input_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def checked_input(path: Path) -> tuple[list[tuple[int, str, dict[str, Any]]], list[LineFault]]:
    """(line number, custom id, body) of each line, and the faults that fail the batch."""
    found: list[tuple[int, str, dict[str, Any]]] = []
    faults: list[LineFault] = []
    seen: set[str] = set()
    for number, text in input_lines(path):
        fault, custom_id, body = _checked_line(number, text)
        if fault is None and custom_id in seen:
            fault = LineFault("duplicate_custom_id", "The custom_id was used before.", number)
        if fault is not None:
            faults.append(fault)
            continue
        seen.add(custom_id)
        found.append((number, custom_id, body))
        if len(found) > LINES_MAX:
            return [], [LineFault("too_many_tasks", f"There are more than {LINES_MAX} lines.")]
    if not found and not faults:
        faults.append(LineFault("empty_batch", "The input file has no line."))
    return found, faults[:SHOWN_FAULTS_MAX]


def _checked_line(number: int, text: bytes) -> tuple[LineFault | None, str, dict[str, Any]]:
    try:
        line = json.loads(text)
        custom_id, body = line["custom_id"], line["body"]
        addressed = (line["method"], line["url"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return LineFault("invalid_json_line", "The line is no valid request.", number), "", {}
    if not (isinstance(custom_id, str) and _CUSTOM_ID.fullmatch(custom_id)):
        message = f"custom_id must be text of 1 to {CUSTOM_ID_CHARS_MAX} characters."
        return LineFault("invalid_request", message, number, "custom_id"), "", {}
    if addressed != ("POST", ENDPOINT):
        return LineFault("url_mismatch", f"url must be {ENDPOINT}.", number, "url"), "", {}
    if not isinstance(body, dict):
        return LineFault("invalid_request", "body must be an object.", number, "body"), "", {}
    if body.get("model") != BATCH_DEPLOYMENT:
        message = "The deployment was not found, or is no batch deployment."
        return LineFault("model_not_found", message, number, "body.model"), "", {}
    return None, custom_id, body


def scenario_of(chosen: Scenario) -> Scenario:
    """The scenario of a line; what needs a connection of its own works as usual in a batch."""
    return NORMAL if chosen.name == "timeout_after_work" else chosen


def bad_scenario(message: str) -> AzureRefusal:
    return invalid_request(message, "input_file_id", "invalid_scenario")
