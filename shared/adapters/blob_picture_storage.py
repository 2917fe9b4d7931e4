"""Tiers, tags and thumbnails of pictures in Blob storage."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.adapters.blob import BlobConnection, answered, code_of
from shared.adapters.blob_tags import create, follow, if_there, retag
from shared.domain.blob_paths import (
    HELD,
    HOLD_REVISION_TAG,
    HOLD_TAG,
    IMAGES_CONTAINER,
    NOT_HELD,
    RETENTION_TAG,
    THUMBNAIL_TYPE,
    THUMBNAILS_CONTAINER,
    UNDECIDED,
    PictureName,
)
from shared.domain.storage_prices import Priority
from shared.domain.storage_tiers import TIERS, StoredBlob, Tier
from shared.errors import InvariantBroken, NotFound

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient

UNDECIDED_MAX = 100  # looked after in one run of the sweep
# In a warmer tier the next run would move it here, and its days online would begin anew.
REHYDRATED_TO = "Cold"


class BlobPictureStorage:
    """Implements the PictureStorage port."""

    def __init__(self, connection: BlobConnection) -> None:
        self._connection = connection

    async def state(self, picture: PictureName) -> StoredBlob | None:
        blob = self._connection.blob(IMAGES_CONTAINER, picture.blob)
        found = await if_there(blob.get_blob_properties)
        tags = None if found is None else await if_there(blob.get_blob_tags)
        if found is None or tags is None:
            return None
        return _stored(IMAGES_CONTAINER, found, tags)

    async def rehydrate(self, picture: PictureName, priority: Priority) -> None:
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import RehydratePriority

        blob = self._connection.blob(IMAGES_CONTAINER, picture.blob)
        wanted = RehydratePriority(priority.title())

        async def start() -> bool:
            await blob.set_standard_blob_tier(REHYDRATED_TO, rehydrate_priority=wanted)
            return True

        try:
            if await if_there(start) is None:
                raise NotFound("The picture has been deleted.")
        except HttpResponseError as error:
            if code_of(error) != "BlobBeingRehydrated":
                raise

    async def touch(self, picture: PictureName) -> None:
        blob = self._connection.blob(IMAGES_CONTAINER, picture.blob)

        async def read_one() -> bytes:
            content: bytes = await (await blob.download_blob(offset=0, length=1)).readall()
            return content

        await if_there(read_one)

    async def set_hold(self, picture: PictureName, revision: int, *, held: bool) -> None:
        decided = {HOLD_TAG: HELD if held else NOT_HELD, HOLD_REVISION_TAG: str(revision)}

        def tagged(tags: Mapping[str, str]) -> Mapping[str, str]:
            return tags if int(tags.get(HOLD_REVISION_TAG, 0)) > revision else {**tags, **decided}

        for blob in self._both(picture):
            await retag(blob, tagged)

    async def undecided(self) -> Sequence[PictureName]:
        condition = f"@container='{IMAGES_CONTAINER}' AND \"{RETENTION_TAG}\"='{UNDECIDED}'"

        async def read() -> list[PictureName]:
            found: list[PictureName] = []
            async for blob in self._connection.service().find_blobs_by_tags(condition):
                *_, generation_id, index = str(blob.name).split("/")
                found.append(PictureName(generation_id, int(index)))
                if len(found) == UNDECIDED_MAX:
                    break
            return found

        return await answered(read)

    async def decide(self, picture: PictureName, retention: str) -> None:
        def decided(tags: Mapping[str, str]) -> Mapping[str, str]:
            is_open = tags.get(RETENTION_TAG) == UNDECIDED
            return {**tags, RETENTION_TAG: retention} if is_open else tags

        for blob in self._both(picture):
            await retag(blob, decided)

    async def pictures(self, department_id: str) -> AsyncIterator[StoredBlob]:
        for container in (IMAGES_CONTAINER, THUMBNAILS_CONTAINER):
            client = self._connection.service().get_container_client(container)
            pages = client.list_blobs(
                name_starts_with=f"{department_id}/", include=["tags"]
            ).by_page()

            async def next_page(pages: Any = pages) -> list[StoredBlob] | None:
                try:
                    page = await anext(pages)
                except StopAsyncIteration:
                    return None
                return [_stored(container, each, each.tags or {}) async for each in page]  # noqa: B023

            while (page := await answered(next_page)) is not None:
                for each in page:
                    yield each

    async def thumbnail(self, picture: PictureName) -> bytes | None:
        blob = self._connection.blob(THUMBNAILS_CONTAINER, picture.thumbnail)

        async def download() -> bytes:
            content: bytes = await (await blob.download_blob()).readall()
            return content

        return await if_there(download)

    async def put_thumbnail(self, picture: PictureName, content: bytes) -> None:
        from azure.storage.blob import ContentSettings

        original, thumbnail = self._both(picture)
        tags = await if_there(original.get_blob_tags)
        if tags is None:
            return
        settings = ContentSettings(content_type=THUMBNAIL_TYPE)

        async def upload(*, overwrite: bool) -> None:
            await thumbnail.upload_blob(
                content, overwrite=overwrite, tags=tags, content_settings=settings
            )

        await create(upload)
        await follow(thumbnail, original)

    def _both(self, picture: PictureName) -> tuple["BlobClient", "BlobClient"]:
        return (
            self._connection.blob(IMAGES_CONTAINER, picture.blob),
            self._connection.blob(THUMBNAILS_CONTAINER, picture.thumbnail),
        )


def _stored(container: str, found: Any, tags: Mapping[str, str]) -> StoredBlob:
    """What the SDK tells of a blob, in properties and in listings alike."""
    created, modified = found.creation_time, found.last_modified
    if not isinstance(created, datetime) or not isinstance(modified, datetime):
        raise InvariantBroken("Storage did not say how old a blob is.")
    return StoredBlob(
        path=f"{container}/{found.name}",
        tier=_tier(found.blob_tier),
        size_bytes=int(found.size),
        created=created,
        modified=modified,
        tags=dict(tags),
        tier_changed=None if found.blob_tier_inferred else found.blob_tier_change_time,
        last_accessed=found.last_accessed_on,
        rehydrating=bool(found.archive_status),
    )


def _tier(name: object) -> Tier:
    for tier in TIERS:
        if str(name).lower() == tier:
            return tier
    raise InvariantBroken("A picture lies in a tier that we do not know.")
