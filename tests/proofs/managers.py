"""What managers do while people spend: limits, modes, grants, adjustments and freezes change."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.adjustments import Adjustment
from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import BudgetMode, Charge, Scope
from shared.domain.grants import GrantKind
from shared.domain.identity import Role
from shared.domain.ids import Partition
from shared.errors import NotFound, PeriodNotOpen, Rejected
from shared.services.budget_changes import BudgetChange
from shared.services.grants import GrantOrder
from tests.builders import TENANT, caller
from tests.proofs.clients import GaveUp, sent
from tests.proofs.world import World

ADMIN = caller(99, "marketing", Role.ORG_ADMIN)
MODES: tuple[BudgetMode, ...] = ("hard", "hard", "soft", "warn")
GRANT_S_MAX = 120.0  # grants and freezes end inside the history
FREEZE_S_MAX = 30.0
REASON = "the campaign starts earlier"

Act = Callable[[World], Awaitable[object]]


@dataclass(frozen=True)
class Deed:
    """One thing that a manager does, and when; with `twice`, it is sent again after its answer."""

    name: str
    act: Act
    starts_at_s: float
    twice: bool = False


async def carry_out(world: World, deed: Deed) -> None:
    """Do it until there is an answer; what the service refuses is an answer."""
    await asyncio.sleep(deed.starts_at_s)
    for _ in range(1 + deed.twice):
        try:
            await sent(world, lambda: deed.act(world))
            world.chaos.note(f"manager: {deed.name}")
        except Rejected as refusal:
            world.chaos.note(f"manager: {deed.name}, refused: {refusal.problem_code}")
        except GaveUp:
            return


def random_deeds(
    chance: random.Random,
    scopes: Sequence[tuple[str, Scope]],
    limits_micros: tuple[int, int],
    spread_s: float,
) -> list[Deed]:
    """A few deeds about these budgets, each named with its department."""
    made = (policy_change, policy_change, grant, adjustment, freeze)
    return [
        chance.choice(made)(chance, number, *chance.choice(scopes), limits_micros, spread_s)
        for number in range(chance.randint(1, 3))
    ]


def policy_change(
    chance: random.Random,
    number: int,
    department_id: str,
    scope: Scope,
    limits_micros: tuple[int, int],
    spread_s: float,
) -> Deed:
    lowered = chance.random() < 0.6
    limit_micros = chance.randint(0, limits_micros[0]) if lowered else 2 * limits_micros[1]
    mode = chance.choice(MODES)
    overdraft_micros = chance.randint(1, limits_micros[0]) if mode == "soft" else 0
    policy = BudgetPolicy(scope, limit_micros, mode, overdraft_micros)

    async def act(world: World) -> object:
        return await world.budgets.put(
            ADMIN,
            _named(scope),
            BudgetChange(policy),
            expected=None,
            department_id=department_id,
            correlation_id="c-1",
        )

    name = f"limit {'lowered' if lowered else 'raised'}, {mode}"
    return Deed(name, act, chance.random() * (spread_s + 20))


def grant(
    chance: random.Random,
    number: int,
    department_id: str,
    scope: Scope,
    limits_micros: tuple[int, int],
    spread_s: float,
) -> Deed:
    kinds: tuple[GrantKind, ...] = ("increase", "override")
    kind = chance.choice(kinds)
    lasts_s = chance.random() * GRANT_S_MAX
    ends_with_period = chance.random() < 0.3
    amount_micros = chance.randint(1, limits_micros[1])
    surcharge_percent = chance.choice((0, 10)) if kind == "override" else 0

    async def act(world: World) -> object:
        moment = ends_at.setdefault("at", world.clock.now() + timedelta(seconds=lasts_s))
        order = GrantOrder(
            kind=kind,
            scopes=(_named(scope),),
            amount_micros=amount_micros,
            reason=REASON,
            ends_at=None if ends_with_period else moment,
            department_id=department_id,
            surcharge_percent=surcharge_percent,
        )
        return await world.grants.create(ADMIN, order, key=f"grant-{number}", correlation_id="c-1")

    ends_at: dict[
        str, datetime
    ] = {}  # decided when it is first sent; a repeat names the same moment
    surcharged = ", surcharged" if surcharge_percent else ""
    return Deed(f"{kind}{surcharged}", act, chance.random() * spread_s, chance.random() < 0.3)


def adjustment(
    chance: random.Random,
    number: int,
    department_id: str,
    scope: Scope,
    limits_micros: tuple[int, int],
    spread_s: float,
) -> Deed:
    up = chance.random() < 0.6
    amount_micros = chance.randint(1, limits_micros[0]) * (1 if up else -1)
    charge = Charge(
        department_id,
        scope.scope_id if scope.kind == "user" else None,
        scope.scope_id if scope.kind == "project" else None,
        scope.scope_id if scope.kind == "cost_centre" else None,
    )
    booked: dict[str, Partition] = {}

    async def act(world: World) -> object:
        partition = booked.setdefault("in", await world.calendars.partition(department_id))
        now = world.clock.now().isoformat()
        entry = Adjustment(
            adjustment_id=f"adjustment-{number}",
            partition=partition,
            kind="reconciliation",
            amount_micros=amount_micros,
            usd_micros=amount_micros,
            tenant_id=TENANT,
            charge=charge,
            reason=REASON,
            actor=ADMIN.key,
            booked_at=now,
            event=_booked_event(f"adjustment-{number}", now),
        )
        try:
            return await world.ledger.adjust(entry)
        except PeriodNotOpen:
            await world.periods.open(partition, charge.scopes())
            return await world.ledger.adjust(entry)

    name = f"adjustment {'up' if up else 'down'}"
    return Deed(name, act, chance.random() * (spread_s + 60), chance.random() < 0.5)


def freeze(
    chance: random.Random,
    number: int,
    department_id: str,
    scope: Scope,
    limits_micros: tuple[int, int],
    spread_s: float,
) -> Deed:
    target = chance.choice(("global", "provider:azure_openai", f"department:{department_id}"))
    lasts_s = chance.random() * FREEZE_S_MAX

    async def act(world: World) -> object:
        elsewhere = world.freezes_of_a_worker()  # people and orchestrations have another view
        await elsewhere.set(ADMIN, target, REASON, None, "c-1")
        await asyncio.sleep(lasts_s)
        try:
            return await elsewhere.lift(ADMIN, target, REASON, "c-1")
        except NotFound:
            return None  # somebody else has lifted it

    kind = target.partition(":")[0]
    return Deed(f"freeze of {kind}", act, chance.random() * spread_s)


def _named(scope: Scope) -> str:
    scope_id = scope.scope_id.rpartition(".")[2] if scope.kind == "user" else scope.scope_id
    return f"{scope.kind}:{scope_id}"


def _booked_event(adjustment_id: str, now: str) -> AuditEvent:
    return AuditEvent(
        action="adjustment.booked",
        object_id=adjustment_id,
        actor=ADMIN.key,
        actor_role="OrgAdmin",
        outcome="success",
        occurred_at=now,
        correlation_id=adjustment_id,
    )
