"""The durable protocol of the local host, seen through the real SDK in the sample app."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.contract.sample_app.host_process import HostProcess


@pytest.fixture(scope="module", params=["plain", "verified"])
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostProcess]:
    options = ("--no-blob", "--verify-replay") if request.param == "verified" else ("--no-blob",)
    process = HostProcess(tmp_path_factory.mktemp("durable"), options).start()
    yield process
    assert process.stop() == 0


def test_activities_run_in_order_whatever_the_case_of_the_name(host: HostProcess) -> None:
    assert host.run("hello_sequence") == ["Hello Perth!", "Hello Hobart!", None]


def test_input_reaches_the_orchestrator_as_python_values(host: HostProcess) -> None:
    assert host.run("returns_input", {"a": [1, None, "é"]}) == {"a": [1, None, "é"]}


def test_raw_json_input_of_the_webhook_is_an_object(host: HostProcess) -> None:
    path = "/runtime/webhooks/durabletask/orchestrators/returns_input/raw-input"
    assert host.call("POST", path, {"b": 2}).status == 202

    status = host.finished("raw-input")

    assert (status["input"], status["output"]) == ({"b": 2}, {"b": 2})


def test_task_all_gives_every_result(host: HostProcess) -> None:
    assert host.run("fan_out", 40) == sum(n * n for n in range(40))


def test_ids_are_allocated_depth_first_when_task_alls_are_nested(host: HostProcess) -> None:
    assert host.run("nested_all") == [[[1, 4], [9, 5]], "Hello ids!"]


def test_batch_of_sub_orchestrations_runs_every_activity(host: HostProcess) -> None:
    before = host.stats()["invocations"].get("square", 0)

    assert host.run("batch", {"chunks": 10, "waves": 3, "width": 10}) == 300
    assert host.stats()["invocations"]["square"] - before == 300


def test_retry_gives_the_first_success_and_keeps_later_ids_right(host: HostProcess) -> None:
    key = {"id": f"ok-{time.time()}", "failures": 2}

    assert host.run("retries", key) == [3, "Hello after!"]


def test_retry_waits_for_its_extra_timer_when_attempts_are_exhausted(host: HostProcess) -> None:
    first, after = host.run("retries", {"id": f"no-{time.time()}", "failures": 99})

    assert first.startswith("gave up: Activity function 'flaky' failed:  RuntimeError: attempt 3")
    assert after == "Hello after!"


def test_activity_error_reaches_the_orchestrator_with_reason_and_details(
    host: HostProcess,
) -> None:
    text = host.run("failing_activity")

    assert text.startswith("Activity function 'boom' failed:  ValueError: boom now \n Traceback")
    assert "sample_durable.py" in text
    assert "durable_activities.py" not in text


def test_unhandled_activity_error_fails_the_orchestrator(host: HostProcess) -> None:
    text = host.fail("failing")

    assert text.startswith(
        "Orchestrator function 'failing' failed: Activity function 'boom' failed:  ValueError"
    )


def test_next_action_waits_for_the_whole_task_all_when_one_failed(host: HostProcess) -> None:
    instance_id = host.start_instance("partly_failing_all")
    host.until(lambda: host.status(instance_id), lambda s: s["customStatus"] == "caught")
    says = host.stats()["invocations"].get("say", 0)

    assert host.finished(instance_id)["output"] == "Hello next!"
    log = host.lines("activities.log")
    assert f"end {instance_id}" in log
    assert host.stats()["invocations"]["say"] == says + 1


def test_sub_orchestrations_get_default_and_given_ids(host: HostProcess) -> None:
    instance_id = host.start_instance("parent")
    first, second, failure = host.finished(instance_id)["output"]

    assert first[0].endswith(":0")
    assert first[1:] == [instance_id, {"n": 1}]
    assert second == [f"{instance_id}-child", instance_id, {"n": 2}]
    assert failure.startswith("Orchestrator function 'failing' failed: Activity function 'boom'")


def test_sub_orchestration_fails_at_once_when_its_id_is_running(host: HostProcess) -> None:
    parent_id = f"clash-{time.time()}"
    host.start_instance("two_events", None, f"{parent_id}-child")
    host.start_instance("parent", None, parent_id)

    output = host.finished(parent_id)

    assert output["runtimeStatus"] == "Failed"
    assert "already exists" in output["output"]


def test_timer_fires_after_its_time_and_a_cancelled_one_does_not_hold(host: HostProcess) -> None:
    started = time.monotonic()
    won, waited_s = host.run("timer_race")

    assert won
    assert 0.2 <= waited_s < 2
    assert time.monotonic() - started < 5
    assert host.stats()["queues"]["durable_timers"] == 0


def test_open_timer_keeps_the_instance_running_until_it_fires(host: HostProcess) -> None:
    started = time.monotonic()

    assert host.run("open_timer") == "returned"
    assert time.monotonic() - started >= 0.95


def test_sdk_event_arrives_as_a_string_and_a_raw_one_as_an_object(host: HostProcess) -> None:
    instance_id = host.start_instance("two_events")
    sent = host.client(
        "raise_event", instance_id=instance_id, event_name="first", event_data={"a": 1}
    )
    assert sent.status == 200
    host.until(lambda: host.status(instance_id), lambda s: s["customStatus"] is not None)
    path = f"/runtime/webhooks/durabletask/instances/{instance_id}/raiseEvent/second"
    assert host.call("POST", path, {"b": 2}).status == 202

    status = host.finished(instance_id)

    assert status["customStatus"] == {"got": '{"a": 1}'}
    assert status["output"] == ['{"a": 1}', {"b": 2}]


def test_event_is_buffered_until_the_orchestrator_waits_for_it(host: HostProcess) -> None:
    instance_id = host.start_instance("two_events")
    for name in ("second", "first"):
        path = f"/runtime/webhooks/durabletask/instances/{instance_id}/raiseEvent/{name}"
        host.call("POST", path, name.upper())

    assert host.finished(instance_id)["output"] == ["FIRST", "SECOND"]


def test_event_beats_the_timer_in_task_any(host: HostProcess) -> None:
    instance_id = host.start_instance("event_or_timeout")
    path = f"/runtime/webhooks/durabletask/instances/{instance_id}/raiseEvent/approval"
    host.call("POST", path, True)

    assert host.finished(instance_id)["output"] is True


def test_continue_as_new_starts_over_with_the_new_input(host: HostProcess) -> None:
    instance_id = host.start_instance("counter", {"n": 0})

    status = host.finished(instance_id)

    assert (status["output"], status["input"]) == (3, '{"n": 3}')


def test_continue_as_new_drops_buffered_events(host: HostProcess) -> None:
    instance_id = host.start_instance("again_after_event", {"n": 0})
    base = f"/runtime/webhooks/durabletask/instances/{instance_id}/raiseEvent"
    host.call("POST", f"{base}/kept", 1)
    time.sleep(0.2)  # so that a turn has seen the event before the one that continues as new
    host.call("POST", f"{base}/go", 1)

    assert host.finished(instance_id)["output"] == "dropped"


def test_custom_status_of_8192_characters_is_16_kb_and_more_fails(host: HostProcess) -> None:
    assert host.run("custom_status", 8190) == "ok"  # and two quotes
    assert "must not exceed 16 KB" in host.fail("custom_status", 8191)


@pytest.mark.parametrize(
    ("orchestrator", "text"),
    [
        ("unknown_activity", "'nobody' doesn't exist, is disabled, or is not an activity"),
        ("unknown_child", "'nobody' doesn't exist, is disabled, or is not an orchestrator"),
        ("calls_http", "CALL_HTTP is not emulated by the local host (501)"),
        ("changes_its_mind", "Non-Deterministic workflow detected"),
        ("changes_its_input", "Non-Deterministic workflow detected"),
    ],
)
def test_orchestrator_fails_at_once_with_a_text(
    host: HostProcess, orchestrator: str, text: str
) -> None:
    assert text in host.fail(orchestrator)


def test_is_replaying_is_true_only_for_played_events(host: HostProcess) -> None:
    assert host.run("replay_flags") == [True, True, False]


def test_entity_is_called_signalled_and_read(host: HostProcess) -> None:
    key = f"k{time.time()}"

    assert host.run("asks_entity", key) == [5, "entity says no", "Hello entity!"]
    assert host.call("POST", f"/api/entity/tally/{key}?op=add", 10).status == 202
    assert host.until(
        lambda: host.call("GET", f"/api/entity/tally/{key}").json, lambda e: e["state"] == 15
    )["exists"]
    assert host.call("GET", "/api/entity/tally/nobody").json["exists"] is False


def test_two_runs_of_a_turn_must_agree_when_replay_is_verified(host: HostProcess) -> None:
    if "--verify-replay" in host.options:
        assert "run twice" in host.fail("rolls_dice")
    else:
        assert "Non-Deterministic" in host.fail("rolls_dice")
