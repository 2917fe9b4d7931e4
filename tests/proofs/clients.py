"""The people of a history: they submit, repeat, reuse keys and cancel, while things go wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import Acceptance, BatchSource
from shared.domain.generations import GenerationRequest, request_hash
from shared.domain.identity import Caller
from shared.errors import BudgetExceeded, Conflict, IdempotencyKeyReused, Rejected
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


async def pursue(world: World, intent: Intent) -> None:
    """Carry the intent out; any answer the protocol forbids is a violation."""
    await asyncio.sleep(intent.starts_at_s)
    if intent.rival:
        await _compete(world, intent)
        return
    try:
        first = await _sent(world, lambda: _submit(world, intent, intent.requests))
        if intent.cancels_after_s is not None:
            await asyncio.sleep(intent.cancels_after_s)
            await _cancel(world, intent, first)
        if intent.repeats:
            again = await _sent(world, lambda: _submit(world, intent, intent.requests))
            if again != first:
                world.checker.broken("I7", f"the key {intent.key} gave {first}, then {again}")
        if intent.reuses_key:
            await _reuse(world, intent)
    except BudgetExceeded as refusal:
        if refusal.extra.get("scope") is None:
            world.checker.broken("402", "a refusal names no scope")
    except (GaveUp, IdempotencyKeyReused) as end:
        if isinstance(end, IdempotencyKeyReused):
            world.checker.broken("I7", f"the key {intent.key} was refused for the same payload")


async def _compete(world: World, intent: Intent) -> None:
    """Two payloads under one key at the same time: at most one may be accepted."""
    answers = await asyncio.gather(
        *(
            _sent(world, partial(_submit, world, intent, requests))
            for requests in (intent.requests, intent.rival)
        ),
        return_exceptions=True,
    )
    if sum(isinstance(answer, str) for answer in answers) > 1:
        world.checker.broken("I7", f"the key {intent.key} was accepted for two payloads")


async def _reuse(world: World, intent: Intent) -> None:
    other = tuple(each.model_copy(update={"prompt": "another"}) for each in intent.requests)
    try:
        await _sent(world, lambda: _submit(world, intent, other))
    except IdempotencyKeyReused:
        return
    world.checker.broken("I7", f"the key {intent.key} was accepted for another payload")


async def _cancel(world: World, intent: Intent, operation_id: str) -> None:
    async def cancel() -> None:
        if intent.batch:
            await world.batches.cancel(intent.caller, operation_id, "c-cancel")
        else:
            await world.generations.cancel(intent.caller, operation_id, "c-cancel")

    try:
        await _sent(world, cancel)
    except Conflict:
        return  # it has ended, or the provider is at work


async def _submit(world: World, intent: Intent, requests: tuple[GenerationRequest, ...]) -> str:
    if not intent.batch:
        view = await world.generations.submit(
            intent.caller,
            requests[0],
            intent.caller.charge(),
            key=intent.key,
            correlation_id="c-1",
            orchestrations=world.orchestrations,
        )
        return view.id
    batch_id = await world.admission.operation_id(intent.caller, "batch", intent.key)
    order = BatchOrder(
        caller=intent.caller,
        charge=intent.caller.charge(),
        batch_id=batch_id,
        source=BatchSource("inline"),
        content_hash=request_hash([each.model_dump(mode="json") for each in requests]),
        read_rows=lambda: iter(
            [BatchRow(n, n, f"row-{n}", each, ()) for n, each in enumerate(requests, start=1)]
        ),
        correlation_id="c-1",
        acceptance=intent.acceptance,
    )
    return (await world.batches.submit(order, world.orchestrations)).id


async def _sent(world: World, send: Callable[[], Awaitable[T]]) -> T:
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
