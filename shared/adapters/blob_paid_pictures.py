"""Paid pictures read back, and thumbnails written, by threads: over a blocking client of their own.

The other adapters' client belongs to the event loop, which a thread must not enter.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from shared.adapters.blob import API_VERSION, BlobAccount, code_of
from shared.adapters.blob_tags import CONDITION_NOT_MET, TAG_TRIES_MAX, as_read
from shared.domain.blob_paths import (
    IMAGES_CONTAINER,
    THUMBNAIL_TYPE,
    THUMBNAILS_CONTAINER,
    PictureName,
)
from shared.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobServiceClient

T = TypeVar("T")
# Short: nobody waits for a thumbnail, but others wait for the thread.
TRANSPORT: Final[Mapping[str, Any]] = {
    "retry_total": 2,
    "connection_timeout": 5,
    "read_timeout": 20,
}
ARCHIVED_CODES = frozenset({"BlobArchived", "BlobBeingRehydrated"})


class BlobPaidPictures:
    """Implements the PaidPictures port; one client per worker, which all threads share."""

    def __init__(self, account: BlobAccount) -> None:
        self._account = account
        self._client: BlobServiceClient | None = None
        self._connecting = threading.Lock()
        self._opened = ExitStack()

    def read(self, picture: PictureName, file: IO[bytes]) -> bool:
        from azure.core.exceptions import HttpResponseError

        blob = self._located(IMAGES_CONTAINER, picture.blob)

        def download() -> int:
            return blob.download_blob().readinto(file)

        try:
            return _if_there(download) is not None
        except HttpResponseError as error:
            if code_of(error) in ARCHIVED_CODES:
                return False
            raise

    def put_thumbnail(self, picture: PictureName, content: bytes) -> bool:
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import ContentSettings

        original = self._located(IMAGES_CONTAINER, picture.blob)
        thumbnail = self._located(THUMBNAILS_CONTAINER, picture.thumbnail)
        tags = _if_there(original.get_blob_tags)
        if tags is None:
            return False
        settings = ContentSettings(content_type=THUMBNAIL_TYPE)

        def upload() -> None:
            thumbnail.upload_blob(content, overwrite=False, tags=tags, content_settings=settings)

        try:
            _answered(upload)
        except ResourceExistsError:  # then it has tags, perhaps those of a legal hold
            _follow(thumbnail, original, None)
            return False
        _follow(thumbnail, original, tags)
        return True

    def close(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        with self._connecting:
            self._opened.close()
            self._client = None

    def _located(self, container: str, name: str) -> "BlobClient":
        with self._connecting:
            if self._client is None:
                self._client = self._opened.enter_context(self._connect())
            return self._client.get_blob_client(container, name)

    def _connect(self) -> "BlobServiceClient":
        from azure.storage.blob import BlobServiceClient

        if self._account.connection_string:
            return BlobServiceClient.from_connection_string(
                self._account.connection_string, api_version=API_VERSION, **TRANSPORT
            )
        from azure.identity import DefaultAzureCredential

        chosen = self._account.identity  # None would override AZURE_CLIENT_ID
        named = {"managed_identity_client_id": chosen} if chosen else {}
        credential = self._opened.enter_context(DefaultAzureCredential(**named))
        return BlobServiceClient(
            str(self._account.service_url), credential, api_version=API_VERSION, **TRANSPORT
        )


def _follow(
    thumbnail: "BlobClient", original: "BlobClient", written: Mapping[str, str] | None
) -> None:
    """Give a thumbnail the tags of its picture as they are by now; others may be changing both.

    They change the picture first. While that still has what was `written`, they find the thumbnail
    when they come to it; with None it has to be looked at.
    """
    from azure.core.exceptions import HttpResponseError

    for _ in range(TAG_TRIES_MAX):
        wanted = _if_there(original.get_blob_tags)
        if wanted is None or wanted == written:
            return
        standing = _if_there(thumbnail.get_blob_tags)
        if standing is None or standing == wanted:
            return
        condition: dict[str, Any] = dict(as_read(standing))
        try:
            _answered(partial(thumbnail.set_blob_tags, wanted, **condition))
            written = wanted
        except HttpResponseError as error:
            if code_of(error) != CONDITION_NOT_MET and error.status_code != 404:
                raise
            written = None
    raise Conflict("The tags of this picture are being changed by others; try again.")


def _if_there(send: Callable[[], T]) -> T | None:
    """What a call on one blob answers; None if there is no such blob."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return _answered(send)
    except ResourceNotFoundError:
        return None


def _answered(send: Callable[[], T]) -> T:
    """Run one storage call; raise Unavailable when the SDK's own retries got no answer."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        return send()
    except HttpResponseError as error:
        if error.status_code is not None and error.status_code < 500 and error.status_code != 429:
            raise
        raise Unavailable("The picture store did not answer.", retry_after_s=5) from error
    except (TimeoutError, AzureError, OSError) as error:
        raise Unavailable("The picture store did not answer.", retry_after_s=5) from error
