"""How many calls one worker has under way at a provider, shared out fairly among who waits."""

import asyncio
from collections import Counter
from dataclasses import dataclass

RESERVED_SHARE = 8  # an eighth of the slots, and at least one of two, is left to rank 0


@dataclass(eq=False)
class _Waiter:
    rank: int
    department_id: str
    arrived: int
    admitted: "asyncio.Future[None]"


class WorkerSlots:
    """Slots for concurrent calls: the lower rank first, then who has the fewest under way."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._reserved = 0 if slots < 2 else max(1, slots // RESERVED_SHARE)
        self._in_use: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []
        self._arrivals = 0

    @property
    def free(self) -> int:
        return self._slots - self._in_use.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self, rank: int, department_id: str, wait_s_max: float) -> bool:
        """Take a slot (call `release` after); False if none came free in time."""
        self._arrivals += 1
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(rank, department_id, self._arrivals, admitted)
        self._waiting.append(waiter)
        self._admit()
        if admitted.done():
            return True
        try:
            await asyncio.wait((admitted,), timeout=wait_s_max)
        except asyncio.CancelledError:
            if admitted.done():
                self.release(department_id)
            else:
                self._waiting.remove(waiter)
            raise
        if not admitted.done():
            self._waiting.remove(waiter)
        return admitted.done()

    def release(self, department_id: str) -> None:
        """Give a slot back to whoever goes next."""
        self._in_use[department_id] -= 1
        if not self._in_use[department_id]:
            del self._in_use[department_id]
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            may = [each for each in self._waiting if self.free > self._kept_from(each.rank)]
            if not may:
                return
            first = min(may, key=lambda w: (w.rank, self._in_use[w.department_id], w.arrived))
            self._waiting.remove(first)
            self._in_use[first.department_id] += 1
            first.admitted.set_result(None)

    def _kept_from(self, rank: int) -> int:
        return self._reserved if rank else 0
