"""Azure OpenAI batches against scripted answers: jobs and result files that are odd or cut off."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.domain.attempts import Delivered, Unknown
from shared.domain.provider_batches import BatchJob
from shared.errors import Unavailable
from tests.contract.image_orders import b64, png
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server
from tests.contract.test_provider_batches_azure_openai import BATCH, PATHS, outcomes_of, scripted


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.mark.parametrize(
    ("status", "counts", "worked_on"),
    [
        ("expired", {"total": 9, "completed": 3, "failed": 2}, 5),
        ("expired", None, None),
        ("cancelled", {"total": 9}, None),
        ("cancelled", {"total": 9, "completed": "many", "failed": 0}, None),
        ("failed", {"total": 9, "completed": 0, "failed": 9}, 0),
        ("failed", None, 0),
    ],
)
async def test_job_that_does_not_count_is_not_taken_for_one_that_did_nothing(
    server: ScriptedServer, status: str, counts: object, worked_on: int | None
) -> None:
    body = {**BATCH, "status": status, "request_counts": counts}
    server.answers(f"{PATHS}/batches/batch_1", Answer(body=body))
    batches = scripted(server)
    assert (await batches.job("batch_1")).worked_on == worked_on
    await batches.aclose()


@pytest.mark.parametrize("ending", ["reset", "cut_off", "hang"])
async def test_results_that_are_cut_off_are_asked_for_again(
    server: ScriptedServer, ending: Any
) -> None:
    whole = {"custom_id": "00001-1", "response": {"status_code": 200, "body": {"data": []}}}
    path = f"{PATHS}/files/file-2/content"
    server.answers(path, Answer(body=whole, ending=ending))
    batches = scripted(server)
    job = BatchJob("batch_1", "completed", "file-2")
    with pytest.raises(Unavailable):
        await outcomes_of(batches, job, {"00001-1": 1})
    await batches.aclose()


async def test_results_are_read_across_chunk_borders_and_oversized_lines_left_out(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.adapters.providers import azure_openai_batches

    def result(number: int, data: str) -> str:
        return (
            f'{{"custom_id":"{number:05d}-1","error":null,"response":{{"status_code":200,'
            f'"request_id":"r-{number}","body":{{"data":[{{"b64_json":"{data}"}}]}}}}}}\n'
        )

    monkeypatch.setattr(azure_openai_batches, "READ_BYTES", 64)
    monkeypatch.setattr(azure_openai_batches, "LINE_BYTES_MAX", 2_000)
    picture = b64(png())
    text = result(1, picture) + result(2, "A" * 3_000) + "\n" + result(3, picture)
    server.answers(f"{PATHS}/files/file-2/content", Answer(body=text.encode()))
    batches = scripted(server)
    job = BatchJob("batch_1", "completed", "file-2")
    counts = {f"{number:05d}-1": 1 for number in (1, 2, 3)}
    found = await outcomes_of(batches, job, counts)
    assert list(found) == ["00001-1", "00003-1"]
    assert all(isinstance(outcome, Delivered) for outcome in found.values())
    assert [getattr(each, "request_id", None) for each in found.values()] == ["r-1", "r-3"]
    await batches.aclose()


async def test_line_with_odd_types_spoils_no_other_line(server: ScriptedServer) -> None:
    answered = {"status_code": 200, "body": {"data": [{"b64_json": b64(png())}]}}
    lines = [
        {"custom_id": "00001-1", "response": None, "error": {"code": ["batch_expired"]}},
        {"custom_id": "00002-1", "response": {**answered, "request_id": "\ud800"}},
        {"custom_id": ["00003-1"], "response": answered},
        {"custom_id": "00004-1", "response": {"status_code": "200", "body": []}},
    ]
    text = "\n".join(json.dumps(each) for each in lines)
    server.answers(f"{PATHS}/files/file-2/content", Answer(body=text.encode()))
    batches = scripted(server)
    job = BatchJob("batch_1", "completed", "file-2")
    counts = {f"{number:05d}-1": 1 for number in range(1, 5)}
    found = await outcomes_of(batches, job, counts)
    assert found["00001-1"] == found["00004-1"] == Unknown("line_without_answer")
    delivered = found["00002-1"]
    assert isinstance(delivered, Delivered) and delivered.request_id is None
    assert len(found) == 3
    await batches.aclose()
