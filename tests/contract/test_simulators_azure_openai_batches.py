"""The simulated Files and Batches APIs on the wire: shapes, limits, life by the clock, restarts."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from devhost.simulators import azure_openai_batch_lines, azure_openai_files
from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions

DELAY_S = 2.0  # by the simulators' clock, which the tests advance
BATCHES = "/azure-openai/openai/v1/batches"
FILES = "/azure-openai/openai/v1/files"
MODEL = "gpt-image-2-batch"
ENDPOINT = "/v1/images/generations"


def request(custom_id: str = "one", prompt: str = "A quay", **changes: Any) -> dict[str, Any]:
    body = {"model": MODEL, "prompt": prompt, "quality": "low", "size": "1024x1024"}
    line = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}
    return line | changes


def as_file(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@dataclass
class Service:
    """The simulators with the SDK's client and a raw one."""

    data_dir: Path
    running: RunningSimulators
    client: openai.AsyncOpenAI
    http: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=lambda: {"api-key": "any"})

    async def create(self, *lines: dict[str, Any], text: bytes | None = None) -> Any:
        content = as_file(*lines) if text is None else text
        stored = await self.client.files.create(file=("a.jsonl", content), purpose="batch")
        return await self.client.batches.create(
            input_file_id=stored.id, endpoint=ENDPOINT, completion_window="24h"
        )

    async def after(self, batch_id: str, seconds: float) -> Any:
        self.running.state.clock.advance(seconds)
        return await self.client.batches.retrieve(batch_id)

    async def lines(self, file_id: str) -> list[dict[str, Any]]:
        content = await self.client.files.content(file_id)
        return [json.loads(line) for line in content.text.splitlines()]

    async def error(self, method: str, path: str, **arguments: Any) -> tuple[int, str]:
        url = self.running.origin + path
        arguments.setdefault("headers", self.headers)
        async with self.http.request(method, url, **arguments) as answer:
            body = await answer.json()
            return answer.status, str(body["error"]["code"])


async def _started(data_dir: Path) -> RunningSimulators:
    options = SimulatorOptions(data_dir, port=0, azure_delay_s=DELAY_S, tiny_pictures=True)
    return await start_simulators(options)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    running = await _started(tmp_path)
    base_url = f"{running.origin}/azure-openai/openai/v1/"
    async with (
        openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client,
        aiohttp.ClientSession() as http,
    ):
        yield Service(tmp_path, running, client, http)
    await running.stop()


async def test_batch_goes_through_its_statuses_by_the_clock(service: Service) -> None:
    batch = await service.create(request())
    assert (batch.status, batch.endpoint, batch.completion_window) == (
        "validating", ENDPOINT, "24h",
    )  # fmt: skip
    working = await service.after(batch.id, 1.5)
    assert (working.status, working.output_file_id) == ("in_progress", None)
    assert working.request_counts.model_dump() == {"total": 1, "completed": 0, "failed": 0}
    assert (await service.after(batch.id, 2)).status == "finalizing"
    done = await service.after(batch.id, 1)
    assert (done.status, done.error_file_id) == ("completed", None)
    assert done.request_counts.completed == 1
    assert done.completed_at >= done.finalizing_at >= done.in_progress_at >= done.created_at
    (line,) = await service.lines(done.output_file_id)
    assert line["custom_id"] == "one"
    assert line["response"]["status_code"] == 200
    assert line["response"]["body"]["usage"]["output_tokens"] == 196


async def test_expired_batch_lists_what_was_not_worked_on(service: Service) -> None:
    batch = await service.create(request("a"), request("b", "[[scenario:batch_stuck]] A pier"))
    assert (await service.after(batch.id, 86_000)).status == "in_progress"
    expired = await service.after(batch.id, 500)
    assert expired.status == "expired"
    assert expired.expired_at >= expired.expires_at
    assert [x["custom_id"] for x in await service.lines(expired.output_file_id)] == ["a"]
    (late,) = await service.lines(expired.error_file_id)
    assert (late["custom_id"], late["response"]) == ("b", None)
    assert late["error"]["code"] == "batch_expired"


async def test_cancel_goes_over_cancelling_and_cannot_be_repeated_after_the_end(
    service: Service,
) -> None:
    batch = await service.create(request())
    canceled = await service.client.batches.cancel(batch.id)
    assert canceled.status == "cancelling"
    assert (await service.client.batches.cancel(batch.id)).status == "cancelling"
    assert (await service.after(batch.id, 5)).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        await service.client.batches.cancel(batch.id)
    assert service.running.state.invoice.as_json(None)["lines"] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "empty_batch"),
        (b"{not json}\n", "invalid_json_line"),
        (as_file(request(), request()), "duplicate_custom_id"),
        (as_file(request(url="/v1/responses")), "url_mismatch"),
        (as_file(request(body={"model": "gpt-image-2", "prompt": "x"})), "model_not_found"),
        (
            as_file(request("x" * (azure_openai_batch_lines.CUSTOM_ID_CHARS_MAX + 1))),
            "invalid_request",
        ),
    ],
)
async def test_input_at_fault_fails_the_whole_batch(
    service: Service, text: bytes, code: str
) -> None:
    batch = await service.create(text=text)
    failed = await service.after(batch.id, 2)
    assert failed.status == "failed"
    assert failed.errors.data[0].code == code
    assert (failed.output_file_id, failed.error_file_id) == (None, None)


async def test_too_many_lines_fail_the_batch(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_openai_batch_lines, "LINES_MAX", 2)
    batch = await service.create(*(request(f"r-{n}") for n in range(3)))
    assert (await service.after(batch.id, 2)).errors.data[0].code == "too_many_tasks"


async def test_request_that_the_model_refuses_is_one_error_line_and_free(
    service: Service,
) -> None:
    body = {"model": MODEL, "prompt": "A quay", "size": "1x1"}
    batch = await service.create(request("bad", body=body), request("good"))
    done = await service.after(batch.id, 10)
    assert done.request_counts.model_dump() == {"total": 2, "completed": 1, "failed": 1}
    (bad,) = await service.lines(done.error_file_id)
    assert bad["response"]["status_code"] == 400
    assert bad["response"]["body"]["error"]["param"] == "size"
    billed = service.running.state.invoice.as_json(None)["lines"]
    assert {line["job_id"] for line in billed} == {f"{batch.id}/good"}
    assert {line["client_request_id"] for line in billed} == {"good"}


async def test_input_file_is_kept_and_can_be_deleted(service: Service) -> None:
    content = as_file(request())
    stored = await service.client.files.create(file=("mine.jsonl", content), purpose="batch")
    assert (stored.filename, stored.bytes, stored.status) == (
        "mine.jsonl", len(content), "processed",
    )  # fmt: skip
    assert (await service.client.files.content(stored.id)).content == content
    assert (await service.client.files.delete(stored.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await service.client.files.retrieve(stored.id)


async def test_file_ends_with_its_expiry(service: Service) -> None:
    stored = await service.client.files.create(
        file=("a.jsonl", as_file(request())),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3_600},
    )
    service.running.state.clock.advance(3_601)
    with pytest.raises(openai.NotFoundError):
        await service.client.files.retrieve(stored.id)


async def test_file_over_the_limit_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_openai_files, "FILE_BYTES_MAX", 10)
    with pytest.raises(openai.APIStatusError) as refused:
        await service.create(request())
    assert refused.value.status_code == 413


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/chat/completions"}, "invalid_value"),
        ({"completion_window": "48h"}, "invalid_value"),
        ({"metadata": {"a": 1}}, "invalid_value"),
        ({"colour": "red"}, "unknown_parameter"),
        ({"input_file_id": "file-of-nobody"}, "not_found"),
    ],
)
async def test_batch_at_fault_is_refused_at_once(
    service: Service, changes: dict[str, Any], param: str
) -> None:
    body = {"input_file_id": "file-1", "endpoint": ENDPOINT, "completion_window": "24h"}
    status, code = await service.error("POST", BATCHES, json=body | changes)
    assert (status, code) == (404 if param == "not_found" else 400, param)


async def test_credential_is_asked_for_on_every_route(service: Service) -> None:
    for method, path in [
        ("POST", FILES), ("GET", f"{FILES}/file-1"), ("GET", f"{FILES}/file-1/content"),
        ("DELETE", f"{FILES}/file-1"), ("POST", BATCHES), ("GET", BATCHES),
        ("GET", f"{BATCHES}/b"), ("POST", f"{BATCHES}/b/cancel"),
    ]:  # fmt: skip
        assert await service.error(method, path, headers={}) == (401, "401")
    assert await service.error("GET", f"{BATCHES}/nobodys") == (404, "not_found")
    assert await service.error("GET", f"{BATCHES}?limit=0") == (400, "invalid_value")


async def test_results_before_the_end_are_not_there(service: Service) -> None:
    batch = await service.create(request())
    with pytest.raises(openai.NotFoundError):
        await service.client.files.content(f"file-{batch.id}-output")


async def test_listing_is_newest_first_in_pages(service: Service) -> None:
    made = [(await service.create(request(f"r-{n}"))).id for n in range(3)]
    page = await service.client.batches.list(limit=2)
    assert [batch.id for batch in page.data] == made[:0:-1]
    assert page.has_more
    rest = await service.client.batches.list(limit=2, after=page.data[-1].id)
    assert [batch.id for batch in rest.data] == made[:1]
    assert not rest.has_more


async def test_restart_changes_neither_status_nor_bill(service: Service, tmp_path: Path) -> None:
    batch = await service.create(request())
    service.running.state.settle()
    again = await _started(tmp_path)
    again.state.clock.advance(10)
    for _ in range(2):
        again.state.settle()
    assert len(again.state.invoice.as_json(None)["lines"]) == 2
    url = f"{again.origin}{BATCHES}/{batch.id}"
    async with service.http.get(url, headers=service.headers) as answer:
        assert (await answer.json())["status"] == "completed"
    await again.stop()
