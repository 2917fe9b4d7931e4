"""Money as integer micro-units: 1 AUD or 1 USD is 1 000 000 micros."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from shared.errors import InvariantBroken

MICROS_PER_UNIT = 1_000_000
MICROS_MAX = 2**53 - 1  # Cosmos DB numbers are IEEE doubles: larger integers lose their last digit


def checked_micros(value: int, name: str) -> int:
    """Return `value` if it is an integer amount that a JSON double keeps exactly, or raise."""
    if type(value) is not int or not 0 <= value <= MICROS_MAX:
        raise InvariantBroken(f"{name} is not an amount between 0 and {MICROS_MAX} micros")
    return value


def ceil_micros(value: Decimal) -> int:
    """Round up to a whole micro, so that rounding never makes a quote too small."""
    return int(value.to_integral_value(rounding=ROUND_CEILING))


@dataclass(frozen=True)
class ExchangeRate:
    """One dated USD-to-AUD rate: `aud_per_usd_micros` micro-AUD for one USD."""

    version: str
    aud_per_usd_micros: int
    as_of: str
    source: str


def aud_micros(usd_micros: int, aud_per_usd_micros: int) -> int:
    """Convert micro-USD to micro-AUD, rounded up; monotonic, so quote >= actual carries over."""
    product = checked_micros(usd_micros, "usd_micros") * aud_per_usd_micros
    return checked_micros(-(-product // MICROS_PER_UNIT), "aud_micros")
