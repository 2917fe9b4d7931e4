"""People and departments in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

from shared.domain.directory import ALL_TENANTS
from shared.domain.identity import Principal
from shared.domain.ledger import Document
from shared.ports import DirectoryUser
from tests.builders import TENANT


class FakeDirectory:
    """Documents by tenant and id; made with users by principal key, and departments."""

    def __init__(
        self, users: Mapping[str, DirectoryUser] | None = None, departments: Sequence[str] = ()
    ) -> None:
        self._documents: dict[tuple[str, str], Document] = {}
        for key, user in (users or {}).items():
            tenant_id, object_id = key.split(".")
            self._create({"id": f"user:{object_id}", "pk": tenant_id, **vars(user)})
        for department_id in departments:
            self._create({"pk": TENANT, "id": f"department:{department_id}"})
            entry = {"id": department_id, "department_id": department_id, "tenant_id": TENANT}
            self._create({"pk": ALL_TENANTS, **entry})

    async def user(self, principal: Principal) -> DirectoryUser | None:
        found = self._documents.get((principal.tenant_id, f"user:{principal.object_id}"))
        if found is None:
            return None
        return DirectoryUser(**{each.name: found[each.name] for each in fields(DirectoryUser)})

    async def has_department(self, tenant_id: str, department_id: str) -> bool:
        return (tenant_id, f"department:{department_id}") in self._documents

    async def tenant_of(self, department_id: str) -> str | None:
        found = self._documents.get((ALL_TENANTS, department_id))
        return found["tenant_id"] if found else None

    async def departments(self) -> Sequence[str]:
        return sorted(item_id for pk, item_id in self._documents if pk == ALL_TENANTS)

    def _create(self, document: Document) -> bool:
        place = (document["pk"], document["id"])
        if place in self._documents:
            return False
        self._documents[place] = dict(document)
        return True
