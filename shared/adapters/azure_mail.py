"""Mail through Azure Communication Services.

The operation id is derived from the mail's id, and the service is asked for that operation before
anything is sent: a mail whose sending crashed, or whose answer was lost, is not sent again. Waiting
for the end of the operation is left to the caller's next try.
"""

import asyncio
import logging
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from shared.adapters.retry_after import parse_retry_after_s
from shared.domain.deliveries import Mail, Outcome

if TYPE_CHECKING:
    from azure.communication.email.aio import EmailClient

API_VERSION: Final = "2025-09-01"
POLL_S: Final = 30  # the service's own advice when it gives none
TIMEOUT_S: Final = 20
_FAILED: Final = frozenset({"Failed", "Canceled"})
_NEVER: Final = frozenset({400, 413})  # answers that neither time nor an operator will change
logger = logging.getLogger("eig.mail")


class AzureMailer:
    """Implements the Mailer port over one Communication Services resource.

    `connection` is `endpoint=https://...;accesskey=...`; without an access key the app's identity
    is used.
    """

    def __init__(self, connection: str, sender: str) -> None:
        settings = dict(part.partition("=")[::2] for part in connection.split(";") if part)
        self._endpoint = settings.get("endpoint", "").rstrip("/")
        self._key = settings.get("accesskey")
        self._sender = sender
        self._client: EmailClient | None = None
        self._credential: Any = None

    async def send(self, mail: Mail) -> Outcome:
        from azure.core.exceptions import AzureError, HttpResponseError

        operation_id = str(uuid5(NAMESPACE_URL, f"eig-mail:{mail.mail_id}"))
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                standing = await self._status(operation_id)
                return standing or await self._submit(mail, operation_id)
        except HttpResponseError as error:
            status = error.status_code or 0
            logger.warning("mail refused", extra={"status": status})
            if status in _NEVER:
                return Outcome("refused", f"http_{status}")
            return Outcome("later", f"http_{status}", _retry_after(error.response))
        except (AzureError, TimeoutError, OSError):
            return Outcome("later", "no_connection")

    async def _status(self, operation_id: str) -> Outcome | None:
        """How a mail's operation stands; None if the service has never heard of it."""
        from azure.core.rest import HttpRequest

        request = HttpRequest(
            "GET", f"/emails/operations/{operation_id}", params={"api-version": API_VERSION}
        )
        response = await self._opened().send_request(request)
        if response.status_code == 404:
            return None
        response.raise_for_status()
        status = str(response.json().get("status"))
        if status == "Succeeded":
            return Outcome("delivered", "succeeded")
        if status in _FAILED:
            return Outcome("refused", status.lower())
        return Outcome("accepted", "in_progress", _retry_after(response) or POLL_S)

    async def _submit(self, mail: Mail, operation_id: str) -> Outcome:
        message = {
            "senderAddress": self._sender,
            "recipients": {"to": [{"address": each} for each in mail.to]},
            "content": {"subject": mail.subject, "plainText": mail.text},
            "headers": {"x-eig-mail-id": mail.mail_id},
            "userEngagementTrackingDisabled": True,
        }
        await self._opened().begin_send(message, operation_id=operation_id, polling=False)
        return Outcome("accepted", "accepted", POLL_S)

    def _opened(self) -> "EmailClient":
        """The SDK's client, made on first use: it binds to the running event loop."""
        if self._client is None:
            from azure.communication.email.aio import EmailClient
            from azure.core.credentials import AzureKeyCredential

            credential: Any = AzureKeyCredential(self._key) if self._key else self._identity()
            self._client = EmailClient(
                self._endpoint,
                credential,
                api_version=API_VERSION,
                retry_total=0,  # our own schedule, on durable timers, tries again
                permit_redirects=False,
                connection_timeout=TIMEOUT_S,
                read_timeout=TIMEOUT_S,
            )
        return self._client

    def _identity(self) -> Any:
        from azure.identity.aio import DefaultAzureCredential

        self._credential = DefaultAzureCredential()
        return self._credential

    async def aclose(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        for closable in (self._client, self._credential):
            if closable is not None:
                await closable.close()
        self._client = self._credential = None


def _retry_after(response: Any) -> int | None:
    wait_s = None if response is None else parse_retry_after_s(response.headers)
    return None if wait_s is None else ceil(wait_s)
