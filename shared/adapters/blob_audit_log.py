"""The verifiable log in Blob storage: files written once, registers by ETag, checkpoints.

auditlog/tile/...              what C2SP tlog-tiles says, written once
auditstate/...                 the sequencer's state and index
auditcheckpoints/{19 digits}   every signed checkpoint, in a container that Azure locks
auditwitness/...               what the witness saw, written under its own identity
"""

from typing import Final

from shared.adapters.blob import BlobConnection, answered
from shared.errors import InvariantBroken
from shared.ports.audit_log import Held

LOG_CONTAINER: Final = "auditlog"
STATE_CONTAINER: Final = "auditstate"
CHECKPOINT_CONTAINER: Final = "auditcheckpoints"
WITNESS_CONTAINER: Final = "auditwitness"
SIZE_MAX: Final = 10**19 - 1  # names count down from it, so that the newest is listed first


class BlobLogFiles:
    """Implements the LogFiles port."""

    def __init__(self, connection: BlobConnection, container: str = LOG_CONTAINER) -> None:
        self._connection = connection
        self._container = container

    async def read(self, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._connection.blob(self._container, name)

        async def fetch() -> bytes:
            return await (await blob.download_blob()).readall()

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

    async def newest(self) -> str | None:
        container = self._connection.service().get_container_client(CHECKPOINT_CONTAINER)

        async def first() -> str | None:
            async for name in container.list_blob_names(results_per_page=1):
                return str(name)
            return None

        name = await answered(first)
        content = await self._files.read(name) if name else None
        return content.decode() if content is not None else None

    async def keep(self, size: int, note: str) -> str:
        name = f"{SIZE_MAX - size:019d}"
        if await _created(self._connection, CHECKPOINT_CONTAINER, name, note.encode()):
            return note
        standing = await self._files.read(name)
        if standing is None:
            raise InvariantBroken("A checkpoint that exists could not be read.")
        return standing.decode()


async def _created(connection: BlobConnection, container: str, name: str, content: bytes) -> bool:
    """Create a blob; False if there is one."""
    from azure.core.exceptions import ResourceExistsError

    blob = connection.blob(container, name)
    try:
        await answered(lambda: blob.upload_blob(content, overwrite=False))
    except ResourceExistsError:
        return False
    return True
