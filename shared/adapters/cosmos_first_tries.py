"""First tries of clients without keys in Cosmos DB, which drops them when nobody repeats any more.

Between instances, because a repeat is seldom answered by the one that had the first try.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.adapters.cosmos import (
    BatchRefused,
    CosmosConnection,
    commit,
    create_once,
    read_or_none,
)
from shared.domain.ledger import Patch
from shared.errors import InvariantBroken
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

LIMITS_CONTAINER: Final = "limits"  # of short-lived documents
REPEATED_WITHIN: Final = timedelta(minutes=15)  # clients give up after 10 minutes and two repeats
_ITEM_ID: Final = "first_try"
_NOT_FOUND: Final = 404


class CosmosFirstTries:
    """Implements the FirstTries port."""

    def __init__(self, connection: CosmosConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def note(self, user_key: str, request_hash: str, key: str) -> None:
        partition, container = _partition(user_key, request_hash), await self._container()
        changing = {"key": key, "tried_at": self._clock.now().isoformat()}
        document = {
            "id": _ITEM_ID,
            "pk": partition,
            "type": "first_try",
            "ttl": int(REPEATED_WITHIN.total_seconds()),
            **changing,
        }
        steps = tuple({"op": "set", "path": f"/{k}", "value": v} for k, v in changing.items())
        while not await create_once(container, document):
            try:
                await commit(container, partition, [Patch(_ITEM_ID, steps)])
            except BatchRefused as refusal:
                if refusal.status != _NOT_FOUND:
                    raise InvariantBroken("A first try was refused unforeseen.") from None
                continue  # dropped just now: it is created again
            return

    async def find(self, user_key: str, request_hash: str) -> str | None:
        partition = _partition(user_key, request_hash)
        found = await read_or_none(await self._container(), _ITEM_ID, partition)
        if found is None:
            return None
        tried_at = datetime.fromisoformat(found["tried_at"])
        return found["key"] if self._clock.now() - tried_at <= REPEATED_WITHIN else None

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LIMITS_CONTAINER)


def _partition(user_key: str, request_hash: str) -> str:
    return f"first_try|{user_key}|{request_hash}"
