"""The alert orchestrator over virtual time: each channel waits for itself, until all are done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from functions import durable_alerts, names
from functions.durable_alerts import FAULTS_MAX
from functions.payloads import AlertInput
from shared.domain.deliveries import ATTEMPTS_MAX, RETRY_WAITS_S

START = datetime(2026, 11, 22, tzinfo=UTC)
ALERT_ID = "202611-marketing-" + "a" * 32
Answer = Callable[[str, int], dict[str, Any]]


@dataclass
class FakeContext:
    """Runs activities at once; timers move the clock."""

    answer: Answer
    channels: tuple[str, ...]
    now: datetime = START
    tries: list[tuple[str, int, datetime]] = field(default_factory=list)

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    def get_input(self) -> dict[str, Any]:
        return AlertInput(alert_id=ALERT_ID, channels=self.channels).to_json()

    def call_activity(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert name == names.DELIVER_ALERT_ACTIVITY
        assert payload["alert_id"] == ALERT_ID
        self.tries.append((payload["channel"], payload["attempt"], self.now))
        return self.answer(payload["channel"], payload["attempt"])

    def task_all(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return results

    def create_timer(self, fire_at: datetime) -> None:
        assert fire_at > self.now
        self.now = fire_at

    def of(self, channel: str) -> list[tuple[int, float]]:
        """The tries of one channel and the seconds at which they were made."""
        return [(n, (at - START).total_seconds()) for c, n, at in self.tries if c == channel]


def run(context: FakeContext) -> None:
    builder = durable_alerts.alert_orchestrator
    steps = builder._function.get_user_function().orchestrator_function(context)
    asked = next(steps, None)
    while True:
        try:
            asked = steps.send(asked)
        except StopIteration:
            return


def done() -> dict[str, Any]:
    return {"ok": True, "status": "delivered", "retry_after_s": 0}


def later(wait_s: int) -> dict[str, Any]:
    return {"ok": True, "status": "pending", "retry_after_s": wait_s}


def test_channels_are_tried_at_once_and_wait_for_themselves_only() -> None:
    def answer(channel: str, attempt: int) -> dict[str, Any]:
        if channel == "slow":
            return later(300) if attempt < 3 else done()
        return later(5) if attempt == 1 else done()

    context = FakeContext(answer, ("slow", "quick"))
    run(context)
    assert context.of("slow") == [(1, 0), (2, 300), (3, 600)]
    assert context.of("quick") == [(1, 0), (2, 5)]


def test_channel_is_tried_as_often_as_there_are_waits_and_no_more() -> None:
    context = FakeContext(lambda _, attempt: later(RETRY_WAITS_S[min(attempt, 9) - 1]), ("dead",))
    run(context)
    assert [n for n, _ in context.of("dead")] == list(range(1, ATTEMPTS_MAX + 1))
    assert context.of("dead")[-1][1] == sum(RETRY_WAITS_S)


def test_fault_of_ours_is_no_try_and_ends_at_last() -> None:
    faults = iter([{"ok": False}] * 3)
    context = FakeContext(lambda *_: next(faults, done()), ("a",))
    run(context)
    assert [n for n, _ in context.of("a")] == [1, 1, 1, 1]
    endless = FakeContext(lambda *_: {"ok": False}, ("a",))
    run(endless)
    assert len(endless.of("a")) == FAULTS_MAX + 1
    assert endless.now - START < timedelta(hours=2)


def test_alert_without_channels_ends_at_once() -> None:
    context = FakeContext(lambda *_: done(), ())
    run(context)
    assert context.tries == []
