"""Runs one history: people, faults and timers; then no faults, the sweep, and the checks."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.domain.budget_policies import BudgetPolicy, Rollover
from shared.domain.budgets import BudgetMode, Scope
from shared.domain.identity import Caller
from shared.domain.routing_policies import RoutingRules
from shared.errors import Unavailable
from shared.ports import DirectoryUser
from tests.builders import caller, catalogue, request, routed
from tests.fakes.clock import NOON
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed
from tests.proofs.chaos import PROCESS, Chaos, Process
from tests.proofs.clients import Intent, pursue
from tests.proofs.invariants import SHOWN_MAX
from tests.proofs.managers import Deed, carry_out, random_deeds
from tests.proofs.provider_scripts import random_script
from tests.proofs.virtual_loop import VirtualLoop
from tests.proofs.world import TIMES, ClockJump, VirtualClock, World

RATES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35)  # shares of calls that go wrong
STALE_SHARE, STALE_RATE = 0.1, 0.2  # histories with replicas that lag, and how many reads do
DEPARTMENTS = ("marketing", "design")
PROJECT, COST_CENTRE = "apollo", "studio"
MANAGED_SHARE = 0.5  # histories in which limits and switches change while people spend
MODES: tuple[BudgetMode, ...] = ("hard", "soft", "warn")
MODE_WEIGHTS = (8, 1, 1)
ROLLOVERS: tuple[Rollover, ...] = ("none", "unused", "capped")
ROLLOVER_WEIGHTS = (6, 2, 2)
ROWS_MAX, INTENTS_MAX, PEOPLE_MAX = 6, 5, 3
STARTS_S_MAX = (0.05, 60.0)  # all at once, so that they race, or spread over a minute
TIMER_S = 45.0  # the sweep and the relay also run while things go wrong
AMPLE_MICROS = 10_000_000
LIMITS_MICROS = ((30_000, 120_000), (30_000, 300_000))  # tight: some requests fit, some do not
PAUSES_S = (  # after the faults: each sweep finds what the one before has left
    TIMES.grace.total_seconds() + 60,
    TIMES.restart_until.total_seconds(),
    # Unknown outcomes; then what a late restart, or a clock that was put back, has left unknown.
    *(pause_s for _ in range(4) for pause_s in (TIMES.unknown_horizon.total_seconds() + 60, 60.0)),
)
MONTH_END = datetime(2026, 12, 1, tzinfo=UTC)
BEFORE_MONTH_END_S_MAX = 60.0  # a history that begins so shortly before it sees the month end
FIRST_MONTH = "202611"  # of every budget here: what rolls over into December comes from there
JUMPS_MAX = 2
FORWARD_S_MAX = (90.0, 3_600.0, 36_000.0)  # two of these are less than keys are kept for
BACK_S_MAX = 300.0
# Cheap and dear ones, by the picture, by the token and by the second.
REQUESTS = (
    request("gpt-image-2", quality="low"),
    request("gpt-image-2", quality="medium"),
    request("flux-schnell", count=2),
    request("flux-schnell"),
    request("sdxl"),
    # Models that may be replaced by others: of several prices, in every order of strategies.
    routed("auto"),
    routed("auto", strategy="quality", models=("gpt-image-2", "sdxl", "flux-schnell")),
    routed("auto", strategy="fastest", max_price_micros=100_000),
    routed("flux-schnell", fallback=True),
    routed("sdxl", fallback=True, models=("sdxl", "flux-schnell", "gpt-image-2")),
)
UPLIFTS_PERCENT = (0, 100, 1_000)
CONTENT_SHARE = 0.3  # histories whose rules let a refusal for content be tried elsewhere


Watch = Callable[[World, Sequence[Intent], Sequence[Deed]], None]  # sees a history before it begins


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


def run_history(seed: int, watch: Watch | None = None) -> Verdict:
    """A random history; the seed is all that decides it."""
    chance = random.Random(seed)
    stale_rate = STALE_RATE if chance.random() < STALE_SHARE else 0.0
    chaos = Chaos(chance.getrandbits(32), rate=chance.choice(RATES), stale_rate=stale_rate)
    start_s_max, limits_micros, people = chance.choice(
        tuple(zip(STARTS_S_MAX, LIMITS_MICROS, (1, PEOPLE_MAX), strict=True))
    )
    callers = [caller(n, chance.choice(DEPARTMENTS)) for n in range(people)]
    intents = [
        _intent(chance, callers, n, start_s_max) for n in range(chance.randint(1, INTENTS_MAX))
    ]
    policies = _policies(chance, callers, limits_micros)
    deeds = []
    if chance.random() < MANAGED_SHARE:
        budgets = [(department_id, policy.scope) for department_id, policy in policies]
        deeds = random_deeds(chance, budgets, limits_micros, start_s_max)
    world = World(
        chaos,
        FakeDirectory(
            {each.key: DirectoryUser(each.department_id) for each in callers},
            sorted({each.department_id for each in callers}),
        ),
        catalogue(),
        random_script(chaos.random, catalogue()),
        policies,
        _clock(chance),
        RoutingRules(
            uplift_percent_max=chance.choice(UPLIFTS_PERCENT),
            content_fallback=chance.random() < CONTENT_SHARE,
        ),
    )
    if watch is not None:
        watch(world, intents, deeds)
    return play(seed, world, intents, deeds)


def play(seed: int, world: World, intents: Sequence[Intent], deeds: Sequence[Deed] = ()) -> Verdict:
    """What these people do in this world, while the world's faults happen."""
    return judged(seed, world, _history(world, intents, deeds))


def judged(seed: int, world: World, history: Coroutine[object, object, int]) -> Verdict:
    """Play a history over virtual time; it returns its number of calls under faults."""
    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, no service may use
    calls = loop.run(history)
    for problem in loop.problems:
        world.checker.broken("loop", str(problem))
    return Verdict(seed, tuple(world.checker.violations), calls, world)


async def _history(world: World, intents: Sequence[Intent], deeds: Sequence[Deed]) -> int:
    PROCESS.set(Process("main"))
    loop = asyncio.get_running_loop()
    timers = [
        loop.create_task(_every(world, TIMER_S, world.run_sweeps)),
        loop.create_task(_every(world, TIMER_S * 0.7, lambda: _relay(world))),
    ]
    people = [loop.create_task(pursue(world, each)) for each in intents]
    managers = [loop.create_task(carry_out(world, each)) for each in deeds]
    await asyncio.gather(*people, *managers)
    await world.orchestrations.idle()
    calls = world.chaos.calls
    world.chaos.active = False
    await asyncio.gather(*timers)
    await settle_down(world)
    return calls


async def settle_down(world: World) -> None:
    """Without faults, the sweep and the relay bring everything to its end; then it is checked."""
    world.chaos.active = False
    for pause_s in PAUSES_S:
        if world.is_settled():
            break
        await asyncio.sleep(pause_s)
        PROCESS.set(Process("sweep"))
        errors = await world.run_sweeps()
        world.checker.expect("I6", errors == 0, lambda: "the sweep failed although all is well")
        await world.orchestrations.idle()
        await _relay(world)
    world.alerts = world.alerts_of_a_worker()  # remembers nothing: what is missing is raised
    errors = await world.run_sweeps()
    world.checker.expect("I6", errors == 0, lambda: "the last sweep failed")
    await world.orchestrations.idle()  # a start that came late repeats work that has ended
    await world.check_the_end()


async def _every(world: World, pause_s: float, work: Callable[[], Awaitable[object]]) -> None:
    while world.chaos.active:
        await asyncio.sleep(pause_s)
        PROCESS.set(Process("timer"))
        try:
            await work()
        except (Crashed, Unavailable):
            continue  # the next run goes on


async def _relay(world: World) -> None:
    await world.relay.run(await world.outbox_partitions())


def _clock(chance: random.Random) -> VirtualClock:
    """Mid-month, or minutes before a month ends; now and then it jumps."""
    start = NOON
    if chance.random() < 0.3:
        start = MONTH_END - timedelta(seconds=chance.random() * BEFORE_MONTH_END_S_MAX)
    jumps = []
    if chance.random() < 0.3:
        for _ in range(chance.randint(1, JUMPS_MAX)):
            forward = chance.random() < 0.6
            by_s = chance.random() * (chance.choice(FORWARD_S_MAX) if forward else -BACK_S_MAX)
            jumps.append(ClockJump(chance.random() * 120, by_s))
    return VirtualClock(start, jumps)


def _policies(
    chance: random.Random, callers: Sequence[Caller], limits_micros: tuple[int, int]
) -> list[tuple[str, BudgetPolicy]]:
    """A policy for everybody and everything that may be charged, most of them hard."""
    scopes = {scope: each.department_id for each in callers for scope in each.charge().scopes()}
    made = [(d, _policy(chance, scope, limits_micros)) for scope, d in scopes.items()]
    for department_id in sorted(set(scopes.values())):
        for scope in (Scope("project", PROJECT), Scope("cost_centre", COST_CENTRE)):
            made.append((department_id, _policy(chance, scope, limits_micros)))
    return made


def _policy(chance: random.Random, scope: Scope, limits_micros: tuple[int, int]) -> BudgetPolicy:
    mode = chance.choices(MODES, MODE_WEIGHTS)[0]
    limit_micros = chance.randint(*limits_micros) * (2 if scope.kind == "department" else 1)
    return BudgetPolicy(
        scope,
        limit_micros,
        mode,
        overdraft_micros=chance.randint(1, limits_micros[0]) if mode == "soft" else 0,
        rollover=chance.choices(ROLLOVERS, ROLLOVER_WEIGHTS)[0],
        rollover_cap_micros=limits_micros[0] // 2,
        since_month=FIRST_MONTH,
    )


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
        project_id=PROJECT if chance.random() < 0.3 else None,
        cost_centre_id=COST_CENTRE if chance.random() < 0.2 else None,
        acceptance="as_many_as_fit" if batch and number % 2 else "all",
    )
