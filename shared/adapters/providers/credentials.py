"""Credentials are read before a request begins: whatever ends there has cost nothing."""

import asyncio
from collections.abc import Awaitable

from shared.adapters.providers.failures import no_credential
from shared.domain.attempts import CANCELLED_BEFORE_SENDING, Billed, Failure, NotDelivered
from shared.errors import EigError
from shared.ports.secrets import Secret


async def before_sending(signing: "Awaitable[str | NotDelivered]") -> str | NotDelivered:
    """What a submission is signed with, or why it was not sent.

    It takes a cancellation for an end, so it is not for loops, which would go on.
    """
    try:
        return await signing
    except EigError as error:
        return no_credential(error)
    except asyncio.CancelledError:
        return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, CANCELLED_BEFORE_SENDING)


async def newer_credential(secret: Secret, refused: str) -> str | None:
    """What a refused request is repeated with; None: the refusal stands, and it was free."""
    try:
        return await secret.renewed(refused)
    except (EigError, asyncio.CancelledError):
        return None
