"""One worker's view of something that others may change: read again when it is not fresh."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from shared.ports import Clock

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

FRESH: Final = timedelta(seconds=5)  # how long a worker may go on with what was changed since
VIEWS_MAX: Final = 1_000  # that one worker remembers; a forgotten one costs its reads again


class FreshViews(Generic[Key, Value]):
    """Remembers what `read` answered, for as long as it is fresh; a failed read is not kept."""

    def __init__(self, read: Callable[[Key], Awaitable[Value]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._views: OrderedDict[Key, tuple[datetime, Value]] = OrderedDict()

    async def get(self, key: Key) -> Value:
        """What stood at most FRESH ago; raises what `read` raises."""
        now = self._clock.now()
        seen = self._views.get(key)
        if seen is None or not timedelta() <= now - seen[0] <= FRESH:
            seen = self._views[key] = (now, await self._read(key))
            self._views.move_to_end(key)
            while len(self._views) > VIEWS_MAX:
                self._views.popitem(last=False)
        return seen[1]

    def forget(self) -> None:
        """Look again before the next use: this worker has just changed something."""
        self._views.clear()
