"""Alerts are raised exactly once: 64 spenders at once, crashes at every call, replays, releases."""

import pytest

from shared.adapters.cosmos import commit
from shared.domain.alerts import Alert, create_operation
from shared.domain.audit_events import AuditEvent
from shared.domain.ledger import Create
from tests.fakes.alerts import FakeAlerts
from tests.fakes.faults import Fault
from tests.proofs.alert_world import PEOPLE, run_history

THRESHOLDS = 3
CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
LOST, LOST_EVERY = (Fault.LOST, Fault.LATE), 3  # answers that are lost, at every third call
RANDOM_HISTORIES = 20
RATES = (0.02, 0.1, 0.3)


def test_a_crowd_that_spends_everything_raises_each_threshold_once() -> None:
    world = run_history(1)
    assert world.violations() == []
    assert len(world.raised) == THRESHOLDS * (1 + PEOPLE) - len(_unreached(world.reached))


def _unreached(reached: set[str]) -> set[str]:
    """People who got one request less than their share stay below 100 %."""
    everything = {f"{each.rpartition(':')[0]}:100" for each in reached}
    return everything - reached


@pytest.mark.timeout(900)  # some 900 histories; a minute on a quiet machine
def test_a_crash_at_every_call_raises_each_threshold_once() -> None:
    points = [
        number
        for number, (process, _, _) in enumerate(run_history(1).chaos.trace)
        if process.startswith(("spender", "timer"))
    ]
    plans = [(call, fault) for call in points for fault in CRASHES]
    plans += [(call, fault) for call in points[::LOST_EVERY] for fault in LOST]
    for call, fault in plans:
        world = run_history(1, planned={call: fault})
        assert world.violations() == [], f"{fault} at call {call} of seed 1"
    print(f"{len(plans)} fault plans")


@pytest.mark.parametrize("rate", RATES)
def test_random_faults_raise_each_threshold_once(rate: float) -> None:
    for seed in range(RANDOM_HISTORIES):
        world = run_history(seed, rate)
        assert world.violations() == [], f"seed {seed}, rate {rate}"


class ReadThenCreate(FakeAlerts):
    """Decides from a read whether an alert is new, and creates it under an id of its own."""

    async def raise_once(self, alert: Alert, event: AuditEvent) -> bool:
        if await self.alert(alert.alert_id) is not None:
            return False
        operation = create_operation(alert)
        assert isinstance(operation, Create)
        own = Create({**operation.document, "id": f"{alert.document_id}~{id(self)}"})
        await commit(await self._container(), alert.partition.key, [own])
        return True


def test_a_store_that_decides_from_a_read_is_caught() -> None:
    violations = run_history(1, store=ReadThenCreate).violations()
    assert any("times" in each for each in violations), violations
