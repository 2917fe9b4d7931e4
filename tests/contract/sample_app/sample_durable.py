"""Orchestrators, activities and an entity, one per behaviour of the durable protocol."""

import asyncio
import itertools
import os
import random
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df

bp = df.Blueprint()

Turns = Generator[Any, Any, Any]

_turns = itertools.count(1)


def _log(line: str) -> None:
    with (Path(os.environ["SAMPLE_DIR"]) / "activities.log").open("a") as file:
        file.write(line + "\n")


# activities


@bp.activity_trigger(input_name="city")
async def say(city: str) -> str:
    return f"Hello {city}!"


@bp.activity_trigger(input_name="number")
def square(number: int) -> int:
    return number * number


@bp.activity_trigger(input_name="work")
async def slow(work: dict) -> dict:
    _log(f"start {work['id']}")
    await asyncio.sleep(work["seconds"])
    _log(f"end {work['id']}")
    return work


@bp.activity_trigger(input_name="seconds")
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@bp.activity_trigger(input_name="text")
async def boom(text: str) -> str:
    raise ValueError(f"boom {text}")


@bp.activity_trigger(input_name="plan")
async def flaky(plan: dict) -> int:
    """Fails until its attempt file has `failures` lines."""
    path = Path(os.environ["SAMPLE_DIR"]) / f"flaky-{plan['id']}"
    attempts = len(path.read_text().splitlines()) if path.exists() else 0
    with path.open("a") as file:
        file.write("x\n")
    if attempts < plan["failures"]:
        raise RuntimeError(f"attempt {attempts + 1}")
    return attempts + 1


@bp.activity_trigger(input_name="nothing")
async def gives_nothing(nothing: str) -> None:
    return None


# orchestrators


@bp.orchestration_trigger(context_name="context")
def hello_sequence(context: df.DurableOrchestrationContext) -> Turns:
    first = yield context.call_activity("say", "Perth")
    second = yield context.call_activity("SAY", "Hobart")
    nothing = yield context.call_activity("gives_nothing", "x")
    return [first, second, nothing]


@bp.orchestration_trigger(context_name="context")
def returns_input(context: df.DurableOrchestrationContext) -> Any:
    return context.get_input()


@bp.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext) -> Turns:
    count = context.get_input()
    results = yield context.task_all([context.call_activity("square", n) for n in range(count)])
    return sum(results)


@bp.orchestration_trigger(context_name="context")
def nested_all(context: df.DurableOrchestrationContext) -> Turns:
    left = context.task_all([context.call_activity("square", n) for n in (1, 2)])
    right = context.task_all(
        [context.call_activity("square", 3), context.call_sub_orchestrator("fan_out", 3)]
    )
    results = yield context.task_all([left, right])
    after = yield context.call_activity("say", "ids")
    return [results, after]


@bp.orchestration_trigger(context_name="context")
def chunk(context: df.DurableOrchestrationContext) -> Turns:
    plan = context.get_input()
    total = 0
    for wave in range(plan["waves"]):
        tasks = [
            context.call_activity("square", wave * plan["width"] + n) for n in range(plan["width"])
        ]
        results = yield context.task_all(tasks)
        total += len(results)
    return total


@bp.orchestration_trigger(context_name="context")
def batch(context: df.DurableOrchestrationContext) -> Turns:
    plan = context.get_input()
    totals = yield context.task_all(
        [context.call_sub_orchestrator("chunk", plan) for _ in range(plan["chunks"])]
    )
    return sum(totals)


@bp.orchestration_trigger(context_name="context")
def retries(context: df.DurableOrchestrationContext) -> Turns:
    options = df.RetryOptions(50, 3)
    try:
        value = yield context.call_activity_with_retry("flaky", options, context.get_input())
    except Exception as error:
        value = f"gave up: {error}"
    after = yield context.call_activity("say", "after")
    return [value, after]


@bp.orchestration_trigger(context_name="context")
def failing_activity(context: df.DurableOrchestrationContext) -> Turns:
    try:
        yield context.call_activity("boom", "now")
    except Exception as error:
        return str(error)


@bp.orchestration_trigger(context_name="context")
def failing(context: df.DurableOrchestrationContext) -> Turns:
    yield context.call_activity("boom", context.instance_id)


@bp.orchestration_trigger(context_name="context")
def partly_failing_all(context: df.DurableOrchestrationContext) -> Turns:
    """The first failure raises, but the next activity starts only when the slow one has ended."""
    try:
        yield context.task_all(
            [
                context.call_activity("boom", "one"),
                context.call_activity("slow", {"id": context.instance_id, "seconds": 0.5}),
            ]
        )
    except Exception:
        context.set_custom_status("caught")
    result = yield context.call_activity("say", "next")
    return result


@bp.orchestration_trigger(context_name="context")
def parent(context: df.DurableOrchestrationContext) -> Turns:
    given = context.instance_id + "-child"
    first = yield context.call_sub_orchestrator("who_am_i", {"n": 1})
    second = yield context.call_sub_orchestrator("who_am_i", {"n": 2}, given)
    try:
        yield context.call_sub_orchestrator("failing", None)
        failure = None
    except Exception as error:
        failure = str(error)
    return [first, second, failure]


@bp.orchestration_trigger(context_name="context")
def waits_for_child(context: df.DurableOrchestrationContext) -> Turns:
    yield context.call_sub_orchestrator("two_events", None, context.instance_id + "-child")


@bp.orchestration_trigger(context_name="context")
def who_am_i(context: df.DurableOrchestrationContext) -> Turns:
    return [context.instance_id, context.parent_instance_id, context.get_input()]
    yield


@bp.orchestration_trigger(context_name="context")
def timer_race(context: df.DurableOrchestrationContext) -> Turns:
    """A short timer beats a long one, which is cancelled."""
    started = context.current_utc_datetime
    long = context.create_timer(started + timedelta(hours=1))
    short = context.create_timer(started + timedelta(milliseconds=200))
    winner = yield context.task_any([long, short])
    if not long.is_completed:
        long.cancel()
    waited = context.current_utc_datetime - started
    return [winner == short, waited.total_seconds()]


@bp.orchestration_trigger(context_name="context")
def open_timer(context: df.DurableOrchestrationContext) -> Turns:
    """The long timer is not cancelled, so the instance stays Running until it fires."""
    now = context.current_utc_datetime
    long = context.create_timer(now + timedelta(seconds=1.0))
    done = context.call_activity("say", "quick")
    yield context.task_any([long, done])
    return "returned"


@bp.orchestration_trigger(context_name="context")
def two_events(context: df.DurableOrchestrationContext) -> Turns:
    first = yield context.wait_for_external_event("first")
    context.set_custom_status({"got": first})
    second = yield context.wait_for_external_event("second")
    return [first, second]


@bp.orchestration_trigger(context_name="context")
def event_or_timeout(context: df.DurableOrchestrationContext) -> Turns:
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
    approved = context.wait_for_external_event("approval")
    winner = yield context.task_any([timer, approved])
    if winner == approved:
        timer.cancel()
        return approved.result
    return "timeout"


@bp.orchestration_trigger(context_name="context")
def counter(context: df.DurableOrchestrationContext) -> Turns:
    state = context.get_input()
    if state["n"] < 3:
        yield context.call_activity("say", "again")
        context.continue_as_new({"n": state["n"] + 1})
        return None
    return state["n"]


@bp.orchestration_trigger(context_name="context")
def again_after_event(context: df.DurableOrchestrationContext) -> Turns:
    """Waits for `go`; events of another name that came before are lost by continue_as_new."""
    state = context.get_input()
    if state["n"] == 0:
        yield context.wait_for_external_event("go")
        context.continue_as_new({"n": 1})
        return None
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=0.3))
    kept = context.wait_for_external_event("kept")
    winner = yield context.task_any([timer, kept])
    if winner == kept:
        timer.cancel()
    return "kept" if winner == kept else "dropped"


@bp.orchestration_trigger(context_name="context")
def custom_status(context: df.DurableOrchestrationContext) -> Turns:
    context.set_custom_status("x" * context.get_input())
    yield context.call_activity("say", "status")
    return "ok"


@bp.orchestration_trigger(context_name="context")
def unknown_activity(context: df.DurableOrchestrationContext) -> Turns:
    yield context.call_activity("nobody", 1)


@bp.orchestration_trigger(context_name="context")
def unknown_child(context: df.DurableOrchestrationContext) -> Turns:
    yield context.call_sub_orchestrator("nobody", 1)


@bp.orchestration_trigger(context_name="context")
def calls_http(context: df.DurableOrchestrationContext) -> Turns:
    yield context.call_http("GET", "http://127.0.0.1:1/")


@bp.orchestration_trigger(context_name="context")
def changes_its_mind(context: df.DurableOrchestrationContext) -> Turns:
    """Asks for other work on replay, although the history has the first one."""
    name = "square" if context.is_replaying else "say"
    yield context.call_activity(name, 1)
    yield context.call_activity("say", "unreachable")


@bp.orchestration_trigger(context_name="context")
def changes_its_input(context: df.DurableOrchestrationContext) -> Turns:
    """Sends another input each time: only the comparison of actions can see that."""
    yield context.call_activity("square", next(_turns))
    yield context.call_activity("square", 1)


@bp.orchestration_trigger(context_name="context")
def rolls_dice(context: df.DurableOrchestrationContext) -> Turns:
    yield context.call_activity("square", random.random())


@bp.orchestration_trigger(context_name="context")
def program(context: df.DurableOrchestrationContext) -> Turns:
    """Runs a list of steps and returns the value of each; see `program_value` in the tests."""
    values = []
    for step in context.get_input():
        if step[0] == "any":
            tasks = [_task(context, child) for child in step[1]]
            yield context.task_any(tasks)
            values.append((yield context.task_all(tasks)))
        else:
            values.append((yield _task(context, step)))
    return values


def _task(context: df.DurableOrchestrationContext, step: list[Any]) -> Any:
    kind, argument = step
    if kind == "all":
        return context.task_all([_task(context, child) for child in argument])
    if kind == "program":
        return context.call_sub_orchestrator("program", argument)
    if kind == "timer":
        return context.create_timer(context.current_utc_datetime + timedelta(seconds=argument))
    if kind == "retry":
        return context.call_activity_with_retry("flaky", df.RetryOptions(10, 4), argument)
    return context.call_activity("nap", argument)


@bp.orchestration_trigger(context_name="context")
def replay_flags(context: df.DurableOrchestrationContext) -> Turns:
    flags = [context.is_replaying]
    yield context.call_activity("say", "one")
    flags.append(context.is_replaying)
    yield context.call_activity("say", "two")
    flags.append(context.is_replaying)
    return flags


@bp.orchestration_trigger(context_name="context")
def slow_sequence(context: df.DurableOrchestrationContext) -> Turns:
    plan = context.get_input()
    done = []
    for index in range(plan["count"]):
        work = {"id": f"{plan['id']}-{index}", "seconds": plan["seconds"]}
        result = yield context.call_activity("slow", work)
        done.append(result["id"])
    return done


@bp.orchestration_trigger(context_name="context")
def asks_entity(context: df.DurableOrchestrationContext) -> Turns:
    entity = df.EntityId("Tally", context.get_input())
    context.signal_entity(entity, "add", 2)
    yield context.call_entity(entity, "add", 3)
    value = yield context.call_entity(entity, "get")
    try:
        yield context.call_entity(entity, "fail", 0)
        failure = None
    except Exception as error:
        failure = str(error)
    after = yield context.call_activity("say", "entity")
    return [value, failure, after]


@bp.entity_trigger(context_name="context")
def tally(context: df.DurableEntityContext) -> None:
    value = context.get_state(lambda: 0)
    if context.operation_name == "add":
        value += context.get_input()
    elif context.operation_name == "fail":
        raise ValueError("entity says no")
    context.set_state(value)
    context.set_result(value)
