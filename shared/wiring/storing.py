"""Use cases of pictures over time: tiers, retention, holds, rehydration, thumbnails, reports."""

import threading
from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.bookkeeping import Bookkeeping

if TYPE_CHECKING:
    from shared.domain.storage_tiers import LifecyclePolicy
    from shared.ports.picture_storage import PictureStorage
    from shared.services.image_details import ImageDetails
    from shared.services.legal_holds import LegalHolds
    from shared.services.rehydrations import Rehydrations
    from shared.services.retention import Retention
    from shared.services.storage_reports import StorageReports
    from shared.services.storage_tariff import StorageTariff
    from shared.services.thumbnail_drawing import ThumbnailDrawing
    from shared.services.thumbnails import Thumbnails


class Storing(Bookkeeping):
    """Pictures over time."""

    _building_drawing = threading.Lock()

    @cached_property
    def lifecycle(self) -> "LifecyclePolicy":
        from shared.adapters.lifecycle_file import load_lifecycle

        return load_lifecycle(tracks_access=self.settings.storage_tracks_access)

    @cached_property
    def picture_storage(self) -> "PictureStorage":
        from shared.adapters.blob_picture_storage import BlobPictureStorage

        return BlobPictureStorage(self.blob)

    @cached_property
    def storage_tariff(self) -> "StorageTariff":
        from shared.adapters.storage_price_file import load_storage_prices
        from shared.services.storage_tariff import StorageTariff

        return StorageTariff(load_storage_prices(), self.catalogues, self.lifecycle, self.clock)

    @cached_property
    def rehydrations(self) -> "Rehydrations":
        from shared.services.rehydrations import Rehydrations

        return Rehydrations(
            images=self.images,
            storage=self.picture_storage,
            records=self.picture_records,
            tariff=self.storage_tariff,
            ledger=self.ledger,
            periods=self.budget_periods,
            calendars=self.calendars,
            directory=self.directory,
            clock=self.clock,
            alerts=self.alerts,
            freezes=self.freezes.watch,
        )

    @cached_property
    def image_details(self) -> "ImageDetails":
        from shared.services.image_details import ImageDetails

        return ImageDetails(
            images=self.images,
            storage=self.picture_storage,
            records=self.picture_records,
            rehydrations=self.rehydrations,
            tariff=self.storage_tariff,
            policy=self.lifecycle,
        )

    @cached_property
    def thumbnails(self) -> "Thumbnails":
        from shared.adapters.pillow_thumbnails import draw_thumbnail
        from shared.services.thumbnails import Thumbnails

        return Thumbnails(self.images, self.picture_storage, draw_thumbnail)

    @property
    def thumbnail_drawing(self) -> "ThumbnailDrawing":
        """Asked for by threads: a cached property alone may be built by several at once."""
        with self._building_drawing:
            return self._thumbnail_drawing

    @cached_property
    def _thumbnail_drawing(self) -> "ThumbnailDrawing":
        from shared.adapters.pillow_thumbnails import draw_thumbnail
        from shared.services.thumbnail_drawing import ThumbnailDrawing

        return ThumbnailDrawing(self.paid_pictures, draw_thumbnail)

    @cached_property
    def legal_holds(self) -> "LegalHolds":
        from shared.services.legal_holds import LegalHolds

        return LegalHolds(
            images=self.images,
            records=self.picture_records,
            storage=self.picture_storage,
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    @cached_property
    def retention(self) -> "Retention":
        from shared.services.retention import Retention

        return Retention(
            records=self.picture_records,
            storage=self.picture_storage,
            policy=self.lifecycle,
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    @cached_property
    def storage_reports(self) -> "StorageReports":
        from shared.services.storage_reports import StorageReports

        return StorageReports(
            storage=self.picture_storage,
            records=self.picture_records,
            reports=self.reports,
            tariff=self.storage_tariff,
            policy=self.lifecycle,
            clock=self.clock,
        )
