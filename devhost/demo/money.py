"""Micro-dollars as people read them; integers until the last moment."""

from __future__ import annotations

from decimal import Decimal

MICRO_DIGITS = 6


def dollars(micros: int, digits: int = MICRO_DIGITS) -> str:
    """The amount in dollars, e.g. 91_245 -> '0.091245', or '0.0912' with four digits."""
    return f"{Decimal(micros).scaleb(-MICRO_DIGITS):,.{digits}f}"


def aud(micros: int, digits: int = 4) -> str:
    return f"AUD {dollars(micros, digits)}"


def usd(micros: int, digits: int = MICRO_DIGITS) -> str:
    return f"USD {dollars(micros, digits)}"
