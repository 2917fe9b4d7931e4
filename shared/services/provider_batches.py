"""Rows that may wait a day: sent as one provider batch at its price, at most once, and booked.

The hold of the batch has reserved the synchronous price, so whatever the provider batch leaves
undone goes on as the next attempt of the same rows, inside the same reservation.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from shared.domain.attempt_reports import image_ids_of
from shared.domain.attempts import RETRYABLE, AttemptReport, NotDelivered, Unknown
from shared.domain.ids import row_generation_id
from shared.domain.ledger import RESOLVE_ROWS_MAX
from shared.domain.provider_batches import (
    BATCHED_ATTEMPT,
    BatchLine,
    ProviderBatch,
    batched_marker,
    custom_id_of,
)
from shared.domain.work import WorkItem
from shared.ports import Clock, Ledger
from shared.services.attempts import Attempts
from shared.services.provider_batch_results import ProviderBatchResults
from shared.services.settlements import Settlements
from shared.services.work import WorkItems

MARKERS_AT_ONCE = 10  # writes to one ledger partition by one activity
SUBMITS_MAX = 3  # after a definite refusal; the rows take the synchronous path then
SUBMIT_PAUSE_S = 5.0
SUBMIT_PAUSE_S_MAX = 20.0  # longer waits belong to the orchestration

Stage = Literal["frozen", "searching", "running", "over"]
Row = tuple[int, int]  # row number, number of its next attempt


@dataclass(frozen=True)
class ProviderBatchTimes:
    """How long a provider batch may take before the rest goes on synchronously, and how often
    it is looked at."""

    window: timedelta
    poll_pause: timedelta


@dataclass(frozen=True)
class Look:
    """How a provider batch stands, when to look again, and how long it may still take."""

    stage: Stage
    cancel_requested: bool
    pause_s: float
    window_s: float


class Collected(NamedTuple):
    """What a provider batch came to: the rows that go on, and the pictures that it brought."""

    left: Sequence[Row]
    image_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProviderBatches:
    """The provider batch of each chunk; every step may be repeated and resumed."""

    results: ProviderBatchResults
    ledger: Ledger
    work: WorkItems
    attempts: Attempts
    settlements: Settlements
    is_cancel_requested: Callable[[str], Awaitable[bool]]
    pause_s: Callable[[WorkItem], Awaitable[float | None]]  # while spending is frozen
    times: ProviderBatchTimes
    clock: Clock

    async def submit(self, batch_id: str, number: int) -> Look:
        """Send the rows of a chunk that may wait, unless that was done or begun before."""
        cancel = await self.is_cancel_requested(batch_id)
        claim = await self.results.claims.find(batch_id, number)
        if claim is None:
            waiting = await self._items(batch_id, await self.work.waiting_rows(batch_id, number))
            items = [(row, item) for row, item in waiting if await self._may_leave(item)]
            if cancel or not items:
                return self._shown("over", None, cancel)
            pause_s = await self.pause_s(items[0][1])
            if pause_s is not None:
                return replace(self._shown("frozen", None, cancel), pause_s=pause_s)
            claim = await self._send(batch_id, number, items)
        elif claim.status == "claimed":
            claim = await self.results.searched(claim)
        return self._shown(_stage(claim), claim, cancel)

    async def look(self, batch_id: str, number: int, *, stop: bool) -> Look:
        """How the provider batch stands; with `stop`, or a cancel of ours, it is asked to end."""
        cancel = await self.is_cancel_requested(batch_id)
        claim = await self.results.claims.find(batch_id, number)
        if claim is not None and claim.status == "claimed":
            claim = await self.results.searched(claim)
        if claim is None or claim.job_id is None:
            return self._shown(_stage(claim), claim, cancel)
        job = await self.results.provider.job(claim.job_id)
        if job.state != "running":
            return self._shown("over", claim, cancel)
        if stop or cancel:
            await self.results.provider.cancel(claim.job_id)
        return self._shown("running", claim, cancel)

    async def collect(self, batch_id: str, number: int) -> Collected:
        """Book what the provider batch brought.

        Raises Unavailable while the results cannot be read, unless nobody waits for them any more:
        then they are unknown, and the sweep's.
        """
        claim = await self.results.claims.find(batch_id, number)
        rows = await self.work.waiting_rows(batch_id, number)
        sent = set(claim.rows) if claim else set()
        left = [(row, BATCHED_ATTEMPT) for row in rows if row not in sent]
        if claim is None or not sent:
            return Collected(left)
        items = dict(await self._items(batch_id, claim.rows))
        counts = {row: item.request.count for row, item in items.items()}
        reports: list[AttemptReport] = []
        image_ids: list[str] = []
        cancel = await self.is_cancel_requested(batch_id)
        read = self.results.last_outcomes if cancel else self.results.outcomes
        async for row, outcome in read(claim, counts):
            marker = batched_marker(batch_id, number, row, claim.created_at)
            report = await self.attempts.conclude_batched(items[row], marker, outcome)
            if report.ending == "retry":
                left.append((row, report.attempt + 1))
                continue
            reports.append(report)
            image_ids += image_ids_of([report])
            if len(reports) == RESOLVE_ROWS_MAX:
                await self.settlements.settle(batch_id, reports)
                reports = []
        if reports:
            await self.settlements.settle(batch_id, reports)
        return Collected(sorted(left), tuple(image_ids))

    def _shown(self, stage: Stage, claim: ProviderBatch | None, cancel: bool) -> Look:
        """The window is counted from the claim, so that a restart does not prolong it."""
        window = self.times.window
        if claim is not None:
            window -= self.clock.now() - datetime.fromisoformat(claim.created_at)
        pause_s = self.times.poll_pause.total_seconds()
        return Look(stage, cancel, pause_s, max(0.0, window.total_seconds()))

    async def _may_leave(self, item: WorkItem) -> bool:
        return not item.is_erased and await self.attempts.may_leave(item, item.request.model)

    async def _items(self, batch_id: str, rows: Sequence[int]) -> list[tuple[int, WorkItem]]:
        return [(row, await self.work.find(row_generation_id(batch_id, row))) for row in rows]

    async def _send(
        self, batch_id: str, number: int, items: Sequence[tuple[int, WorkItem]]
    ) -> ProviderBatch | None:
        """Markers, file, claim, order: in this order, so that a crash anywhere can be resumed."""
        orders = {row: self.attempts.order(item, BATCHED_ATTEMPT) for row, item in items}
        rows = await self._marked(batch_id, number, list(orders))
        if not rows:
            return None
        claim = ProviderBatch(
            batch_id=batch_id,
            number=number,
            holder=self.clock.new_id(),
            rows=tuple(rows),
            created_at="",  # set when the right to send is taken
            file_id=None,
        )
        lines = [BatchLine(custom_id_of(batch_id, row), orders[row]) for row in rows]
        stored = await self.results.provider.upload(claim.key, lines)
        return await self._order(claim, stored)

    async def _marked(self, batch_id: str, number: int, rows: Sequence[int]) -> list[int]:
        """The rows whose attempt is ours (I8); a canceller or the sweep may have taken others."""
        now = self.clock.now().isoformat()
        ours: list[int] = []
        for start in range(0, len(rows), MARKERS_AT_ONCE):
            markers = [
                batched_marker(batch_id, number, row, now)
                for row in rows[start : start + MARKERS_AT_ONCE]
            ]
            standing = await asyncio.gather(*map(self.ledger.begin_attempt, markers))
            ours += [
                row
                for row, marker, found in zip(rows[start:], markers, standing, strict=False)
                if found.holder == marker.holder
            ]
        return ours

    async def _order(self, claim: ProviderBatch, stored: str | NotDelivered) -> ProviderBatch:
        """Take the one right to send, then send; a lost answer is looked for, never sent again."""
        file_id = stored if isinstance(stored, str) else None
        claim = replace(claim, file_id=file_id, created_at=self.clock.now().isoformat())
        standing = await self.results.claims.claim(claim)
        if standing.holder != claim.holder:
            return standing
        if isinstance(stored, NotDelivered):
            return await self.results.settled(claim, "refused", reason=stored.reason)
        for turn in range(1, SUBMITS_MAX + 1):
            outcome = await self.results.provider.submit(claim.key, stored)
            if isinstance(outcome, str):
                return await self.results.settled(claim, "submitted", job_id=outcome)
            if isinstance(outcome, Unknown):
                break
            if outcome.failure not in RETRYABLE or turn == SUBMITS_MAX:
                return await self.results.settled(claim, "refused", reason=outcome.reason)
            await asyncio.sleep(min(outcome.retry_after_s or SUBMIT_PAUSE_S, SUBMIT_PAUSE_S_MAX))
        return claim


def _stage(claim: ProviderBatch | None) -> Stage:
    if claim is None or claim.status in ("refused", "lost"):
        return "over"
    return "searching" if claim.status == "claimed" else "running"
