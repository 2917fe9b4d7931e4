"""The one SQLite file that holds everything the host must not lose, and its schema."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devhost.host.errors import HostStartError

DATABASE_NAME = "host.db"
LOCK_NAME = "host.lock"
CACHE_KIB = 8 * 1024  # SQLite's page cache: enough for the hot tables, and bounded

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    instance_id TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT,
    status TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT,
    custom_status TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    parent_id TEXT,
    parent_execution_id TEXT,
    parent_task_id INTEGER,
    actions_seen TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS instances_by_age ON instances (created_at, instance_id);
CREATE TABLE IF NOT EXISTS episodes (
    instance_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (instance_id, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT NOT NULL,
    event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS inbox_by_instance ON inbox (instance_id, id);
CREATE TABLE IF NOT EXISTS activities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    input TEXT
);
CREATE INDEX IF NOT EXISTS activities_by_instance ON activities (instance_id);
CREATE TABLE IF NOT EXISTS durable_timers (
    instance_id TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    fire_at REAL NOT NULL,
    PRIMARY KEY (instance_id, execution_id, task_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS durable_timers_by_time ON durable_timers (fire_at);
CREATE TABLE IF NOT EXISTS entities (
    entity_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    updated_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS entity_operations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_id TEXT NOT NULL,
    name TEXT NOT NULL,
    input TEXT,
    request_id TEXT,
    caller_id TEXT,
    caller_execution_id TEXT
);
CREATE INDEX IF NOT EXISTS entity_operations_by_entity ON entity_operations (entity_id, id);
CREATE TABLE IF NOT EXISTS timer_state (
    function TEXT PRIMARY KEY,
    last REAL,
    next REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS blob_receipts (
    function TEXT NOT NULL,
    path TEXT NOT NULL,
    etag TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    retry_at REAL NOT NULL,
    error TEXT,
    PRIMARY KEY (function, path)
) WITHOUT ROWID;
"""


class StateFile:
    """The open state file, used on the event loop's thread only and by one host at a time.

    WAL with synchronous=NORMAL: a commit survives the death of the process at any instant; only
    a power failure may take the newest commits with it.
    """

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._lock = (state_dir / LOCK_NAME).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise HostStartError(
                f"Another host uses the state directory {state_dir}; stop it or choose another."
            ) from None
        self._db = sqlite3.connect(state_dir / DATABASE_NAME, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        self._db.executescript(_SCHEMA)
        self._depth = 0

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        return self._db.execute(sql, parameters)

    def execute_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._db.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits the block as one; a block inside another belongs to the outer one."""
        if self._depth == 0:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()
        self._lock.close()
