"""The operations whose crash points are explored: what is prepared, and what is on trial."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from shared.domain.attempts import Failure, ImageOrder, Unknown
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.generations import GenerationRequest
from shared.domain.routing_policies import RoutingRules
from shared.domain.routing_wishes import UPLIFT_PERCENT_MAX
from shared.errors import Unavailable
from shared.ports import DirectoryUser
from tests.builders import caller, catalogue, request, routed
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed
from tests.fakes.orchestrations import FakeOrchestrations
from tests.fakes.providers import Work
from tests.proofs.allocation_histories import run_planned
from tests.proofs.allocation_scenarios import SCENARIOS
from tests.proofs.chaos import PROCESS, Chaos, Process
from tests.proofs.clients import Intent, cancel, pursue, sent, submit
from tests.proofs.crash_points import FAULTS_MAX, Operation, Plan, Played
from tests.proofs.histories import AMPLE_MICROS, judged, settle_down
from tests.proofs.managers import ADMIN, Deed, adjustment, carry_out, freeze, grant, policy_change
from tests.proofs.provider_scripts import Script, failing_script, steady_script
from tests.proofs.waiting_histories import played
from tests.proofs.waiting_stories import SETTINGS
from tests.proofs.world import TIMES, World

Act = Callable[[World], Awaitable[None]]
SHORT_MICROS = 100_000  # enough for the first choice, too little for what may follow it
TRIES_MAX = 8  # of a timer's work under at most three faults
BY_TOKEN = request("gpt-image-2", quality="low")
BY_JOB = request("sdxl")  # has a job id, so that a crash can be resumed


def _intent(*requests: GenerationRequest) -> Intent:
    return Intent(caller(), "key-1", requests, batch=len(requests) > 1, starts_at_s=0.0)


FALLING = _intent(routed("gpt-image-2", fallback=True, models=("gpt-image-2", "sdxl")))
FALLING_BATCH = _intent(*FALLING.requests, BY_JOB)
SINGLE, RESUMABLE, BATCH = _intent(BY_TOKEN), _intent(BY_JOB), _intent(BY_TOKEN, BY_JOB)


def busy_first() -> Script:
    return steady_script(catalogue(), 1)


def billed_for_nothing() -> Script:
    """The first model bills all that was quoted and fails; the next one costs more."""
    return failing_script(catalogue(), Failure.MALFORMED, billed=True)


def busy_elsewhere() -> Script:
    """The first model fails at no cost; the next one costs more."""
    return failing_script(catalogue(), Failure.TRANSIENT, billed=False)


def never_answers() -> Script:
    """A provider that works and bills, and whose answer is lost for ever."""
    steady = steady_script(catalogue(), 0)

    def script(order: ImageOrder) -> Work:
        return Work(Unknown("connection_lost"), steady(order).usd_micros)

    return script


async def _opened(world: World) -> None:
    """The period is open: its budgets stand."""
    partition = await world.calendars.partition("marketing")
    await world.periods.open(partition, caller().charge().scopes())


async def _opens(world: World) -> None:
    async def open_it() -> bool:
        await _opened(world)
        return True

    await _until_done(open_it)


def _pursued(intent: Intent) -> Act:
    async def act(world: World) -> None:
        await pursue(world, intent)

    return act


def _admitted(intent: Intent) -> Act:
    """The request is sent until it is answered; what it starts gets lost."""

    async def prepare(world: World) -> None:
        await sent(world, lambda: submit(world, intent, intent.requests, FakeOrchestrations()))

    return prepare


async def _operation_id(world: World, intent: Intent) -> str:
    kind = "batch" if intent.batch else "generation"
    return await world.admission.operation_id(intent.caller, kind, intent.key)


def _started(intent: Intent) -> Act:
    async def act(world: World) -> None:
        operation_id = await _operation_id(world, intent)
        world.orchestrations.launch(operation_id, batch=intent.batch)

    return act


def _cancelled(intent: Intent) -> Act:
    """A cancel while the orchestration starts."""

    async def act(world: World) -> None:
        operation_id = await _operation_id(world, intent)
        world.orchestrations.launch(operation_id, batch=intent.batch)
        await cancel(world, intent, operation_id)

    return act


def _unknown(intent: Intent) -> Act:
    """The provider has worked, and nobody knows: the record says indeterminate."""

    async def prepare(world: World) -> None:
        await _admitted(intent)(world)
        operation_id = await _operation_id(world, intent)
        world.orchestrations.launch(operation_id, batch=intent.batch)
        await world.orchestrations.idle()

    return prepare


def _swept(age_s: float) -> Act:
    """The sweep, run again and again until it reports no error."""

    async def act(world: World) -> None:
        await asyncio.sleep(age_s)

        async def sweep() -> bool:
            return (await world.sweep.run(world.orchestrations)).errors == 0

        await _until_done(sweep)

    return act


async def _relayed(world: World) -> None:
    async def relay() -> bool:
        await world.relay.run(await world.outbox_partitions())
        return not world.has_outbox()

    await _until_done(relay)


async def _until_done(work: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(TRIES_MAX):
        PROCESS.set(Process("timer"))
        try:
            if await work():
                return
        except (Crashed, Unavailable):
            pass
        await asyncio.sleep(1.0)


def _deed(make: Callable[..., Deed]) -> Act:
    """What a manager does, about the department of somebody who has spent."""

    async def act(world: World) -> None:
        scope = Scope("department", "marketing")
        await carry_out(world, make(random.Random(0), 1, "marketing", scope, (100, 1_000), 0.0))

    return act


def _in_world(
    name: str,
    act: Act,
    *prepare: Act,
    script: Callable[[], Script] = lambda: steady_script(catalogue(), 0),
    faults_max: int = FAULTS_MAX,
    limit_micros: int = AMPLE_MICROS,
) -> Operation:
    """An operation on trial: faults happen in `act` only, and the sweeps heal what they leave."""

    def play(plan: Plan) -> Played:
        chaos = Chaos(0, rate=0.0, planned=dict(plan))
        world = _world(chaos, script(), limit_micros)
        verdict = judged(0, world, _history(world, act, prepare))
        return Played(verdict.violations, chaos, world.checker.checks)

    return Operation(name, play, faults_max)


def _world(chaos: Chaos, script: Script, limit_micros: int) -> World:
    people = {each.key: DirectoryUser("marketing") for each in (caller(), ADMIN)}
    policies = [("marketing", BudgetPolicy(s, limit_micros)) for s in caller().charge().scopes()]
    directory = FakeDirectory(people, ["marketing"])
    rules = RoutingRules(uplift_percent_max=UPLIFT_PERCENT_MAX)
    return World(chaos, directory, catalogue(), script, policies, rules=rules)


async def _history(world: World, act: Act, prepare: Sequence[Act]) -> int:
    PROCESS.set(Process("main"))
    world.chaos.active = False
    for step in prepare:
        await step(world)
    world.chaos.active = True
    await act(world)
    await world.orchestrations.idle()
    calls = world.chaos.calls
    await settle_down(world)
    return calls


def _story(name: str) -> Operation:
    """A story of people who wait: grants, approvals, work for the next period."""

    def play(plan: Plan) -> Played:
        verdict = played(SETTINGS[name], Chaos(0, rate=0.0, planned=dict(plan)))
        world = verdict.world
        return Played(verdict.violations, world.chaos, world.checker.checks)

    return Operation(f"waiting: {name}", play, STORY_FAULTS_MAX.get(name, 1))


def _transfer(name: str) -> Operation:
    """A move of allocation under the organisation's cap."""
    before, step = SCENARIOS[name]

    def play(plan: Plan) -> Played:
        verdict = run_planned(tuple(before), step, dict(plan))
        checks = Counter({"A1-A5": verdict.world.container.commits})
        return Played(tuple(verdict.violations), verdict.world.chaos, checks)

    return Operation(f"allocation: {name}", play, TRANSFER_FAULTS_MAX.get(name, 2))


PAST_GRACE_S = TIMES.grace.total_seconds() + 1
PAST_RESTART_S = TIMES.restart_until.total_seconds() + 1
PAST_HORIZON_S = TIMES.unknown_horizon.total_seconds() + 1
# Three at a time where that makes some ten thousand plans, one where two would make more.
STORY_FAULTS_MAX = {"approve": 2, "reject": 2, "cancel": 2, "increase": 2, "override": 2}
TRANSFER_FAULTS_MAX = {"allocate": 3}
SPENT = _admitted(SINGLE)
OPERATIONS: Mapping[str, Operation] = {
    each.name: each
    for each in (
        _in_world("period opens", _opens),
        _in_world("period opens and pays", _pursued(SINGLE), faults_max=2),
        _in_world("single generation", _pursued(SINGLE), _opened),
        _in_world("single generation with a job", _pursued(RESUMABLE), _opened),
        _in_world("second attempt", _pursued(SINGLE), _opened, script=busy_first, faults_max=2),
        _in_world(
            "fallback after a billed failure",
            _pursued(FALLING),
            _opened,
            script=billed_for_nothing,
            faults_max=2,
        ),
        _in_world(
            "fallback at no cost", _pursued(FALLING), _opened, script=busy_elsewhere, faults_max=2
        ),
        _in_world(
            "fallback that cannot be paid",
            _pursued(FALLING),
            _opened,
            script=billed_for_nothing,
            faults_max=2,
            limit_micros=SHORT_MICROS,
        ),
        _in_world(
            "fallback of a row",
            _started(FALLING_BATCH),
            _admitted(FALLING_BATCH),
            script=billed_for_nothing,
            faults_max=1,
        ),
        _in_world("batch, all of it", _pursued(BATCH), _opened, faults_max=2),
        _in_world("batch, admission", _admitted(BATCH), _opened),
        _in_world("batch, its rows", _started(BATCH), _admitted(BATCH), faults_max=2),
        _in_world("cancel of a generation", _cancelled(SINGLE), SPENT),
        _in_world("cancel of a batch", _cancelled(BATCH), _admitted(BATCH), faults_max=2),
        _in_world("sweep restarts", _swept(PAST_GRACE_S), SPENT, faults_max=2),
        _in_world("sweep releases", _swept(PAST_RESTART_S), SPENT),
        _in_world(
            "sweep asks again",
            _swept(PAST_GRACE_S),
            _unknown(RESUMABLE),
            script=never_answers,
            faults_max=2,
        ),
        _in_world("sweep resolves", _swept(PAST_HORIZON_S), _unknown(SINGLE), script=never_answers),
        _in_world("relay", _relayed, _unknown(SINGLE)),
        _in_world("adjustment", _deed(adjustment), SPENT),
        _in_world("limit changed", _deed(policy_change), SPENT, faults_max=2),
        _in_world("grant", _deed(grant), SPENT),
        _in_world("freeze", _deed(freeze), SPENT),
        *(_story(name) for name in SETTINGS),
        *(_transfer(name) for name in SCENARIOS),
    )
}
