"""Nothing is lost when the host dies: kill -9, crash points, second deliveries, restarts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sample_app.host_process import DURABLE, HostProcess

CRASH_EXIT_CODE = 137


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostProcess]:
    process = HostProcess(tmp_path).start()
    yield process
    process.stop()


def test_sequence_resumes_after_kill_9_in_the_middle(host: HostProcess) -> None:
    plan = {"id": "k", "count": 6, "seconds": 0.1}
    instance_id = host.start_instance("slow_sequence", plan)
    host.until(lambda: host.lines("activities.log"), lambda lines: "start k-2" in lines)

    host.kill()
    host.start()

    assert host.finished(instance_id)["output"] == [f"k-{n}" for n in range(6)]
    log = host.lines("activities.log")
    assert log.count("end k-0") == 1
    assert 1 <= log.count("start k-2") <= 2
    assert [line for line in log if line.startswith("end")][-1] == "end k-5"


def test_batch_completes_exactly_once_per_result_after_repeated_kill_9(host: HostProcess) -> None:
    plan = {"chunks": 20, "waves": 4, "width": 10}
    instance_id = host.start_instance("batch", plan)
    for _ in range(3):
        time.sleep(0.15)
        host.kill()
        host.start()

    assert host.finished(instance_id)["output"] == 800
    rows = host.call("GET", f"{DURABLE}/instances?top=1000").json
    assert {row["runtimeStatus"] for row in rows} == {"Completed"}
    assert len(rows) == 21
    assert sum(host.stats()["queues"].values()) == 0


def test_waiting_instance_keeps_events_timers_and_suspension_over_a_restart(
    host: HostProcess,
) -> None:
    waiting = host.start_instance("two_events")
    host.until(lambda: host.status(waiting), lambda s: s["runtimeStatus"] == "Running")
    host.client("raise_event", instance_id=waiting, event_name="second", event_data=2)
    suspended = host.start_instance("two_events")
    host.client("suspend", instance_id=suspended, reason="wait")
    host.client("raise_event", instance_id=suspended, event_name="first", event_data=1)
    timed = host.start_instance("open_timer")

    host.kill()
    host.start()

    assert host.finished(timed)["output"] == "returned"
    assert host.status(suspended)["runtimeStatus"] == "Suspended"
    host.client("resume", instance_id=suspended, reason="go")
    host.client("raise_event", instance_id=suspended, event_name="second", event_data=2)
    assert host.finished(suspended)["output"] == ["1", "2"]
    host.client("raise_event", instance_id=waiting, event_name="first", event_data=1)
    assert host.finished(waiting)["output"] == ["1", "2"]


@pytest.mark.parametrize(("point", "starts"), [("before_activity", 1), ("after_activity", 2)])
def test_activity_is_delivered_again_after_a_crash_point(
    host: HostProcess, point: str, starts: int
) -> None:
    body = {"on": point, "name": "slow", "nth": 2}
    assert host.call("POST", "/_control/crash", body).status == 202
    plan = {"id": "c", "count": 3, "seconds": 0.01}
    instance_id = host.start_instance("slow_sequence", plan)

    assert host.wait_for_exit() == CRASH_EXIT_CODE
    host.start()

    assert host.finished(instance_id)["output"] == ["c-0", "c-1", "c-2"]
    assert host.lines("activities.log").count("end c-1") == starts
    assert host.lines("activities.log").count("end c-0") == 1


def test_crash_after_committed_activities_loses_none_of_them(host: HostProcess) -> None:
    host.call("POST", "/_control/crash", {"after_activities": 3})
    plan = {"id": "n", "count": 5, "seconds": 0.01}
    instance_id = host.start_instance("slow_sequence", plan)

    assert host.wait_for_exit() == CRASH_EXIT_CODE
    host.start()

    assert host.finished(instance_id)["output"] == [f"n-{n}" for n in range(5)]
    assert host.lines("activities.log").count("end n-2") == 1


def test_crash_at_once_and_refused_control_bodies(host: HostProcess) -> None:
    assert host.call("POST", "/_control/crash", {"on": "lunch"}).status == 400
    assert host.call("POST", "/_control/redeliver", {"probability": 2}).status == 400
    assert host.call("POST", "/_control/crash").status == 202

    assert host.wait_for_exit() == CRASH_EXIT_CODE
    host.start()


def test_second_delivery_runs_the_activity_again_and_ignores_its_result(
    host: HostProcess,
) -> None:
    body = {"activity": "slow", "probability": 1.0, "seed": 7}
    assert host.call("POST", "/_control/redeliver", body).status == 200
    plan = {"id": "d", "count": 2, "seconds": 0.01}

    assert host.run("slow_sequence", plan) == ["d-0", "d-1"]

    stats = host.until(host.stats, lambda s: s["activity_results_ignored"] == 2)
    assert stats["invocations"]["slow"] == 4
    assert stats["activities_redelivered"] == 2
    assert host.lines("activities.log").count("end d-0") == 2


def test_clean_stop_leaves_unfinished_work_for_the_next_start(host: HostProcess) -> None:
    plan = {"id": "s", "count": 2, "seconds": 0.5}
    instance_id = host.start_instance("slow_sequence", plan)
    host.until(lambda: host.lines("activities.log"), lambda lines: "start s-0" in lines)

    assert host.stop() == 0
    host.start()

    assert host.finished(instance_id)["output"] == ["s-0", "s-1"]
