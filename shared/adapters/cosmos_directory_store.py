"""Changes and listings of the directory in Cosmos DB; every value of a query is a parameter."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from shared.adapters.cosmos import (
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    create_once,
    read_existing,
    read_or_none,
    status_of,
)
from shared.domain.departments import index_document
from shared.domain.directory import ALL_TENANTS, PeopleFilter, directory_partition, history_id
from shared.domain.document_versions import upgrade
from shared.domain.ledger import Document, Operation
from shared.errors import FieldFault, Invalid, InvariantBroken
from shared.ports.ledger import Page

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

DIRECTORY_CONTAINER = "directory"
_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED = 400, 404, 409, 412
_EXPECTED_REFUSALS = (_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED)
_NEWEST_REVISION = 10**8 - 1  # of eight digits


class CosmosDirectoryStore:
    """Implements the DirectoryStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(DIRECTORY_CONTAINER)

    async def find(self, tenant_id: str, document_id: str) -> Document | None:
        return await read_or_none(
            await self._container(), document_id, directory_partition(tenant_id).key
        )

    async def commit(self, tenant_id: str, operations: Sequence[Operation]) -> int | None:
        key = directory_partition(tenant_id).key
        try:
            await commit(await self._container(), key, operations)
        except BatchRefused as refusal:
            if refusal.status not in _EXPECTED_REFUSALS:
                raise InvariantBroken("A change of the directory was refused.") from None
            return refusal.index
        return None

    async def claim_department(self, tenant_id: str, department_id: str) -> bool:
        container = await self._container()
        if await create_once(container, index_document(tenant_id, department_id)):
            return True
        entry = await read_existing(container, department_id, ALL_TENANTS)
        return bool(entry["tenant_id"] == tenant_id)

    async def people(
        self, tenant_id: str, wanted: PeopleFilter, continuation: str | None, limit: int
    ) -> Page:
        if continuation and not (continuation.isascii() and continuation.isprintable()):
            raise _not_of_this_listing()  # it travels in a header
        where, values = _conditions(wanted)

        async def read() -> Page:
            pages = (
                (await self._container())
                .query_items(
                    _select("*", where, "ORDER BY c.id"),
                    parameters=_sent(values),
                    partition_key=directory_partition(tenant_id).key,
                    max_item_count=limit,
                )
                .by_page(continuation)
            )
            try:
                found = [upgrade(dict(document)) async for document in await anext(pages)]
            except StopAsyncIteration:
                return Page([], None)
            return Page(found, getattr(pages, "continuation_token", None))

        try:
            return await answered(read)
        except Exception as error:
            if status_of(error) == _BAD_REQUEST and continuation:
                raise _not_of_this_listing() from error
            raise

    async def count_people(self, tenant_id: str, wanted: PeopleFilter) -> int:
        where, values = _conditions(wanted)
        [count] = await self._rows(tenant_id, _select("VALUE COUNT(1)", where), values)
        return int(count)

    async def people_from(
        self, tenant_id: str, wanted: PeopleFilter, skip: int, limit: int
    ) -> Sequence[Document]:
        where, values = _conditions(wanted)
        query = _select("*", where, f"ORDER BY c.id OFFSET {int(skip)} LIMIT {int(limit)}")
        return [upgrade(dict(row)) for row in await self._rows(tenant_id, query, values)]

    async def listed(self, tenant_id: str, kind: Literal["department", "role"]) -> list[Document]:
        query = _select("*", "c.type = @type", "ORDER BY c.id")
        rows = await self._rows(tenant_id, query, {"@type": kind})
        return [upgrade(dict(row)) for row in rows]

    async def history(
        self, tenant_id: str, object_id: str, before: int | None, limit: int
    ) -> Sequence[Document]:
        last = _NEWEST_REVISION if before is None else before - 1
        values = {
            "@first": history_id(object_id, 0),
            "@last": history_id(object_id, max(0, last)),
        }
        where = "c.id >= @first AND c.id <= @last"
        query = _select("*", where, f"ORDER BY c.id DESC OFFSET 0 LIMIT {int(limit)}")
        return [dict(row) for row in await self._rows(tenant_id, query, values)]

    async def _rows(self, tenant_id: str, query: str, values: Mapping[str, Any]) -> list[Any]:
        async def read_all() -> list[Any]:
            rows: AsyncIterator[Any] = (await self._container()).query_items(
                query,
                parameters=_sent(values),
                partition_key=directory_partition(tenant_id).key,
            )
            return [row async for row in rows]

        return await answered(read_all)


def _select(what: str, where: str, order: str = "") -> str:
    """A query made of constants of ours and of whole numbers; every value is a parameter."""
    return f"SELECT {what} FROM c WHERE {where} {order}"  # noqa: S608  # nosec B608


def _conditions(wanted: PeopleFilter) -> tuple[str, dict[str, Any]]:
    """The one builder of conditions on people: field names are ours, values are parameters."""
    conditions = ["c.type = 'user'"]
    values: dict[str, Any] = {}
    for name in ("department_id", "role_id", "status", "kind", "external_id"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"c.user.{name} = @{name}")
            values[f"@{name}"] = value
    if wanted.user_name_key is not None:
        conditions.append("c.user.lookups.user_name = @user_name_key")
        values["@user_name_key"] = wanted.user_name_key
    for number, key in enumerate(wanted.search_keys):
        conditions.append(f"ARRAY_CONTAINS(c.user.search_keys, @word{number})")
        values[f"@word{number}"] = key
    if not wanted.with_deleted:
        conditions.append("c.user.status != 'deleted'")
    return " AND ".join(conditions), values


def _sent(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _not_of_this_listing() -> Invalid:
    return Invalid(
        "The continuation token is not one of this listing's; start without it.",
        faults=[FieldFault("/continuation", "use the value of the last answer")],
    )
