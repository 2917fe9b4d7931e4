"""How much people may ask for: pictures, money, and texts to try with the privacy screen.

Each is a token bucket: a person who rested may ask for a whole burst at once; what was taken is
earned again evenly. So in any one period at most the quota and one burst are admitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.identity import Caller
from shared.domain.token_buckets import US_PER_S, Limit, Standing, Want

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
MINUTE_S: Final = 60
HOURLY: Final = "images-per-hour"
DAILY: Final = "department-images-per-day"
SPENDING: Final = "spend-per-minute"
SCREENING: Final = "screenings-per-minute"
# More than somebody types; a fiftieth of the paid calls that one worker makes in a minute.
SCREENINGS_PER_MINUTE: Final = 20
_UNITS: Final = {HOURLY: "images", DAILY: "images", SPENDING: "micro-aud", SCREENING: "texts"}
DEPARTMENT_DOCUMENT: Final = "department"


@dataclass(frozen=True)
class RateTerms:
    """The quotas; a tier that is not named has no hourly one."""

    images_per_hour: Mapping[str, int]
    burst_percent: int  # of an hour's quota, at once
    department_images_per_day: int
    spend_micros_per_minute: int

    def wants(self, caller: Caller, images: int, amount_micros: int) -> tuple[Want, ...]:
        """What a request takes of which bucket."""
        person = _person(caller)
        per_day = self.department_images_per_day
        per_minute = self.spend_micros_per_minute
        found = [
            Want(DEPARTMENT_DOCUMENT, Limit(DAILY, per_day, DAY_S, per_day), images),
            Want(person, Limit(SPENDING, per_minute, MINUTE_S, per_minute), amount_micros),
        ]
        quota = self.images_per_hour.get(caller.tier)
        if quota is not None:
            burst = max(1, quota * self.burst_percent // 100)
            found.insert(0, Want(person, Limit(HOURLY, quota, HOUR_S, burst), images))
        return tuple(found)


def screening_want(caller: Caller) -> Want:
    """What a text takes that somebody tries with the privacy screen."""
    quota = SCREENINGS_PER_MINUTE
    return Want(_person(caller), Limit(SCREENING, quota, MINUTE_S, quota), 1)


def _person(caller: Caller) -> str:
    return f"user:{caller.principal.object_id}"


def images_of(record: Mapping[str, Any]) -> int:
    """How many pictures the record of a generation or a batch asks for."""
    return int(record["images_asked"] if record["type"] == "batch" else record["request"]["count"])


def partition_of_people(caller: Caller) -> str:
    """Where the buckets of a department and of its people lie together."""
    return f"people|{caller.tenant_id}|{caller.department_id}"


def header_fields(standings: Sequence[Standing]) -> dict[str, str]:
    """The fields of the IETF's draft for rate limits, as structured field lists.

    `q` is the quota of a window of `w` seconds; `r` is what is left, and all of it in `t` seconds.
    """
    policies, states = [], []
    for each in standings:
        limit, unit = each.limit, _UNITS[each.limit.name]
        full_s = -(-each.full_in_us // US_PER_S)
        policies.append(f'"{limit.name}";q={limit.tokens};w={limit.period_s};qu="{unit}"')
        states.append(f'"{limit.name}";r={each.left};t={full_s}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


def window_of(limit: Limit, now_us: int) -> int:
    """The number of a limit's present window: one denial in it is enough for the audit log."""
    return now_us // (limit.period_s * US_PER_S)
