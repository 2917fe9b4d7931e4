"""The organisation's cap: no crash, race or lost answer lets departments have more than it gave."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.fakes.faults import Fault
from tests.proofs.allocation_histories import (
    Step,
    Verdict,
    run_history,
    run_planned,
)
from tests.proofs.allocation_mutants import MUTANTS, Mutant
from tests.proofs.allocation_scenarios import RACERS, SCENARIOS, SPARE, UNCAPPED, races
from tests.proofs.chaos import FAULTS
from tests.proofs.settings import FIRST_SEED, HISTORIES

ALLOCATION_HISTORIES = max(1, HISTORIES // 10)  # of every ten histories, one is of allocations
FAULTS_MAX = int(os.environ.get("EIG_PROOF_FAULTS", "2"))  # in one plan; three take minutes
MUTANT_HISTORIES = 400
SHOWN_SEEDS_MAX = 5
SAMPLE = 400  # histories that show what the others are made of
# One fault of each effect: of three that do nothing one, and a read does nothing anyway.
EFFECTS = (Fault.REFUSED, Fault.LOST, Fault.LATE, Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
READ_EFFECTS = (Fault.REFUSED, Fault.CRASH_BEFORE)
READS = ("read", "query")
ENDS = {
    ("open", "done"),
    ("adopt", "done"),
    ("adopt", "returned"),
    ("allocate", "done"),
    ("allocate", "returned"),
    ("return", "done"),
    ("return", "refused"),
    ("move", "done"),
    ("move", "refused"),
    ("move", "returned"),
    ("release", "done"),
    ("release", "refused"),
}


def test_every_history_keeps_the_cap_whatever_fails() -> None:
    failed = []
    for seed in range(FIRST_SEED, FIRST_SEED + ALLOCATION_HISTORIES):
        verdict = run_history(seed)
        if verdict.violations:
            failed.append(verdict.text())
            print(failed[-1])
            if len(failed) == SHOWN_SEEDS_MAX:
                break
    assert not failed, "replay with EIG_PROOF_SEED=<seed> EIG_PROOF_HISTORIES=1\n" + "\n".join(
        failed
    )


def test_histories_reach_every_kind_of_end() -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + SAMPLE):
        for partition in run_history(seed).world.container.partitions.values():
            for document in partition.values():
                if document["type"] == "transfer":
                    seen[document["kind"], document["status"]] += 1
    print(dict(seen))
    assert seen.keys() >= ENDS


def test_same_seed_gives_the_same_history_twice() -> None:
    first, second = run_history(FIRST_SEED), run_history(FIRST_SEED)
    assert first.world.chaos.trace == second.world.chaos.trace
    assert first.world.container.partitions == second.world.container.partitions


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_fault_at_every_call_keeps_the_cap(scenario: str) -> None:
    checked = sum(1 for _ in _checked_plans(scenario, FAULTS, FAULTS, faults_max=1))
    print(f"{checked} fault plans")
    assert checked > len(FAULTS)


@pytest.mark.timeout(3_600)  # three faults in every place take minutes
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_combination_of_faults_keeps_the_cap(scenario: str) -> None:
    checked = sum(1 for _ in _checked_plans(scenario, EFFECTS, READ_EFFECTS, FAULTS_MAX))
    print(f"{checked} plans of up to {FAULTS_MAX} faults")
    assert checked > len(EFFECTS) ** 2


def _checked_plans(
    scenario: str, of_writes: Sequence[Fault], of_reads: Sequence[Fault], faults_max: int
) -> Iterator[Verdict]:
    """Every plan that strikes calls that are made: a fault may cause others, which fail as well."""
    before, step = SCENARIOS[scenario]
    waiting: list[dict[int, Fault]] = [{}]
    while waiting:  # each plan adds longer ones, up to faults_max
        plan = waiting.pop()
        verdict = run_planned(before, step, plan)
        assert not verdict.violations, f"faults at calls {plan}\n{verdict.text()}"
        yield verdict
        if len(plan) < faults_max:
            for number in range(max(plan, default=-1) + 1, verdict.calls):
                _, call, _ = verdict.world.chaos.trace[number]
                faults = of_reads if call in READS else of_writes
                waiting += [plan | {number: fault} for fault in faults]


@pytest.mark.parametrize("before", [SPARE, UNCAPPED], ids=["capped", "uncapped"])
def test_every_two_steps_race_at_every_offset(before: Sequence[Step]) -> None:
    played = 0
    for verdict in races(before):
        assert not verdict.violations, verdict.text()
        played += 1
    print(f"{played} races")
    assert played > len(RACERS) ** 2


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_checker_catches_a_planted_bug(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = mutant.plant(monkeypatch)
    for seed in range(FIRST_SEED, FIRST_SEED + MUTANT_HISTORIES):
        if _shown(run_history(seed, variant), mutant):
            return
    assert any(_shown(race, mutant) for race in races(UNCAPPED))


def _shown(verdict: Verdict, mutant: Mutant) -> bool:
    return any(
        each.startswith(tuple(f"{name}:" for name in mutant.shows)) for each in verdict.violations
    )
