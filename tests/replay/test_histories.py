"""Saved histories on today's orchestrators: what is in flight must go on after a deployment."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from azure.durable_functions import Orchestrator
from azure.durable_functions.models.DurableOrchestrationContext import (
    DurableOrchestrationContext,
)

from functions import (
    durable_alerts,
    durable_generation,
    durable_overage,
    durable_provider_batches,
    names,
)

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
SCHEDULED = {4: "activity", 7: "orchestration", 10: "timer"}  # history event types
ACTIONS = {0: "activity", 2: "orchestration", 5: "timer"}  # action types, plain ones only
COMPOUND = {11, 12}
WAIT_FOR_EVENT = 6  # is not scheduled, so it leaves no trace in a history
EXECUTION_COMPLETED = 1
ORCHESTRATORS = {
    names.GENERATION_ORCHESTRATOR: durable_generation.generation_orchestrator,
    names.BATCH_ORCHESTRATOR: durable_generation.batch_orchestrator,
    names.CHUNK_ORCHESTRATOR: durable_generation.chunk_orchestrator,
    names.CHUNKS_ORCHESTRATOR: durable_generation.chunks_orchestrator,
    names.PROVIDER_BATCH_ORCHESTRATOR: durable_provider_batches.provider_batch_orchestrator,
    names.APPROVAL_ORCHESTRATOR: durable_overage.approval_orchestrator,
    names.DEFERRED_ORCHESTRATOR: durable_overage.deferred_orchestrator,
    names.ALERT_ORCHESTRATOR: durable_alerts.alert_orchestrator,
}

Saved = dict[str, Any]
Step = tuple[str, str | None]


@pytest.fixture(autouse=True)
def strict_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_FUNCTIONS_DURABLE_STRICT_TYPING", "1")  # as the app runs


def load(path: Path) -> Saved:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def replay(saved: Saved, episodes: int) -> dict[str, Any]:
    """Run the orchestrator over the first episodes; returns the state it answers with."""
    events = [
        {**event, "IsPlayed": number < episodes - 1}
        for number, episode in enumerate(saved["episodes"][:episodes])
        for event in episode
    ]
    body = {
        "history": events,
        "input": json.loads(saved["input"]),
        "instanceId": saved["instance_id"],
        "isReplaying": episodes > 1,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
    }
    builder = ORCHESTRATORS[saved["orchestrator"]]
    code = builder._function.get_user_function().orchestrator_function
    context = DurableOrchestrationContext.from_json(json.dumps(body))
    return dict(json.loads(Orchestrator(code).handle(context)))


def flattened(actions: list[dict[str, Any]]) -> list[Step]:
    steps: list[Step] = []
    for action in actions:
        if action["actionType"] in COMPOUND:
            steps += flattened(action["compoundActions"])
        elif action["actionType"] != WAIT_FOR_EVENT:
            steps.append((ACTIONS[action["actionType"]], action.get("functionName")))
    return steps


def recorded(saved: Saved, episodes: int) -> list[Step]:
    steps: dict[int, Step] = {}
    for episode in saved["episodes"][:episodes]:
        for event in episode:
            if event["EventType"] in SCHEDULED:
                kind = SCHEDULED[event["EventType"]]
                steps[event["EventId"]] = (kind, event.get("Name") if kind != "timer" else None)
    return [steps[number] for number in sorted(steps)]


def check(saved: Saved) -> None:
    """Each prefix of the history must ask for exactly what was scheduled then."""
    last = len(saved["episodes"])
    for episodes in range(1, last + 1):
        state = replay(saved, episodes)
        assert flattened(state["actions"][0]) == recorded(saved, episodes)
        assert state["isDone"] is (episodes == last)
    assert state["output"] == saved["output"]


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_saved_history_replays_on_todays_code(path: Path) -> None:
    check(load(path))


def test_all_orchestrators_have_a_saved_history() -> None:
    assert {load(path)["orchestrator"] for path in HISTORIES} == set(ORCHESTRATORS)


def test_a_retried_generation_waited_on_a_durable_timer() -> None:
    saved = load(Path(__file__).parent / "histories" / "generation_retried.json")
    assert ("timer", None) in recorded(saved, len(saved["episodes"]))


@pytest.mark.parametrize("name", ["generation", "chunk", "provider_batch"])
def test_thumbnails_are_drawn_in_new_histories_only(name: str) -> None:
    for suffix, drawn in (("", False), ("_drawn", True)):
        saved = load(Path(__file__).parent / "histories" / f"{name}{suffix}.json")
        step = ("activity", names.DRAW_THUMBNAILS_ACTIVITY)
        assert (step in recorded(saved, len(saved["episodes"]))) is drawn


def test_a_history_of_other_code_is_told_apart() -> None:
    saved = copy.deepcopy(load(Path(__file__).parent / "histories" / "generation.json"))
    for episode in saved["episodes"]:
        for event in episode:
            if event.get("Name") == names.SETTLE_ACTIVITY:
                event["Name"] = "SettleActivityOfLongAgo"
    with pytest.raises(AssertionError):
        check(saved)
