"""What a request may cost at worst (the quote) and what it did cost (from the metered usage).

Invariant: for every request and every usage inside the model's documented bounds,
quote.usd_micros >= actual cost, and so quote.amount_micros >= the settled amount.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from shared.domain.attempts import Billed, ImageOrder, Usage
from shared.domain.capabilities import AUTO
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import MODELS, retirement_refusal
from shared.domain.money import ExchangeRate, aud_micros, ceil_micros, checked_micros
from shared.errors import FieldFault, Invalid

INPUT_TOKENS_OVERHEAD = 32  # tokens a service may wrap around a prompt; observed: fewer than 10

# Text tokens a service may add for each reference picture; observed: up to 39, with older models.
INPUT_TOKENS_PER_REFERENCE = 64

RUN_SECONDS_MAX = 120  # of models whose price does not depend on time: ends a job nobody awaits

Unit = Literal["image", "output_token", "input_token", "input_image_token", "second"]


@dataclass(frozen=True)
class PriceRow:
    """One price in micro-USD per unit, with where and when it was found.

    `seconds_max` bounds a run (unit second), `tokens_max` one picture (unit input_image_token).
    `batch_percent` is read from a model's output_token row and holds for its whole bill.
    """

    model: str
    unit: Unit
    usd_micros: int
    source: str
    as_of: str
    size: str | None = None
    quality: str | None = None
    seconds_max: int | None = None
    tokens_max: int | None = None
    batch_percent: int | None = None  # of this price, at the provider's batch endpoint


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
    """The prices of one version and one exchange rate.

    With a `day` it quotes for that day and refuses what is retired; without one it only bills.
    """

    version: str
    exchange_rate: ExchangeRate
    rows: tuple[PriceRow, ...]
    day: date | None = None

    def quote(self, request: GenerationRequest, reference_images: int = 0) -> Quote:
        """Price a resolved request at its worst case; Invalid if it has no price or is retired."""
        capability = MODELS.get(request.model)
        refusal = retirement_refusal(capability, self.day) if capability and self.day else None
        if refusal is not None:
            raise refusal
        usd_micros = (
            self._output_usd_micros(request)
            + self._input_bound_usd_micros(request, reference_images)
            + self._reference_usd_micros(request, reference_images)
        )
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

    def batch_usd_micros(self, model: str, list_usd_micros: int) -> int:
        """What the batch endpoint takes for work of this price; the same where it has no price."""
        row = self._find(model, "output_token")
        percent = 100 if row is None or row.batch_percent is None else row.batch_percent
        return -(-list_usd_micros * percent // 100)

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

    def _input_bound_usd_micros(self, request: GenerationRequest, reference_images: int) -> int:
        text = self._find(request.model, "input_token")
        if text is None:
            return 0
        # A token is at least one UTF-8 byte, so the byte count bounds the token count.
        tokens = len(request.prompt.encode()) + INPUT_TOKENS_OVERHEAD
        tokens += reference_images * INPUT_TOKENS_PER_REFERENCE
        return tokens * text.usd_micros * request.count

    def _reference_usd_micros(self, request: GenerationRequest, reference_images: int) -> int:
        """Each picture asked for is billed like a call of its own, with all its references."""
        if reference_images == 0:
            return 0
        row = self._find(request.model, "input_image_token")
        if row is None:
            raise unpriced(request.model, "/reference_images", "reference pictures")
        return (row.tokens_max or 0) * row.usd_micros * reference_images * request.count

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
            raise unpriced(model, "/model", "this size and quality")
        return max(rows, key=lambda row: row.usd_micros)


def unpriced(model: str, field: str, what: str) -> Invalid:
    """The refusal of what nobody has a price for."""
    return Invalid(
        f"The model {model} has no price for {what}, so it cannot be used.",
        code="unpriced",
        faults=[FieldFault(field, "choose another: this one has no price")],
    )


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
