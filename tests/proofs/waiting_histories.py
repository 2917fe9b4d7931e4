"""One history of a world whose budgets ask or wait: a story, faults, timers, then the sweeps."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.domain.attempts import Failure
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import budget_document
from shared.domain.ids import Partition
from shared.domain.routing_policies import RoutingRules
from shared.domain.routing_wishes import UPLIFT_PERCENT_MAX
from shared.errors import InvariantBroken, Rejected, Unavailable
from shared.ports import DirectoryUser
from tests.builders import catalogue
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed
from tests.proofs.chaos import PROCESS, Chaos, Process
from tests.proofs.clients import GaveUp
from tests.proofs.histories import settle_down
from tests.proofs.provider_scripts import Script, failing_script, thrifty_script
from tests.proofs.virtual_loop import VirtualLoop
from tests.proofs.waiting_stories import ASKER, PEOPLE, SETTINGS, Setting, Story
from tests.proofs.waiting_world import WaitingWorld

TIMER_S = 35.0
RATES = (0.02, 0.1, 0.3)
STALE_EVERY, STALE_RATE = 4, 0.1  # histories with replicas that lag, and how many reads do
NOVEMBER = Partition("marketing", "202611")


@dataclass(frozen=True)
class Verdict:
    """What a story came to."""

    violations: tuple[str, ...]
    calls: int
    world: WaitingWorld


def played(setting: Setting, chaos: Chaos) -> Verdict:
    """Play a story while its world's faults happen."""
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
        _script_of(setting),
        policies,
        rules=RoutingRules(uplift_percent_max=UPLIFT_PERCENT_MAX),
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


def _script_of(setting: Setting) -> Script:
    if setting.fails_billed is None:
        return thrifty_script(catalogue(), setting.busy_attempts)
    return failing_script(catalogue(), Failure.MALFORMED, billed=setting.fails_billed)


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
    await settle_down(world)
    return calls


async def _told(world: WaitingWorld, story: Story) -> None:
    try:
        await story(world)
    except Rejected as refusal:
        if any(fault.field == "/ends_at" for fault in refusal.faults):
            return  # it got no answer until the end it asked for had passed
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
    await world.relay.run(await world.outbox_partitions())


def run_history(seed: int) -> Verdict:
    """A random history: the seed picks the story and all that goes wrong."""
    settings = list(SETTINGS.values())
    stale_rate = STALE_RATE if seed % STALE_EVERY == STALE_EVERY - 1 else 0.0
    chaos = Chaos(seed, rate=RATES[seed % len(RATES)], stale_rate=stale_rate)
    return played(settings[seed // len(RATES) % len(settings)], chaos)
