"""First tries of clients without keys in Cosmos DB, which drops them when nobody repeats any more.

Between instances, because a repeat is seldom answered by the one that had the first try.
"""

from dataclasses import dataclass
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
from shared.domain.predicates import equal
from shared.errors import InvariantBroken, Unavailable
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

LIMITS_CONTAINER: Final = "limits"  # of short-lived documents
REPEATED_WITHIN: Final = timedelta(minutes=15)  # clients give up after 10 minutes and two repeats
OVERTAKEN_WITHIN: Final = timedelta(minutes=1)  # of a first try that a cold worker kept waiting
TRIES_MAX: Final = 4  # of a change that meets rivals
_ITEM_ID: Final = "first_try"
_REFUSALS: Final = frozenset({404, 412})  # dropped meanwhile, changed meanwhile


@dataclass(frozen=True)
class _Tried:
    """The key that stands, whether a repeat brought it before its first try came, and when."""

    key: str
    awaits_first: bool
    tried_at: str
    revision: int


class CosmosFirstTries:
    """Implements the FirstTries port."""

    def __init__(self, connection: CosmosConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def of_first(self, user_key: str, request_hash: str, key: str) -> str:
        partition = _partition(user_key, request_hash)
        for _ in range(TRIES_MAX):
            if await self._create(partition, key, awaits_first=False):
                return key
            standing = await self._find(partition)
            if standing is None:
                continue
            overtaken = standing.awaits_first and self._is_of(standing, OVERTAKEN_WITHIN)
            taken = standing.key if overtaken else key
            if await self._replace(partition, standing, taken, awaits_first=False):
                return taken
        raise Unavailable("First tries of one request come too fast.", retry_after_s=1)

    async def of_repeat(self, user_key: str, request_hash: str, key: str) -> str:
        partition = _partition(user_key, request_hash)
        for _ in range(TRIES_MAX):
            standing = await self._find(partition)
            if standing is None:
                if await self._create(partition, key, awaits_first=True):
                    return key
            elif self._is_of(standing, REPEATED_WITHIN):
                return standing.key
            elif await self._replace(partition, standing, key, awaits_first=True):
                return key
        raise Unavailable("Repeats of one request come too fast.", retry_after_s=1)

    def _is_of(self, standing: _Tried, span: timedelta) -> bool:
        return self._clock.now() - datetime.fromisoformat(standing.tried_at) <= span

    async def _find(self, partition: str) -> _Tried | None:
        found = await read_or_none(await self._container(), _ITEM_ID, partition)
        if found is None:
            return None
        return _Tried(found["key"], found["awaits_first"], found["tried_at"], found["revision"])

    async def _create(self, partition: str, key: str, *, awaits_first: bool) -> bool:
        document = {
            "id": _ITEM_ID,
            "pk": partition,
            "type": "first_try",
            "ttl": int(REPEATED_WITHIN.total_seconds()),
            "key": key,
            "awaits_first": awaits_first,
            "tried_at": self._clock.now().isoformat(),
            "revision": 1,
        }
        return await create_once(await self._container(), document)

    async def _replace(
        self, partition: str, standing: _Tried, key: str, *, awaits_first: bool
    ) -> bool:
        """Whether it was still what stands; a new key begins the time in which it is repeated."""
        changing = {
            "key": key,
            "awaits_first": awaits_first,
            "tried_at": self._clock.now().isoformat(),
            "revision": standing.revision + 1,
        }
        steps = tuple({"op": "set", "path": f"/{k}", "value": v} for k, v in changing.items())
        change = Patch(_ITEM_ID, steps, equal({"revision": standing.revision}))
        try:
            await commit(await self._container(), partition, [change])
        except BatchRefused as refusal:
            if refusal.status not in _REFUSALS:
                raise InvariantBroken("A first try was refused in an unforeseen way.") from None
            return False
        return True

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LIMITS_CONTAINER)


def _partition(user_key: str, request_hash: str) -> str:
    return f"first_try|{user_key}|{request_hash}"
