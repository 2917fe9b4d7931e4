"""People and departments in memory."""

from collections.abc import Mapping, Sequence

from shared.domain.identity import Principal
from shared.domain.ledger import Document
from shared.ports import DirectoryUser


class FakeDirectory:
    """Users by principal key, and one monthly limit per department."""

    def __init__(self, users: Mapping[str, DirectoryUser], limits_micros: Mapping[str, int]):
        self.users = dict(users)
        self.limits_micros = dict(limits_micros)
        self.documents: dict[str, Document] = {}

    async def user(self, principal: Principal) -> DirectoryUser | None:
        return self.users.get(principal.key)

    async def department_limit_micros(self, tenant_id: str, department_id: str) -> int | None:
        return self.limits_micros.get(department_id)

    async def departments(self) -> Sequence[str]:
        return sorted(self.limits_micros)

    async def put(self, documents: Sequence[Document]) -> int:
        missing = {d["id"]: d for d in documents if d["id"] not in self.documents}
        self.documents |= missing
        return len(missing)
