"""Starts our orchestrations through the Durable client that a trigger is given."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import azure.durable_functions as df

from functions import names
from functions.payloads import (
    AlertInput,
    ApprovalInput,
    BatchInput,
    DeferredInput,
    GenerationInput,
    Payload,
)
from shared.domain.instances import approval_instance_id, deferred_instance_id

_ALIVE = frozenset(
    {
        df.OrchestrationRuntimeStatus.Running,
        df.OrchestrationRuntimeStatus.Pending,
        df.OrchestrationRuntimeStatus.Suspended,
        df.OrchestrationRuntimeStatus.ContinuedAsNew,
    }
)
_ENDED = [status for status in df.OrchestrationRuntimeStatus if status not in _ALIVE]
HISTORIES_KEPT: Final = timedelta(days=30)  # since the start; only people read them, after a fault
_BEFORE_ANY: Final = datetime(2020, 1, 1, tzinfo=UTC)  # a purge has to say since when


class DurableOrchestrations:
    """Fulfils what the services expect of orchestrations; ids are those of the ledger's holds."""

    def __init__(self, client: df.DurableOrchestrationClient) -> None:
        self._client = client

    async def start_generation(self, generation_id: str) -> None:
        payload = GenerationInput(generation_id=generation_id)
        await self._start(names.GENERATION_ORCHESTRATOR, generation_id, payload)

    async def start_batch(self, batch_id: str, rows: int, deadline_rows: int = 0) -> None:
        payload = BatchInput(batch_id=batch_id, rows=rows, deadline_rows=deadline_rows)
        await self._start(names.BATCH_ORCHESTRATOR, batch_id, payload)

    async def start_alert(self, alert_id: str, channels: Sequence[str]) -> None:
        payload = AlertInput(alert_id=alert_id, channels=tuple(channels))
        await self._start(names.ALERT_ORCHESTRATOR, alert_id, payload)

    async def start_approval(self, operation_id: str, escalates_at: str, expires_at: str) -> None:
        payload = ApprovalInput(operation_id, escalates_at, expires_at)
        instance_id = approval_instance_id(operation_id)
        await self._start(names.APPROVAL_ORCHESTRATOR, instance_id, payload)

    async def approval_decided(self, operation_id: str) -> None:
        instance_id = approval_instance_id(operation_id)
        await self._client.raise_event(instance_id, names.APPROVAL_DECIDED, operation_id)

    async def start_deferred(self, operation_id: str, due: str) -> None:
        payload = DeferredInput(operation_id, due)
        instance_id = deferred_instance_id(operation_id)
        await self._start(names.DEFERRED_ORCHESTRATOR, instance_id, payload)

    async def is_running(self, operation_id: str) -> bool:
        """Whether it is alive: one that has ended is like one that was purged or never began."""
        status: Any = await self._client.get_status(operation_id)
        return bool(status) and status.runtime_status in _ALIVE

    async def purge_ended(self, started_before: datetime) -> int:
        """Delete what has ended of the orchestrations that started before (UTC); how many."""
        purged: Any = await self._client.purge_instance_history_by(
            _BEFORE_ANY, started_before, _ENDED
        )
        return int(purged.instances_deleted)

    async def _start(self, name: str, instance_id: str, payload: Payload) -> None:
        try:
            await self._client.start_new(name, instance_id, payload.to_json())
        except Exception:
            # The host refuses an id that runs already; anything else is a real failure.
            if not await self.is_running(instance_id):
                raise
