"""A credential in Azure Key Vault, kept for minutes, read again when a provider refuses it."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from shared.errors import EigError, InvariantBroken, Unavailable
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.keyvault.secrets.aio import SecretClient

KEPT_S: Final = 300  # a rotation is noticed so soon even if the old value still works
REFUSED_KEPT_S: Final = KEPT_S + 60  # a refusal is asked about again for a minute: it may be a slip
RENEWAL_PAUSE_S: Final = 10  # a value that is simply wrong must not become a storm of reads
READ_TIMEOUT_S: Final = 5  # of a read as a whole, which takes 0.1 s: somebody's order waits for it
TRY_TIMEOUT_S: Final = 2  # so that a lost packet leaves time for a second try
RETRIES_MAX: Final = 3  # what fails so often is a problem to report
REFUSALS: Final = (403, 404)  # disabled, deleted, or not ours to read
UNAUTHENTICATED: Final = 401  # says nothing of the secret: the vault does not accept our sign-in

logger = logging.getLogger("eig.secrets")


class KeyVaultSecret:
    """Implements the Secret port; `client_options` go to the SDK's client.

    One read at a time, and whoever finds a value meanwhile does not wait for it. A vault that is
    silent leaves the last value in use: its provider is the judge. One that refuses ends it.
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
            "connection_timeout": TRY_TIMEOUT_S,
            "read_timeout": TRY_TIMEOUT_S,
            **client_options,
        }
        self._client: SecretClient | None = None
        self._kept: tuple[str, float] | None = None  # the value, and when it was read
        self._ends_at = float("inf")  # the kept value: once the vault has refused it
        self._tried_at = float("-inf")  # when the last read ended, whatever came of it
        self._renewed_at = float("-inf")  # when a refusal by the provider last led to a read
        self._reading: asyncio.Task[str] | None = None
        self._renewing = asyncio.Lock()

    async def value(self) -> str:
        standing = self._standing()
        return await self._read() if standing is None or self._is_due() else standing

    async def renewed(self, refused: str) -> str | None:
        async with self._renewing:
            try:
                if self._reading is not None:  # it may have begun before the rotation
                    await self._read()
                pause_is_over = self._now_s() - self._renewed_at >= RENEWAL_PAUSE_S
                if self._standing() == refused and pause_is_over:
                    self._renewed_at = self._now_s()
                    await self._read()
            except EigError:
                return None  # there is none at all
            standing = self._standing()
            return standing if standing != refused else None

    async def aclose(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        if self._client is not None:
            await self._client.close()
        if self._credential is not None:
            await self._credential.close()
        self._client, self._kept = None, None

    def _standing(self) -> str | None:
        """The kept value, unless the vault refused it and has not taken that back in time."""
        if self._kept is not None and self._now_s() >= self._ends_at:
            logger.error("secret given up", extra={"secret_name": self._name})
            self._kept = None
        return self._kept[0] if self._kept else None

    def _is_due(self) -> bool:
        """Whether the kept value is to be read again, and nobody does so or just tried."""
        now_s = self._now_s()
        just_tried = now_s - self._tried_at < RENEWAL_PAUSE_S
        is_old = self._kept is None or now_s - self._kept[1] >= KEPT_S
        return is_old and not just_tried and self._reading is None

    async def _read(self) -> str:
        """One read for all who need it now; one who is cancelled does not end it for the others."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._ask())
        return await asyncio.shield(self._reading)

    async def _ask(self) -> str:
        from azure.core.exceptions import AzureError

        try:
            client = self._open()
            async with asyncio.timeout(READ_TIMEOUT_S):
                found = await client.get_secret(self._name)
        except (AzureError, TimeoutError) as error:
            status = getattr(error, "status_code", None)
            if status in REFUSALS:
                return self._despite_refusal("The key vault refused to show a secret.")
            if (standing := self._standing()) is not None:
                logger.warning("secret not read again", extra={"secret_name": self._name})
                return standing
            if status == UNAUTHENTICATED:
                raise InvariantBroken("The key vault does not know this app.") from error
            raise Unavailable("The key vault did not answer.", retry_after_s=5) from error
        finally:
            self._tried_at, self._reading = self._now_s(), None
        if not found.value or not (found.value.isascii() and found.value.isprintable()):
            # A line's end behind it, and no request can be made with it.
            return self._despite_refusal("A secret in the key vault is empty or no plain text.")
        self._kept, self._ends_at = (found.value, self._now_s()), float("inf")
        return found.value

    def _despite_refusal(self, detail: str) -> str:
        """The kept value while it may still be used; raises InvariantBroken from then on."""
        if self._kept is not None:
            self._ends_at = self._kept[1] + REFUSED_KEPT_S
        standing = self._standing()
        if standing is None:
            raise InvariantBroken(detail)
        logger.warning("secret refused", extra={"secret_name": self._name})
        return standing

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
