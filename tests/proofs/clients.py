"""The people of a history: they submit, repeat, reuse keys and cancel, while things go wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import Acceptance, BatchSource
from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest, request_hash
from shared.domain.identity import Caller
from shared.errors import BudgetExceeded, Conflict, Frozen, IdempotencyKeyReused, Invalid, Rejected
from shared.ports import Orchestrations
from shared.services.batch_admission import BatchOrder
from tests.fakes.faults import Crashed
from tests.proofs.chaos import PROCESS, Process
from tests.proofs.world import World

T = TypeVar("T")
SENDS_MAX = 5  # a client that gets no answer sends the same request again, then gives up
RESEND_S = 3.0


class GaveUp(Exception):
    """The client never got an answer."""


@dataclass(frozen=True)
class Intent:
    """One thing a person wants: a picture, or a batch when there is more than one request."""

    caller: Caller
    key: str
    requests: tuple[GenerationRequest, ...]
    batch: bool
    starts_at_s: float
    repeats: bool = False
    reuses_key: bool = False
    cancels_after_s: float | None = None
    rival: tuple[GenerationRequest, ...] = ()  # another payload under the same key, meanwhile
    acceptance: Acceptance = "all"
    project_id: str | None = None
    cost_centre_id: str | None = None

    @property
    def charge(self) -> Charge:
        """Who pays."""
        return self.caller.charge(self.project_id, self.cost_centre_id)


async def pursue(world: World, intent: Intent) -> None:
    """Carry the intent out; any answer the protocol forbids is a violation."""
    await asyncio.sleep(intent.starts_at_s)
    if intent.rival:
        await _compete(world, intent)
        return
    try:
        first = await sent(world, lambda: submit(world, intent, intent.requests))
        if intent.cancels_after_s is not None:
            await asyncio.sleep(intent.cancels_after_s)
            await cancel(world, intent, first)
        if intent.repeats:
            world.chaos.note("duplicate: request repeated under its key")
            again = await sent(world, lambda: submit(world, intent, intent.requests))
            world.checker.expect(
                "I7", again == first, lambda: f"the key {intent.key} gave {first}, then {again}"
            )
        if intent.reuses_key:
            await _reuse(world, intent)
    except BudgetExceeded as refusal:
        scope = str(refusal.extra.get("scope"))
        world.chaos.note(f"refused by the budget of a {scope.partition(':')[0]}")
        world.checker.expect("402", ":" in scope, lambda: "a refusal names no scope")
    except Frozen:
        world.chaos.note("refused by a freeze")
    except Invalid as refusal:
        code = refusal.problem_code
        world.chaos.note(f"refused: {code}")
        world.checker.expect(
            "422",
            code in ("no_candidate", "no_valid_rows"),
            lambda: f"a request was refused as {code}",
        )
    except (GaveUp, IdempotencyKeyReused) as end:
        if isinstance(end, IdempotencyKeyReused):
            world.checker.broken("I7", f"the key {intent.key} was refused for the same payload")


async def _compete(world: World, intent: Intent) -> None:
    """Two payloads under one key at the same time: at most one may be accepted."""
    answers = await asyncio.gather(
        *(
            sent(world, partial(submit, world, intent, requests))
            for requests in (intent.requests, intent.rival)
        ),
        return_exceptions=True,
    )
    world.chaos.note("duplicate: two payloads race for one key")
    world.checker.expect(
        "I7",
        sum(isinstance(answer, str) for answer in answers) <= 1,
        lambda: f"the key {intent.key} was accepted for two payloads",
    )


async def _reuse(world: World, intent: Intent) -> None:
    other = tuple(each.model_copy(update={"prompt": "another"}) for each in intent.requests)
    world.chaos.note("duplicate: key sent again with another payload")
    accepted = True
    try:
        await sent(world, lambda: submit(world, intent, other))
    except IdempotencyKeyReused:
        accepted = False
    except (Frozen, Invalid):
        return  # nothing is compared while spending is frozen, or nobody can serve
    world.checker.expect(
        "I7", not accepted, lambda: f"the key {intent.key} was accepted for another payload"
    )


async def cancel(world: World, intent: Intent, operation_id: str) -> None:
    """Cancel until there is an answer."""

    async def send() -> None:
        if intent.batch:
            await world.batches.cancel(intent.caller, operation_id, "c-cancel")
        else:
            await world.generations.cancel(intent.caller, operation_id, "c-cancel")

    try:
        await sent(world, send)
        world.chaos.note("cancel: accepted")
    except Conflict:  # it has ended, or the provider is at work
        world.chaos.note("cancel: too late")


async def submit(
    world: World,
    intent: Intent,
    requests: tuple[GenerationRequest, ...],
    orchestrations: Orchestrations | None = None,
) -> str:
    """Send the request once; returns the id that was answered."""
    started_by = orchestrations or world.orchestrations
    if not intent.batch:
        view = await world.generations.submit(
            intent.caller,
            requests[0],
            intent.charge,
            key=intent.key,
            correlation_id="c-1",
            orchestrations=started_by,
        )
        return view.id
    batch_id = await world.admission.operation_id(intent.caller, "batch", intent.key)
    order = BatchOrder(
        caller=intent.caller,
        charge=intent.charge,
        batch_id=batch_id,
        source=BatchSource("inline"),
        content_hash=request_hash([each.model_dump(mode="json") for each in requests]),
        read_rows=lambda: iter(
            [BatchRow(n, n, f"row-{n}", each, ()) for n, each in enumerate(requests, start=1)]
        ),
        correlation_id="c-1",
        acceptance=intent.acceptance,
    )
    return (await world.batches.submit(order, started_by)).id


async def sent(world: World, send: Callable[[], Awaitable[T]]) -> T:
    """Send until there is an answer; what the service refuses is an answer."""
    for _ in range(SENDS_MAX):
        PROCESS.set(Process("client"))
        try:
            return await send()
        except Crashed:
            await asyncio.sleep(RESEND_S)
        except Exception as error:
            if world.chaos.excuses(error):
                await asyncio.sleep(RESEND_S)
            elif isinstance(error, Rejected):
                raise
            else:
                world.checker.broken("unforeseen", f"a request raised {error!r}")
                break
    raise GaveUp
