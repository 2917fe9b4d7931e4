"""Azure OpenAI's Batches API under `/azure-openai`, for image requests at half the price.

Bodies follow the OpenAPI description of the Files and Batches APIs. Assumed, because no text says
it: what a content filter or a time-out inside a batch costs (half of what it costs outside), and
that lines which were not worked on are listed in the error file.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import replace
from typing import Any

from aiohttp import web

from devhost.simulators.azure_openai import PREFIX, answer_body
from devhost.simulators.azure_openai_batch_life import ENDS, WINDOW_S, Batch, BatchStore
from devhost.simulators.azure_openai_batch_lines import (
    ENDPOINT,
    BatchLine,
    LineFault,
    bad_scenario,
    checked_input,
    prompt_of,
    scenario_of,
)
from devhost.simulators.azure_openai_errors import AzureRefusal, invalid_request, not_found
from devhost.simulators.azure_openai_files import AzureFiles, StoredFile, guarded
from devhost.simulators.invoice import AZURE
from devhost.simulators.scenarios import NORMAL, Scenario, ScenarioError
from devhost.simulators.state import SimulatorState

METADATA_PAIRS_MAX = 16
METADATA_NAME_CHARS_MAX = 64
METADATA_VALUE_CHARS_MAX = 512
PAGE_MAX = 100
PAGE_DEFAULT = 20
FIELDS = {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}
OUTPUT_SUFFIXES = ("-output", "-error")


def add_azure_openai_batches(app: web.Application, state: SimulatorState) -> None:
    """Adds the routes to `app`."""
    service = BatchSimulator(state)
    state.settlers.append(service.store.settle_due)
    routes = [
        ("POST", "/files", "file_uploaded", service.files.upload),
        ("GET", "/files/{id}", "file_shown", service.files.show),
        ("GET", "/files/{id}/content", "file_read", service.content),
        ("DELETE", "/files/{id}", "file_deleted", service.files.delete),
        ("POST", "/batches", "batch_created", service.create),
        ("GET", "/batches", "batches_listed", service.listing),
        ("GET", "/batches/{id}", "batch_shown", service.show),
        ("POST", "/batches/{id}/cancel", "batch_canceled", service.cancel),
    ]
    for method, path, outcome, endpoint in routes:
        app.router.add_route(method, f"{PREFIX}/v1{path}", guarded(state, outcome, endpoint))


class BatchSimulator:
    """Answers batch requests; the lines of output files are written while they are read."""

    def __init__(self, state: SimulatorState) -> None:
        self.state = state
        self.files = AzureFiles(state)
        self.store = BatchStore(state)

    async def create(self, request: web.Request) -> web.Response:
        """POST /batches"""
        document = await _json_object(request)
        unknown = sorted(set(document) - FIELDS)
        if unknown:
            raise invalid_request("Unknown parameter.", unknown[0], "unknown_parameter")
        if document.get("endpoint") != ENDPOINT:
            raise invalid_request(f"The simulator batches {ENDPOINT} only.", "endpoint")
        if document.get("completion_window") != "24h":
            raise invalid_request("completion_window must be 24h.", "completion_window")
        metadata = _metadata(document.get("metadata"))
        stored = self.files.find(str(document.get("input_file_id")))
        batch = self._decided(await asyncio.to_thread(self._plan, stored, metadata))
        self.store.save(batch)
        return self._answer(batch)

    def _plan(self, stored: StoredFile, metadata: dict[str, str]) -> Batch:
        """The batch as its input file has it; how its lines end is decided after."""
        found, faults = checked_input(self.files.path(stored.id))
        now_s = self.state.clock.now_s()
        batch_id = f"batch_{secrets.token_hex(12)}"
        lines = tuple(
            BatchLine(number, custom_id, f"{batch_id}-{number}", body, NORMAL, 0, None)
            for number, custom_id, body in found
        )
        return Batch(
            id=batch_id,
            input_file_id=stored.id,
            output_file_id=f"file-{batch_id}-output",
            error_file_id=f"file-{batch_id}-error",
            metadata=metadata,
            created_s=now_s,
            expires_s=now_s + WINDOW_S,
            pause_s=self.state.options.azure_delay_s / 2,
            lines=() if faults else lines,
            faults=tuple(faults),
        )

    def _decided(self, batch: Batch) -> Batch:
        """The batch with each line counted as a submission and its end decided."""
        ready_s = batch.created_s + batch.pause_s + self.state.options.azure_delay_s
        expires_s, faults, lines = batch.expires_s, batch.faults, []
        for line in batch.lines:
            scenario, submission = self._scenario(line)
            done_s: float | None = ready_s
            if scenario.name == "slow":
                done_s = ready_s + scenario.number("seconds")
            elif scenario.name == "batch_stuck":
                done_s = None
            elif scenario.name == "batch_expires":
                done_s = None
                expires_s = min(expires_s, batch.created_s + scenario.number("seconds"))
            elif scenario.name == "batch_rejected":
                faults = (LineFault("token_limit_exceeded", "Enqueued token limit reached."),)
            lines.append(replace(line, scenario=scenario, submission=submission, done_s=done_s))
        return replace(batch, expires_s=expires_s, faults=faults, lines=tuple(lines))

    def _scenario(self, line: BatchLine) -> tuple[Scenario, int]:
        prompt = prompt_of(line.body)
        if prompt is None:
            return NORMAL, 0
        submission = self.state.invoice.count_submission(AZURE, prompt)
        try:
            return scenario_of(self.state.scenarios.choose(AZURE, prompt, submission)), submission
        except ScenarioError as error:
            raise bad_scenario(str(error)) from error

    async def show(self, request: web.Request) -> web.Response:
        """GET /batches/{id}"""
        self.store.settle_due()
        return self._answer(self.store.find(request.match_info["id"]))

    async def listing(self, request: web.Request) -> web.Response:
        """GET /batches"""
        limit = request.query.get("limit", str(PAGE_DEFAULT))
        if not (limit.isdecimal() and 1 <= int(limit) <= PAGE_MAX):
            raise invalid_request(f"limit must be from 1 to {PAGE_MAX}.", "limit")
        found, more = self.store.page(request.query.get("after"), int(limit))
        now_s = self.state.clock.now_s()
        data = [batch.as_json(now_s) for batch in found]
        return web.json_response(
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": more,
            }
        )

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /batches/{id}/cancel; one that is being canceled already is left alone."""
        batch = self.store.find(request.match_info["id"])
        now_s = self.state.clock.now_s()
        status = batch.status(now_s)
        if status in ENDS or status == "finalizing":
            message = f"Cannot cancel a batch with status '{status}'."
            raise invalid_request(message, None, "invalid_state")
        return self._answer(
            batch if batch.cancel_s is not None else self.store.cancel(batch, now_s)
        )

    def _answer(self, batch: Batch) -> web.Response:
        return web.json_response(batch.as_json(self.state.clock.now_s()))

    async def content(self, request: web.Request) -> web.StreamResponse:
        """GET /files/{id}/content: an input file as it came, or the lines of an ended batch."""
        file_id = request.match_info["id"]
        batch_id, is_error = _batch_of(file_id)
        if batch_id is None:
            stored = self.files.find(file_id)
            return web.FileResponse(self.files.path(stored.id))
        batch = self.store.find(batch_id)
        good, bad = batch.outputs()
        if batch.status(self.state.clock.now_s()) not in ENDS or not (bad if is_error else good):
            raise not_found(f"No such File object: {file_id}")
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        for line in bad if is_error else good:
            if line.scenario.name != "batch_no_line":
                await response.write(await asyncio.to_thread(self._result, batch, line))
        await response.write_eof()
        return response

    def _result(self, batch: Batch, line: BatchLine) -> bytes:
        """One line of an output or error file; slow, so it runs in a thread."""
        result: dict[str, Any] = {
            "id": f"batch_req_{line.request_id}",
            "custom_id": line.custom_id,
            "response": None,
            "error": None,
        }
        if line not in batch.worked(batch.ended_s):
            kind = "cancelled" if batch.ending == "cancelled" else "expired"
            message = "This request was not executed before the batch ended."
            result["error"] = {"code": f"batch_{kind}", "message": message}
        else:
            status, body = self._answered(batch, line)
            result["response"] = {
                "status_code": status,
                "request_id": line.request_id,
                "body": body,
            }
        return json.dumps(result).encode() + b"\n"

    def _answered(self, batch: Batch, line: BatchLine) -> tuple[int, Any]:
        created_s = int(line.done_s or batch.created_s)
        try:
            call = line.call(batch.id)
            refusal = line.refusal(call, created_s)
        except AzureRefusal as invalid:
            return invalid.status, invalid.body
        if refusal is not None:
            return refusal.status, refusal.body
        tiny = self.state.options.tiny_pictures
        text = answer_body(call, line.images(call.wanted), created_s, tiny)
        try:
            return 200, json.loads(text)
        except ValueError:  # the scenario `malformed`
            return 200, text.decode()


def _batch_of(file_id: str) -> tuple[str | None, bool]:
    for suffix in OUTPUT_SUFFIXES:
        if file_id.startswith("file-batch_") and file_id.endswith(suffix):
            return file_id.removeprefix("file-").removesuffix(suffix), suffix == "-error"
    return None, False


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_request("The body must be a JSON object.", None, "invalid_json")
    return document


def _metadata(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > METADATA_PAIRS_MAX:
        raise invalid_request(f"metadata takes up to {METADATA_PAIRS_MAX} pairs.", "metadata")
    for name, value in given.items():
        if not isinstance(value, str) or len(value) > METADATA_VALUE_CHARS_MAX:
            raise invalid_request("A value of metadata is no text, or too long.", "metadata")
        if len(name) > METADATA_NAME_CHARS_MAX:
            raise invalid_request("A name of metadata is too long.", "metadata")
    return given
