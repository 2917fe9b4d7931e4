"""The directory of departments and people in Cosmos DB: one partition per tenant, and an index."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.adapters.cosmos import CosmosConnection, answered, create_once, read_or_none
from shared.domain.identity import Principal
from shared.domain.ledger import Document
from shared.ports import DirectoryUser

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

DIRECTORY_CONTAINER = "directory"
ALL_TENANTS = "departments"  # partition with one entry per department, for timers


class CosmosDirectory:
    """Implements the Directory port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(DIRECTORY_CONTAINER)

    async def user(self, principal: Principal) -> DirectoryUser | None:
        document = await read_or_none(
            await self._container(), f"user:{principal.object_id}", principal.tenant_id
        )
        if document is None:
            return None
        return DirectoryUser(document["department_id"], document["cost_centre_id"])

    async def has_department(self, tenant_id: str, department_id: str) -> bool:
        document = await read_or_none(
            await self._container(), f"department:{department_id}", tenant_id
        )
        return document is not None

    async def tenant_of(self, department_id: str) -> str | None:
        entry = await read_or_none(await self._container(), department_id, ALL_TENANTS)
        return str(entry["tenant_id"]) if entry else None

    async def departments(self) -> Sequence[str]:
        async def read_all() -> list[str]:
            found = (await self._container()).query_items(
                "SELECT VALUE c.department_id FROM c ORDER BY c.department_id",
                partition_key=ALL_TENANTS,
            )
            return [str(department_id) async for department_id in found]

        return await answered(read_all)

    async def put(self, documents: Sequence[Document]) -> int:
        created = 0
        for document in documents:
            created += await create_once(await self._container(), document)
        return created
