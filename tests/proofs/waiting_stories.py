"""What people do in a world whose budgets ask or wait: short stories, and how each begins."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from shared.domain.approvals import Decision
from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchSource
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import BudgetMode, Overage
from shared.domain.generations import GenerationRequest, request_hash
from shared.domain.identity import Caller, Role
from shared.domain.parked_work import WAITING
from shared.errors import Conflict, PolicyDenied
from shared.services.batch_admission import BatchOrder
from shared.services.budget_changes import BudgetChange
from shared.services.grants import GrantOrder
from tests.builders import caller, request, routed
from tests.fakes.faults import Crashed
from tests.proofs.chaos import PROCESS, Process
from tests.proofs.clients import GaveUp
from tests.proofs.waiting_world import TERMS, WaitingWorld

T = TypeVar("T")
Story = Callable[[WaitingWorld], Awaitable[None]]
SENDS_MAX, RESEND_S = 8, 3.0
AMPLE = 10_000_000
AMOUNT = 500_000
ALMOST_DECEMBER = datetime(2026, 11, 30, 23, 58, tzinfo=UTC)
ASKER = caller(1)
MANAGER, SECOND = caller(2, role=Role.DEPT_MANAGER), caller(3, role=Role.DEPT_MANAGER)
ADMIN = caller(4, role=Role.ORG_ADMIN)
PEOPLE = (ASKER, MANAGER, SECOND, ADMIN)
PICTURE = request("gpt-image-2", quality="low")
FALLING = routed("gpt-image-2", fallback=True, models=("gpt-image-2", "sdxl"))
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


async def submitted(world: WaitingWorld, wanted: GenerationRequest = PICTURE) -> str:
    view = await sent(
        world,
        lambda: world.generations.submit(
            ASKER,
            wanted,
            ASKER.charge(),
            key="key-1",
            correlation_id="c-1",
            orchestrations=world.orchestrations,
        ),
    )
    return view.id


async def submitted_batch(world: WaitingWorld, *rows: GenerationRequest) -> str:
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


async def canceled_batch(world: WaitingWorld, batch_id: str) -> None:
    with suppress(Conflict):  # it is being started, or has ended
        await sent(world, lambda: world.batches.cancel(ASKER, batch_id, "c-3"))


async def limited(world: WaitingWorld, mode: BudgetMode, limit_micros: int) -> None:
    """The Org Admin changes the department's policy."""
    policy = BudgetPolicy(ASKER.charge().scopes()[0], limit_micros, mode=mode, overage="approval")
    await sent(
        world,
        lambda: world.budgets.put(
            ADMIN,
            policy.scope.name,
            BudgetChange(policy),
            expected=None,
            department_id=None,
            correlation_id="c-5",
        ),
    )


# --- stories ------------------------------------------------------------------------------------


async def approve(world: WaitingWorld) -> None:
    """Somebody asks and one other person approves."""
    await decided(world, await submitted(world), MANAGER)


async def approve_twice(world: WaitingWorld) -> None:
    """A batch needs two people; both decide at the same time, and the asker tries as well."""
    batch_id = await submitted_batch(world, PICTURE, DEAR)
    people = (MANAGER, SECOND, ASKER)
    await asyncio.gather(*(decided(world, batch_id, person) for person in people))


async def approve_and_fall(world: WaitingWorld) -> None:
    """What two people approved fails at its first model: the approved amount is not raised."""
    generation_id = await submitted(world, FALLING)
    await asyncio.gather(*(decided(world, generation_id, each) for each in (MANAGER, SECOND)))


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


async def cancel_batch(world: WaitingWorld) -> None:
    """An approved batch is stopped while its first rows are under way: the others cost nothing."""
    batch_id = await submitted_batch(world, *[PICTURE] * 7)
    await asyncio.gather(*(decided(world, batch_id, person) for person in (MANAGER, SECOND)))
    while (await sent(world, lambda: world.batches.get(ASKER, batch_id))).status in WAITING:
        await asyncio.sleep(1)
    await canceled_batch(world, batch_id)


async def change_limit(world: WaitingWorld) -> None:
    """The department's limit is cut, lifted and cut again while approved work is under way."""
    generation_id = await submitted(world)

    async def changed() -> None:
        await limited(world, "hard", 900)
        await limited(world, "warn", 0)
        await limited(world, "hard", 0)

    await asyncio.gather(decided(world, generation_id, MANAGER), changed())


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


async def defer_and_fall(world: WaitingWorld) -> None:
    """What waited for December fails at its first model; December pays for the next one."""
    await submitted(world, FALLING)


async def defer_batch(world: WaitingWorld) -> None:
    """The same for a batch with its plan."""
    await submitted_batch(world, PICTURE, DEAR)


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
    busy_attempts: int = 0  # of each row, before the provider takes it
    fails_billed: bool | None = None  # the first attempt fails for good, billed or not


SETTINGS = {
    "approve": Setting(approve, "approval"),
    "approve_twice": Setting(approve_twice, "approval"),
    "approve_and_fall": Setting(approve_and_fall, "approval", fails_billed=True),
    "approve_and_fall_at_no_cost": Setting(approve_and_fall, "approval", fails_billed=False),
    "reject": Setting(reject, "approval"),
    "nobody": Setting(nobody, "approval"),
    "too_late": Setting(too_late, "approval"),
    "cancel": Setting(cancel, "approval"),
    "cancel_batch": Setting(cancel_batch, "approval", busy_attempts=1),
    "change_limit": Setting(change_limit, "approval", department_micros=1_000),
    "repeat": Setting(repeat, "approval"),
    "defer": Setting(defer, "queue", department_micros=AMPLE, start=ALMOST_DECEMBER),
    "defer_and_fall": Setting(
        defer_and_fall,
        "queue",
        department_micros=AMPLE,
        start=ALMOST_DECEMBER,
        fails_billed=True,
    ),
    "defer_batch": Setting(defer_batch, "queue", department_micros=AMPLE, start=ALMOST_DECEMBER),
    "defer_and_cancel": Setting(
        defer_and_cancel, "queue", department_micros=AMPLE, start=ALMOST_DECEMBER
    ),
    "defer_in_vain": Setting(defer, "queue", start=ALMOST_DECEMBER),
    "increase": Setting(increase, "refuse", department_micros=AMPLE, user_micros=0),
    "override": Setting(override, "refuse", user_micros=0),
}
