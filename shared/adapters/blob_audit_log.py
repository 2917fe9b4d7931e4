"""The verifiable log in Blob storage: files written once, registers by ETag, checkpoints.

auditlog/tile/...              what C2SP tlog-tiles says, written once
auditstate/...                 the sequencer's state and index
auditcheckpoints/{19 digits}   every signed checkpoint, in a container that Azure locks;
                               `.1` and so on if something else took the name before
auditwitness/...               what the witness saw, written under its own identity
"""

import logging
import re
from typing import Final

from shared.adapters.blob import BlobConnection, answered
from shared.domain.signed_notes import NOTE_BYTES_MAX, Verifier, signed_checkpoint
from shared.errors import InvariantBroken
from shared.ports.audit_log import Held

LOG_CONTAINER: Final = "auditlog"
STATE_CONTAINER: Final = "auditstate"
CHECKPOINT_CONTAINER: Final = "auditcheckpoints"
WITNESS_CONTAINER: Final = "auditwitness"
SIZE_MAX: Final = 10**19 - 1  # names count down from it, so that the newest is listed first
NAMES_PER_SIZE_MAX: Final = 10  # one, unless somebody else writes into the container
STRAYS_READ_MAX: Final = 1_000  # about 10 s: the next run must not wait for this one
_NAME: Final = re.compile(r"([0-9]{19})(?:\.[1-9])?")

logger = logging.getLogger("eig.audit_log_files")


class BlobLogFiles:
    """Implements the LogFiles port."""

    def __init__(self, connection: BlobConnection, container: str = LOG_CONTAINER) -> None:
        self._connection = connection
        self._container = container

    async def read(self, name: str, bytes_max: int | None = None) -> bytes | None:
        """A file, or as much of its beginning."""
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._connection.blob(self._container, name)

        async def fetch() -> bytes:
            start = None if bytes_max is None else 0
            return await (await blob.download_blob(start, bytes_max)).readall()

        try:
            return await answered(fetch)
        except ResourceNotFoundError:
            return None

    async def create(self, name: str, content: bytes) -> None:
        if await _created(self._connection, self._container, name, content):
            return
        if await self.read(name) != content:
            raise InvariantBroken(f"{name} of the audit log stands with another content.")


class BlobRegisters:
    """Implements the Registers port."""

    def __init__(self, connection: BlobConnection, container: str) -> None:
        self._connection = connection
        self._container = container

    async def load(self, name: str) -> Held | None:
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._connection.blob(self._container, name)

        async def fetch() -> Held:
            download = await blob.download_blob()
            return Held(await download.readall(), str(download.properties.etag))

        try:
            return await answered(fetch)
        except ResourceNotFoundError:
            return None

    async def save(self, name: str, content: bytes, version: str | None) -> bool:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError

        if version is None:
            return await _created(self._connection, self._container, name, content)
        blob = self._connection.blob(self._container, name)
        try:
            await answered(
                lambda: blob.upload_blob(
                    content,
                    overwrite=True,
                    etag=version,
                    match_condition=MatchConditions.IfNotModified,
                )
            )
        except ResourceModifiedError:
            return False
        return True


class BlobCheckpoints:
    """Implements the Checkpoints port."""

    def __init__(self, connection: BlobConnection) -> None:
        self._connection = connection
        self._files = BlobLogFiles(connection, CHECKPOINT_CONTAINER)

    async def newest(self, log: Verifier) -> str | None:
        container = self._connection.service().get_container_client(CHECKPOINT_CONTAINER)

        async def first() -> tuple[str | None, int]:
            strays = 0
            async for name in container.list_blob_names(results_per_page=NAMES_PER_SIZE_MAX):
                note = await self._genuine(str(name), log)
                if note is not None:
                    return note, strays
                strays += 1
                if strays > STRAYS_READ_MAX:
                    raise InvariantBroken("The container of checkpoints is full of other blobs.")
            return None, strays

        note, strays = await answered(first)
        if strays:
            logger.error("blobs among the checkpoints are none", extra={"count": strays})
        return note

    async def keep(self, log: Verifier, size: int, note: str) -> str:
        for number in range(NAMES_PER_SIZE_MAX):
            name = f"{SIZE_MAX - size:019d}" + (f".{number}" if number else "")
            if await _created(self._connection, CHECKPOINT_CONTAINER, name, note.encode()):
                return note
            standing = await self._genuine(name, log)
            if standing is not None:
                return standing
            logger.error("a name of a checkpoint is taken by something else")
        raise InvariantBroken("Every name for this checkpoint is taken by something else.")

    async def _genuine(self, name: str, log: Verifier) -> str | None:
        """The note of this name, if the log has signed it for this size."""
        named = _NAME.fullmatch(name)
        content = await self._files.read(name, NOTE_BYTES_MAX) if named else None
        if named is None or content is None:
            return None
        note = content.decode(errors="replace")
        checkpoint = signed_checkpoint(note, log)
        is_it = checkpoint is not None and checkpoint.size == SIZE_MAX - int(named[1])
        return note if is_it else None


async def _created(connection: BlobConnection, container: str, name: str, content: bytes) -> bool:
    """Create a blob; False if there is one."""
    from azure.core.exceptions import ResourceExistsError

    blob = connection.blob(container, name)
    try:
        await answered(lambda: blob.upload_blob(content, overwrite=False))
    except ResourceExistsError:
        return False
    return True
