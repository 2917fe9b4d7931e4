"""What all simulators share: the database, the clock, the invoice, the scenarios, the options."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from devhost.simulators.clock import SimulatorClock
from devhost.simulators.invoice import Invoice
from devhost.simulators.scenarios import Scenarios

AZURE_DELAY_S = 0.2  # real calls take 10 to 60 s; a demo should not
REPLICATE_DELAY_S = 0.3
FIREFLY_DELAY_S = 0.3
# Refused from the start, for tests of a bad configuration; every other credential is good.
WRONG_CREDENTIALS = frozenset({"", "wrong", "wrong-key", "wrong-token", "wrong-secret"})


@dataclass(frozen=True)
class SimulatorOptions:
    """How the simulators behave; `port` is the one they answer on.

    `public_origin` is how others reach them through a proxy: what they say of themselves begins so.
    """

    data_dir: Path
    port: int
    azure_delay_s: float = AZURE_DELAY_S
    replicate_delay_s: float = REPLICATE_DELAY_S
    tiny_pictures: bool = False
    firefly_delay_s: float = FIREFLY_DELAY_S
    public_origin: str | None = None

    @property
    def origin(self) -> str:
        return self.public_origin or f"http://127.0.0.1:{self.port}"


@dataclass
class SimulatorState:
    """One per process."""

    options: SimulatorOptions
    database: sqlite3.Connection
    clock: SimulatorClock
    invoice: Invoice
    scenarios: Scenarios
    outcomes: Counter[str] = field(default_factory=Counter)  # "provider outcome" -> calls
    settlers: list[Callable[[], None]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)  # credentials that were good once

    def refuses(self, credential: str) -> bool:
        """Whether a key, token or client secret opens no door, at whatever provider."""
        return credential in WRONG_CREDENTIALS or credential in self.revoked

    def settle(self) -> None:
        """Brings the invoice up to date: bills what the clock has ended meanwhile."""
        for settle in self.settlers:
            settle()
