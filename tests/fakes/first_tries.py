"""First tries of clients without keys in memory."""

from collections.abc import Sequence
from datetime import datetime

from shared.adapters.cosmos_first_tries import NEWEST_MAX, REPEATED_WITHIN
from shared.errors import Unavailable
from shared.ports import Clock
from shared.ports.first_tries import FirstTry


class FakeFirstTries:
    """Implements FirstTries; with `down` set no call is answered."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.noted: dict[tuple[str, str, str], tuple[datetime, FirstTry]] = {}
        self.down = False

    async def note(self, user_key: str, request_hash: str, first: FirstTry) -> None:
        self._answer()
        place = (user_key, request_hash, first.key)
        self.noted.setdefault(place, (self.clock.now(), first))

    async def newest(self, user_key: str, request_hash: str) -> Sequence[FirstTry]:
        self._answer()
        since = self.clock.now() - REPEATED_WITHIN
        found = [
            noted
            for (whose, words, _), noted in reversed(self.noted.items())
            if (whose, words) == (user_key, request_hash) and noted[0] >= since
        ]
        return [first for _, first in found[:NEWEST_MAX]]

    async def claim(self, user_key: str, request_hash: str, seen: FirstTry, number: int) -> bool:
        self._answer()
        place = (user_key, request_hash, seen.key)
        noted = self.noted.get(place)
        if noted is None or noted[1] != seen:
            return False
        self.noted[place] = (noted[0], FirstTry(seen.key, number))
        return True

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("no answer")
