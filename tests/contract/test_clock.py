"""The Clock port: one suite on the fake and on the real clock."""

import re
from datetime import timedelta

import pytest

from shared.adapters.system_clock import SystemClock
from shared.ports import Clock
from tests.fakes.clock import FakeClock

IDS = 1_000


@pytest.fixture(params=[FakeClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_now_is_in_utc_and_never_runs_back(clock: Clock) -> None:
    first, second = clock.now(), clock.now()
    assert first.utcoffset() == timedelta(0)
    assert first.isoformat().endswith("+00:00")
    assert first <= second


def test_new_ids_are_32_hex_digits_and_differ(clock: Clock) -> None:
    made = [clock.new_id() for _ in range(IDS)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in made)
    assert len(set(made)) == IDS
