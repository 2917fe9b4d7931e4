"""Dated versions of prices and of exchange rates: one of each is in force on any day (UTC).

A version that was ever in force is never edited or removed: quotes name it, and an attempt is
billed by the version of its quote even if it ends under a later one. A change is a new version.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol, TypeVar

from shared.domain.money import ExchangeRate, checked_micros
from shared.domain.prices import PriceCatalogue, PriceRow, Quote
from shared.errors import Invalid, InvariantBroken

RATE_STALE_DAYS = 35  # finance books a rate each month; older than that, somebody forgot
RATE_DAYS_MAX = 366  # an exchange rate of a year ago prices nothing any more


@dataclass(frozen=True)
class PriceVersion:
    """The price rows in force from `as_of` (00:00 UTC) until the next version."""

    version: str
    as_of: str
    rows: tuple[PriceRow, ...]


class _Dated(Protocol):
    @property
    def version(self) -> str: ...
    @property
    def as_of(self) -> str: ...


_Kind = TypeVar("_Kind", bound=_Dated)


@dataclass(frozen=True)
class PriceCatalogues:
    """Every version of the prices and of the exchange rate, oldest first."""

    prices: tuple[PriceVersion, ...]
    exchange_rates: tuple[ExchangeRate, ...]

    def at(self, moment: datetime) -> PriceCatalogue:
        """What quotes of that moment are made from; Invalid `unpriced` if none is in force."""
        day = _day(moment)
        prices = _in_force(self.prices, day)
        rate = _in_force(self.exchange_rates, day)
        if prices is None:
            raise _closed("No price list is in force on this day, so nothing can be priced.")
        if rate is None or _age_days(rate, day) > RATE_DAYS_MAX:
            raise _closed("No exchange rate is in force on this day, so nothing can be priced.")
        return PriceCatalogue(prices.version, rate, prices.rows, day)

    def of(self, quote: Quote) -> PriceCatalogue:
        """The prices a quote was made from, to bill by them; it refuses no model as retired."""
        for prices in self.prices:
            if prices.version == quote.price_version:
                rate = ExchangeRate(
                    version=quote.exchange_rate_version,
                    aud_per_usd_micros=quote.aud_per_usd_micros,
                    as_of=prices.as_of,
                    source="the quote",
                )
                return PriceCatalogue(prices.version, rate, prices.rows)
        raise InvariantBroken("The price version of a quote is missing from the catalogue.")

    def rate_is_stale(self, moment: datetime) -> bool:
        """Whether the rate in force is older than a month, or there is none."""
        day = _day(moment)
        rate = _in_force(self.exchange_rates, day)
        return rate is None or _age_days(rate, day) > RATE_STALE_DAYS


def parse_catalogues(document: Mapping[str, Any]) -> PriceCatalogues:
    """Build the catalogues from their JSON document; InvariantBroken on anything that is amiss."""
    try:
        catalogues = PriceCatalogues(
            prices=tuple(
                PriceVersion(
                    version=each["version"],
                    as_of=each["as_of"],
                    rows=tuple(PriceRow(**row) for row in each["rows"]),
                )
                for each in document["prices"]
            ),
            exchange_rates=tuple(ExchangeRate(**rate) for rate in document["exchange_rates"]),
        )
        _check_dates(catalogues.prices)
        _check_dates(catalogues.exchange_rates)
    except (KeyError, TypeError, ValueError) as fault:
        raise InvariantBroken("The price catalogue is malformed.") from fault
    for prices in catalogues.prices:
        for row in prices.rows:
            _check_row(row)
    for rate in catalogues.exchange_rates:
        if checked_micros(rate.aud_per_usd_micros, "aud_per_usd_micros") == 0:
            raise InvariantBroken("An exchange rate of the catalogue is zero.")
    return catalogues


def _check_dates(versions: Iterable[_Dated]) -> None:
    """Oldest first, each from a day of its own, each with a name of its own."""
    seen: set[str] = set()
    before: date | None = None
    for each in versions:
        day = date.fromisoformat(each.as_of)
        if each.version in seen or (before is not None and day <= before):
            raise ValueError("versions repeat or are out of order")
        seen.add(each.version)
        before = day
    if not seen:
        raise ValueError("there is no version")


def _check_row(row: PriceRow) -> None:
    unbounded = (row.unit == "second" and not row.seconds_max) or (
        row.unit == "input_image_token" and not row.tokens_max
    )
    if row.batch_percent is not None and not 0 < row.batch_percent <= 100:
        raise InvariantBroken(f"The batch price of {row.model} is no part of its price.")
    if checked_micros(row.usd_micros, "usd_micros") == 0 or unbounded:
        raise InvariantBroken(f"The price row of {row.model} per {row.unit} has no usable price.")


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _in_force(versions: Iterable[_Kind], day: date) -> _Kind | None:
    """The latest version that has begun."""
    begun = [each for each in versions if date.fromisoformat(each.as_of) <= day]
    return begun[-1] if begun else None


def _age_days(rate: ExchangeRate, day: date) -> int:
    return (day - date.fromisoformat(rate.as_of)).days


def _closed(detail: str) -> Invalid:
    return Invalid(detail, code="unpriced")
