"""What a request may cost at worst (the quote) and what it did cost (from the metered usage).

Invariant: for every request and every usage inside the model's documented bounds,
quote.usd_micros >= actual cost, and so quote.amount_micros >= the settled amount.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from shared.domain.attempts import Billed, ImageOrder, Usage
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import AUTO
from shared.domain.money import ExchangeRate, aud_micros, ceil_micros, checked_micros
from shared.errors import Invalid, InvariantBroken

INPUT_TOKENS_OVERHEAD = 32  # tokens a service may wrap around a prompt; observed: fewer than 10

RUN_SECONDS_MAX = 120  # of models whose price does not depend on time: ends a job nobody awaits

Unit = Literal["image", "output_token", "input_token", "second"]


@dataclass(frozen=True)
class PriceRow:
    """One price in micro-USD per unit, with where and when it was found."""

    model: str
    unit: Unit
    usd_micros: int
    source: str
    as_of: str
    size: str | None = None
    quality: str | None = None
    seconds_max: int | None = None


@dataclass(frozen=True)
class Quote:
    """The most a request may cost; `amount_micros` is AUD and is what the hold reserves."""

    usd_micros: int
    amount_micros: int
    price_version: str
    exchange_rate_version: str
    aud_per_usd_micros: int  # the rate this quote was made at; its settlement uses the same one

    def settled_micros(self, usd_micros: int) -> int:
        """Micro-AUD for what the provider billed, at the quoted rate."""
        return aud_micros(usd_micros, self.aud_per_usd_micros)


@dataclass(frozen=True)
class PriceCatalogue:
    """A dated set of price rows and the exchange rate that goes with it."""

    version: str
    exchange_rate: ExchangeRate
    rows: tuple[PriceRow, ...]

    def quote(self, request: GenerationRequest) -> Quote:
        """Price a resolved request at its worst case; raise Invalid if the model has no price."""
        usd_micros = self._output_usd_micros(request) + self._input_bound_usd_micros(request)
        return Quote(
            usd_micros=checked_micros(usd_micros, "usd_micros"),
            amount_micros=aud_micros(usd_micros, self.exchange_rate.aud_per_usd_micros),
            price_version=self.version,
            exchange_rate_version=self.exchange_rate.version,
            aud_per_usd_micros=self.exchange_rate.aud_per_usd_micros,
        )

    def billed_usd_micros(
        self, request: GenerationRequest, billed: Billed, usage: Usage | None
    ) -> int:
        """The micro-USD a provider will charge for an attempt that ended this way."""
        if billed is Billed.NOTHING:
            return 0
        if billed is Billed.OUTPUT:
            return self._output_usd_micros(request)
        if billed is Billed.MAXIMUM or usage is None:
            return self.quote(request).usd_micros
        return self._usage_usd_micros(request.model, usage)

    def run_seconds_max(self, model: str) -> int:
        """The longest run a time-priced model is allowed, in seconds; 0 for other models."""
        row = self._find(model, "second")
        return row.seconds_max or 0 if row else 0

    def is_priced(self, model: str) -> bool:
        """An unpriced model cannot be used."""
        return any(row.model == model for row in self.rows)

    def _usage_usd_micros(self, model: str, usage: Usage) -> int:
        per_second = self._find(model, "second")
        if per_second:
            return ceil_micros(usage.seconds * Decimal(per_second.usd_micros))
        per_token = self._find(model, "output_token")
        if per_token:
            text = self._find(model, "input_token")
            return usage.output_tokens * per_token.usd_micros + usage.input_tokens * (
                text.usd_micros if text else 0
            )
        return usage.images * self._worst_image_row(model, None, None).usd_micros

    def _output_usd_micros(self, request: GenerationRequest) -> int:
        per_second = self._find(request.model, "second")
        if per_second:
            return per_second.usd_micros * (per_second.seconds_max or 0)
        row = self._worst_image_row(request.model, request.size, request.quality)
        return row.usd_micros * request.count

    def _input_bound_usd_micros(self, request: GenerationRequest) -> int:
        text = self._find(request.model, "input_token")
        if text is None:
            return 0
        # A token is at least one UTF-8 byte, so the byte count bounds the token count.
        tokens = len(request.prompt.encode()) + INPUT_TOKENS_OVERHEAD
        return tokens * text.usd_micros * request.count

    def _find(self, model: str, unit: Unit) -> PriceRow | None:
        return next((r for r in self.rows if r.model == model and r.unit == unit), None)

    def _worst_image_row(self, model: str, size: str | None, quality: str | None) -> PriceRow:
        rows = [
            row
            for row in self.rows
            if row.model == model
            and row.unit == "image"
            and (row.size is None or size in (None, AUTO, row.size))
            and (row.quality is None or quality in (None, AUTO, row.quality))
        ]
        if not rows:
            raise Invalid(
                f"The model {model} has no price for this size and quality, so it cannot be used.",
                code="unpriced",
            )
        return max(rows, key=lambda row: row.usd_micros)


def parse_catalogue(document: Mapping[str, Any]) -> PriceCatalogue:
    """Build a catalogue from its JSON document; raise InvariantBroken on a row that is no price."""
    try:
        rate = document["exchange_rate"]
        rows = tuple(PriceRow(**row) for row in document["rows"])
        catalogue = PriceCatalogue(
            version=document["version"], exchange_rate=ExchangeRate(**rate), rows=rows
        )
    except (KeyError, TypeError) as fault:
        raise InvariantBroken("The price catalogue is malformed.") from fault
    for row in rows:
        time_priced_without_bound = row.unit == "second" and not row.seconds_max
        if checked_micros(row.usd_micros, "usd_micros") == 0 or time_priced_without_bound:
            raise InvariantBroken(
                f"The price row of {row.model} per {row.unit} has no usable price."
            )
    return catalogue


def order_for(
    generation_id: str,
    attempt: int,
    request: GenerationRequest,
    catalogue: PriceCatalogue,
    end_user_hash: str,
) -> ImageOrder:
    """The paid request that an attempt will send."""
    resolved, capability = resolve_request(request)
    size = resolved.size or capability.default_size
    return ImageOrder(
        generation_id=generation_id,
        attempt=attempt,
        model=capability.model,
        provider_model=capability.provider_model,
        prompt=resolved.prompt,
        size=size,
        provider_size=capability.sizes[size],
        quality=resolved.quality,
        count=resolved.count,
        output_format=resolved.output_format or capability.default_output_format,
        seed=resolved.seed,
        negative_prompt=resolved.negative_prompt,
        end_user_hash=end_user_hash,
        run_seconds_max=catalogue.run_seconds_max(capability.model) or RUN_SECONDS_MAX,
    )
