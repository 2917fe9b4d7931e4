"""Wrapping keys in Azure Key Vault (RSA-OAEP-256); only it can unwrap, and it logs each time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from shared.domain.data_keys import WrappedKey
from shared.errors import InvariantBroken, Unavailable
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.keyvault.keys.aio import KeyClient
    from azure.keyvault.keys.crypto.aio import CryptographyClient

T = TypeVar("T")
ALGORITHM = "RSA-OAEP-256"
NEWEST_KEPT_S = 300  # a rotation is noticed so soon; until then new keys get the old version
VERSIONS_OPEN_MAX = 8  # clients kept open; in a rotation there are two versions in use
RETRIES_MAX = 3  # Key Vault throttles by 10 s: what fails so often is a problem to report
TIMEOUT_S = 10
_MAY_BE_REPEATED = frozenset({408, 429})
# The SDK takes a POST for one that changes something; ours compute, and may be sent again.
_REPEATABLE: dict[str, Any] = {"retry_on_methods": frozenset({"GET", "POST"})}


class KeyVaultKeys:
    """Implements the KeyWrapper port; `client_options` go to the SDK's clients."""

    def __init__(
        self, key_url: str, clock: Clock, *, credential: Any = None, **client_options: Any
    ) -> None:
        self._key_url = key_url.rstrip("/")
        self._clock = clock
        self._credential = credential
        self._options: dict[str, Any] = {
            "retry_total": RETRIES_MAX,
            "connection_timeout": TIMEOUT_S,
            "read_timeout": TIMEOUT_S,
            **client_options,
        }
        self._keys: KeyClient | None = None
        self._versions: OrderedDict[str, CryptographyClient] = OrderedDict()
        self._newest: tuple[str, float] | None = None  # version, and until when it is taken for it
        self._opening = asyncio.Lock()

    async def newest(self) -> str:
        now_s = self._clock.now().timestamp()
        if self._newest is None or self._newest[1] <= now_s:
            client = self._key_client()
            name = self._key_url.rpartition("/")[2]
            found = await _answered(lambda: client.get_key(name))
            self._newest = (str(found.id), now_s + NEWEST_KEPT_S)
        return self._newest[0]

    async def wrap(self, secret: bytes) -> WrappedKey:
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        version = await self.newest()
        client = await self._version(version)
        done = await _answered(
            lambda: client.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, secret, **_REPEATABLE)
        )
        return WrappedKey(version, ALGORITHM, done.encrypted_key)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        # The name comes from a document: it must not lead our credential to another vault.
        if not wrapped.kek.startswith(f"{self._key_url}/") or wrapped.algorithm != ALGORITHM:
            raise InvariantBroken("A data key was wrapped by a key that is not ours.")
        client = await self._version(wrapped.kek)
        done = await _answered(
            lambda: client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.wrapped, **_REPEATABLE)
        )
        secret: bytes = done.key
        return secret

    async def aclose(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        for client in (self._keys, *self._versions.values()):
            if client is not None:
                await client.close()
        if self._credential is not None:
            await self._credential.close()
        self._keys, self._newest = None, None
        self._versions.clear()

    def _key_client(self) -> "KeyClient":
        if self._keys is None:
            from azure.keyvault.keys.aio import KeyClient

            parts = urlsplit(self._key_url)
            vault = f"{parts.scheme}://{parts.netloc}"
            self._keys = KeyClient(vault, self._identity(), **self._options)
        return self._keys

    async def _version(self, version: str) -> "CryptographyClient":
        async with self._opening:
            client = self._versions.get(version)
            if client is None:
                from azure.keyvault.keys.crypto.aio import CryptographyClient

                client = CryptographyClient(version, self._identity(), **self._options)
                self._versions[version] = client
            self._versions.move_to_end(version)
            while len(self._versions) > VERSIONS_OPEN_MAX:
                _, oldest = self._versions.popitem(last=False)
                await oldest.close()
            return client

    def _identity(self) -> Any:
        if self._credential is None:
            from azure.identity.aio import DefaultAzureCredential

            self._credential = DefaultAzureCredential()
        return self._credential


async def _answered(send: Callable[[], Awaitable[T]]) -> T:
    from azure.core.exceptions import AzureError

    try:
        return await send()
    except AzureError as error:
        status = getattr(error, "status_code", None)
        if status is None or status in _MAY_BE_REPEATED or status >= 500:
            raise Unavailable("The key vault did not answer.", retry_after_s=5) from error
        raise InvariantBroken("The key vault refused to use the wrapping key.") from error
