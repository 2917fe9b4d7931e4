"""Signals of ended jobs in memory."""

from shared.errors import Unavailable


class FakeJobSignals:
    """Implements JobSignals; with `down` set no call is answered."""

    def __init__(self) -> None:
        self.awaited: dict[str, str | None] = {}
        self.down = False

    async def expect(self, job_id: str) -> None:
        self._answer()
        self.awaited.setdefault(job_id, None)

    async def tell(self, job_id: str, event_id: str) -> bool:
        self._answer()
        if self.awaited.get(job_id, "nobody waits") is not None:
            return False
        self.awaited[job_id] = event_id
        return True

    async def is_told(self, job_id: str) -> bool:
        self._answer()
        return self.awaited.get(job_id) is not None

    async def forget(self, job_id: str) -> None:
        self._answer()
        self.awaited.pop(job_id, None)

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("no answer")
