"""Grants, approvals and deferred work: every call goes wrong in every way, one at a time.

Each story runs the shipped services over the same fakes as the other proofs; `WaitingEndings` says
what must hold at every commit and at the end. Every story also runs under random faults.
"""

import os
from collections import Counter
from collections.abc import Mapping
from itertools import product

import pytest

from tests.fakes.cosmos_container import Item
from tests.fakes.faults import Fault
from tests.proofs.chaos import FAULTS, Chaos
from tests.proofs.waiting_histories import RATES, played
from tests.proofs.waiting_mutants import MUTANTS, applied
from tests.proofs.waiting_stories import AMOUNT, SETTINGS, Setting

SEEDS = int(os.environ.get("EIG_PROOF_WAITING_SEEDS", "60"))
MUTANT_SEEDS = 200  # tried before a mutant counts as missed
CALLS_ADDED_BY_A_FAULT = 8


def check(setting: Setting, plan: Mapping[int, Fault]) -> None:
    verdict = played(setting, Chaos(0, rate=0.0, planned=plan))
    shown = "\n  ".join(verdict.violations[:5])
    assert not verdict.violations, f"faults at calls {plan}\n  {shown}"


@pytest.mark.parametrize("name", SETTINGS)
def test_story_without_faults_ends_as_it_should(name: str) -> None:
    verdict = played(SETTINGS[name], Chaos(0, rate=0.0))
    assert verdict.violations == ()
    ledger = verdict.world.container.partitions
    found = [d for partition in ledger.values() for d in partition.values()]
    holds = [d for d in found if d["type"] == "hold"]
    approvals = [d["status"] for d in found if d["type"] == "approval"]
    started = {
        "approve",
        "approve_twice",
        "cancel_batch",
        "change_limit",
        "repeat",
        "approve_and_fall",
        "approve_and_fall_at_no_cost",
        "defer",
        "defer_and_fall",
        "defer_batch",
        "increase",
        "override",
    }
    if name in started:
        assert len(holds) == 1
        assert approvals in ([], ["concluded"])
    entries = [d for d in found if d["type"] == "resolution"]
    if name == "cancel_batch":
        assert Counter(d["status"] for d in entries) == {"succeeded": 3, "canceled": 4}
    if approvals == ["concluded"]:
        (hold,) = holds
        raised = [d for d in found if d["type"] == "budget" and d["id"] in _raised(hold)]
        spent = sum(d["amount_micros"] for d in entries)
        falls = SETTINGS[name].fails_billed is not None  # then all of it is spent, or nothing
        assert falls or 0 < spent < hold["amount_micros"]
        assert [d["limit_micros"] - d["base_micros"] for d in raised] == [spent]
    if name == "defer":
        assert holds[0]["pk"] == "marketing|202612"
    if name == "nobody":
        assert (holds, approvals) == ([], ["expired"])
    if name == "override":
        assert [d["amount_micros"] for d in found if d["type"] == "adjustment"] == [
            AMOUNT * 7 // 100
        ]


def _raised(hold: Item) -> list[str]:
    return [f"budget:{scope['kind']}:{scope['scope_id']}" for scope in hold["raised"]]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_fault_at_every_call_keeps_the_invariants(name: str) -> None:
    setting = SETTINGS[name]
    calls = played(setting, Chaos(0, rate=0.0)).calls
    points = list(product(range(calls + CALLS_ADDED_BY_A_FAULT), FAULTS))
    for call, fault in points:
        check(setting, {call: fault})
    print(f"{name}: {len(points)} fault plans")


@pytest.mark.parametrize("name", SETTINGS)
def test_random_faults_keep_the_invariants(name: str) -> None:
    for seed in range(SEEDS):
        stale_rate = 0.1 if seed % 4 == 3 else 0.0  # replicas that lag
        chaos = Chaos(seed, rate=RATES[seed % len(RATES)], stale_rate=stale_rate)
        verdict = played(SETTINGS[name], chaos)
        shown = "\n  ".join(verdict.violations[:5])
        assert not verdict.violations, f"seed {seed}\n  {shown}"


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant_is_caught(mutant: str) -> None:
    for seed in range(MUTANT_SEEDS):
        for setting in SETTINGS.values():
            with applied(mutant):
                verdict = played(setting, Chaos(seed, rate=RATES[seed % len(RATES)]))
            if verdict.violations:
                print(f"{mutant}: seed {seed}, {setting.story.__name__}: {verdict.violations[0]}")
                return
    pytest.fail(f"nobody notices: {mutant}")
