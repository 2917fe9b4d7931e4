"""The life of a batch by the simulators' clock, its storage and its bill.

A batch's whole life is decided when it is created; only a cancel changes it. Its status at any
moment follows from the clock, so that polling, restarts and kill -9 change neither it nor the bill.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from devhost.simulators.azure_openai_batch_lines import (
    ENDPOINT,
    BatchLine,
    LineFault,
    read_line,
)
from devhost.simulators.azure_openai_errors import AzureRefusal, not_found
from devhost.simulators.invoice import GPT_IMAGE_2
from devhost.simulators.state import SimulatorState

WINDOW_S = 24 * 3600
ENDS = frozenset({"completed", "failed", "expired", "cancelled"})
NEVER_S = float("inf")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS azure_batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    settled INTEGER NOT NULL DEFAULT 0,
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS azure_batch_lines_billed (
    batch_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    PRIMARY KEY (batch_id, line)
);
"""


@dataclass(frozen=True)
class Batch:
    """One batch; times are Unix seconds of the simulators' clock, `pause_s` each idle phase."""

    id: str
    input_file_id: str
    output_file_id: str
    error_file_id: str
    metadata: dict[str, str]
    created_s: float
    expires_s: float
    pause_s: float
    lines: tuple[BatchLine, ...]
    faults: tuple[LineFault, ...]
    cancel_s: float | None = None

    @property
    def work_ends_s(self) -> float:
        return max((NEVER_S if x.done_s is None else x.done_s for x in self.lines), default=NEVER_S)

    @property
    def stops_s(self) -> float:
        """When no further line is worked on."""
        return min(self.work_ends_s, self.expires_s, self.cancel_s or NEVER_S)

    @property
    def ended_s(self) -> float:
        return (self.created_s if self.faults else self.stops_s) + self.pause_s

    @property
    def is_canceled(self) -> bool:
        return self.cancel_s is not None and self.cancel_s <= self.stops_s

    @property
    def ending(self) -> str:
        if self.faults:
            return "failed"
        if self.is_canceled:
            return "cancelled"
        return "completed" if self.work_ends_s <= self.expires_s else "expired"

    def status(self, now_s: float) -> str:
        if now_s >= self.ended_s:
            return self.ending
        if now_s < self.created_s + self.pause_s and not self.is_canceled:
            return "validating"
        if now_s < self.stops_s:
            return "in_progress"
        return "cancelling" if self.is_canceled else "finalizing"

    def worked(self, now_s: float) -> list[BatchLine]:
        """The lines that were worked on by now: these are billed, whatever the batch ends in."""
        if self.faults:
            return []
        return [line for line in self.lines if line.ended_by(min(now_s, self.stops_s))]

    def outputs(self) -> tuple[list[BatchLine], list[BatchLine]]:
        """The lines of the output file and those of the error file, once the batch has ended."""
        worked = self.worked(NEVER_S)
        good = [line for line in worked if not self._has_error(line)]
        bad = [line for line in worked if self._has_error(line)]
        return good, bad + ([] if self.faults else [x for x in self.lines if x not in worked])

    def _has_error(self, line: BatchLine) -> bool:
        try:
            return line.refusal(line.call(self.id), 0) is not None
        except AzureRefusal:
            return True

    def as_json(self, now_s: float) -> dict[str, Any]:
        """The batch object as a poll answers it."""
        status = self.status(now_s)
        ended = status in ENDS
        good, bad = self.outputs() if ended else ([], [])
        worked = self.worked(now_s)
        failed = sum(self._has_error(line) for line in worked)
        errors = [fault.as_json() for fault in self.faults]
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": ENDPOINT,
            "model": GPT_IMAGE_2,
            "errors": {"object": "list", "data": errors} if errors and ended else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": status,
            "output_file_id": self.output_file_id if good else None,
            "error_file_id": self.error_file_id if bad else None,
            "request_counts": {
                "total": 0 if status == "validating" else len(self.lines),
                "completed": len(worked) - failed,
                "failed": failed,
            },
            "metadata": self.metadata,
            **self._times(status, now_s),
        }

    def _times(self, status: str, now_s: float) -> dict[str, int | None]:
        started_s = self.created_s + self.pause_s
        times = {
            "created_at": self.created_s,
            "in_progress_at": None if self.faults or now_s < started_s else started_s,
            "expires_at": self.expires_s,
            "cancelling_at": self.cancel_s if self.is_canceled else None,
            "finalizing_at": self.stops_s if now_s >= self.stops_s else None,
            **{f"{ending}_at": self.ended_s if status == ending else None for ending in ENDS},
        }
        return {name: None if at_s is None else int(at_s) for name, at_s in times.items()}


@dataclass(frozen=True)
class BatchStore:
    """Batches and their bill in the simulators' database."""

    state: SimulatorState

    def __post_init__(self) -> None:
        self.state.database.executescript(_SCHEMA)

    def save(self, batch: Batch) -> None:
        document = json.dumps(
            {
                **vars(batch),
                "lines": [line.as_json() for line in batch.lines],
                "faults": [vars(fault) for fault in batch.faults],
            }
        )
        with self.state.database as database:
            database.execute(
                "INSERT INTO azure_batches (id, document) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (batch.id, document),
            )

    def find(self, batch_id: str) -> Batch:
        """Raises AzureRefusal for a batch that there never was."""
        row = self.state.database.execute(
            "SELECT document FROM azure_batches WHERE id = ?", (batch_id,)
        ).fetchone()
        if row is None:
            raise not_found(f"No batch found with id '{batch_id}'.")
        return _read(row["document"])

    def page(self, after: str | None, limit: int) -> tuple[list[Batch], bool]:
        """Some batches, newest first, and whether there are more."""
        number = None if after is None else self._number(after)
        rows = self.state.database.execute(
            "SELECT document FROM azure_batches WHERE ? IS NULL OR number < ?"
            " ORDER BY number DESC LIMIT ?",
            (number, number, limit + 1),
        ).fetchall()
        return [_read(row["document"]) for row in rows[:limit]], len(rows) > limit

    def _number(self, batch_id: str) -> int:
        row = self.state.database.execute(
            "SELECT number FROM azure_batches WHERE id = ?", (batch_id,)
        ).fetchone()
        if row is None:
            raise not_found(f"No batch found with id '{batch_id}'.")
        return int(row["number"])

    def cancel(self, batch: Batch, now_s: float) -> Batch:
        """The batch as it goes on after a cancel at `now_s`."""
        canceled = replace(batch, cancel_s=now_s)
        self.save(canceled)
        return canceled

    def settle_due(self) -> None:
        """Puts every line that was worked on by now onto the invoice, once."""
        now_s = self.state.clock.now_s()
        rows = self.state.database.execute("SELECT document FROM azure_batches WHERE settled = 0")
        for batch in [_read(row["document"]) for row in rows.fetchall()]:
            for line in batch.worked(now_s):
                self._bill(batch, line)
            if batch.status(now_s) in ENDS:
                with self.state.database as database:
                    database.execute(
                        "UPDATE azure_batches SET settled = 1 WHERE id = ?", (batch.id,)
                    )

    def _bill(self, batch: Batch, line: BatchLine) -> None:
        try:
            call = line.call(batch.id)
        except AzureRefusal:
            return  # a request that the image service does not accept costs nothing
        with self.state.database as database:
            added = database.execute(
                "INSERT OR IGNORE INTO azure_batch_lines_billed VALUES (?, ?)",
                (batch.id, line.number),
            )
            if added.rowcount:
                at_s = line.done_s or batch.created_s
                self.state.invoice.insert(call.billed, line.charges(call), at_s)


def _read(text: str) -> Batch:
    document = json.loads(text)
    lines = tuple(read_line(line) for line in document.pop("lines"))
    faults = tuple(LineFault(**fault) for fault in document.pop("faults"))
    return Batch(**document, lines=lines, faults=faults)
