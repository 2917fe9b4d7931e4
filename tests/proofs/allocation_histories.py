"""What people and timers do with allocation while things go wrong; then the sweep alone."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.identity import Role
from shared.domain.ids import operation_id
from shared.errors import PeriodNotOpen, Rejected, Unavailable
from shared.services.budget_changes import BudgetChange
from shared.services.organisation_budgets import AllocationOrder, OrganisationChange
from tests import builders
from tests.fakes.faults import Crashed, Fault
from tests.proofs.allocation_world import AllocationWorld, Partitions, Variant
from tests.proofs.chaos import PROCESS, Chaos, Process
from tests.proofs.invariants import SHOWN_MAX
from tests.proofs.virtual_loop import VirtualLoop

DEPARTMENTS = ("alpha", "beta", "gamma")
ADMIN = builders.caller(9, "alpha", Role.ORG_ADMIN)
RATES = (0.0, 0.05, 0.1, 0.2, 0.35)  # shares of calls that go wrong
ACTS_MAX = 8
SPREAD_S = (0.05, 0.2, 60.0)  # all at once, so that they race, or over a minute
TIMER_S = 20.0
SETTLE_S = 100.0  # longer than the latest request takes to arrive, and than the sweep's grace
SENDS_MAX, RESEND_S = 4, 3.0
UNIT = 100  # amounts are small multiples, so that they meet the limits exactly

Act = Callable[[AllocationWorld], Awaitable[object]]
Theme = tuple[list["Step"], list["Step"]]  # what stood before, and what may be wanted


@dataclass(frozen=True)
class Step:
    """One thing that somebody wants, and when; it is sent again until there is an answer."""

    name: str
    act: Act
    starts_at_s: float = 0.0
    repeats: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a history came to."""

    seed: int
    violations: Sequence[str]
    calls: int
    world: AllocationWorld = field(repr=False)

    def text(self) -> str:
        shown = "\n  ".join(self.violations[:SHOWN_MAX])
        return f"seed {self.seed}: {len(self.violations)} violations\n  {shown}"


# --- what can be wanted -------------------------------------------------------------------------


def cap(limit: int) -> Step:
    """An administrator sets the organisation's limit, whatever stood before."""

    async def act(world: AllocationWorld) -> None:
        change = OrganisationChange(limit * UNIT)
        standing = await world.allocations.organisations.policy(builders.TENANT)
        expected = None if standing else 0
        await world.organisation.put(ADMIN, change, expected=expected, correlation_id="c-1")

    return Step(f"cap {limit}", act)


def move(source: str | None, target: str | None, amount: int, key: str) -> Step:
    async def act(world: AllocationWorld) -> object:
        order = AllocationOrder(source, target, amount * UNIT, "because")
        view = await world.organisation.allocate(ADMIN, order, key=key, correlation_id="c-1")
        return view.id, view.status

    return Step(f"move {amount} from {source} to {target}", act)


def limit(department_id: str, amount: int) -> Step:
    """An administrator sets a department's limit."""

    async def act(world: AllocationWorld) -> None:
        policy = BudgetPolicy(Scope("department", ""), amount * UNIT)
        await world.budgets.put(
            ADMIN,
            f"department:{department_id}",
            BudgetChange(policy),
            expected=None,
            department_id=None,
            correlation_id="c-1",
        )

    return Step(f"limit {department_id} to {amount}", act)


def spend(department_id: str, amount: int, key: str, settles: bool = True) -> Step:
    async def act(world: AllocationWorld) -> None:
        partition = await world.calendars.partition(department_id)
        scopes = (Scope("department", department_id),)
        work = builders.item(
            operation_id(partition, key),
            quote=builders.quote(amount * UNIT),
            owner=builders.caller(1, department_id),
        )
        reservation = builders.reservation(work, scopes=scopes)
        try:
            await world.ledger.reserve(reservation)
        except PeriodNotOpen:
            await world.periods.open(partition, scopes)
            await world.ledger.reserve(reservation)
        if settles:
            await world.ledger.resolve(work.operation_id, [builders.resolution(work)])

    return Step(f"spend {amount} in {department_id}", act)


def release(department_id: str) -> Step:
    async def act(world: AllocationWorld) -> None:
        partition = await world.calendars.partition(department_id)
        await world.allocations.release_unused(department_id, partition.period)

    return Step(f"release {department_id}", act)


def sweep() -> Step:
    async def act(world: AllocationWorld) -> None:
        await world.allocations.sweep()

    return Step("sweep", act)


# --- histories ----------------------------------------------------------------------------------


def run_history(seed: int, variant: Variant | None = None) -> Verdict:
    """A random history; the seed is all that decides it."""
    chance = random.Random(seed)
    chaos = Chaos(chance.getrandbits(32), rate=chance.choice(RATES))
    spread_s = chance.choice(SPREAD_S)
    before, wanted = chance.choice(THEMES)(chance)
    steps = [
        Step(each.name, each.act, chance.random() * spread_s, chance.random() < 0.3)
        for each in (chance.choice(wanted) for _ in range(chance.randint(2, ACTS_MAX)))
    ]
    policies = {department_id: _policy(chance, department_id) for department_id in DEPARTMENTS}
    return _judged(seed, AllocationWorld(chaos, policies, variant), before, steps, timers=True)


def run_planned(before: tuple[Step, ...], step: Step, faults: Mapping[int, Fault]) -> Verdict:
    """One step, and a sweep after it, in which only the calls named by their number go wrong."""
    world = AllocationWorld(Chaos(0, rate=0.0, planned=faults), _plain_policies())
    world.plant(_standing_after(before))
    swept = Step("sweep", sweep().act, starts_at_s=SETTLE_S)
    return _judged(0, world, [], [step, swept], timers=False)


@cache
def _standing_after(before: tuple[Step, ...]) -> Partitions:
    """What stands when these steps are done; thousands of plans begin with the same ones."""
    world = AllocationWorld(Chaos(0, rate=0.0), _plain_policies())
    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, no service may use
    loop.run(_prepare(world, before))
    assert not world.checker.violations
    return world.container.partitions


def run_race(
    before: Sequence[Step], first: Step, second: Step, offset_s: float, seed: int
) -> Verdict:
    """Two steps, one a moment after the other; the seed decides how long their calls take."""
    world = AllocationWorld(Chaos(seed, rate=0.0), _plain_policies())
    delayed = Step(second.name, second.act, offset_s)
    return _judged(seed, world, before, [first, delayed], timers=False)


def _plain_policies() -> dict[str, BudgetPolicy]:
    return {each: BudgetPolicy(Scope("department", each), 4 * UNIT) for each in DEPARTMENTS}


def _judged(
    seed: int,
    world: AllocationWorld,
    before: Sequence[Step],
    steps: Sequence[Step],
    *,
    timers: bool,
) -> Verdict:
    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, no service may use
    calls = loop.run(_history(world, before, steps, timers))
    for problem in loop.problems:
        world.checker.broken("loop", str(problem))
    return Verdict(seed, tuple(world.checker.violations), calls, world)


async def _history(
    world: AllocationWorld, before: Sequence[Step], steps: Sequence[Step], timers: bool
) -> int:
    loop = asyncio.get_running_loop()
    await _prepare(world, before)
    world.chaos.active, world.chaos.calls = True, 0
    world.chaos.trace.clear()  # call n of a plan is entry n of the trace
    timer = loop.create_task(_timer(world)) if timers else None
    await asyncio.gather(*(loop.create_task(_pursue(world, each)) for each in steps))
    calls = world.chaos.calls
    world.chaos.active = False
    if timer is not None:
        await timer
    for _ in range(2):  # what the first sweep begins late, the second one finishes
        await asyncio.sleep(SETTLE_S)
        PROCESS.set(Process("sweep"))
        report = await world.allocations.sweep()
        if report.errors:
            world.checker.broken("end", "the sweep failed although nothing goes wrong any more")
        await world.copy_events()
    world.checker.at_the_end()
    world.checker.check_audit(world.audit.events)
    return calls


async def _prepare(world: AllocationWorld, before: Sequence[Step]) -> None:
    PROCESS.set(Process("main"))
    world.chaos.active = False
    for step in before:
        await _pursue(world, step)


async def _timer(world: AllocationWorld) -> None:
    while world.chaos.active:
        await asyncio.sleep(TIMER_S)
        PROCESS.set(Process("timer"))
        try:
            await world.allocations.sweep()
            await world.copy_events()
        except (Crashed, Unavailable):
            continue  # the next run goes on
        except Exception as error:
            world.checker.broken("unforeseen", f"the sweep raised {error!r}")
            return


async def _pursue(world: AllocationWorld, step: Step) -> None:
    """Send until there is an answer; what a service refuses is one, anything else a violation."""
    await asyncio.sleep(step.starts_at_s)
    answers = []
    for _ in range(SENDS_MAX):
        PROCESS.set(Process(step.name))
        try:
            answers.append(await step.act(world))
            if not step.repeats or len(answers) > 1:
                break
        except (Crashed, Unavailable):
            await asyncio.sleep(RESEND_S)
        except Rejected:
            if answers and answers[0] is not None:
                world.checker.broken("I7", f"{step.name} was done, then refused")
            break
        except Exception as error:
            world.checker.broken("unforeseen", f"{step.name} raised {error!r}")
            break
    if len(answers) > 1 and answers[0] != answers[1]:
        world.checker.broken("I7", f"{step.name} gave {answers[0]}, then {answers[1]}")


def _everything(chance: random.Random) -> Theme:
    """A cap, departments with something to spare or without, and all that people may want."""
    before = [cap(chance.randint(6, 20))]
    for department_id in DEPARTMENTS:
        if chance.random() < 0.7:
            before.append(spend(department_id, 1, "before"))
            if chance.random() < 0.6:
                amount = chance.randint(1, 4)
                before.append(move(None, department_id, amount, f"before-{department_id}"))
    return before, [_anything(chance, number) for number in range(ACTS_MAX)]


def _anything(chance: random.Random, number: int) -> Step:
    first, second = chance.sample(DEPARTMENTS, 2)
    amount, key = chance.randint(1, 4), f"key-{number}"
    return chance.choice(
        (
            spend(first, amount, key, settles=chance.random() < 0.6),
            move(None, first, amount, key),
            move(first, None, amount, key),
            move(first, second, amount, key),
            limit(first, chance.randint(0, 8)),
            cap(chance.randint(2, 14)),
            release(first),
            sweep(),
        )
    )


def _cap_arrives(chance: random.Random) -> Theme:
    """Budgets stand without a cap; they are brought under it while their limits are changed."""
    before = [spend(department_id, 1, "before") for department_id in DEPARTMENTS[:2]]
    if chance.random() < 0.7:
        before.append(cap(chance.randint(4, 30)))
    return before, [
        cap(chance.randint(4, 30)),
        sweep(),
        sweep(),
        sweep(),
        limit("alpha", chance.randint(0, 5)),
        limit("alpha", chance.randint(6, 9)),
        limit("beta", chance.randint(6, 9)),
        spend(chance.choice(DEPARTMENTS), chance.randint(1, 3), "one"),
    ]


def _limit_is_lowered(chance: random.Random) -> Theme:
    """A department has committed more than its limit; others want its allocation."""
    before = [
        cap(30),
        limit("alpha", 4),
        spend("alpha", 3, "before", settles=chance.random() < 0.5),
        spend("beta", 1, "before"),
        move(None, "alpha", chance.randint(1, 2), "more"),
        limit("alpha", chance.randint(0, 2)),
    ]
    return before, [
        move("alpha", None, chance.randint(1, 6), "back"),
        move("alpha", "beta", chance.randint(1, 6), "over"),
        limit("alpha", chance.randint(0, 6)),
        spend("alpha", chance.randint(1, 2), "again"),
        release("alpha"),
        sweep(),
    ]


def _opens_late(chance: random.Random) -> Theme:
    """Money is on its way to departments that have not opened, and open meanwhile."""
    before = [cap(chance.randint(8, 16)), spend("alpha", 1, "before"), move(None, "alpha", 4, "a")]
    return before, [
        move(None, "gamma", chance.randint(1, 4), "new"),
        move("alpha", "gamma", chance.randint(1, 4), "over"),
        move("alpha", "beta", chance.randint(1, 4), "other"),
        spend("gamma", 1, "one"),
        spend("beta", 1, "two"),
        sweep(),
    ]


def _policy(chance: random.Random, department_id: str) -> BudgetPolicy:
    scope, amount = Scope("department", department_id), chance.randint(0, 5) * UNIT
    return chance.choice(
        (
            BudgetPolicy(scope, amount),
            BudgetPolicy(scope, amount),
            BudgetPolicy(scope, amount, mode="soft", overdraft_micros=UNIT),
            BudgetPolicy(scope, amount, mode="warn"),
        )
    )


THEMES = (_everything, _everything, _cap_arrives, _limit_is_lowered, _opens_late)
