"""What the SDK's clients need in order to talk to the emulated Key Vault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken


class AnyCredential:
    """Gives a token to whoever asks."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)

    async def close(self) -> None:
        """Nothing is open."""


def vault_options(certificate: Path) -> dict[str, Any]:
    """Options of a client that trusts this vault and does not wait between its retries."""
    return {
        "credential": AnyCredential(),
        "connection_verify": str(certificate),
        "verify_challenge_resource": False,  # it would insist on *.vault.azure.net
        "retry_backoff_factor": 0,
    }
