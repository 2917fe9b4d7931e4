"""The directory over the in-memory container: the real adapters, their queries as filters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_directory import DIRECTORY_CONTAINER, CosmosDirectory
from shared.adapters.cosmos_directory_store import CosmosDirectoryStore
from shared.domain.directory import ALL_TENANTS, PeopleFilter, directory_partition
from shared.domain.document_versions import upgrade
from shared.domain.ledger import Document
from shared.domain.users import User, read_user
from shared.ports.ledger import Page
from tests.fakes.cosmos_container import FakeConnection


class StoredDirectory(CosmosDirectory):
    """What callers are read from."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container(DIRECTORY_CONTAINER)

    async def departments(self) -> Sequence[str]:
        found = await answered(lambda: self._fake.scan(ALL_TENANTS, lambda document: True))
        return sorted(str(each["department_id"]) for each in found)


class FakeDirectoryStore(CosmosDirectoryStore):
    """What people, departments and roles are changed in."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container(DIRECTORY_CONTAINER)

    async def people(
        self, tenant_id: str, wanted: PeopleFilter, continuation: str | None, limit: int
    ) -> Page:
        found = await self._people(tenant_id, wanted)
        start = int(continuation or 0)
        more = str(start + limit) if start + limit < len(found) else None
        return Page(found[start : start + limit], more)

    async def count_people(self, tenant_id: str, wanted: PeopleFilter) -> int:
        return len(await self._people(tenant_id, wanted))

    async def people_from(
        self, tenant_id: str, wanted: PeopleFilter, skip: int, limit: int
    ) -> Sequence[Document]:
        return (await self._people(tenant_id, wanted))[skip : skip + limit]

    async def listed(self, tenant_id: str, kind: Literal["department", "role"]) -> list[Document]:
        return await self._of_type(tenant_id, kind)

    async def history(
        self, tenant_id: str, object_id: str, before: int | None, limit: int
    ) -> Sequence[Document]:
        found = [
            each
            for each in await self._of_type(tenant_id, "change")
            if each["object_id"] == object_id and (before is None or each["revision"] < before)
        ]
        return sorted(found, key=lambda each: -int(each["revision"]))[:limit]

    async def events(self, tenant_id: str) -> list[Document]:
        """The audit events that wait to be copied."""
        return [each["event"] for each in await self._of_type(tenant_id, "outbox")]

    def plant(self, document: Document) -> None:
        """Put a document there as it is, as an older version of the app had left it."""
        self._fake.partitions.setdefault(document["pk"], {})[document["id"]] = document

    async def _people(self, tenant_id: str, wanted: PeopleFilter) -> list[Document]:
        stored = [each for each in await self._of_type(tenant_id, "user") if "user" in each]
        return [each for each in stored if _fits(read_user(each), wanted)]

    async def _of_type(self, tenant_id: str, kind: str) -> list[Document]:
        key = directory_partition(tenant_id).key
        found = await answered(
            lambda: self._fake.scan(key, lambda document: document["type"] == kind)
        )
        return sorted(map(upgrade, found), key=lambda each: str(each["id"]))


def _fits(user: User, wanted: PeopleFilter) -> bool:
    named = replace(wanted, search_keys=(), user_name_key=None, with_deleted=False)
    plain = all(
        value is None or getattr(user, name) == value
        for name, value in vars(named).items()
        if hasattr(user, name) and name != "search_keys"
    )
    found = set(wanted.search_keys) <= set(user.search_keys)
    key = wanted.user_name_key
    is_named = key is None or user.lookups.get("user_name") == key
    return plain and found and is_named and (wanted.with_deleted or user.status != "deleted")
