"""Pictures in custody: who may see them, as bytes or as a short-lived link."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.identity import Caller, Permission, may, require
from shared.domain.ids import split_image_id
from shared.domain.ledger import Document, partition_for
from shared.domain.provenance_views import first_twin
from shared.domain.views import API_PREFIX, ImageView, image_view
from shared.domain.work import owner_of
from shared.errors import ImageArchived, NotFound
from shared.ports import Clock, ImageBytes, ImageStore, Records

LINK_LIFETIME = timedelta(minutes=15)
NO_SUCH = "There is no such image."


@dataclass(frozen=True)
class Images:
    """Reads what the ledger says was paid for."""

    records: Records
    store: ImageStore
    clock: Clock

    async def get(
        self,
        caller: Caller,
        image_id: str,
        permission: Permission = Permission.GENERATIONS_READ,
    ) -> ImageView:
        """What is known of a picture; NotFound unless the caller may see its generation."""
        view, _ = await self.found(caller, image_id, permission)
        return view

    async def found(
        self,
        caller: Caller,
        image_id: str,
        permission: Permission = Permission.GENERATIONS_READ,
    ) -> tuple[ImageView, Document]:
        """A picture and the record of its generation; NotFound as for `get`."""
        parts = split_image_id(image_id)
        if parts is None:
            raise NotFound(NO_SUCH)
        generation_id, index = parts
        record = await self.records.generation(generation_id)
        if record is None:
            raise NotFound(NO_SUCH)
        require(caller, permission, owner_of(record), "image")
        for image in record["images"]:
            if image["index"] == index:
                return image_view(generation_id, image), record
        raise NotFound(NO_SUCH)

    async def same_as(self, caller: Caller, view: ImageView) -> str | None:
        """The picture of this department and month that had these bytes first, if not this one.

        Only what the caller may see is named. The bytes are never shared: each picture is stored,
        held and erased for itself.
        """
        generation_id, _ = split_image_id(view.id) or ("", 0)
        twins = await self.records.generations_with_picture(
            partition_for(generation_id), view.sha256
        )
        seen = [each for each in twins if may(caller, Permission.GENERATIONS_READ, owner_of(each))]
        first = first_twin(seen, view.sha256)
        return None if first == view.id else first

    async def content(self, caller: Caller, image_id: str) -> ImageBytes:
        """The original bytes; NotFound as for `get`."""
        return await self.content_of(await self.get(caller, image_id))

    async def link(self, caller: Caller, image_id: str) -> tuple[str, datetime]:
        """A read-only link to this one picture, and when it ends; NotFound as for `get`."""
        return await self.link_of(await self.get(caller, image_id))

    async def content_of(self, view: ImageView) -> ImageBytes:
        """The original bytes of a picture that has been shown to the caller."""
        try:
            content = await self.store.read(*_place_of(view))
        except ImageArchived as archived:
            raise _archived(archived, view.id) from archived
        if content is None:
            raise NotFound(NO_SUCH)
        return content

    async def link_of(self, view: ImageView) -> tuple[str, datetime]:
        """A link to a picture that has been shown to the caller, and when it ends."""
        expires_at = self.clock.now() + LINK_LIFETIME
        try:
            url = await self.store.link(*_place_of(view), expires_at)
        except ImageArchived as archived:
            raise _archived(archived, view.id) from archived
        if url is None:
            raise NotFound(NO_SUCH)
        return url, expires_at


def _place_of(view: ImageView) -> tuple[str, int]:
    """The generation of a picture and its place in it."""
    parts = split_image_id(view.id)
    if parts is None:
        raise NotFound(NO_SUCH)
    return parts


def rehydrate_url(image_id: str) -> str:
    """Where to ask for an archived picture."""
    return f"{API_PREFIX}/images/{image_id}/rehydrate"


def _archived(archived: ImageArchived, image_id: str) -> ImageArchived:
    """The refusal of the store, with the way out of it."""
    return ImageArchived(
        archived.detail,
        extra={
            "image_url": f"{API_PREFIX}/images/{image_id}",
            "rehydrate_url": rehydrate_url(image_id),
        },
    )
