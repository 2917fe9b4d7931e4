"""What can go wrong with one call to another system, and who decides it."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class Crashed(BaseException):
    """The calling process died: no `except Exception` of the code under test may catch it."""


class Fault(StrEnum):
    """How one call goes wrong; the names say whether the other system did the work."""

    NONE = "none"
    THROTTLED = "throttled"  # 429: not done
    REFUSED = "refused"  # 503: not done
    UNREACHABLE = "unreachable"  # no connection: not done
    LOST = "lost"  # done, but the answer never arrives
    LATE = "late"  # the caller gives up, and the work is done after that
    STALE = "stale"  # a replica answers a read as if the last change had not happened yet
    CRASH_BEFORE = "crash_before"  # the caller dies: not done
    CRASH_AFTER = "crash_after"  # the caller dies: done


NOT_DONE = (Fault.THROTTLED, Fault.REFUSED, Fault.UNREACHABLE)


class Faults(Protocol):
    """The scheduler in front of every fake: delays a call and says how it goes wrong."""

    async def next(self, call: str) -> Fault:
        """Wait as long as the call takes, then its fault; raises Crashed for CRASH_BEFORE."""
        ...

    def crash(self, call: str) -> Crashed:
        """Mark the calling process as dead; the caller raises what this returns."""
        ...

    def later(self, work: Callable[[], object]) -> None:
        """Do the work of a LATE call some time from now."""
        ...


class NoFaults:
    """Everything works at once."""

    async def next(self, call: str) -> Fault:
        return Fault.NONE

    def crash(self, call: str) -> Crashed:
        return Crashed(call)

    def later(self, work: Callable[[], object]) -> None:
        work()


class ScriptedFaults(NoFaults):
    """Faults for tests: the calls named `call` go wrong in the given order, others work."""

    def __init__(self, call: str, *faults: Fault) -> None:
        self._call = call
        self._faults = list(faults)
        self.calls: list[str] = []

    async def next(self, call: str) -> Fault:
        self.calls.append(call)
        fault = self._faults.pop(0) if call == self._call and self._faults else Fault.NONE
        if fault is Fault.CRASH_BEFORE:
            raise Crashed(call)
        return fault
