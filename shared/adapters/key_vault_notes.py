"""A note key in Azure Key Vault: an EC key on P-256 that signs there and never leaves (ES256)."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from shared.domain.signed_notes import Verifier
from shared.errors import InvariantBroken, Unavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.keyvault.keys import KeyVaultKey

T = TypeVar("T")


class KeyVaultNoteSigner:
    """Implements the NoteSigner port; the newest version of the key is looked up once."""

    def __init__(
        self,
        name: str,
        key_url: str,
        identity: str | None = None,
        *,
        credential: "AsyncTokenCredential | None" = None,
        **client_options: Any,
    ) -> None:
        """`key_url`: https://{vault}/keys/{name}[/{version}]; options go to the SDK's clients."""
        self._name = name
        self._url = urlsplit(key_url)
        self._identity = identity
        self._credential = credential
        self._options = client_options
        self._key: KeyVaultKey | None = None
        self._opening = asyncio.Lock()

    async def verifier(self) -> Verifier:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        jwk: Any = (await self._opened()).key  # its fields are set from the answer
        if jwk.crv != "P-256":
            raise InvariantBroken("The key of the audit log is not on the curve P-256.")
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(jwk.x, "big"), int.from_bytes(jwk.y, "big"), ec.SECP256R1()
        )
        public_key = numbers.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return Verifier(self._name, public_key)

    async def sign(self, message: bytes) -> bytes:
        from azure.keyvault.keys.crypto import SignatureAlgorithm
        from azure.keyvault.keys.crypto.aio import CryptographyClient
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        key = await self._opened()
        digest = hashlib.sha256(message).digest()

        async def send() -> bytes:
            async with CryptographyClient(key, self._identified(), **self._options) as client:
                return (await client.sign(SignatureAlgorithm.es256, digest)).signature

        raw = await _answered(send)
        half = len(raw) // 2
        return encode_dss_signature(
            int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        )

    async def _opened(self) -> "KeyVaultKey":
        from azure.keyvault.keys.aio import KeyClient

        _, _, key_name, *version = self._url.path.split("/")
        async with self._opening:
            if self._key is None:
                vault = f"{self._url.scheme}://{self._url.netloc}"

                async def send() -> "KeyVaultKey":
                    async with KeyClient(vault, self._identified(), **self._options) as client:
                        return await client.get_key(key_name, version[0] if version else None)

                self._key = await _answered(send)
        return self._key

    def _identified(self) -> "AsyncTokenCredential":
        if self._credential is None:
            from azure.identity.aio import DefaultAzureCredential

            # None would override AZURE_CLIENT_ID.
            named = {"managed_identity_client_id": self._identity} if self._identity else {}
            self._credential = DefaultAzureCredential(**named)
        return self._credential


async def _answered(send: Callable[[], Awaitable[T]]) -> T:
    """Run one call; raise Unavailable when the SDK's own retries got no answer."""
    from azure.core.exceptions import AzureError

    try:
        return await send()
    except (AzureError, OSError, TimeoutError) as error:
        raise Unavailable("The key store did not answer.", retry_after_s=5) from error
