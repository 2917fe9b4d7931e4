"""Webhooks of providers: they wake whoever waits for a job. What it ended in, its provider says."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.provider_webhooks import (
    Delivery,
    ended_job,
    is_recent,
    is_signed,
    read_delivery,
)
from shared.errors import Unauthenticated
from shared.ports import Clock
from shared.ports.job_signals import JobSignals
from shared.ports.webhook_secrets import WebhookSecrets


@dataclass(frozen=True)
class ProviderWebhooks:
    """Checks deliveries and passes them on; late, doubled and disordered ones change nothing."""

    secrets: WebhookSecrets
    signals: JobSignals
    clock: Clock

    async def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether somebody was woken; Unauthenticated unless it is signed, and recent."""
        delivery = read_delivery(headers, body)
        if delivery is None or not is_recent(delivery, self.clock.now().timestamp()):
            raise _refused()
        if not await self._is_signed(delivery):
            raise _refused()
        job_id = ended_job(delivery)
        return job_id is not None and await self.signals.tell(job_id, delivery.event_id)

    async def _is_signed(self, delivery: Delivery) -> bool:
        known = await self.secrets.current()
        if is_signed(delivery, known):
            return True
        renewed = await self.secrets.renewed()  # it may have been rotated
        return renewed != known and is_signed(delivery, renewed)


def _refused() -> Unauthenticated:
    return Unauthenticated("The webhook is not signed, or not recent.", code="webhook_not_signed")
