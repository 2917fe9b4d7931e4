"""One picture in full: where it comes from, how it is stored, the way back from the archive."""

import asyncio
from dataclasses import dataclass

from shared.domain.blob_paths import RETENTION_TAG
from shared.domain.identity import Caller
from shared.domain.legal_holds import picture_of
from shared.domain.provenance_views import provenance_view
from shared.domain.storage_tiers import LifecyclePolicy
from shared.domain.storage_views import ImageDetailView, ImageStorageView, legal_hold_view
from shared.domain.views import API_PREFIX
from shared.ports.picture_storage import PictureRecords, PictureStorage
from shared.services.images import Images, rehydrate_url
from shared.services.rehydrations import Rehydrations
from shared.services.storage_tariff import StorageTariff


@dataclass(frozen=True)
class ImageDetails:
    """Describes pictures with the state of their blobs."""

    images: Images
    storage: PictureStorage
    records: PictureRecords
    rehydrations: Rehydrations
    tariff: StorageTariff
    policy: LifecyclePolicy

    async def get(self, caller: Caller, image_id: str) -> ImageDetailView:
        """One picture, its origin, and how it is stored now."""
        image, record = await self.images.found(caller, image_id)
        same_as, blob, hold, rehydration = await asyncio.gather(
            self.images.same_as(caller, image),
            self.storage.state(picture_of(image_id)),
            self.records.hold(image_id),
            self.records.rehydration(image_id),
        )
        is_archived = blob is not None and blob.tier == "archive" and not blob.rehydrating
        storage = ImageStorageView(
            tier=blob.tier if blob else "deleted",
            readable=blob is not None and blob.readable,
            rehydrating=blob is not None and blob.rehydrating,
            retention=blob.tags.get(RETENTION_TAG) if blob else None,
            delete_after=self.policy.deletion(blob) if blob else None,
            legal_hold=legal_hold_view(hold) if hold and hold.held else None,
            rehydration=self.rehydrations.view(rehydration) if rehydration else None,
            rehydrate_url=rehydrate_url(image_id) if is_archived else None,
            rehydration_prices=(
                self.tariff.rehydration_prices(blob) if blob and is_archived else ()
            ),
        )
        return ImageDetailView(
            **dict(image),
            thumbnail_url=f"{API_PREFIX}/images/{image_id}/thumbnail",
            same_as=same_as,
            provenance=provenance_view(record),
            storage=storage,
        )
