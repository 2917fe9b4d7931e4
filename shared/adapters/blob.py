"""The one connection to Blob storage and the one place where its errors are told apart."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from shared.errors import Unavailable

if TYPE_CHECKING:
    from azure.storage.blob import BlobSasPermissions
    from azure.storage.blob.aio import BlobClient, BlobServiceClient

T = TypeVar("T")
CLOCK_SKEW = timedelta(minutes=5)  # a link starts to hold this much before it is made
API_VERSION = "2025-11-05"  # the version that the pinned SDK and the local emulator both speak


@dataclass(frozen=True)
class BlobAccount:
    """Where the account is: a connection string locally, or a URL with the app's identity."""

    connection_string: str | None
    service_url: str | None
    identity: str | None = None  # client id of a user-assigned identity; the app's own if None


class BlobConnection:
    """Lazily made SDK client, one per worker; it binds to the event loop that uses it first."""

    def __init__(self, account: BlobAccount) -> None:
        self._account = account
        self._client: BlobServiceClient | None = None
        self._credential: Any = None

    def service(self) -> "BlobServiceClient":
        """The account's client."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def blob(self, container: str, name: str) -> "BlobClient":
        """A client of one blob."""
        return self.service().get_blob_client(container, name)

    async def link(  # noqa: PLR0917 - one line for each part of a signature
        self,
        container: str,
        name: str,
        permission: "BlobSasPermissions",
        now: datetime,
        expires_at: datetime,
        content_disposition: str | None = None,
    ) -> str:
        """A signed URL to one blob: by account key locally, by user delegation in Azure."""
        from azure.storage.blob import generate_blob_sas

        service = self.service()
        key = getattr(service.credential, "account_key", None)
        delegation = None
        if key is None:
            delegation = await answered(
                lambda: service.get_user_delegation_key(now - CLOCK_SKEW, expires_at)
            )
        signature = generate_blob_sas(
            account_name=str(service.account_name),
            container_name=container,
            blob_name=name,
            account_key=key,
            user_delegation_key=delegation,
            permission=permission,
            start=now - CLOCK_SKEW,
            expiry=expires_at,
            content_disposition=content_disposition,
        )
        return f"{self.blob(container, name).url}?{signature}"

    async def aclose(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        for closable in (self._client, self._credential):
            if closable is not None:
                await closable.close()
        self._client = self._credential = None

    def _connect(self) -> "BlobServiceClient":
        from azure.storage.blob.aio import BlobServiceClient

        if self._account.connection_string:
            return BlobServiceClient.from_connection_string(
                self._account.connection_string, api_version=API_VERSION
            )
        from azure.identity.aio import DefaultAzureCredential

        chosen = self._account.identity  # None would override AZURE_CLIENT_ID
        named = {"managed_identity_client_id": chosen} if chosen else {}
        self._credential = DefaultAzureCredential(**named)
        return BlobServiceClient(
            str(self._account.service_url), self._credential, api_version=API_VERSION
        )


def code_of(error: Exception) -> str:
    """The service's own word for what was wrong; empty when it gave none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


async def answered(send: Callable[[], Awaitable[T]]) -> T:
    """Run one storage call; raise Unavailable when the SDK's own retries got no answer."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        return await send()
    except HttpResponseError as error:
        if error.status_code is not None and error.status_code < 500 and error.status_code != 429:
            raise
        raise Unavailable("The picture store did not answer.", retry_after_s=5) from error
    except (TimeoutError, AzureError, OSError) as error:
        raise Unavailable("The picture store did not answer.", retry_after_s=5) from error
