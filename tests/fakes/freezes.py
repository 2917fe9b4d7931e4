"""The FreezeStore port over the in-memory container of the ledger."""

from collections.abc import Sequence

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_freezes import CosmosFreezes
from shared.domain.audit_events import AuditEvent
from shared.domain.freezes import Freeze, Target, freeze_partition, read_freeze
from tests.fakes.cosmos_container import FakeConnection, FakeContainer


class FakeFreezes:
    """Point reads and writes are the adapter's; its one query is a filter here."""

    def __init__(self, connection: FakeConnection) -> None:
        self._container: FakeContainer = connection.container("ledger")
        self._adapter = CosmosFreezes(connection.as_connection())

    async def freezes(self, tenant_id: str) -> Sequence[Freeze]:
        key = freeze_partition(tenant_id).key
        found = await answered(
            lambda: self._container.scan(
                key, lambda d: d["type"] == "freeze" and not d["switch"]["lifted"]
            )
        )
        return [read_freeze(document) for document in found]

    async def freeze(self, tenant_id: str, target: Target) -> Freeze | None:
        return await self._adapter.freeze(tenant_id, target)

    async def put(self, tenant_id: str, freeze: Freeze, event: AuditEvent) -> bool:
        return await self._adapter.put(tenant_id, freeze, event)
