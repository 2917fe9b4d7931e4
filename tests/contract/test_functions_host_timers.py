"""Timer triggers of the local host: schedules, past due runs, no overlap, the admin endpoint."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sample_app.host_process import HostProcess

EVERY_SECOND = "* * * * * *"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostProcess]:
    process = HostProcess(tmp_path, environment={"TICK_SCHEDULE": EVERY_SECOND}).start()
    yield process
    process.stop()


def test_timer_fires_each_second_from_the_setting_and_runs_on_startup(host: HostProcess) -> None:
    lines = host.until(lambda: host.lines("tick.log"), lambda found: len(found) >= 3)

    moments = [float(line.split()[0]) for line in lines]
    assert {round(later - earlier) for earlier, later in itertools.pairwise(moments)} == {1}
    assert all(moment % 1 < 0.5 for moment in moments)
    assert {line.split()[1] for line in lines} == {"False"}
    assert host.lines("yearly.log")[0] == "start"


def test_missed_run_happens_once_at_start_and_is_past_due(host: HostProcess) -> None:
    host.until(lambda: host.lines("tick.log"), lambda found: len(found) >= 1)
    host.kill()
    before = len(host.lines("tick.log"))
    time.sleep(2.1)

    host.start()

    lines = host.until(lambda: host.lines("tick.log"), lambda found: len(found) >= before + 2)
    assert [line.split()[1] for line in lines[before : before + 2]] == ["True", "False"]


def test_admin_post_fires_a_timer_but_never_two_runs_at_once(host: HostProcess) -> None:
    host.until(lambda: host.lines("yearly.log"), lambda lines: lines == ["start", "end"])

    answers = [host.call("POST", "/admin/functions/YEARLY", {"input": ""}) for _ in range(2)]

    assert [answer.status for answer in answers] == [202, 202]
    lines = host.until(lambda: host.lines("yearly.log"), lambda found: len(found) == 6)
    assert lines == ["start", "end"] * 3


def test_no_timers_option_leaves_schedules_alone(tmp_path: Path) -> None:
    options = ("--no-blob", "--no-timers")
    host = HostProcess(tmp_path, options, {"TICK_SCHEDULE": EVERY_SECOND}).start()
    time.sleep(1.2)

    assert host.lines("tick.log") == []
    assert host.call("POST", "/admin/functions/tick", {}).status == 202
    host.until(lambda: host.lines("tick.log"), lambda found: len(found) == 1)
    assert host.stop() == 0
