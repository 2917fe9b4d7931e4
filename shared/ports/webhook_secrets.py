"""The secret by which a provider signs the webhooks that it sends to us."""

from typing import Protocol


class WebhookSecrets(Protocol):
    """One account's signing secret, `whsec_...`."""

    async def current(self) -> str:
        """The secret as it was last known; raises Unavailable if nobody can tell it."""
        ...

    async def renewed(self) -> str:
        """The secret, asked for anew unless that was done a moment ago."""
        ...
