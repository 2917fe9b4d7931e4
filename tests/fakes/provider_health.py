"""The health of providers over the in-memory container of the ledger."""

from collections.abc import Sequence

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.domain.provider_health import HEALTH_PARTITION
from shared.domain.provider_notices import BreakerChange, read_change
from tests.fakes.cosmos_container import FakeConnection


class FakeProviderHealth(CosmosProviderHealth):
    """The real adapter; only its one query is a filter over the fake's documents."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def changes(self, limit: int) -> Sequence[BreakerChange]:
        found = await answered(
            lambda: self._fake.scan(
                HEALTH_PARTITION.key,
                lambda d: d["type"] == "breaker_change" and d["pending"],
            )
        )
        found.sort(key=lambda each: str(each["raised_at"]))
        return [read_change(each) for each in found[:limit]]
