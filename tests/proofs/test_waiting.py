"""Grants, approvals and deferred work: every call goes wrong in every way, one at a time.

Each story runs the shipped services over the same fakes as the other proofs; `WaitingChecker` says
what must hold at every commit and at the end. Every story also runs under random faults.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TypeVar

import pytest

from shared.domain.approvals import Decision
from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchSource
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Overage, budget_document
from shared.domain.generations import request_hash
from shared.domain.identity import Caller, Role
from shared.domain.ids import Partition
from shared.errors import Conflict, InvariantBroken, PolicyDenied, Rejected, Unavailable
from shared.ports import DirectoryUser
from shared.services.batch_admission import BatchOrder
from shared.services.grants import GrantOrder
from tests.builders import caller, catalogue, request
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed, Fault
from tests.proofs.chaos import FAULTS, PROCESS, Chaos, Process
from tests.proofs.clients import GaveUp
from tests.proofs.provider_scripts import steady_script
from tests.proofs.virtual_loop import VirtualLoop
from tests.proofs.waiting_mutants import MUTANTS, applied
from tests.proofs.waiting_world import TERMS, WaitingWorld
from tests.proofs.world import TIMES

T = TypeVar("T")
Story = Callable[[WaitingWorld], Awaitable[None]]
SEEDS = int(os.environ.get("EIG_PROOF_WAITING_SEEDS", "60"))
RATES = (0.02, 0.1, 0.3)
CALLS_ADDED_BY_A_FAULT = 8
SENDS_MAX, RESEND_S = 8, 3.0
AMPLE = 10_000_000
AMOUNT = 500_000
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
ALMOST_DECEMBER = datetime(2026, 11, 30, 23, 58, tzinfo=UTC)
ASKER = caller(1)
MANAGER, SECOND = caller(2, role=Role.DEPT_MANAGER), caller(3, role=Role.DEPT_MANAGER)
ADMIN = caller(4, role=Role.ORG_ADMIN)
PEOPLE = (ASKER, MANAGER, SECOND, ADMIN)
PICTURE = request("gpt-image-2", quality="low")
DEAR = request("gpt-image-2", quality="medium")  # above the amount that needs two


# --- people -------------------------------------------------------------------------------------


async def sent(world: WaitingWorld, send: Callable[[], Awaitable[T]]) -> T:
    """Send until there is an answer, as a client does; the service's refusals pass through."""
    for _ in range(SENDS_MAX):
        PROCESS.set(Process("client"))
        try:
            return await send()
        except Crashed:
            await asyncio.sleep(RESEND_S)
        except Exception as error:
            if not world.chaos.excuses(error):
                raise
            await asyncio.sleep(RESEND_S)
    raise GaveUp


async def submitted(world: WaitingWorld) -> str:
    view = await sent(
        world,
        lambda: world.generations.submit(
            ASKER,
            PICTURE,
            ASKER.charge(),
            key="key-1",
            correlation_id="c-1",
            orchestrations=world.orchestrations,
        ),
    )
    return view.id


async def submitted_batch(world: WaitingWorld) -> str:
    rows = (PICTURE, DEAR)
    batch_id = await sent(world, lambda: world.admission.operation_id(ASKER, "batch", "key-1"))
    order = BatchOrder(
        caller=ASKER,
        charge=ASKER.charge(),
        batch_id=batch_id,
        source=BatchSource("inline"),
        content_hash=request_hash([each.model_dump(mode="json") for each in rows]),
        read_rows=lambda: iter(
            [BatchRow(n, n, f"row-{n}", each, ()) for n, each in enumerate(rows, start=1)]
        ),
        correlation_id="c-1",
    )
    view = await sent(world, lambda: world.batches.submit(order, world.orchestrations))
    return view.id


async def decided(
    world: WaitingWorld, operation_id: str, person: Caller, decision: Decision = "approve"
) -> None:
    """Decide; when the first answer was lost, the second send finds that it is done."""
    try:
        await sent(
            world,
            lambda: world.approvals.decide(
                person,
                operation_id,
                decision,
                "",
                correlation_id="c-2",
                orchestrations=world.orchestrations,
            ),
        )
    except (Conflict, PolicyDenied):
        return  # a repeat of ours, or too late: the approval says which


async def canceled(world: WaitingWorld, generation_id: str) -> None:
    with suppress(Conflict):  # it has begun, or has ended
        await sent(world, lambda: world.generations.cancel(ASKER, generation_id, "c-3"))


# --- stories ------------------------------------------------------------------------------------


async def approve(world: WaitingWorld) -> None:
    """Somebody asks and one other person approves."""
    await decided(world, await submitted(world), MANAGER)


async def approve_twice(world: WaitingWorld) -> None:
    """A batch needs two people; both decide at the same time, and the asker tries as well."""
    batch_id = await submitted_batch(world)
    people = (MANAGER, SECOND, ASKER)
    await asyncio.gather(*(decided(world, batch_id, person) for person in people))


async def reject(world: WaitingWorld) -> None:
    """One person rejects while another approves."""
    generation_id = await submitted(world)
    await asyncio.gather(
        decided(world, generation_id, MANAGER, "reject"), decided(world, generation_id, SECOND)
    )


async def nobody(world: WaitingWorld) -> None:
    """Nobody decides: it escalates and expires."""
    await submitted(world)


async def too_late(world: WaitingWorld) -> None:
    """An Org Admin decides at the very moment at which it expires."""
    generation_id = await submitted(world)
    await asyncio.sleep(TERMS.expiry.total_seconds() - 1.0)
    await decided(world, generation_id, ADMIN)


async def cancel(world: WaitingWorld) -> None:
    """The asker cancels while somebody approves."""
    generation_id = await submitted(world)
    await asyncio.gather(canceled(world, generation_id), decided(world, generation_id, MANAGER))


async def repeat(world: WaitingWorld) -> None:
    """The same request twice at the same time waits once."""
    ids = await asyncio.gather(submitted(world), submitted(world))
    if len(set(ids)) != 1:
        world.checker.broken("I7", f"one key gave {ids}")
    await decided(world, ids[0], MANAGER)


async def defer(world: WaitingWorld) -> None:
    """A request waits for December and is carried out then."""
    ids = await asyncio.gather(submitted(world), submitted(world))
    if len(set(ids)) != 1 or not ids[0].startswith("202612-"):
        world.checker.broken("I7", f"one key gave {ids}")


async def defer_batch(world: WaitingWorld) -> None:
    """The same for a batch with its plan."""
    await submitted_batch(world)


async def defer_and_cancel(world: WaitingWorld) -> None:
    """The asker cancels at the moment at which December starts."""
    generation_id = await submitted(world)
    record = await sent(world, lambda: world.generations.get(ASKER, generation_id))
    due = datetime.fromisoformat(record.starts_at or "")
    await asyncio.sleep((due - world.clock.now()).total_seconds())
    await canceled(world, generation_id)


async def increase(world: WaitingWorld) -> None:
    """A limit rises for a time in which money is spent, then falls below what is committed."""
    ends_at = world.clock.now() + timedelta(seconds=90)
    order = GrantOrder(
        "increase", (f"user:{ASKER.principal.object_id}",), AMOUNT, "the launch", ends_at
    )
    await granted(world, order, MANAGER)
    await submitted(world)


async def override(world: WaitingWorld) -> None:
    """An emergency with a surcharge, ended by hand while the timer ends it, too."""
    ends_at = world.clock.now() + timedelta(seconds=60)
    scopes = ("department:marketing", f"user:{ASKER.principal.object_id}")
    order = GrantOrder(
        "override", scopes, AMOUNT, "bushfire warnings", ends_at, surcharge_percent=7
    )
    grant_id = await granted(world, order, ADMIN)
    await submitted(world)
    await asyncio.sleep(60)
    await sent(world, lambda: world.grants.end(ADMIN, grant_id, "c-4"))


async def granted(world: WaitingWorld, order: GrantOrder, person: Caller) -> str:
    view = await sent(
        world, lambda: world.grants.create(person, order, key="grant-1", correlation_id="c-1")
    )
    return view.id


@dataclass(frozen=True)
class Setting:
    """A story, and the department and personal limits it begins with."""

    story: Story
    overage: Overage
    department_micros: int = 0
    user_micros: int = AMPLE
    start: datetime | None = None


SETTINGS = {
    "approve": Setting(approve, "approval"),
    "approve_twice": Setting(approve_twice, "approval"),
    "reject": Setting(reject, "approval"),
    "nobody": Setting(nobody, "approval"),
    "too_late": Setting(too_late, "approval"),
    "cancel": Setting(cancel, "approval"),
    "repeat": Setting(repeat, "approval"),
    "defer": Setting(defer, "queue", department_micros=AMPLE, start=ALMOST_DECEMBER),
    "defer_batch": Setting(defer_batch, "queue", department_micros=AMPLE, start=ALMOST_DECEMBER),
    "defer_and_cancel": Setting(
        defer_and_cancel, "queue", department_micros=AMPLE, start=ALMOST_DECEMBER
    ),
    "defer_in_vain": Setting(defer, "queue", start=ALMOST_DECEMBER),
    "increase": Setting(increase, "refuse", department_micros=AMPLE, user_micros=0),
    "override": Setting(override, "refuse", user_micros=0),
}


# --- running them -------------------------------------------------------------------------------


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
    for seed in range(SEEDS):
        for setting in SETTINGS.values():
            with applied(mutant):
                verdict = played(setting, Chaos(seed, rate=RATES[seed % len(RATES)]))
            if verdict.violations:
                print(f"{mutant}: seed {seed}, {setting.story.__name__}: {verdict.violations[0]}")
                return
    pytest.fail(f"nobody notices: {mutant}")
