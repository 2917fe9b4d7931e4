"""A credential in Azure Key Vault, kept for minutes, read again when a provider refuses it."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from shared.errors import InvariantBroken, Unavailable
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.keyvault.secrets.aio import SecretClient

KEPT_S: Final = 300  # a rotation is noticed so soon even if the old value still works
RENEWAL_PAUSE_S: Final = 10  # a value that is simply wrong must not become a storm of reads
RETRIES_MAX: Final = 3  # Key Vault throttles by 10 s: what fails so often is a problem to report
TIMEOUT_S: Final = 10

logger = logging.getLogger("eig.secrets")


class KeyVaultSecret:
    """Implements the Secret port; `client_options` go to the SDK's client.

    While the vault does not answer, the last value goes on being used: its provider is the judge.
    """

    def __init__(
        self, secret_url: str, clock: Clock, *, credential: Any = None, **client_options: Any
    ) -> None:
        parts = urlsplit(secret_url)
        path = parts.path.strip("/").split("/")
        if parts.scheme != "https" or len(path) != 2 or path[0] != "secrets":
            raise InvariantBroken("A secret's address is https://{vault}/secrets/{name}.")
        self._vault, self._name = f"https://{parts.netloc}", path[1]
        self._clock = clock
        self._credential = credential
        self._options: dict[str, Any] = {
            "retry_total": RETRIES_MAX,
            "connection_timeout": TIMEOUT_S,
            "read_timeout": TIMEOUT_S,
            **client_options,
        }
        self._client: SecretClient | None = None
        self._kept: tuple[str, float] | None = None  # the value, and when it was read
        self._tried_at = float("-inf")
        self._renewed_at = float("-inf")  # when a refusal last led to a read
        self._reading = asyncio.Lock()

    async def value(self) -> str:
        async with self._reading:
            now_s = self._now_s()
            just_tried = now_s - self._tried_at < RENEWAL_PAUSE_S
            if self._kept is not None and (now_s - self._kept[1] < KEPT_S or just_tried):
                return self._kept[0]
            return await self._read()

    async def renewed(self, refused: str) -> str | None:
        async with self._reading:
            standing = self._kept[0] if self._kept else None
            if standing == refused and self._now_s() - self._renewed_at >= RENEWAL_PAUSE_S:
                self._renewed_at = self._now_s()
                standing = await self._read()
            return standing if standing != refused else None

    async def aclose(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        if self._client is not None:
            await self._client.close()
        if self._credential is not None:
            await self._credential.close()
        self._client, self._kept = None, None

    async def _read(self) -> str:
        from azure.core.exceptions import AzureError

        self._tried_at = self._now_s()
        try:
            found = await self._open().get_secret(self._name)
        except AzureError as error:
            if self._kept is not None:
                logger.warning("secret not read again", extra={"secret": self._name})
                return self._kept[0]
            status = getattr(error, "status_code", None)
            if status in (401, 403, 404):
                raise InvariantBroken("The key vault refused to show a secret.") from error
            raise Unavailable("The key vault did not answer.", retry_after_s=5) from error
        if not found.value:
            raise InvariantBroken("A secret in the key vault is empty.")
        self._kept = (found.value, self._now_s())
        return found.value

    def _open(self) -> "SecretClient":
        if self._client is None:
            from azure.keyvault.secrets.aio import SecretClient

            if self._credential is None:
                from azure.identity.aio import DefaultAzureCredential

                self._credential = DefaultAzureCredential()
            self._client = SecretClient(self._vault, self._credential, **self._options)
        return self._client

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
