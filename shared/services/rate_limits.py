"""Counts what people ask for before any money is set aside, and refuses what is too much.

Nothing is counted twice: what is refused afterwards, or was a repeat, is given back. When the
buckets do not answer, this worker's own decide: the limits then hold for each worker, not for all
together. Refusing everybody would stop the platform for a bound on convenience; the budgets bound
the money, and they fail closed.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.answer_headers import answer_headers
from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import policy_partition
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ids import Partition, partition_of
from shared.domain.rate_limits import (
    RateTerms,
    header_fields,
    partition_of_people,
    screening_want,
    window_of,
)
from shared.domain.token_buckets import Receipt, Want
from shared.errors import InvariantBroken, RateLimited
from shared.ports import Clock, Ledger
from shared.services.bucket_fallback import BucketFallback
from shared.services.token_buckets import Answer, TokenBuckets

DENIALS_MAX = 10_000  # that one worker remembers; a forgotten one costs a refused create
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Taken:
    """What one request has counted for; nothing if it was a repeat."""

    partition: str = ""
    receipts: tuple[Receipt, ...] = ()


class RateLimits:
    """The limits of people and departments, shared by all workers."""

    def __init__(
        self, buckets: TokenBuckets, terms: RateTerms, ledger: Ledger, clock: Clock
    ) -> None:
        self._buckets = BucketFallback(buckets, clock)
        self._terms = terms
        self._ledger = ledger
        self._clock = clock
        self._denied: OrderedDict[str, None] = OrderedDict()

    async def take(
        self,
        caller: Caller,
        images: int,
        amount_micros: int,
        operation_id: str,
        correlation_id: str,
    ) -> Taken:
        """Count a request; raises RateLimited, unless it repeats one that was admitted."""
        partition = partition_of_people(caller)
        wants = self._terms.wants(caller, images, amount_micros)
        answer = await self._buckets.take(partition, wants)
        answer_headers.set(header_fields(answer.standings))
        if answer.taken:
            return Taken(partition, answer.receipts)
        if await self._ledger.hold(operation_id) is not None:
            return Taken()
        want = next(each for each in wants if each.limit.name == answer.short)
        noted_in = partition_of(operation_id)
        if noted_in is None:
            raise InvariantBroken("An operation id names no partition.")
        await self._note_denial(caller, noted_in, want, correlation_id)
        raise _refusal(want, answer)

    async def take_screening(self, caller: Caller, correlation_id: str) -> None:
        """Count a text that is tried with the privacy screen; raises RateLimited."""
        want = screening_want(caller)
        answer = await self._buckets.take(partition_of_people(caller), (want,))
        answer_headers.set(header_fields(answer.standings))
        if not answer.taken:
            noted_in = policy_partition(caller.department_id)
            await self._note_denial(caller, noted_in, want, correlation_id)
            raise _refusal(want, answer)

    async def give_back(self, taken: Taken) -> None:
        """What was counted came to nothing. Never raises."""
        await self._buckets.give_back(taken.partition, taken.receipts)

    async def _note_denial(
        self, caller: Caller, partition: Partition, want: Want, correlation_id: str
    ) -> None:
        """Once for a person, a limit and a window of it, however often they try."""
        now = self._clock.now()
        window = window_of(want.limit, (now - _EPOCH) // timedelta(microseconds=1))
        event = AuditEvent(
            action=f"rate_limit.denied.{want.limit.name}.{window}",
            object_id=f"user:{caller.key}",
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=now.isoformat(),
            correlation_id=correlation_id,
            reason=RateLimited.code,
            details={"limit": want.limit.name, "quota": want.limit.tokens, "asked": want.tokens},
        )
        if event.event_id in self._denied:
            return
        await self._ledger.note_event(partition, event)
        self._denied[event.event_id] = None
        while len(self._denied) > DENIALS_MAX:
            self._denied.popitem(last=False)


def _refusal(want: Want, answer: Answer) -> RateLimited:
    limit = want.limit
    extra = {"limit": limit.name, "quota": limit.tokens, "window_s": limit.period_s}
    if answer.wait_s is None:
        return RateLimited(
            f"The limit {limit.name} never admits {want.tokens} at once: at most {limit.burst}.",
            extra=extra | {"at_once_max": limit.burst},
        )
    wait_s = max(1, math.ceil(answer.wait_s))
    return RateLimited(
        f"The limit {limit.name} is used up; it admits this again in {wait_s} s.",
        retry_after_s=wait_s,
        extra=extra,
    )
