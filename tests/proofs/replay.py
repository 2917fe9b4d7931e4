"""Prints one history step by step: who wants what, every call and fault, commits, invoices."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from shared.domain.attempts import ImageOrder
from tests.fakes.cosmos_container import Item
from tests.proofs.clients import Intent
from tests.proofs.crash_points import Plan
from tests.proofs.families import FAMILIES, MONEY
from tests.proofs.histories import run_history
from tests.proofs.managers import Deed
from tests.proofs.operations import OPERATIONS
from tests.proofs.world import World, watched

Say = Callable[[str], None]
_SHOWN = (  # fields of a changed document that tell the story
    "limit_micros",
    "ceiling_micros",
    "reserved_micros",
    "spent_micros",
    "remaining_micros",
    "open_rows",
    "status",
    "owner",
    "job_id",
    "held_micros",
    "amount_micros",
    "outcome",
)


def replay_seed(family: str, seed: int, say: Say) -> Sequence[str]:
    """Play the history of a seed and tell it; returns its violations."""

    def watch(world: World, intents: Sequence[Intent], deeds: Sequence[Deed]) -> None:
        for intent in intents:
            say(_told(intent))
        for deed in deeds:
            say(f"manager at {deed.starts_at_s:.1f} s: {deed.name}")
        for jump in world.clock.jumps:
            say(f"at {jump.at_s:.1f} s the clock jumps by {jump.by_s:.0f} s")
        for department_id, policy in world.policies:
            say(f"{department_id}: {policy.scope.name} {policy.mode} {policy.limit_micros}")

    with watched(lambda world: _narrate(world, say)):
        if family == MONEY:
            return _ended(run_history(seed, watch).violations, say)
        return _ended(FAMILIES[family].play(seed).violations, say)


def replay_plan(operation: str, plan: Plan, say: Say) -> Sequence[str]:
    """Play an operation with the faults of a plan and tell it; returns its violations."""
    with watched(lambda world: _narrate(world, say)):
        played = OPERATIONS[operation].play(plan)
    for number, call in enumerate(played.called):
        say(f"call {number}: {call}{''.join(f' -> {f}' for at, f in plan if at == number)}")
    return _ended(played.violations, say)


def _ended(violations: Sequence[str], say: Say) -> Sequence[str]:
    for violation in violations:
        say(f"VIOLATION {violation}")
    say(f"{len(violations)} violations")
    return violations


def _told(intent: Intent) -> str:
    models = ", ".join(request.model for request in intent.requests)
    extras = [name for name in ("repeats", "reuses_key", "rival") if getattr(intent, name)]
    if intent.cancels_after_s is not None:
        extras.append(f"cancels after {intent.cancels_after_s:.1f} s")
    who = intent.caller.principal.object_id[-2:]
    return f"person {who} at {intent.starts_at_s:.1f} s, {intent.key}: {models} {' '.join(extras)}"


def _narrate(world: World, say: Say) -> None:
    """Have every step of this world told, with the loop's time before it."""

    def timed(line: str) -> None:
        say(f"{asyncio.get_running_loop().time():9.2f} {line}")

    def after_commit(partition_key: str, changed: Mapping[str, Item | None]) -> None:
        for item_id, document in changed.items():
            timed(f"    {partition_key} {item_id} {_shown(document)}")
        known = len(world.checker.violations)
        world.after_commit(partition_key, changed)
        for violation in world.checker.violations[known:]:
            timed(f"    VIOLATION {violation}")

    world.chaos.narrate = timed
    world.container.after_commit = after_commit
    for provider in world.providers.values():
        billed = provider.after_billing

        def after_billing(order: ImageOrder, billed: Callable[[ImageOrder], None] = billed) -> None:
            timed(f"    invoice grows for {order.generation_id} attempt {order.attempt}")
            billed(order)

        provider.after_billing = after_billing


def _shown(document: Item | None) -> str:
    if document is None:
        return "deleted"
    return " ".join(f"{name}={document[name]}" for name in _SHOWN if document.get(name) is not None)
