"""What people may do now, as workers ask it for work that was admitted before."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from shared.domain.identity import Principal, Rights
from shared.ports import Clock, Directory

FRESH = timedelta(seconds=5)  # how long a worker may go on with rights that were changed since
PEOPLE_MAX: Final = 1_000  # that one worker remembers; a forgotten one costs the reads of a request


class RightsWatch:
    """One worker's view of people's rights; one that is not fresh is read again before its use."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._views: OrderedDict[str, tuple[datetime, Rights | None]] = OrderedDict()

    async def rights(self, user_key: str) -> Rights | None:
        """What the directory lets somebody do; None if it knows nothing of them.

        Raises Unavailable if nobody can say.
        """
        now = self._clock.now()
        seen = self._views.get(user_key)
        if seen is None or not timedelta() <= now - seen[0] <= FRESH:
            tenant_id, _, object_id = user_key.partition(".")
            user = await self._directory.user(Principal(tenant_id, object_id))
            seen = self._views[user_key] = (now, user.rights if user else None)
            self._views.move_to_end(user_key)
            while len(self._views) > PEOPLE_MAX:
                self._views.popitem(last=False)
        return seen[1]
