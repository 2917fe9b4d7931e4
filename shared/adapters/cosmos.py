"""The one connection to Cosmos DB and the one place where its errors are told apart.

A write whose answer was lost may have happened. Every write of ours is therefore safe to send
again: a create has a fixed id, a patch travels with a create or sets fixed values.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from shared.domain.document_versions import stamped, upgrade
from shared.domain.ledger import Create, Delete, Document, Operation
from shared.errors import InvariantBroken, Unavailable

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy, CosmosClient

T = TypeVar("T")
LEDGER_CONTAINER = "ledger"
SENDS_MAX = 5  # the same write, sent again when its answer is unknown
FIRST_PAUSE_S = 0.05  # doubles each time: 0.05 + 0.1 + 0.2 + 0.4 s in all
REQUEST_TIMEOUT_S = 10  # Cosmos DB ends a transactional batch after 5 s
THROTTLE_WAIT_S_MAX = 1  # interactive paths must not sit in the SDK's 30 s default
READ_BACK_TRIES_MAX = 4  # a replica may lag behind what a write was refused for
READ_BACK_PAUSE_S = 0.05
# What Cosmos DB takes as an id. The SDK writes it into an address as it is, but for slashes at its
# ends, which it drops: with them, `X/` would read the document `X`.
_ITEM_ID = re.compile(r"(?!\.{1,2}\Z)[^/\\?#\x00-\x1f\x7f]{1,1023}(?<! )")
_NO_DEFINITE_ANSWER = frozenset({408, 410, 429, 449, 500, 502, 503, 504})


@dataclass(frozen=True)
class CosmosAccount:
    """Where the account is; no key means Entra ID with a managed identity, the app's own or one."""

    endpoint: str
    database: str
    key: str | None
    identity: str | None = None  # client id of a user-assigned identity


class CosmosConnection:
    """Lazily made SDK client, one per worker; it binds to the event loop that uses it first."""

    def __init__(self, account: CosmosAccount) -> None:
        self._account = account
        self._client: CosmosClient | None = None
        self._credential: Any = None
        self._opening = asyncio.Lock()

    async def container(self, name: str) -> "ContainerProxy":
        """A container of the configured database; raises Unavailable if the account is silent."""
        async with self._opening:
            if self._client is None:
                self._client = await self._open()
        proxy: ContainerProxy = self._client.get_database_client(
            self._account.database
        ).get_container_client(name)
        return proxy

    async def _open(self) -> "CosmosClient":
        client = self._connect()
        try:
            # Only an entered client keeps the session token by which it reads its own writes.
            await answered(client.__aenter__)
        except BaseException:
            await client.close()
            raise
        return client

    async def aclose(self) -> None:
        """Close the sockets; only tests and one-off commands need it."""
        for closable in (self._client, self._credential):
            if closable is not None:
                await closable.close()
        self._client = self._credential = None

    def _connect(self) -> "CosmosClient":
        from azure.cosmos.aio import CosmosClient

        credential: Any = self._account.key
        if not credential:
            from azure.identity.aio import DefaultAzureCredential

            # None would override AZURE_CLIENT_ID.
            chosen = self._account.identity
            named = {"managed_identity_client_id": chosen} if chosen else {}
            credential = self._credential = DefaultAzureCredential(**named)
        return CosmosClient(
            self._account.endpoint,
            credential,
            # Plain http is an emulator: it has one endpoint and knows no other regions.
            enable_endpoint_discovery=not self._account.endpoint.startswith("http://"),
            connection_timeout=REQUEST_TIMEOUT_S,
            read_timeout=REQUEST_TIMEOUT_S,
            # `answered` sends again; the SDK's own 9 retries would multiply with that.
            retry_throttle_total=1,
            retry_throttle_backoff_max=THROTTLE_WAIT_S_MAX,
        )


class BatchRefused(Exception):
    """A transactional batch that applied nothing: `index` failed with `status`."""

    def __init__(self, index: int, status: int) -> None:
        super().__init__(f"operation {index} answered {status}")
        self.index = index
        self.status = status


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an SDK error, or None when no answer arrived."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def is_unanswered(error: Exception) -> bool:
    """True when it is unknown whether the request was carried out."""
    from azure.core.exceptions import AzureError

    status = status_of(error)
    if status is not None:
        return status in _NO_DEFINITE_ANSWER
    return isinstance(error, AzureError | OSError | asyncio.TimeoutError)


async def answered(send: Callable[[], Awaitable[T]]) -> T:
    """Send until there is a definite answer; raise Unavailable when there is none."""
    pause_s = FIRST_PAUSE_S
    for turn in range(SENDS_MAX):
        try:
            return await send()
        except Exception as error:
            if not is_unanswered(error):
                raise
            if turn == SENDS_MAX - 1:
                raise Unavailable("The ledger store did not answer.", retry_after_s=5) from error
        await asyncio.sleep(pause_s)
        pause_s *= 2
    raise AssertionError("unreachable: the last turn returns or raises")


async def commit(
    container: "ContainerProxy", partition_key: str, operations: Sequence[Operation]
) -> list[dict[str, Any]]:
    """Run one transaction: all operations or none; raise BatchRefused naming the failing one."""
    from azure.cosmos.exceptions import CosmosBatchOperationError

    for operation in operations:
        _check_id(operation)
    batch = [_sdk_operation(operation) for operation in operations]
    try:
        return await answered(
            lambda: container.execute_item_batch(batch, partition_key=partition_key)
        )
    except CosmosBatchOperationError as error:
        status = error.operation_responses[error.error_index]["statusCode"]
        raise BatchRefused(error.error_index, int(status)) from error


async def read_or_none(
    container: "ContainerProxy", item_id: str, partition_key: str
) -> Document | None:
    """Point read in the newest schema version; None when the document does not exist."""
    from azure.cosmos.exceptions import CosmosResourceNotFoundError

    if not _ITEM_ID.fullmatch(item_id):
        return None  # nor could it
    try:
        document = await answered(
            lambda: container.read_item(item=item_id, partition_key=partition_key)
        )
    except CosmosResourceNotFoundError:
        return None
    return upgrade(dict(document))


async def read_existing(container: "ContainerProxy", item_id: str, partition_key: str) -> Document:
    """Read a document that a write has just found to exist; Unavailable while replicas lag."""
    for _ in range(READ_BACK_TRIES_MAX):
        document = await read_or_none(container, item_id, partition_key)
        if document is not None:
            return document
        await asyncio.sleep(READ_BACK_PAUSE_S)
    raise Unavailable("A document that exists could not be read back yet.")


async def create_once(container: "ContainerProxy", document: Document) -> bool:
    """Create a document with a fixed id; False when it was there already."""
    from azure.cosmos.exceptions import CosmosResourceExistsError

    _check_id(Create(document))
    try:
        await answered(lambda: container.create_item(stamped(document), no_response=True))
    except CosmosResourceExistsError:
        return False
    return True


def _check_id(operation: Operation) -> None:
    """Raise InvariantBroken before a write goes to another document than the one it names."""
    item_id = operation.document["id"] if isinstance(operation, Create) else operation.item_id
    if not _ITEM_ID.fullmatch(item_id):
        raise InvariantBroken("Cosmos DB cannot hold a document of this id.")


def _sdk_operation(operation: Operation) -> tuple[Any, ...]:
    if isinstance(operation, Create):
        return ("create", (stamped(operation.document),), {})
    if isinstance(operation, Delete):
        return ("delete", (operation.item_id,), {})
    options = {"filter_predicate": operation.predicate} if operation.predicate else {}
    return ("patch", (operation.item_id, [dict(step) for step in operation.operations]), options)
