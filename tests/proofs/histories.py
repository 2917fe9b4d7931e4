"""Runs one history: people, faults and timers; then no faults, the sweep, and the checks."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.identity import Caller
from shared.errors import Unavailable
from shared.ports import DirectoryUser
from tests.builders import caller, catalogue, request
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed, Fault
from tests.proofs.chaos import PROCESS, Chaos, Process
from tests.proofs.clients import Intent, pursue
from tests.proofs.invariants import SHOWN_MAX
from tests.proofs.provider_scripts import random_script, steady_script
from tests.proofs.virtual_loop import VirtualLoop
from tests.proofs.world import TIMES, Variant, World

RATES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35)  # shares of calls that go wrong
DEPARTMENTS = ("marketing", "design")
ROWS_MAX, INTENTS_MAX, PEOPLE_MAX = 6, 5, 3
STARTS_S_MAX = (0.05, 60.0)  # all at once, so that they race, or spread over a minute
TIMER_S = 35.0  # the sweep and the relay also run while things go wrong
AMPLE_MICROS = 10_000_000
LIMITS_MICROS = ((30_000, 120_000), (30_000, 300_000))  # tight: some requests fit, some do not
PAUSES_S = (  # after the faults: each sweep finds what the one before has left
    TIMES.grace.total_seconds() + 60,
    TIMES.restart_until.total_seconds(),
    TIMES.unknown_horizon.total_seconds() + 60,
    60.0,
    TIMES.unknown_horizon.total_seconds() + 60,  # what a late restart has left unknown
    60.0,
)
# Cheap and dear ones, by the picture, by the token and by the second.
REQUESTS = (
    request("gpt-image-2", quality="low"),
    request("gpt-image-2", quality="medium"),
    request("flux-schnell", count=2),
    request("flux-schnell"),
    request("sdxl"),
)


@dataclass(frozen=True)
class Verdict:
    """What a history came to."""

    seed: int
    violations: tuple[str, ...]
    calls: int
    world: World

    def text(self) -> str:
        shown = "\n  ".join(self.violations[:SHOWN_MAX])
        return f"seed {self.seed}: {len(self.violations)} violations\n  {shown}"


def run_history(seed: int, variant: Variant | None = None, stale_rate: float = 0.0) -> Verdict:
    """A random history; the seed is all that decides it."""
    chance = random.Random(seed)
    chaos = Chaos(chance.getrandbits(32), rate=chance.choice(RATES), stale_rate=stale_rate)
    start_s_max, limits_micros, people = chance.choice(
        tuple(zip(STARTS_S_MAX, LIMITS_MICROS, (1, PEOPLE_MAX), strict=True))
    )
    callers = [caller(n, chance.choice(DEPARTMENTS)) for n in range(people)]
    intents = [
        _intent(chance, callers, n, start_s_max) for n in range(chance.randint(1, INTENTS_MAX))
    ]
    world = World(
        chaos,
        FakeDirectory(
            {each.key: DirectoryUser(each.department_id) for each in callers},
            sorted({each.department_id for each in callers}),
        ),
        catalogue(),
        random_script(chaos.random, catalogue()),
        _policies(chance, callers, limits_micros),
        variant or Variant(),
    )
    return _judged(seed, world, intents)


def run_planned(
    intents: Sequence[Intent], faults: Mapping[int, Fault], busy_attempts: int = 0
) -> Verdict:
    """A history in which only the calls named by their number go wrong."""
    chaos = Chaos(0, rate=0.0, planned=faults)
    directory = FakeDirectory({caller().key: DirectoryUser("marketing")}, ["marketing"])
    policies = [("marketing", BudgetPolicy(s, AMPLE_MICROS)) for s in caller().charge().scopes()]
    script = steady_script(catalogue(), busy_attempts)
    return _judged(0, World(chaos, directory, catalogue(), script, policies), intents)


def _judged(seed: int, world: World, intents: Sequence[Intent]) -> Verdict:
    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, no service may use
    calls = loop.run(_history(world, intents))
    for problem in loop.problems:
        world.checker.broken("loop", str(problem))
    return Verdict(seed, tuple(world.checker.violations), calls, world)


async def _history(world: World, intents: Sequence[Intent]) -> int:
    PROCESS.set(Process("main"))
    loop = asyncio.get_running_loop()
    timers = [
        loop.create_task(_every(world, TIMER_S, lambda: world.sweep.run(world.orchestrations))),
        loop.create_task(_every(world, TIMER_S * 0.7, lambda: _relay(world))),
    ]
    await asyncio.gather(*(loop.create_task(pursue(world, each)) for each in intents))
    await world.orchestrations.idle()
    calls = world.chaos.calls
    world.chaos.active = False
    await asyncio.gather(*timers)
    for pause_s in PAUSES_S:
        await asyncio.sleep(pause_s)
        PROCESS.set(Process("sweep"))
        report = await world.sweep.run(world.orchestrations)
        if report.errors:
            world.checker.broken("I6", "the sweep failed although nothing goes wrong any more")
        await world.orchestrations.idle()
        await _relay(world)
    world.checker.at_the_end()
    world.checker.check_audit(world.audit.events)
    return calls


async def _every(world: World, pause_s: float, work: Callable[[], Awaitable[object]]) -> None:
    while world.chaos.active:
        await asyncio.sleep(pause_s)
        PROCESS.set(Process("timer"))
        try:
            await work()
        except (Crashed, Unavailable):
            continue  # the next run goes on


async def _relay(world: World) -> None:
    await world.relay.run(await world.calendars.outbox_partitions(thorough=False))


def _policies(
    chance: random.Random, callers: Sequence[Caller], limits_micros: tuple[int, int]
) -> list[tuple[str, BudgetPolicy]]:
    made = {
        scope: (
            each.department_id,
            BudgetPolicy(
                scope,
                chance.randint(*limits_micros) * (2 if scope.kind == "department" else 1),
            ),
        )
        for each in callers
        for scope in each.charge().scopes()
    }
    return list(made.values())


def _intent(
    chance: random.Random, callers: Sequence[Caller], number: int, start_s_max: float
) -> Intent:
    batch = chance.random() < 0.3
    size = chance.randint(1, ROWS_MAX) if batch else 1
    requests, rival = (tuple(chance.choice(REQUESTS) for _ in range(size)) for _ in range(2))
    return Intent(
        caller=chance.choice(callers),
        key=f"key-{number}",
        requests=requests,
        batch=batch,
        starts_at_s=chance.random() * start_s_max,
        repeats=chance.random() < 0.3,
        reuses_key=chance.random() < 0.2,
        cancels_after_s=chance.random() * 20 if chance.random() < 0.2 else None,
        rival=rival if rival != requests and chance.random() < 0.1 else (),
        acceptance="as_many_as_fit" if batch and number % 2 else "all",
    )
