"""Which blob versions wait, were delivered or were given up: rows in the state file."""

from __future__ import annotations

import time
from dataclasses import dataclass

from devhost.host.state_file import StateFile

ATTEMPTS_MAX = 5  # maxDequeueCount of the real blob trigger
BACKOFF_S = 1.0  # before the second attempt; doubles with each further one
ERROR_CHARS_MAX = 2_000


@dataclass(frozen=True)
class DueBlob:
    """A blob version to deliver now; `path` is container/name."""

    path: str
    etag: str
    attempts: int


class BlobReceipts:
    """The receipts of one function: one row per blob path, for its newest known version."""

    def __init__(self, state: StateFile, function_name: str) -> None:
        self._state = state
        self._function = function_name

    def found(self, versions: list[tuple[str, str]]) -> None:
        """Remembers (path, etag) pairs to deliver, unless that very version is known already."""
        known = self._known(versions)
        new = [(path, etag) for path, etag in versions if known.get(path) != etag]
        if not new:
            return
        with self._state.transaction():
            self._state.execute_many(
                "INSERT OR REPLACE INTO blob_receipts "
                "(function, path, etag, state, attempts, retry_at) VALUES (?,?,?,'waiting',0,0)",
                [(self._function, path, etag) for path, etag in new],
            )

    def due(self, limit: int) -> list[DueBlob]:
        rows = self._state.execute(
            "SELECT path, etag, attempts FROM blob_receipts WHERE function = ? "
            "AND state = 'waiting' AND retry_at <= ? ORDER BY retry_at, path LIMIT ?",
            (self._function, time.time(), limit),
        )
        return [DueBlob(*row) for row in rows]

    def delivered(self, blob: DueBlob) -> None:
        self._update(blob, "done", blob.attempts + 1, 0.0, None)

    def failed(self, blob: DueBlob, error: str) -> bool:
        """Plans the next attempt; False when there is none and the blob is poison now."""
        attempts = blob.attempts + 1
        again = attempts < ATTEMPTS_MAX
        retry_at_s = time.time() + BACKOFF_S * 2 ** (attempts - 1)
        self._update(
            blob, "waiting" if again else "poison", attempts, retry_at_s, error[:ERROR_CHARS_MAX]
        )
        return again

    def forget(self, blob: DueBlob) -> None:
        """The version is gone; a newer one will be found again."""
        self._state.execute(
            "DELETE FROM blob_receipts WHERE function = ? AND path = ? AND etag = ?",
            (self._function, blob.path, blob.etag),
        )

    def counts(self) -> dict[str, int]:
        return dict(
            self._state.execute(
                "SELECT state, COUNT(*) FROM blob_receipts WHERE function = ? GROUP BY state",
                (self._function,),
            ).fetchall()
        )

    def _known(self, versions: list[tuple[str, str]]) -> dict[str, str]:
        """The known etags between the first and the last path, by path."""
        if not versions:
            return {}
        paths = [path for path, _ in versions]
        rows = self._state.execute(
            "SELECT path, etag FROM blob_receipts WHERE function = ? AND path BETWEEN ? AND ?",
            (self._function, min(paths), max(paths)),
        )
        return dict(rows.fetchall())

    def _update(
        self, blob: DueBlob, state: str, attempts: int, retry_at_s: float, error: str | None
    ) -> None:
        self._state.execute(
            "UPDATE blob_receipts SET state = ?, attempts = ?, retry_at = ?, error = ? "
            "WHERE function = ? AND path = ? AND etag = ?",
            (state, attempts, retry_at_s, error, self._function, blob.path, blob.etag),
        )
