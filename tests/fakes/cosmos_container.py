"""An in-memory container of Cosmos DB with the methods, errors and atomicity our adapters use."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceNotFoundError,
)
from pydantic_core import from_json, to_json

from tests.audit_texts import check_shown
from tests.fakes.cosmos_errors import HttpError, Refused, batch_error, item_error
from tests.fakes.cosmos_predicates import compile_predicate
from tests.fakes.faults import Fault, Faults, NoFaults

if TYPE_CHECKING:
    from shared.adapters.cosmos import CosmosConnection

T = TypeVar("T")
Item = dict[str, Any]
Commit = Callable[[str, Mapping[str, Item | None]], None]  # partition key, changed documents
_http_error: HttpError = CosmosHttpResponseError  # the SDK's own classes carry no type hints
_not_found: HttpError = CosmosResourceNotFoundError
BATCH_OPERATIONS_MAX = 100
BATCH_BYTES_MAX = 2 * 1024 * 1024
PATCH_OPERATIONS_MAX = 10
DOUBLE_EXACT_DIGITS = 15  # every integer with so many digits is exact as an IEEE double
OK, CREATED, NO_CONTENT = 200, 201, 204
BAD_REQUEST, NOT_FOUND, CONFLICT, PRECONDITION_FAILED = 400, 404, 409, 412


def _as_double(digits: str) -> int:
    return int(digits) if len(digits) <= DOUBLE_EXACT_DIGITS else int(float(digits))


_decode = json.JSONDecoder(parse_int=_as_double).decode
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # refuses what JSON lacks


class _Transaction:
    """Documents of one partition as a batch is changing them; dropped unless all goes well."""

    def __init__(self, partition: Mapping[str, Item]) -> None:
        self._partition = partition
        self.changed: dict[str, Item | None] = {}

    def find(self, item_id: str) -> Item:
        found = self.changed[item_id] if item_id in self.changed else self._partition.get(item_id)
        if found is None:
            raise Refused(NOT_FOUND, f"{item_id} does not exist")
        return found

    def create(self, document: Item) -> Item:
        if document.get("type") == "outbox":
            check_shown(document["event"])
        item_id = document["id"]
        standing = item_id in self._partition
        if self.changed.get(item_id) if item_id in self.changed else standing:
            raise Refused(CONFLICT, f"{item_id} exists")
        self.changed[item_id] = document
        return document

    def upsert(self, document: Item) -> None:
        self.changed[document["id"]] = document

    def patch(
        self, item_id: str, operations: Sequence[Mapping[str, Any]], predicate: str | None
    ) -> Item:
        standing = self.find(item_id)
        if predicate is not None and not compile_predicate(predicate)(standing):
            raise Refused(PRECONDITION_FAILED, "the predicate is not true")
        if not 1 <= len(operations) <= PATCH_OPERATIONS_MAX:
            raise Refused(BAD_REQUEST, "a patch has 1 to 10 operations")
        changed = dict(standing)
        for operation in operations:
            _apply(changed, operation)
        self.changed[item_id] = changed
        return changed

    def delete(self, item_id: str) -> None:
        self.find(item_id)
        self.changed[item_id] = None


def _apply(document: Item, operation: Mapping[str, Any]) -> None:
    """Set or increment at a path such as /counts/failed; parents are copied, never shared."""
    path = operation["path"]
    if not path.startswith("/") or path in ("/id", "/pk"):
        raise Refused(BAD_REQUEST, f"the path {path} may not be patched")
    *parents, name = path[1:].split("/")
    holder = document
    for step in parents:
        if not isinstance(holder.get(step), dict):
            raise Refused(BAD_REQUEST, f"there is no object at {path}")
        holder[step] = dict(holder[step])
        holder = holder[step]
    if operation["op"] == "set":
        holder[name] = _decode(_encode(operation["value"]))
    elif operation["op"] == "incr":
        standing = holder.get(name, 0)
        if isinstance(standing, bool) or not isinstance(standing, int | float):
            raise Refused(BAD_REQUEST, f"{path} is not a number")
        holder[name] = _as_double(str(standing + operation["value"]))
    else:
        raise Refused(BAD_REQUEST, f"the operation {operation['op']} is not known here")


class FakeContainer:
    """One container with the partition key path /pk.

    `after_commit` is called after every change, before anybody else can see or do anything.
    """

    def __init__(self, faults: Faults | None = None) -> None:
        self.partitions: dict[str, dict[str, Item]] = {}
        self.commits = 0
        self.after_commit: Commit = lambda partition_key, changed: None
        self._previous: dict[tuple[str, str], Item | None] = {}
        self._faults: Faults = faults or NoFaults()

    def peek(self, partition_key: str, item_id: str) -> Item | None:
        """What stands, for the test itself: no call, no copy."""
        return self.partitions.get(partition_key, {}).get(item_id)

    def before_last_change(self, partition_key: str, item_id: str) -> Item | None:
        """What stood before the last change of a document; what stands if it never changed."""
        if (partition_key, item_id) in self._previous:
            return self._previous[partition_key, item_id]
        return self.peek(partition_key, item_id)

    async def execute_item_batch(
        self, batch_operations: Sequence[tuple[Any, ...]], partition_key: str
    ) -> list[Item]:
        prepared = [_prepared(operation, partition_key) for operation in batch_operations]
        size_bytes = sum(size for _, size in prepared)
        if size_bytes > BATCH_BYTES_MAX:
            raise _http_error(status_code=413, message="the batch is over 2 MB")
        if not 1 <= len(prepared) <= BATCH_OPERATIONS_MAX:
            raise _http_error(status_code=BAD_REQUEST, message="1 to 100 operations")

        def apply() -> list[Item]:
            transaction = _Transaction(self.partitions.get(partition_key, {}))
            answers: list[Item] = []
            for index, (operation, _) in enumerate(prepared):
                try:
                    answers.append(operation(transaction))
                except Refused as refusal:
                    raise batch_error(index, refusal, len(prepared)) from None
            self._commit(partition_key, transaction)
            return answers

        return await self._carried_out("batch", apply)

    async def create_item(self, body: Item, *, no_response: bool | None = None) -> Item:
        text = _encode(body)
        partition_key = body["pk"]

        def apply() -> Item:
            transaction = _Transaction(self.partitions.get(partition_key, {}))
            try:
                transaction.create(_decode(text))
            except Refused as refusal:
                raise item_error(refusal) from None
            self._commit(partition_key, transaction)
            return {} if no_response else cast(Item, _decode(text))

        return await self._carried_out("create", apply)

    async def upsert_item(self, body: Item) -> Item:
        """Our code may not use it, because it forgets what stood; code on trial does."""
        text = _encode(body)

        def apply() -> Item:
            transaction = _Transaction(self.partitions.get(body["pk"], {}))
            transaction.upsert(_decode(text))
            self._commit(body["pk"], transaction)
            return cast(Item, _decode(text))

        return await self._carried_out("create", apply)

    async def read_item(self, item: str, partition_key: str) -> Item:
        def answer(standing: Item | None) -> Item:
            if standing is None:
                raise _not_found(status_code=NOT_FOUND, message=item)
            return _copy(standing)

        return await self._carried_out(
            "read",
            lambda: answer(self.peek(partition_key, item)),
            stale=lambda: answer(self.before_last_change(partition_key, item)),
        )

    async def patch_item(
        self,
        item: str,
        partition_key: str,
        patch_operations: list[dict[str, Any]],
        *,
        filter_predicate: str | None = None,
        no_response: bool | None = None,
    ) -> Item:
        def apply() -> Item:
            transaction = _Transaction(self.partitions.get(partition_key, {}))
            try:
                changed = transaction.patch(item, patch_operations, filter_predicate)
            except Refused as refusal:
                raise item_error(refusal) from None
            self._commit(partition_key, transaction)
            return {} if no_response else _copy(changed)

        return await self._carried_out("patch", apply)

    async def delete_item(self, item: str, partition_key: str) -> None:
        def apply() -> None:
            transaction = _Transaction(self.partitions.get(partition_key, {}))
            try:
                transaction.delete(item)
            except Refused as refusal:
                raise item_error(refusal) from None
            self._commit(partition_key, transaction)

        await self._carried_out("delete", apply)

    async def scan(self, partition_key: str, wanted: Callable[[Item], bool]) -> list[Item]:
        """Stands in for a query of one partition, in order of creation."""
        if partition_key not in self.partitions:
            return []  # no call, so that no fault is spent on periods that never were

        def apply() -> list[Item]:
            return [
                _copy(each)
                for each in self.partitions.get(partition_key, {}).values()
                if wanted(each)
            ]

        return await self._carried_out("query", apply)

    def _commit(self, partition_key: str, transaction: _Transaction) -> None:
        partition = self.partitions.setdefault(partition_key, {})
        for item_id, document in transaction.changed.items():
            self._previous[partition_key, item_id] = partition.get(item_id)
            if document is None:
                del partition[item_id]
            else:
                partition[item_id] = document
        self.commits += 1
        self.after_commit(partition_key, transaction.changed)

    async def _carried_out(
        self, call: str, apply: Callable[[], T], stale: Callable[[], T] | None = None
    ) -> T:
        fault = await self._faults.next(call)
        if fault is Fault.STALE and stale is not None:
            return stale()
        if fault in (Fault.NONE, Fault.STALE):
            return apply()
        if fault is Fault.THROTTLED:
            raise _http_error(status_code=429, message="too many requests")
        if fault is Fault.REFUSED:
            raise _http_error(status_code=503, message="unavailable")
        if fault is Fault.UNREACHABLE:
            raise ServiceRequestError("no connection")
        if fault is Fault.LATE:
            self._faults.later(lambda: _unheard(apply))
        else:
            _unheard(apply)
            if fault is Fault.CRASH_AFTER:
                raise self._faults.crash(call)
        raise ServiceResponseError("the answer never arrived")


class FakeConnection:
    """The connection of our adapters, with containers in memory."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults
        self.containers: dict[str, FakeContainer] = {}

    def container(self, name: str) -> FakeContainer:
        if name not in self.containers:
            self.containers[name] = FakeContainer(self._faults)
        return self.containers[name]

    async def aclose(self) -> None:
        """Nothing to close."""

    def as_connection(self) -> "CosmosConnection":
        """Itself as the adapters know it: a connection that opens before it hands out."""
        return cast("CosmosConnection", _Opened(self))


class _Opened:
    """The adapters' view of a FakeConnection."""

    def __init__(self, connection: FakeConnection) -> None:
        self._connection = connection

    async def container(self, name: str) -> FakeContainer:
        return self._connection.container(name)

    async def aclose(self) -> None:
        """Nothing to close."""


def _unheard(apply: Callable[[], object]) -> None:
    """Do the work of a call whose answer, good or bad, nobody hears."""
    try:
        apply()
    except (CosmosHttpResponseError, CosmosBatchOperationError):
        return


def _copy(document: Item) -> Item:
    """A copy of a stored document, which was JSON with exact integers when it came in."""
    return cast(Item, from_json(to_json(document)))


def _prepared(
    operation: tuple[Any, ...], partition_key: str
) -> tuple[Callable[[_Transaction], Item], int]:
    """An operation of a batch as something to do, and its size on the wire in bytes."""
    verb, arguments, *rest = operation
    options: Mapping[str, Any] = rest[0] if rest else {}
    text = _encode(arguments)
    if verb == "create" and not options:
        return lambda work: _created(work, text, partition_key), len(text)
    if verb == "upsert" and not options:  # only code on trial does this
        return lambda work: _upserted(work, text), len(text)
    if verb == "patch" and options.keys() <= {"filter_predicate"}:
        item_id, steps = arguments
        predicate = options.get("filter_predicate")
        return lambda work: _patched(work, item_id, steps, predicate), len(text)
    if verb == "delete" and not options:
        return lambda work: _deleted(work, arguments[0]), len(text)
    raise AssertionError(f"the batch operation {verb} with {sorted(options)} is not faked")


def _created(work: _Transaction, text: str, partition_key: str) -> Item:
    document = _decode(text)[0]
    if document.get("pk") != partition_key:
        raise Refused(BAD_REQUEST, "the document belongs to another partition")
    work.create(document)
    return _answer(CREATED)


def _upserted(work: _Transaction, text: str) -> Item:
    work.upsert(_decode(text)[0])
    return _answer(OK)


def _patched(
    work: _Transaction,
    item_id: str,
    operations: Sequence[Mapping[str, Any]],
    predicate: str | None,
) -> Item:
    changed = work.patch(item_id, operations, predicate)
    return _answer(OK) | {"resourceBody": changed}  # a patch never changes a document in place


def _deleted(work: _Transaction, item_id: str) -> Item:
    work.delete(item_id)
    return _answer(NO_CONTENT)


def _answer(status: int) -> Item:
    """The result of one operation; only of a patch do our adapters read the `resourceBody`."""
    return {"statusCode": status, "requestCharge": 1.0}
