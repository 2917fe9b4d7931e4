"""Items in SQLite: one connection, used by one thread, is the only reader and writer.

Every write runs in a transaction that is committed before it is answered. With a write-ahead log
a killed process loses nothing that was committed, even without a sync to disk.
"""
# ruff: noqa: S608 - table names are made from container numbers, values are always bound

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devhost.cosmos.catalog import Catalog, Container
from devhost.cosmos.errors import too_large
from devhost.cosmos.partition_keys import effective_key
from devhost.cosmos.wire_json import encode, utf8_size_bytes

DATABASE_FILE = "cosmos.sqlite3"
ITEM_BYTES_MAX = 2 * 1024 * 1024  # service limit for one item as UTF-8 JSON
WRITES_PER_TRANSACTION = 128  # more than a batch may hold; spaces the sequence numbers
LOCK_WAIT_S = 1.0  # a process that was just killed may still hold the file
PURGE_INTERVAL_S = 30.0  # expired items are invisible at once and removed at this pace
SYSTEM_PROPERTIES = ("_rid", "_self", "_etag", "_attachments", "_ts")

Filter = tuple[str, Any]  # an SQL condition with one placeholder, and its value


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item; `body` is the JSON that a read answers."""

    seq: int
    pk: str
    id: str
    etag: str
    body: str


@dataclass(frozen=True)
class Scope:
    """Which items a feed or query may see: one partition key, a hashed range, or all.

    `filters` only narrow a scan: they must hold for every item that the query would return.
    """

    pk: str | None = None
    epk_min: str | None = None
    epk_max: str | None = None
    filters: tuple[Filter, ...] = ()

    def conditions(self) -> tuple[str, list[Any]]:
        found: list[Filter] = []
        if self.pk is not None:
            found.append(("pk = ?", self.pk))
        if self.epk_min is not None:
            found.append(("epk >= ?", self.epk_min))
        if self.epk_max is not None:
            found.append(("epk < ?", self.epk_max))
        found += self.filters
        return "".join(f" AND {sql}" for sql, _ in found), [value for _, value in found]


class Store:
    """The data of one emulated account."""

    def __init__(self, data_dir: Path | None, clock: Callable[[], float]) -> None:
        """Opens or creates the file; raises OSError when another process has it open."""
        self._clock = clock
        if data_dir is not None:
            data_dir.mkdir(parents=True, exist_ok=True)
        location = ":memory:" if data_dir is None else str(data_dir / DATABASE_FILE)
        self._connection = sqlite3.connect(
            location, timeout=LOCK_WAIT_S, isolation_level=None, cached_statements=512
        )
        try:
            # Exclusive, because this object remembers what the file says: two would disagree.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self.catalog = Catalog(self._connection, clock)
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise OSError(f"{location} cannot be used: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def get(self, container: Container, pk: str, item_id: str) -> StoredItem | None:
        """The item, unless it is absent or expired."""
        alive, values = self._alive(container)
        row = self._connection.execute(
            f"SELECT seq, pk, id, etag, body FROM items_{container.number} "
            f"WHERE pk = ? AND id = ?{alive}",
            (pk, item_id, *values),
        ).fetchone()
        return None if row is None else StoredItem(*row)

    def rows(self, container: Container, scope: Scope, after: int) -> Iterator[tuple[int, str]]:
        """(sequence number, body) in storage order, of items stored after that number."""
        conditions, values = scope.conditions()
        alive, alive_values = self._alive(container)
        return self._connection.execute(
            f"SELECT seq, body FROM items_{container.number} "
            f"WHERE seq > ?{conditions}{alive} ORDER BY seq",
            (after, *values, *alive_values),
        )

    def changes(
        self, container: Container, scope: Scope, after_lsn: int, since_ts: int
    ) -> Iterator[tuple[int, str]]:
        """(transaction number, body) of the latest versions, in the order of change."""
        conditions, values = scope.conditions()
        alive, alive_values = self._alive(container)
        return self._connection.execute(
            f"SELECT lsn, body FROM items_{container.number} "
            f"WHERE lsn > ? AND ts >= ?{conditions}{alive} ORDER BY lsn, seq",
            (after_lsn, since_ts, *values, *alive_values),
        )

    @contextmanager
    def transaction(self, container: Container) -> Iterator[Transaction]:
        """Commits when the block ends, rolls everything back when it raises."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            work = Transaction(connection, container, int(self._clock()), self._alive(container))
            yield work
            if work.writes:
                connection.execute(
                    "UPDATE containers SET lsn = ? WHERE number = ?", (work.lsn, container.number)
                )
                self._purge(container)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        if work.writes:
            container.lsn = work.lsn

    def _alive(self, container: Container) -> Filtering:
        """The condition that hides expired items; item ttl counts only with a container ttl."""
        if container.default_ttl_s is None:
            return "", ()
        default = container.default_ttl_s
        return (
            " AND (COALESCE(ttl, ?) = -1 OR ts + COALESCE(ttl, ?) > ?)",
            (default, default, self._clock()),
        )

    def _purge(self, container: Container) -> None:
        now_s = self._clock()
        if container.default_ttl_s is None or now_s - container.purged_at_s < PURGE_INTERVAL_S:
            return
        container.purged_at_s = now_s
        default = container.default_ttl_s
        self._connection.execute(
            f"DELETE FROM items_{container.number} "
            "WHERE COALESCE(ttl, ?) <> -1 AND ts + COALESCE(ttl, ?) <= ?",
            (default, default, now_s),
        )


Filtering = tuple[str, tuple[Any, ...]]


class Transaction:
    """Writes to one container that become visible together, with one transaction number."""

    def __init__(
        self, connection: sqlite3.Connection, container: Container, now_s: int, alive: Filtering
    ) -> None:
        self._connection = connection
        self._table = f"items_{container.number}"
        self._alive = alive
        self.container = container
        self.now_s = now_s
        self.lsn = container.lsn + 1
        self.writes = 0

    def get(self, pk: str, item_id: str) -> StoredItem | None:
        alive, values = self._alive
        row = self._connection.execute(
            f"SELECT seq, pk, id, etag, body FROM {self._table} WHERE pk = ? AND id = ?{alive}",
            (pk, item_id, *values),
        ).fetchone()
        return None if row is None else StoredItem(*row)

    def insert(self, pk: str, document: dict[str, Any]) -> StoredItem:
        """Stores a new item; the caller has checked that there is none of this id."""
        seq = self.lsn * WRITES_PER_TRANSACTION + self.writes
        item = self._stamped(seq, pk, document)
        if self._alive[0]:  # an expired item of this id may still be there
            self._connection.execute(
                f"DELETE FROM {self._table} WHERE pk = ? AND id = ?", (pk, item.id)
            )
        self._connection.execute(
            f"INSERT INTO {self._table} (seq, pk, id, epk, lsn, ts, ttl, etag, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, pk, item.id, effective_key(pk), self.lsn, self.now_s, document.get("ttl"),
             item.etag, item.body),
        )  # fmt: skip
        return item

    def overwrite(self, old: StoredItem, document: dict[str, Any]) -> StoredItem:
        item = self._stamped(old.seq, old.pk, document)
        self._connection.execute(
            f"UPDATE {self._table} SET lsn = ?, ts = ?, ttl = ?, etag = ?, body = ? WHERE seq = ?",
            (self.lsn, self.now_s, document.get("ttl"), item.etag, item.body, old.seq),
        )
        return item

    def delete(self, old: StoredItem) -> None:
        self.writes += 1
        self._connection.execute(f"DELETE FROM {self._table} WHERE seq = ?", (old.seq,))

    def _stamped(self, seq: int, pk: str, document: dict[str, Any]) -> StoredItem:
        """The item with fresh system properties; raises 413 when it is too large."""
        etag = f'"{self.lsn:08x}-{self.writes:04x}-0000-0000-{self.now_s:08x}0000"'
        self.writes += 1
        rid = self.container.item_rid(seq)
        body = encode(
            {key: value for key, value in document.items() if key not in SYSTEM_PROPERTIES}
            | {
                "_rid": rid,
                "_self": f"{self.container.self_link}docs/{rid}/",
                "_etag": etag,
                "_attachments": "attachments/",
                "_ts": self.now_s,
            }
        )
        if utf8_size_bytes(body, ITEM_BYTES_MAX) > ITEM_BYTES_MAX:
            raise too_large("Request size is too large: an item may have 2 MB at most.")
        return StoredItem(seq, pk, document["id"], etag, body)
