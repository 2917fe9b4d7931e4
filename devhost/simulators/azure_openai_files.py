"""Azure OpenAI's Files API as far as batches need it: upload, look, read, delete."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from devhost.simulators.azure_openai_errors import (
    AzureRefusal,
    body_too_large,
    invalid_request,
    not_found,
)
from devhost.simulators.azure_openai_requests import require_credential
from devhost.simulators.state import SimulatorState

FILE_BYTES_MAX = 200 * 1024 * 1024  # documented limit of a batch's input file
FIELD_BYTES_MAX = 1024  # of any other field of the form
EXPIRES_AFTER_S_MIN = 3_600
EXPIRES_AFTER_S_MAX = 2_592_000  # 30 days
READ_BYTES = 256 * 1024
PURPOSES = ("batch",)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,199}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS azure_files (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_s INTEGER NOT NULL,
    expires_s INTEGER
);
"""

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file, or one that a batch wrote; times are Unix seconds."""

    id: str
    name: str
    purpose: str
    size_bytes: int
    created_s: int
    expires_s: int | None

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size_bytes,
            "created_at": self.created_s,
            "expires_at": self.expires_s,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


@dataclass(frozen=True)
class AzureFiles:
    """Files on disk, their names and times in the simulators' database."""

    state: SimulatorState

    def __post_init__(self) -> None:
        self.state.database.executescript(_SCHEMA)

    def find(self, file_id: str) -> StoredFile:
        """Raises AzureRefusal for a file that is not there, or not any more."""
        row: sqlite3.Row | None = self.state.database.execute(
            "SELECT * FROM azure_files WHERE id = ?", (file_id,)
        ).fetchone()
        stored = None if row is None else StoredFile(**dict(row))
        gone = stored is not None and (stored.expires_s or 1e12) <= self.state.clock.now_s()
        if stored is None or gone:
            raise not_found(f"No such File object: {file_id}")
        return stored

    def path(self, file_id: str) -> Path:
        return self.state.options.data_dir / "azure-files" / file_id

    def add(self, stored: StoredFile) -> None:
        with self.state.database as database:
            database.execute(
                "INSERT INTO azure_files VALUES (?, ?, ?, ?, ?, ?)", tuple(vars(stored).values())
            )

    async def upload(self, request: web.Request) -> web.Response:
        """POST /files: a multipart form with `purpose`, `file` and perhaps `expires_after`."""
        if not request.content_type.startswith("multipart/"):
            raise invalid_request("The body must be multipart/form-data.", None)
        file_id = f"file-{secrets.token_hex(12)}"
        path = self.path(file_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        form: dict[str, str] = {}
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise invalid_request("The form is malformed.", None)
            if part.name == "file":
                form["filename"] = part.filename or ""
                await _save(part, path)
            else:
                form[part.name] = (await part.read(decode=True))[:FIELD_BYTES_MAX].decode()
        stored = self._checked(file_id, form, path)
        self.add(stored)
        return web.json_response(stored.as_json())

    def _checked(self, file_id: str, form: dict[str, str], path: Path) -> StoredFile:
        if form.get("purpose") not in PURPOSES:
            raise invalid_request(f"purpose must be one of {', '.join(PURPOSES)}.", "purpose")
        name = form.get("filename", "")
        if not path.exists() or not _FILE_NAME.fullmatch(name):
            raise invalid_request("A file with a plain name is required.", "file")
        if not name.endswith(".jsonl"):
            raise invalid_request("The file of a batch must end in .jsonl.", "file")
        created_s = int(self.state.clock.now_s())
        after_s = form.get("expires_after[seconds]")
        if after_s is not None and not (
            after_s.isdecimal() and EXPIRES_AFTER_S_MIN <= int(after_s) <= EXPIRES_AFTER_S_MAX
        ):
            raise invalid_request("expires_after is out of range.", "expires_after")
        expires_s = None if after_s is None else created_s + int(after_s)
        size_bytes = path.stat().st_size
        return StoredFile(file_id, name, form["purpose"], size_bytes, created_s, expires_s)

    async def show(self, request: web.Request) -> web.Response:
        """GET /files/{id}"""
        return web.json_response(self.find(request.match_info["id"]).as_json())

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /files/{id}"""
        stored = self.find(request.match_info["id"])
        with self.state.database as database:
            database.execute("DELETE FROM azure_files WHERE id = ?", (stored.id,))
        self.path(stored.id).unlink(missing_ok=True)
        return web.json_response({"id": stored.id, "object": "file", "deleted": True})


def guarded(state: SimulatorState, outcome: str, endpoint: Endpoint) -> Endpoint:
    """The endpoint behind the credential check, with ids and errors as the service gives them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request_id = secrets.token_hex(16)
        counted = outcome
        try:
            require_credential(request.headers, state)
            response = await endpoint(request)
        except AzureRefusal as refusal:
            response = web.json_response(
                refusal.body, status=refusal.status, headers=refusal.headers
            )
            counted = refusal.outcome
        state.outcomes[f"azure_openai {counted}"] += 1
        if not response.prepared:
            response.headers["apim-request-id"] = request_id
        return response

    return handle


async def _save(part: BodyPartReader, path: Path) -> None:
    size_bytes = 0
    with path.open("wb") as file:
        while chunk := await part.read_chunk(READ_BYTES):
            size_bytes += len(chunk)
            if size_bytes > FILE_BYTES_MAX:
                raise body_too_large(FILE_BYTES_MAX)
            file.write(chunk)
