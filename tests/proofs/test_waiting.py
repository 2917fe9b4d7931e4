"""Grants, approvals and deferred work: every call goes wrong in every way, one at a time.

Each story runs the shipped services over the same fakes as the other proofs; `WaitingChecker` says
what must hold at every commit and at the end. Every story also runs under random faults.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

import pytest

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import budget_document
from shared.domain.ids import Partition
from shared.errors import InvariantBroken, Rejected, Unavailable
from shared.ports import DirectoryUser
from tests.builders import catalogue
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed, Fault
from tests.proofs.chaos import FAULTS, PROCESS, Chaos, Process
from tests.proofs.clients import GaveUp
from tests.proofs.provider_scripts import steady_script
from tests.proofs.virtual_loop import VirtualLoop
from tests.proofs.waiting_mutants import MUTANTS, applied
from tests.proofs.waiting_stories import AMOUNT, ASKER, PEOPLE, SETTINGS, Setting, Story
from tests.proofs.waiting_world import TERMS, WaitingWorld
from tests.proofs.world import TIMES

SEEDS = int(os.environ.get("EIG_PROOF_WAITING_SEEDS", "60"))
MUTANT_SEEDS = 200  # tried before a mutant counts as missed
RATES = (0.02, 0.1, 0.3)
CALLS_ADDED_BY_A_FAULT = 8
TIMER_S = 35.0
PAUSES_S = (
    TIMES.grace.total_seconds() + 60,
    TERMS.expiry.total_seconds() + 60,
    TIMES.restart_until.total_seconds(),
    TIMES.unknown_horizon.total_seconds() + 60,
    60.0,
    TIMES.unknown_horizon.total_seconds() + 60,
    60.0,
)
NOVEMBER = Partition("marketing", "202611")


@dataclass(frozen=True)
class Verdict:
    """What a story came to."""

    violations: tuple[str, ...]
    calls: int
    world: WaitingWorld


def played(setting: Setting, chaos: Chaos) -> Verdict:
    people = {person.key: DirectoryUser("marketing") for person in PEOPLE}
    department, user = ASKER.charge().scopes()
    policies = [
        ("marketing", BudgetPolicy(department, setting.department_micros, overage=setting.overage)),
        ("marketing", BudgetPolicy(user, setting.user_micros, overage=setting.overage)),
    ]
    world = WaitingWorld(
        chaos,
        FakeDirectory(people, ["marketing"]),
        catalogue(),
        steady_script(catalogue(), 0),
        policies,
    )
    if setting.start is not None:
        world.clock.start = setting.start
        spent = replace(policies[0][1], limit_micros=0).opening("202611")  # nothing is left of it
        document = budget_document(NOVEMBER, spent)
        world.container.partitions[NOVEMBER.key] = {document["id"]: document}
    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, no service may use
    calls = loop.run(_history(world, setting))
    for problem in loop.problems:
        world.checker.broken("loop", str(problem))
    return Verdict(tuple(world.checker.violations), calls, world)


async def _history(world: WaitingWorld, setting: Setting) -> int:
    PROCESS.set(Process("main"))
    loop = asyncio.get_running_loop()
    timers = [loop.create_task(_timer(world))]
    with suppress(GaveUp):
        await loop.create_task(_told(world, setting.story))
    await world.orchestrations.idle()
    calls = world.chaos.calls
    world.chaos.active = False
    await asyncio.gather(*timers)
    for pause_s in PAUSES_S:
        await asyncio.sleep(pause_s)
        PROCESS.set(Process("sweep"))
        errors = (await world.sweep.run(world.orchestrations)).errors
        errors += (await world.overage_sweep.run(world.orchestrations)).errors
        if errors:
            world.checker.broken("I6", "a sweep failed although nothing goes wrong any more")
        await world.orchestrations.idle()
        await _relay(world)
    world.checker.at_the_end()
    world.checker.check_audit(world.audit.events)
    return calls


async def _told(world: WaitingWorld, story: Story) -> None:
    try:
        await story(world)
    except Rejected as refusal:
        world.checker.broken("unforeseen", f"a request was refused: {refusal.detail}")
    except InvariantBroken as broken:
        world.checker.broken("unforeseen", f"a request broke: {broken.detail}")


async def _timer(world: WaitingWorld) -> None:
    while world.chaos.active:
        await asyncio.sleep(TIMER_S)
        for work in (
            lambda: world.sweep.run(world.orchestrations),
            lambda: world.overage_sweep.run(world.orchestrations),
            lambda: _relay(world),
        ):
            PROCESS.set(Process("timer"))
            try:
                await work()
            except (Crashed, Unavailable):
                continue  # the next run goes on


async def _relay(world: WaitingWorld) -> None:
    await world.relay.run(await world.calendars.outbox_partitions(thorough=False))


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
    started = {"approve", "approve_twice", "repeat", "defer", "defer_batch", "increase", "override"}
    if name in started:
        assert len(holds) == 1
        assert approvals in ([], ["concluded"])
    if name == "defer":
        assert holds[0]["pk"] == "marketing|202612"
    if name == "nobody":
        assert (holds, approvals) == ([], ["expired"])
    if name == "override":
        assert [d["amount_micros"] for d in found if d["type"] == "adjustment"] == [
            AMOUNT * 7 // 100
        ]


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
