"""Token buckets that always answer: the shared ones, or the worker's own while those are silent."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.token_buckets import Lane, Receipt, Want
from shared.errors import Unavailable
from shared.ports import Clock
from shared.services.token_buckets import Answer, TokenBuckets
from shared.services.worker_buckets import WorkerBuckets

STORE_TIME_S = 2.0  # for an answer of the shared buckets; then the worker's own decide
SILENT_FOR = timedelta(seconds=5)  # a store that did not answer is left alone

logger = logging.getLogger("eig.token_buckets")


class BucketFallback:
    """What the own buckets admit is not told to the shared ones: then each worker has the limit."""

    def __init__(self, shared: TokenBuckets, clock: Clock) -> None:
        self._shared = shared
        self._own = TokenBuckets(WorkerBuckets(), clock)
        self._clock = clock
        self._silent_until = clock.now()

    async def take(self, partition: str, wants: Sequence[Want], lane: Lane | None = None) -> Answer:
        """All of the wants or none of them; see TokenBuckets."""
        if not self._is_silent():
            try:
                async with asyncio.timeout(STORE_TIME_S):
                    return await self._shared.take(partition, wants, lane)
            except (Unavailable, TimeoutError):
                logger.warning("limits are this worker's own", extra={"code": partition})
                self._silent_until = self._clock.now() + SILENT_FOR
        answer = await self._own.take(partition, wants, lane)
        return replace(
            answer, receipts=()
        )  # the shared ones must not get back what they never gave

    async def give_back(self, partition: str, receipts: Sequence[Receipt]) -> None:
        """Put back what was not used. Never raises: to have taken too much is no harm."""
        if not receipts or self._is_silent():
            return
        try:
            async with asyncio.timeout(STORE_TIME_S):
                await self._shared.give_back(partition, receipts)
        except (Unavailable, TimeoutError):
            logger.warning("tokens were not given back", extra={"code": partition})

    def _is_silent(self) -> bool:
        """Not for longer than SILENT_FOR, also when the clock was set back."""
        return timedelta() < self._silent_until - self._clock.now() <= SILENT_FOR
