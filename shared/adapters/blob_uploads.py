"""The upload container: write-only links for departments, bounded reads for us."""

import tempfile
from datetime import datetime
from typing import BinaryIO, cast

from shared.adapters.blob import BlobConnection, answered
from shared.domain.batch_files import DEFAULT_LIMITS
from shared.ports import Clock, UploadedFile

UPLOADS_CONTAINER = "uploads"
SPOOL_BYTES_MAX = 4 * 1024 * 1024  # larger files wait on disk
READ_BYTES_MAX = DEFAULT_LIMITS.file_bytes_max + 1  # one byte over lets the parser refuse the file


class BlobUploads:
    """Implements the Uploads port."""

    def __init__(self, connection: BlobConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def slot_link(self, slot_id: str, file_name: str, expires_at: datetime) -> str:
        from azure.storage.blob import BlobSasPermissions

        return await self._connection.link(
            UPLOADS_CONTAINER,
            f"{slot_id}/{file_name}",
            BlobSasPermissions(create=True),  # create, not write: nothing can be replaced or read
            self._clock.now(),
            expires_at,
        )

    async def open(self, path: str) -> UploadedFile | None:
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._connection.blob(UPLOADS_CONTAINER, path)
        try:
            # The whole file and not a range of it: an empty file has no range to ask for.
            download = await answered(blob.download_blob)
        except ResourceNotFoundError:
            return None
        spool = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES_MAX))  # noqa: SIM115

        async def fill() -> None:
            async for chunk in download.chunks():
                spool.write(chunk[: READ_BYTES_MAX - spool.tell()])
                if spool.tell() == READ_BYTES_MAX:
                    return

        try:
            await answered(fill)
        except BaseException:
            spool.close()
            raise
        spool.seek(0)
        return UploadedFile(
            etag=str(download.properties.etag).strip('"'),
            last_modified=download.properties.last_modified,
            stream=spool,
        )
