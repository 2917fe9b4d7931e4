"""Takes tokens for all who ask in this worker: one read and one conditional write at a time.

Whoever asks while a write is under way is decided together with the others in the next one. So a
worker has one writer per partition whatever its load, and rival writers are as many as workers.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.domain.token_buckets import BucketDocument, Lane, Receipt, Standing, Tally, Want
from shared.domain.waiting_lines import decide
from shared.errors import Unavailable
from shared.ports import Clock
from shared.ports.token_buckets import TokenBucketStore

GROUP_MAX = 64  # asks decided in one write: their documents stay far below 100 operations
WRITES_MAX = 12  # of one group while other workers write too: some 0.5 s in all
FIRST_PAUSE_S = 0.004  # about one write; doubles up to PAUSE_S_MAX, each time with jitter
PAUSE_S_MAX = 0.1
PARTITIONS_KEPT_MAX = 1_000  # whose last documents a worker remembers
DOCUMENTS_KEPT_MAX = 1_000  # of one partition, below 1 KB each but for those with a line
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Answer:
    """Whether all was taken; if not, how long to wait (None: it can never be)."""

    taken: bool
    receipts: tuple[Receipt, ...] = ()
    wait_s: float | None = 0.0
    short: str = ""  # the bucket that had too little
    standings: tuple[Standing, ...] = ()


@dataclass(eq=False)
class _Ask:
    """One request in the queue: to take, or to give back."""

    wants: Sequence[Want]
    lane: Lane | None
    receipts: Sequence[Receipt]
    answer: "asyncio.Future[Answer]"
    rank: int = field(init=False)

    def __post_init__(self) -> None:
        self.rank = self.lane.rank if self.lane else 0

    @property
    def document_ids(self) -> set[str]:
        wanted = {each.document_id for each in self.wants}
        return wanted | {each.document_id for each in self.receipts}


@dataclass
class _Queue:
    """Who asks for the buckets of one partition, and what this worker last knew of them."""

    asks: list[_Ask] = field(default_factory=list)
    worker: "asyncio.Task[None] | None" = None
    known: dict[str, BucketDocument] = field(default_factory=dict)


class TokenBuckets:
    """The token buckets of all workers, as one worker takes from them."""

    def __init__(self, store: TokenBucketStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._queues: OrderedDict[str, _Queue] = OrderedDict()

    async def take(self, partition: str, wants: Sequence[Want], lane: Lane | None = None) -> Answer:
        """All of the wants or none of them; raises Unavailable if the store does not answer.

        With a lane, one who is refused stands in line: see waiting_lines.py.
        """
        return await self._asked(partition, wants, lane, ())

    async def give_back(self, partition: str, receipts: Sequence[Receipt]) -> None:
        """Put back what was taken and not used; raises Unavailable if nobody can say."""
        await self._asked(partition, (), None, receipts)

    async def standings(self, partition: str, wants: Sequence[Want]) -> tuple[Standing, ...]:
        """How buckets stand, without taking."""
        ids = sorted({each.document_id for each in wants})
        read = await self._store.read(partition, ids)
        return Tally({each.document_id: each for each in read}, self._now_us()).standings(wants)

    async def documents(self, partition: str, ids: Sequence[str]) -> list[BucketDocument]:
        """The stored documents, for those who look."""
        return await self._store.read(partition, ids)

    async def _asked(
        self,
        partition: str,
        wants: Sequence[Want],
        lane: Lane | None,
        receipts: Sequence[Receipt],
    ) -> Answer:
        queue = self._queues.setdefault(partition, _Queue())
        self._queues.move_to_end(partition)
        ask = _Ask(wants, lane, receipts, asyncio.get_running_loop().create_future())
        queue.asks.append(ask)
        if queue.worker is None:
            self._start(partition, queue)
        return await ask.answer

    def _start(self, partition: str, queue: _Queue) -> None:
        queue.worker = asyncio.create_task(self._serve(partition, queue))
        queue.worker.add_done_callback(lambda worker: self._ended(worker, partition, queue))

    def _ended(self, worker: "asyncio.Task[None]", partition: str, queue: _Queue) -> None:
        queue.worker = None
        if worker.cancelled() or worker.exception() is not None:
            _fail(queue.asks, _stopped())  # this process is being stopped
            queue.asks = []
        elif queue.asks:  # they came after it had looked for the last time
            self._start(partition, queue)
        self._forget()

    async def _serve(self, partition: str, queue: _Queue) -> None:
        """Decide group after group until nobody asks any more."""
        while queue.asks:
            queue.asks.sort(key=lambda each: each.rank)  # stable: first come, first served
            group, queue.asks = queue.asks[:GROUP_MAX], queue.asks[GROUP_MAX:]
            waiting = [ask for ask in group if not ask.answer.done()]
            if waiting:
                await self._decide(partition, queue, waiting)

    async def _decide(self, partition: str, queue: _Queue, group: list[_Ask]) -> None:
        try:
            answers = await self._decided(partition, queue, group)
        except BaseException as fault:
            queue.known.clear()
            _fail(group, fault if isinstance(fault, Exception) else _stopped())
            if not isinstance(fault, Exception):
                raise
            return
        for ask, answer in zip(group, answers, strict=True):
            if not ask.answer.done():
                ask.answer.set_result(answer)
            elif answer.receipts:  # whoever asked has gone away meanwhile
                nobody = asyncio.get_running_loop().create_future()
                nobody.add_done_callback(lambda done: done.exception())  # lost, if it fails
                queue.asks.append(_Ask((), None, answer.receipts, nobody))

    async def _decided(self, partition: str, queue: _Queue, group: list[_Ask]) -> list[Answer]:
        """The answers of a group once the write that makes them true has been stored."""
        ids = sorted(set().union(*(ask.document_ids for ask in group)))
        for turn in range(WRITES_MAX):
            remembered = all(each in queue.known for each in ids)
            if not remembered:
                read = await self._store.read(partition, ids)
                queue.known.update({each.document_id: each for each in read})
            tally = Tally({each: queue.known[each] for each in ids}, self._now_us())
            answers = [_answer(tally, ask) for ask in group]
            if remembered and not all(answer.taken for answer in answers):
                queue.known.clear()  # nobody is refused from memory
                continue
            changes = tally.changes(self._clock.new_id())
            if not changes:
                return answers
            if await self._store.write(partition, changes):
                if len(queue.known) > DOCUMENTS_KEPT_MAX:
                    queue.known.clear()
                queue.known.update({each.document_id: each for each in changes})
                return answers
            queue.known.clear()
            await asyncio.sleep(_pause_s(turn, self._clock.new_id()))
        raise Unavailable("Too many take tokens at the same time.", retry_after_s=1)

    def _now_us(self) -> int:
        return (self._clock.now() - _EPOCH) // _MICROSECOND

    def _forget(self) -> None:
        """Keep the partitions that were asked for last."""
        idle = [key for key, queue in self._queues.items() if queue.worker is None]
        for key in idle[: max(0, len(self._queues) - PARTITIONS_KEPT_MAX)]:
            del self._queues[key]


def _answer(tally: Tally, ask: _Ask) -> Answer:
    if ask.receipts:
        tally.give_back(ask.receipts)
        return Answer(taken=True)
    decision = decide(tally, ask.wants, ask.lane)
    return Answer(
        taken=decision.receipts is not None,
        receipts=decision.receipts or (),
        wait_s=None if decision.wait_us is None else decision.wait_us / 1_000_000,
        short=decision.short,
        standings=tally.standings(ask.wants),
    )


def _fail(asks: Sequence[_Ask], fault: Exception) -> None:
    for ask in asks:
        if not ask.answer.done():
            ask.answer.set_exception(fault)


def _pause_s(turn: int, seed: str) -> float:
    """A part of the longest pause that differs from worker to worker, so that rivals part."""
    longest = min(PAUSE_S_MAX, FIRST_PAUSE_S * (1 << turn))
    return longest * hashlib.sha256(seed.encode()).digest()[0] / 255


def _stopped() -> Unavailable:
    return Unavailable("The worker is stopping.", retry_after_s=1)
