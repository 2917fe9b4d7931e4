"""The figures by which operators see that the platform is well; amounts in micro-AUD, ages in s."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Gauges, measured once a minute
BUDGET_SPENT: Final = "eig.budget.spent_micros"
BUDGET_RESERVED: Final = "eig.budget.reserved_micros"
BUDGET_CEILING: Final = "eig.budget.ceiling_micros"
HOLDS_OPEN: Final = "eig.holds.open"
HOLDS_OLDEST_AGE: Final = "eig.holds.oldest_age_s"  # how long the longest work has been waiting
OUTCOMES_UNKNOWN: Final = "eig.outcomes.unknown"
AUDIT_LAG: Final = "eig.audit.lag_s"  # how long the oldest event has waited in an outbox
AUDIT_MERGE_DELAY: Final = "eig.audit.merge_delay_s"  # ... for a cosigned checkpoint above it
PROVIDER_OPEN: Final = "eig.provider.open"  # 1 while calls are held back
PROVIDER_WAIT: Final = "eig.provider.oldest_wait_s"  # of a department, since it got a start
PROVIDER_LATENCY: Final = "eig.provider.latency_ms"  # median of recent deliveries

# Counters
PROVIDER_ATTEMPTS: Final = "eig.provider.attempts"
SESSIONS_COPIED: Final = "eig.sessions.copied"  # sessions that ended because of it

GAUGES: Final = (
    BUDGET_SPENT,
    BUDGET_RESERVED,
    BUDGET_CEILING,
    HOLDS_OPEN,
    HOLDS_OLDEST_AGE,
    OUTCOMES_UNKNOWN,
    AUDIT_LAG,
    AUDIT_MERGE_DELAY,
    PROVIDER_OPEN,
    PROVIDER_WAIT,
    PROVIDER_LATENCY,
)
COUNTERS: Final = (PROVIDER_ATTEMPTS, SESSIONS_COPIED)
DIMENSIONS: Final = ("department", "ending", "period", "provider")  # never a person or a text


@dataclass(frozen=True)
class Reading:
    """One value of one gauge; attributes are of DIMENSIONS only."""

    name: str
    value: int
    attributes: Mapping[str, str] = field(default_factory=dict)
