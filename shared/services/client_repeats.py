"""Which key a request of a client stands under that sends none, but says how often it was sent."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest
from shared.domain.identity import Caller
from shared.errors import Unavailable
from shared.ports import Clock
from shared.ports.first_tries import FirstTries, FirstTry
from shared.services.generations import Generations

# An answer may be lost on its way; the clients send again within 8 s.
ANSWERED_WITHIN: Final = timedelta(seconds=15)

logger = logging.getLogger("eig.client_repeats")


@dataclass(frozen=True)
class ClientRepeats:
    """A first try is noted before it is admitted; a repeat asks under its key and so joins it.

    Who asks twice in the same words at once cannot be told apart from who repeats one of the two:
    each repeat takes a first try of its own, if there is one whose answer may not have come.
    """

    tries: FirstTries
    generations: Generations
    clock: Clock

    async def key(
        self, caller: Caller, request: GenerationRequest, charge: Charge, number: int
    ) -> str | None:
        """The key of the request that was sent `number` times before; None if nothing was noted.

        Then it is admitted all the same, as from a client that tells nothing.
        """
        words = self.generations.asked_hash(caller, request, charge)
        try:
            first = await self._repeated(caller, words, number) if number else None
            if first is None:
                first = FirstTry(self.clock.new_id(), number)
                await self.tries.note(caller.key, words, first)
        except Unavailable:
            logger.warning("first try not noted")
            return None
        return first.key

    async def _repeated(self, caller: Caller, words: str, number: int) -> FirstTry | None:
        answered_since = (self.clock.now() - ANSWERED_WITHIN).isoformat()
        for seen in await self.tries.newest(caller.key, words):
            if seen.repeats >= number:
                continue  # somebody else repeats that one
            if not await self.generations.is_awaited(caller, seen.key, answered_since):
                continue
            if await self.tries.claim(caller.key, words, seen, number):
                return seen
        return None
