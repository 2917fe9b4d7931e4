"""What a durable client can do to instances: the HTTP API, its answers and its errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import azure.durable_functions as df
import pytest

from devhost.host.durable_client_payload import client_binding_text
from functions.durable_client import DurableOrchestrations
from tests.contract.sample_app.host_process import DURABLE, HostProcess


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    process = HostProcess(tmp_path_factory.mktemp("client")).start()
    yield process
    assert process.stop() == 0


def _waiting(host: HostProcess, instance_id: str | None = None) -> str:
    chosen = host.start_instance("two_events", None, instance_id)
    host.until(lambda: host.status(chosen), lambda s: s["runtimeStatus"] == "Running")
    return chosen


def test_start_answers_with_management_urls_that_work(host: HostProcess) -> None:
    answer = host.call("POST", "/api/start/returns_input", {"input": 1})

    assert answer.status == 202
    assert answer.headers["Location"] == answer.json["statusQueryGetUri"]
    assert answer.json["statusQueryGetUri"].startswith(f"{host.base_url}{DURABLE}/instances/")
    host.finished(answer.json["id"])
    assert host.call("GET", answer.json["statusQueryGetUri"]).json["output"] == 1
    assert host.call("DELETE", answer.json["purgeHistoryDeleteUri"]).status == 200


def test_start_of_an_unknown_orchestrator_is_refused_with_its_name(host: HostProcess) -> None:
    answer = host.client("start_new", orchestration_function_name="nobody")

    assert answer.status == 409
    assert answer.text.startswith("The function 'nobody' doesn't exist")


@pytest.mark.parametrize("instance_id", ["@a", "a%23b", "x" * 257])
def test_start_refuses_a_bad_instance_id(host: HostProcess, instance_id: str) -> None:
    answer = host.call("POST", f"{DURABLE}/orchestrators/two_events/{instance_id}")

    assert answer.status == 400
    assert "instance id" in answer.json["ExceptionMessage"]


def test_start_with_a_running_id_gives_500_and_keeps_the_instance(host: HostProcess) -> None:
    instance_id = _waiting(host)

    answer = host.call("POST", f"{DURABLE}/orchestrators/counter/{instance_id}")

    assert answer.status == 500
    assert answer.json["ExceptionMessage"] == (
        "An Orchestration instance with the status Running already exists."
    )
    assert host.status(instance_id)["name"] == "two_events"


def test_start_with_a_finished_id_replaces_the_instance(host: HostProcess) -> None:
    instance_id = host.start_instance("returns_input", "old", "reused")
    assert host.finished(instance_id)["output"] == "old"

    host.start_instance("returns_input", "new", "reused")

    assert host.finished(instance_id)["output"] == "new"


def test_start_and_wait_answers_with_the_output(host: HostProcess) -> None:
    path = f"{DURABLE}/orchestrators/fan_out"

    assert host.call("POST", f"{path}?timeout=5&pollingInterval=1", "4").json == 14
    assert host.call("POST", f"{DURABLE}/orchestrators/two_events?timeout=0.1").status == 202


def test_status_of_an_unknown_instance_is_404_with_an_empty_body(host: HostProcess) -> None:
    answer = host.call("GET", f"{DURABLE}/instances/nobody")

    assert (answer.status, answer.body) == (404, b"")
    assert host.client("get_status", instance_id="nobody").json is None


def test_status_is_202_while_running_and_shows_the_history_on_request(host: HostProcess) -> None:
    waiting = host.call("GET", f"{DURABLE}/instances/{_waiting(host)}")
    assert (waiting.status, waiting.headers["Retry-After"]) == (202, "5")
    instance_id = host.start_instance("hello_sequence")
    host.finished(instance_id)

    query = "?showInput=false&showHistory=true&showHistoryOutput=true"
    status = host.status(instance_id, query)

    assert status["input"] is None
    kinds = [(e["EventType"], e.get("FunctionName")) for e in status["historyEvents"]]
    assert kinds == [
        ("ExecutionStarted", "hello_sequence"),
        ("TaskCompleted", "say"),
        ("TaskCompleted", "SAY"),
        ("TaskCompleted", "gives_nothing"),
        ("ExecutionCompleted", None),
    ]
    assert status["historyEvents"][1]["Result"] == "Hello Perth!"


def test_failed_instance_is_200_unless_the_caller_asks_for_500(host: HostProcess) -> None:
    instance_id = host.start_instance("failing")
    host.finished(instance_id)
    path = f"{DURABLE}/instances/{instance_id}"

    assert host.call("GET", path).status == 200
    assert host.call("GET", f"{path}?returnInternalServerErrorOnFailure=true").status == 500


def test_list_filters_by_status_prefix_and_time(host: HostProcess) -> None:
    prefix = f"list-{time.time()}-"
    for number in range(3):
        host.start_instance("returns_input", number, f"{prefix}{number}")
        host.finished(f"{prefix}{number}")
    _waiting(host, f"{prefix}waiting")

    def ids(query: str) -> list[str]:
        rows = host.call("GET", f"{DURABLE}/instances?instanceIdPrefix={prefix}{query}").json
        return [row["instanceId"].removeprefix(prefix) for row in rows]

    assert ids("") == ["0", "1", "2", "waiting"]
    assert ids("&runtimeStatus=Running,Pending") == ["waiting"]
    assert ids("&createdTimeFrom=2999-01-01T00:00:00Z") == []
    assert ids("&createdTimeTo=2999-01-01T00:00:00Z&runtimeStatus=Completed") == ["0", "1", "2"]
    rows = host.client("get_status_by", instance_id_prefix=prefix).json
    assert len(rows) == 4
    assert host.call("GET", f"{DURABLE}/instances?runtimeStatus=Sleeping").status == 400


def test_list_pages_with_a_continuation_token(host: HostProcess) -> None:
    prefix = f"page-{time.time()}-"
    for number in range(3):
        host.start_instance("returns_input", number, f"{prefix}{number}")
    path = f"{DURABLE}/instances?instanceIdPrefix={prefix}&top=2"

    first = host.call("GET", path)
    token = first.headers["x-ms-continuation-token"]
    second = host.call("GET", path, None, {"x-ms-continuation-token": token})

    assert [len(first.json), len(second.json)] == [2, 1]
    assert second.headers["x-ms-continuation-token"] is None


def test_terminate_ends_the_instance_and_a_late_result_is_ignored(host: HostProcess) -> None:
    instance_id = host.start_instance("slow_sequence", {"id": "late", "count": 2, "seconds": 0.4})
    host.until(lambda: host.lines("activities.log"), lambda lines: "start late-0" in lines)

    assert host.client("terminate", instance_id=instance_id, reason="no more").status == 200

    status = host.finished(instance_id)
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "no more")
    host.until(lambda: host.lines("activities.log"), lambda lines: "end late-0" in lines)
    host.until(lambda: host.stats()["queues"]["activities"], lambda depth: depth == 0)
    assert "start late-1" not in host.lines("activities.log")
    assert host.status(instance_id)["runtimeStatus"] == "Terminated"


def test_terminated_child_fails_its_parent_but_not_the_other_way_round(host: HostProcess) -> None:
    parent_id = f"family-{time.time()}"
    host.start_instance("waits_for_child", None, parent_id)
    child_id = f"{parent_id}-child"
    host.until(
        lambda: host.call("GET", f"{DURABLE}/instances/{child_id}").status,
        lambda status: status == 202,
    )

    host.client("terminate", instance_id=child_id, reason="enough")

    assert "enough" in host.finished(parent_id)["output"]


def test_suspend_holds_events_back_until_resume(host: HostProcess) -> None:
    instance_id = _waiting(host)
    assert host.client("suspend", instance_id=instance_id, reason="wait").status == 200
    assert host.status(instance_id)["runtimeStatus"] == "Suspended"
    for name in ("first", "second"):
        host.client("raise_event", instance_id=instance_id, event_name=name, event_data=name)
    time.sleep(0.2)
    assert host.status(instance_id)["customStatus"] is None

    assert host.client("resume", instance_id=instance_id, reason="go").status == 200

    assert host.finished(instance_id)["output"] == ['"first"', '"second"']


def test_suspended_instance_can_be_terminated(host: HostProcess) -> None:
    instance_id = _waiting(host)
    host.client("suspend", instance_id=instance_id, reason="wait")
    host.client("terminate", instance_id=instance_id, reason="stop")

    assert host.finished(instance_id)["runtimeStatus"] == "Terminated"


def test_changes_to_a_finished_instance_are_gone_and_to_an_unknown_one_not_found(
    host: HostProcess,
) -> None:
    instance_id = host.start_instance("returns_input", 1)
    host.finished(instance_id)

    for change in ("raiseEvent/x", "terminate", "suspend", "resume"):
        assert host.call("POST", f"{DURABLE}/instances/{instance_id}/{change}").status == 410
        assert host.call("POST", f"{DURABLE}/instances/nobody/{change}").status == 404


def test_event_body_must_be_json(host: HostProcess) -> None:
    path = f"{DURABLE}/instances/{_waiting(host)}/raiseEvent/first"

    assert host.call("POST", path, b"not json").status == 400


def test_rewind_answers_501_with_a_sentence(host: HostProcess) -> None:
    answer = host.call("POST", f"{DURABLE}/instances/x/rewind?reason=r")

    assert answer.status == 501
    assert "not emulated" in answer.json["ExceptionMessage"]
    assert host.call("GET", f"{DURABLE}/nothing").status == 501


def test_restart_runs_the_first_input_again(host: HostProcess) -> None:
    instance_id = host.start_instance("returns_input", {"keep": 1})
    host.finished(instance_id)

    again = host.client("restart", instance_id=instance_id).json["id"]
    assert again != instance_id
    assert host.finished(again)["output"] == {"keep": 1}
    same = host.client("restart", instance_id=instance_id, restart_with_new_instance_id=False).json[
        "id"
    ]
    assert same == instance_id
    assert host.finished(same)["output"] == {"keep": 1}


def test_purge_by_id_deletes_even_a_running_instance(host: HostProcess) -> None:
    instance_id = _waiting(host)

    assert host.client("purge_instance_history", instance_id=instance_id).json == 1
    assert host.call("GET", f"{DURABLE}/instances/{instance_id}").status == 404
    assert host.client("purge_instance_history", instance_id=instance_id).json == 0
    assert host.start_instance("returns_input", 5, instance_id) == instance_id
    assert host.finished(instance_id)["output"] == 5


def test_purge_by_filter_needs_a_start_time_and_is_404_when_nothing_matches(
    host: HostProcess,
) -> None:
    path = f"{DURABLE}/instances/"
    assert host.call("DELETE", path).status == 400
    future = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert host.call("DELETE", f"{path}?createdTimeFrom={future}").status == 404
    waiting = _waiting(host)
    done = host.start_instance("returns_input", 1)
    host.finished(done)

    query = "?createdTimeFrom=2000-01-01T00:00:00Z&runtimeStatus=Completed"
    assert host.call("DELETE", path + query).json["instancesDeleted"] >= 1

    assert host.call("GET", f"{DURABLE}/instances/{done}").status == 404
    assert host.status(waiting)["runtimeStatus"] == "Running"


async def test_purge_of_ours_deletes_what_ended_and_is_old_and_tells_nobody_apart(
    host: HostProcess,
) -> None:
    client = df.DurableOrchestrationClient(client_binding_text(host.base_url, "TestHub"))
    orchestrations = DurableOrchestrations(client)
    waiting, stopped = _waiting(host), _waiting(host)
    host.client("terminate", instance_id=stopped, reason="stop")
    ended = [
        stopped,
        host.start_instance("returns_input", 1),
        host.start_instance("failing"),
    ]
    assert len({host.finished(each)["runtimeStatus"] for each in ended}) == 3
    hour = timedelta(hours=1)

    assert await orchestrations.purge_ended(datetime.now(UTC) - hour) == 0
    before = [await orchestrations.is_running(each) for each in (*ended, waiting)]
    assert await orchestrations.purge_ended(datetime.now(UTC) + hour) >= len(ended)

    assert {host.call("GET", f"{DURABLE}/instances/{each}").status for each in ended} == {404}
    after = [await orchestrations.is_running(each) for each in (*ended, waiting)]
    assert before == after == [False, False, False, True]
