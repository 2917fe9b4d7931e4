"""The directory of departments and people in Cosmos DB: one partition per tenant, and an index."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from shared.adapters.cosmos import CosmosConnection, answered, read_or_none
from shared.domain.departments import department_document_id
from shared.domain.directory import ALL_TENANTS
from shared.domain.identity import ROLE_BY_CLAIM, Principal
from shared.domain.ledger import Document
from shared.domain.model_rules import NO_RULES, read_model_rules
from shared.domain.roles import MODEL_RULES_ID, rank_and_rights, read_role, role_document_id
from shared.domain.users import DirectoryUser, read_user, user_document_id

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

DIRECTORY_CONTAINER = "directory"


class CosmosDirectory:
    """Implements the Directory port. Nothing is cached: a change holds from the next request."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(DIRECTORY_CONTAINER)

    async def user(self, principal: Principal) -> DirectoryUser | None:
        tenant_id = principal.tenant_id
        found, stated = await asyncio.gather(
            self._read(user_document_id(principal.object_id), tenant_id),
            self._read(MODEL_RULES_ID, tenant_id),
        )
        if found is None:
            return None
        user = read_user(found)
        custom = None
        if user.role_id not in ROLE_BY_CLAIM:
            document = await self._read(role_document_id(user.role_id), tenant_id)
            custom = read_role(document) if document else None
        general = read_model_rules(stated["model_rules"]["rules"]) if stated else NO_RULES
        rank, rights = rank_and_rights(user.kind, user.role_id, custom, user.rules, general)
        return DirectoryUser(
            department_id=user.department_id,
            cost_centre_id=user.cost_centre_id,
            role=rank,
            status=user.status,
            kind=user.kind,
            tier=user.tier,
            rights=rights,
            inactive_at=datetime.fromisoformat(user.inactive_at) if user.inactive_at else None,
            left=user.left,
        )

    async def _read(self, item_id: str, partition_key: str) -> Document | None:
        return await read_or_none(await self._container(), item_id, partition_key)

    async def has_department(self, tenant_id: str, department_id: str) -> bool:
        return await self._read(department_document_id(department_id), tenant_id) is not None

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
