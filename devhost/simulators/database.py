"""The SQLite file that holds invoice, submissions and predictions, so that kill -9 loses nothing.

WAL with synchronous=NORMAL: a committed transaction survives the death of the process (not a power
cut), at a cost of tens of microseconds.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS invoice_lines (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    usd_micros INTEGER NOT NULL CHECK (usd_micros >= 0),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    unit TEXT NOT NULL,
    at_s REAL NOT NULL,
    request_id TEXT NOT NULL,
    client_request_id TEXT,
    deployment TEXT,
    job_id TEXT,
    prompt_sha256 TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS submissions (
    provider TEXT NOT NULL,
    prompt_sha256 TEXT NOT NULL,
    submitted INTEGER NOT NULL,
    PRIMARY KEY (provider, prompt_sha256)
);
CREATE TABLE IF NOT EXISTS predictions (
    id TEXT PRIMARY KEY,
    settled INTEGER NOT NULL DEFAULT 0,
    document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS unsettled ON predictions (settled) WHERE settled = 0;
CREATE TABLE IF NOT EXISTS firefly_jobs (
    id TEXT PRIMARY KEY,
    settled INTEGER NOT NULL DEFAULT 0,
    document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS unsettled_jobs ON firefly_jobs (settled) WHERE settled = 0;
"""


def open_database(path: Path) -> sqlite3.Connection:
    """Opens or creates the file; statements commit one by one unless inside `with connection`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.executescript(SCHEMA)
    return connection
