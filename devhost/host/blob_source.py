"""The storage side of a blob trigger: connection setting, path pattern, listing, reading."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import AsyncIterator
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.functions.meta import Datum
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobServiceClient

from devhost.host.errors import FunctionLoadError
from devhost.host.loading import LoadedFunction

# The storage SDK logs each request to the logger it is given; polling would fill the app's log.
_sdk_log = logging.getLogger("devhost.host.storage")
_sdk_log.setLevel(logging.WARNING)

_TOKEN = re.compile(r"\{([^{}]+)\}")


class BlobSource:
    """One function's container and pattern, such as `uploads/{slot}/{name}`."""

    def __init__(self, function: LoadedFunction) -> None:
        self._function = function
        self._setting = str(function.trigger.get("connection") or "AzureWebJobsStorage")
        pattern = str(function.trigger["path"]).strip("/")
        self.container, _, self._blob_pattern = pattern.partition("/")
        if "{" in self.container or not self._blob_pattern:
            raise FunctionLoadError(
                function.name,
                f"the blob path '{pattern}' must be a literal container and a blob pattern.",
            )
        self._prefix = self._blob_pattern.partition("{")[0]
        self._regex = _compile(self._blob_pattern)
        self._service: BlobServiceClient | None = None

    async def close(self) -> None:
        if self._service is not None:
            await self._service.close()

    def matches(self, blob_name: str) -> bool:
        return self._regex.fullmatch(blob_name) is not None

    async def pages(self) -> AsyncIterator[list[tuple[str, str]]]:
        """Every matching blob as (path, etag), one page of the listing at a time."""
        client = self.service().get_container_client(self.container)
        listing = client.list_blobs(name_starts_with=self._prefix or None)
        try:
            async for page in listing.by_page():
                yield [
                    (f"{self.container}/{blob.name}", bare_etag(blob.etag))
                    async for blob in page
                    if self.matches(blob.name)
                ]
        except ResourceNotFoundError:
            return  # the container does not exist yet

    async def etag(self, blob_name: str) -> str | None:
        """The current etag of a blob; None when it does not exist."""
        client = self.service().get_blob_client(self.container, blob_name)
        try:
            return bare_etag((await client.get_blob_properties()).etag)
        except ResourceNotFoundError:
            return None

    async def read(self, path: str, etag: str) -> tuple[bytes, dict[str, Datum]]:
        """Content and trigger metadata of this version.

        Raises ResourceNotFoundError or ResourceModifiedError when the version is gone.
        """
        blob_name = path.partition("/")[2]
        client = self.service().get_blob_client(self.container, blob_name)
        download = await client.download_blob(
            etag=f'"{etag}"', match_condition=MatchConditions.IfNotModified
        )
        content = await download.readall()
        return content, self._metadata(path, str(client.url), download.properties)

    def service(self) -> BlobServiceClient:
        """The client of the storage account behind the binding's connection setting."""
        if self._service is None:
            self._service = BlobServiceClient.from_connection_string(
                self._connection_string(), retry_total=0, logger=_sdk_log
            )
        return self._service

    def _connection_string(self) -> str:
        text = os.environ.get(self._setting) or os.environ.get(f"AzureWebJobs{self._setting}")
        if text:
            return text
        identity = f"{self._setting}__blobServiceUri"
        if os.environ.get(identity):
            raise FunctionLoadError(
                self._function.name,
                f"{identity} is an identity-based connection, which the local host does not "
                f"support; set {self._setting} to a connection string.",
            )
        raise FunctionLoadError(
            self._function.name,
            f"the storage connection string {self._setting} is not set; set it or pass --no-blob.",
        )

    def _metadata(self, path: str, uri: str, properties: BlobProperties) -> dict[str, Datum]:
        details: dict[str, Any] = {
            "ContentLength": properties.size,
            "Length": properties.size,
            "ETag": properties.etag,
            "ContentType": properties.content_settings.content_type,
            "LastModified": properties.last_modified.isoformat(),
        }
        match = self._regex.fullmatch(path.partition("/")[2])
        names = match.groupdict() if match else {}
        return {
            "BlobTrigger": Datum(type="string", value=path),
            "Uri": Datum(type="string", value=uri),
            "Properties": Datum(type="json", value=json.dumps(details)),
            "Metadata": Datum(type="json", value=json.dumps(properties.metadata or {})),
            **{name: Datum(type="string", value=value) for name, value in names.items()},
        }


def bare_etag(etag: str) -> str:
    """Listings give etags without quotes, headers with them."""
    return etag.strip('"')


def _compile(pattern: str) -> re.Pattern[str]:
    """Each `{token}` takes as much as it can, slashes included, as in the WebJobs SDK."""
    regex, position = "", 0
    for match in _TOKEN.finditer(pattern):
        regex += re.escape(pattern[position : match.start()]) + f"(?P<{match.group(1)}>.*)"
        position = match.end()
    return re.compile(regex + re.escape(pattern[position:]), re.DOTALL)
