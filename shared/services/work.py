"""Finds the work item behind a generation id: in its record, or in the plan of its batch."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.batch_plans import BatchChunk, is_accepted
from shared.domain.ids import CHUNK_ROWS, chunk_of, operation_of, row_of
from shared.domain.work import WorkItem, read_approval_marks, read_work_item
from shared.errors import Unavailable
from shared.ports import BatchFiles, Records

PLANS_CACHED_MAX = 1_000  # names only; the plan of a reserved batch never changes


@dataclass(frozen=True)
class _Started:
    """What a batch was started as: its plan, its last row, the marks of its approvals."""

    plan: str
    last_row: int | None
    approvals: tuple[str, ...] | None


class WorkItems:
    """Work is addressed by generation id only: prompts never travel through an orchestration."""

    def __init__(self, records: Records, batch_files: BatchFiles) -> None:
        self._records = records
        self._batch_files = batch_files
        self._plans: OrderedDict[str, _Started] = OrderedDict()

    async def find(self, generation_id: str) -> WorkItem:
        """Raise Unavailable while nothing can be read under this id."""
        row = row_of(generation_id)
        if row is None:
            record = await self._records.generation(generation_id)
            if record is None:
                raise Unavailable("The generation could not be read yet.")
            return read_work_item(record)
        batch_id = operation_of(generation_id)
        chunk = await self._chunk(batch_id, chunk_of(row))
        item = chunk.work_item(chunk.rows[(row - 1) % CHUNK_ROWS])
        return replace(item, approvals=(await self._started(batch_id)).approvals)

    async def valid_rows(self, batch_id: str, number: int) -> Sequence[int]:
        """The row numbers of a chunk that were priced, reserved and are not to wait."""
        chunk = await self._chunk(batch_id, number)
        return [row.row for row in chunk.rows if row.request is not None and row.deadline is None]

    async def waiting_rows(self, batch_id: str, number: int) -> Sequence[int]:
        """The row numbers of a chunk that may wait for their provider's batch price."""
        chunk = await self._chunk(batch_id, number)
        return [row.row for row in chunk.rows if row.request is not None and row.deadline]

    async def _chunk(self, batch_id: str, number: int) -> BatchChunk:
        """A chunk without the rows beyond what was reserved."""
        started = await self._started(batch_id)
        chunk = await self._batch_files.chunk(batch_id, started.plan, number)
        accepted = tuple(row for row in chunk.rows if is_accepted(row.row, started.last_row))
        return chunk.model_copy(update={"rows": accepted})

    async def _started(self, batch_id: str) -> _Started:
        found = self._plans.get(batch_id)
        if found is None:
            batch = await self._records.batch(batch_id)
            if batch is None:
                raise Unavailable("The batch could not be read yet.")
            approvals = read_approval_marks(batch)
            found = _Started(str(batch["plan"]), batch["last_row"], approvals)
            self._plans[batch_id] = found
            while len(self._plans) > PLANS_CACHED_MAX:
                self._plans.popitem(last=False)
        return found
