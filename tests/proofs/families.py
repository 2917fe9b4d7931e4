"""The kinds of histories that are played, each in a world of its own."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.proofs import alert_world, allocation_histories, waiting_histories
from tests.proofs.coverage import kinds_of
from tests.proofs.histories import run_history

MONEY = "money"  # people, managers and timers over every budget: the main kind
ALERT_RATES = (0.0, 0.02, 0.1, 0.3)


@dataclass(frozen=True)
class Outcome:
    """What the checker of a history has found, and what the history was made of."""

    violations: tuple[str, ...]
    calls: int
    checks: Counter[str]
    kinds: frozenset[str]


@dataclass(frozen=True)
class Family:
    """One kind of history; of every thousand that are asked for, so many are of this kind."""

    name: str
    play: Callable[[int], Outcome]
    per_thousand: int


def _money(seed: int) -> Outcome:
    verdict = run_history(seed)
    world = verdict.world
    calls = len(world.chaos.trace)
    return Outcome(verdict.violations, calls, world.checker.checks, frozenset(kinds_of(verdict)))


def _waiting(seed: int) -> Outcome:
    verdict = waiting_histories.run_history(seed)
    world = verdict.world
    kinds = set(world.chaos.seen)
    for partition in world.container.partitions.values():
        for document in partition.values():
            if document["type"] in ("approval", "moved_hold", "grant"):
                kinds.add(f"{document['type'].partition('_')[0]}: {document['status']}")
    calls = len(world.chaos.trace)
    return Outcome(verdict.violations, calls, world.checker.checks, frozenset(kinds))


def _allocations(seed: int) -> Outcome:
    verdict = allocation_histories.run_history(seed)
    world = verdict.world
    kinds = {
        f"transfer: {document['kind']}, {document['status']}"
        for partition in world.container.partitions.values()
        for document in partition.values()
        if document["type"] == "transfer"
    }
    # Its checker looks at all of A1 to A5 whenever a commit touches a cap or a budget.
    checks = Counter({"A1-A5": world.container.commits})
    return Outcome(tuple(verdict.violations), len(world.chaos.trace), checks, frozenset(kinds))


def _alerts(seed: int) -> Outcome:
    world = alert_world.run_history(seed, ALERT_RATES[seed % len(ALERT_RATES)])
    violations = tuple(f"alerts: {each}" for each in world.violations())
    checks = Counter({"alerts": len(world.reached)})
    return Outcome(violations, len(world.chaos.trace), checks, frozenset({"alerts: a crowd"}))


FAMILIES: Mapping[str, Family] = {
    each.name: each
    for each in (
        Family(MONEY, _money, 858),
        Family("waiting", _waiting, 60),
        Family("allocations", _allocations, 80),
        Family("alerts", _alerts, 2),
    )
}
