"""The simulators' clock: real time plus an offset that a test can advance."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class SimulatorClock:
    """Unix seconds for predictions and invoice lines; tokens always use real time."""

    offset_s: float = 0.0

    def now_s(self) -> float:
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        """Moves the clock forward; raises ValueError for a negative step."""
        if seconds < 0:
            raise ValueError("The clock cannot go back.")
        self.offset_s += seconds


def iso_utc(unix_s: float) -> str:
    """RFC 3339 with microseconds and `Z`, as the providers write times."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
