"""First tries of clients without keys in Cosmos DB, which drops them when nobody repeats any more.

Between instances, because a repeat is seldom answered by the one that had the first try. Each has a
document of its own, so that a crowd that asks in the same words waits for nobody.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.cosmos import (
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    create_once,
)
from shared.domain.ledger import Patch
from shared.domain.predicates import equal
from shared.errors import InvariantBroken
from shared.ports import Clock
from shared.ports.first_tries import FirstTry

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

LIMITS_CONTAINER: Final = "limits"  # of short-lived documents
REPEATED_WITHIN: Final = timedelta(minutes=35)  # three tries of 10 minutes, and what is between
NEWEST_MAX: Final = 32  # looked at for one repeat
_REFUSALS: Final = frozenset({404, 412})  # dropped meanwhile, changed meanwhile
_NEWEST: Final = (
    "SELECT * FROM c WHERE c.tried_at >= @since"  # noqa: S608  # nosec B608
    f" ORDER BY c.tried_at DESC OFFSET 0 LIMIT {NEWEST_MAX}"
)


class CosmosFirstTries:
    """Implements the FirstTries port."""

    def __init__(self, connection: CosmosConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def note(self, user_key: str, request_hash: str, first: FirstTry) -> None:
        document = {
            "id": first.key,
            "pk": _partition(user_key, request_hash),
            "type": "first_try",
            "ttl": int(REPEATED_WITHIN.total_seconds()),
            "tried_at": self._clock.now().isoformat(),
            "repeats": first.repeats,
        }
        await create_once(await self._container(), document)

    async def newest(self, user_key: str, request_hash: str) -> Sequence[FirstTry]:
        since = (self._clock.now() - REPEATED_WITHIN).isoformat()
        parameters: list[dict[str, Any]] = [{"name": "@since", "value": since}]

        async def read_all() -> list[FirstTry]:
            found = (await self._container()).query_items(
                _NEWEST, parameters=parameters, partition_key=_partition(user_key, request_hash)
            )
            return [FirstTry(each["id"], int(each["repeats"])) async for each in found]

        return await answered(read_all)

    async def claim(self, user_key: str, request_hash: str, seen: FirstTry, number: int) -> bool:
        step = {"op": "set", "path": "/repeats", "value": number}
        change = Patch(seen.key, (step,), equal({"repeats": seen.repeats}))
        try:
            await commit(await self._container(), _partition(user_key, request_hash), [change])
        except BatchRefused as refusal:
            if refusal.status not in _REFUSALS:
                raise InvariantBroken("A first try was refused in an unforeseen way.") from None
            return False
        return True

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LIMITS_CONTAINER)


def _partition(user_key: str, request_hash: str) -> str:
    return f"first_try|{user_key}|{request_hash}"
