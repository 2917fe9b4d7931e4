"""The messages of the orchestrations survive the JSON between them, and nothing else passes."""

import json
from typing import Any

import pytest

from functions.payloads import (
    AlertInput,
    ApprovalInput,
    AttemptInput,
    BatchInput,
    ChunkInput,
    CollectResult,
    DeferredInput,
    DeliverInput,
    DeliverResult,
    FinishInput,
    FinishResult,
    GenerationInput,
    OpenChunkResult,
    OverageInput,
    OverageResult,
    Payload,
    ProviderBatchLook,
    ProviderBatchResult,
    SettleInput,
    SettleResult,
    ThumbnailsInput,
    ThumbnailsResult,
)

MESSAGES = (
    GenerationInput(generation_id="g"),
    BatchInput(batch_id="b", rows=3, deadline_rows=1),
    ProviderBatchLook(batch_id="b", number=0, stop=True),
    ProviderBatchResult(ok=True, stage="running", pause_s=60.0, window_s=82_800.0),
    CollectResult(ok=True, rows=([1, 2], [3, 1]), cancel_requested=True, image_ids=("g_0",)),
    ChunkInput(batch_id="b", number=0),
    AttemptInput(generation_id="g", attempt=2, stop=True),
    SettleInput(operation_id="o", reports=({"generation_id": "g", "retry_after_s": None},)),
    SettleResult(ok=True, cancel_requested=True, image_ids=("g_0", "g_1")),
    ThumbnailsInput(operation_id="o", image_ids=("g_0",)),
    ThumbnailsResult(ok=True, drawn=1),
    OpenChunkResult(ok=True, rows=(1, 2)),
    AlertInput(alert_id="a", channels=("design.hook",)),
    DeliverInput(alert_id="a", channel="design.hook", attempt=1),
    DeliverResult(ok=True, status="pending", retry_after_s=5),
    FinishInput(batch_id="b"),
    FinishResult(ok=False),
    FinishResult(ok=True, status="completed"),
    ApprovalInput(operation_id="o", escalates_at="2026-11-22", expires_at="2026-11-23"),
    DeferredInput(operation_id="o", due="2026-12-01"),
    OverageInput(operation_id="o"),
    OverageResult(ok=False),
    OverageResult(ok=True, status="concluded", kind="batch", rows=3, deadline_rows=1),
)
CHUNK = {"version": 1, "batch_id": "b", "number": 0}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_the_same_after_its_way_through_json(message: Payload) -> None:
    assert type(message).read(json.loads(json.dumps(message.to_json()))) == message


def test_every_message_is_tried_here() -> None:
    assert {type(message) for message in MESSAGES} == set(Payload.__subclasses__())


def test_a_message_takes_its_defaults_when_fields_that_have_one_are_absent() -> None:
    attempt = AttemptInput.read({"version": 1, "generation_id": "g", "attempt": 1})
    assert attempt == AttemptInput(generation_id="g", attempt=1, stop=False)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [],
        "text",
        {},
        {**CHUNK, "version": 2},
        {"batch_id": "b", "number": 0},
        {"version": 1, "batch_id": "b"},
        {**CHUNK, "more": 1},
        {**CHUNK, "number": "0"},
        {**CHUNK, "batch_id": ["b"]},
    ],
)
def test_anything_else_is_refused(sent: Any) -> None:
    with pytest.raises(ValueError):
        ChunkInput.read(sent)
