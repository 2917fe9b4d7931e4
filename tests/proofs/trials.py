"""The seeded bugs of every kind of world, and how many histories it takes to catch each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.proofs import allocation_histories, allocation_mutants, waiting_mutants
from tests.proofs.alert_world import run_history as run_alert_history
from tests.proofs.allocation_scenarios import UNCAPPED, races
from tests.proofs.histories import run_history
from tests.proofs.mutant_catalogue import MUTANTS, OF_ALERTS
from tests.proofs.mutants import Mutant, installed
from tests.proofs.waiting_histories import run_history as run_waiting_history

HISTORIES_MAX = 6_000  # a bug that needs more than these to show itself counts as missed
BEFORE_RACES = 400  # histories of allocations before every two steps race at every offset
ALERT_RATE = 0.1

Violations = tuple[str, ...]


@dataclass(frozen=True)
class Bug:
    """A seeded bug: `plays` gives the violations of one seed after the other, with it in place."""

    name: str
    plays: Callable[[int], Iterator[Violations]]


@dataclass(frozen=True)
class Trial:
    """How a seeded bug fared: what gave it away, and what it took to see it."""

    name: str
    violation: str | None  # None if it was not found
    histories: int


def tried(bug: Bug, first_seed: int) -> Trial:
    """Play histories with this bug until one shows it."""
    count = 0
    for violations in bug.plays(first_seed):
        count += 1
        if violations:
            return Trial(bug.name, violations[0], count)
        if count == HISTORIES_MAX:
            break
    return Trial(bug.name, None, count)


def _in_money(mutant: Mutant) -> Bug:
    def plays(seed: int) -> Iterator[Violations]:
        with installed(mutant):
            while True:
                yield run_history(seed).violations
                seed += 1

    return Bug(mutant.name, plays)


def _in_alerts(mutant: Mutant) -> Bug:
    def plays(seed: int) -> Iterator[Violations]:
        with installed(mutant):
            while True:
                world = run_alert_history(seed, ALERT_RATE)
                yield tuple(f"alerts: {each}" for each in world.violations())
                seed += 1

    return Bug(mutant.name, plays)


def _in_waiting(name: str) -> Bug:
    def plays(seed: int) -> Iterator[Violations]:
        with waiting_mutants.applied(name):
            while True:
                yield run_waiting_history(seed).violations
                seed += 1

    return Bug(f"waiting: {name}", plays)


def _in_allocations(mutant: allocation_mutants.Mutant) -> Bug:
    def plays(seed: int) -> Iterator[Violations]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            variant = mutant.plant(monkeypatch)
            for _ in range(BEFORE_RACES):
                yield tuple(allocation_histories.run_history(seed, variant).violations)
                seed += 1
            for race in races(UNCAPPED):
                yield tuple(race.violations)

    return Bug(f"allocation: {mutant.name}", plays)


BUGS = (
    *(_in_money(mutant) for mutant in MUTANTS),
    *(_in_alerts(mutant) for mutant in OF_ALERTS),
    *(_in_waiting(name) for name in waiting_mutants.MUTANTS),
    *(_in_allocations(mutant) for mutant in allocation_mutants.MUTANTS),
)
