"""Finds the work item behind a generation id: in its record, or in the plan of its batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.ids import CHUNK_ROWS, chunk_of, operation_of, row_of
from shared.domain.work import WorkItem, read_work_item
from shared.errors import InvariantBroken
from shared.ports import BatchFiles, Records


@dataclass(frozen=True)
class WorkItems:
    """Work is addressed by generation id only: prompts never travel through an orchestration."""

    records: Records
    batch_files: BatchFiles

    async def find(self, generation_id: str) -> WorkItem:
        """Raise InvariantBroken when nothing was admitted under this id."""
        row = row_of(generation_id)
        if row is None:
            record = await self.records.generation(generation_id)
            if record is None:
                raise InvariantBroken("There is no admitted generation with this id.")
            return read_work_item(record)
        batch_id = operation_of(generation_id)
        chunk = await self.batch_files.chunk(batch_id, chunk_of(row))
        return chunk.work_item(chunk.rows[(row - 1) % CHUNK_ROWS])

    async def valid_rows(self, batch_id: str, number: int) -> Sequence[int]:
        """The row numbers of a chunk that were priced and reserved."""
        chunk = await self.batch_files.chunk(batch_id, number)
        return [row.row for row in chunk.rows if row.request is not None]
