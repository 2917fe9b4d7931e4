"""Amounts as text: exact for machines, rounded to cents for people."""

from shared.domain.money import MICROS_PER_UNIT

_MICROS_PER_CENT = MICROS_PER_UNIT // 100


def decimal_text(micros: int) -> str:
    """An amount as an exact decimal with six digits, e.g. -1_250_000 -> '-1.250000'."""
    units, rest = divmod(abs(micros), MICROS_PER_UNIT)
    return f"{'-' if micros < 0 else ''}{units}.{rest:06d}"


def micros_of(text: str) -> int:
    """The amount that `decimal_text` wrote."""
    units, _, rest = text.removeprefix("-").partition(".")
    micros = int(units) * MICROS_PER_UNIT + int(rest)
    return -micros if text.startswith("-") else micros


def cents_text(micros: int) -> str:
    """An amount for people, rounded half up to cents, e.g. '1,234.57'; totals are never made so."""
    cents = (abs(micros) + _MICROS_PER_CENT // 2) // _MICROS_PER_CENT
    sign = "-" if micros < 0 and cents else ""
    return f"{sign}{cents // 100:,}.{cents % 100:02d}"
