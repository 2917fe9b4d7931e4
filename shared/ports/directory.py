"""The directory's store: documents of a tenant, changed in transactions, found by typed filters."""

from collections.abc import Sequence
from typing import Literal, Protocol

from shared.domain.directory import PeopleFilter
from shared.domain.ledger import Document, Operation
from shared.ports.ledger import Page


class DirectoryStore(Protocol):
    """Reads and writes of one tenant's directory; nothing here crosses tenants."""

    async def find(self, tenant_id: str, document_id: str) -> Document | None: ...

    async def commit(self, tenant_id: str, operations: Sequence[Operation]) -> int | None:
        """All of them or none: None when done, else the place of the one that was refused."""
        ...

    async def claim_department(self, tenant_id: str, department_id: str) -> bool:
        """Take a department's id for a tenant; False if another tenant has it."""
        ...

    async def people(
        self, tenant_id: str, wanted: PeopleFilter, continuation: str | None, limit: int
    ) -> Page:
        """One page in order of object ids; Invalid for a continuation of another listing."""
        ...

    async def count_people(self, tenant_id: str, wanted: PeopleFilter) -> int: ...

    async def people_from(
        self, tenant_id: str, wanted: PeopleFilter, skip: int, limit: int
    ) -> Sequence[Document]:
        """People by their place in the order of object ids, as SCIM counts pages."""
        ...

    async def listed(self, tenant_id: str, kind: Literal["department", "role"]) -> list[Document]:
        """All documents of a kind, in order of their ids."""
        ...

    async def history(
        self, tenant_id: str, object_id: str, before: int | None, limit: int
    ) -> Sequence[Document]:
        """The changes of an object, newest first, of revisions before `before`."""
        ...
