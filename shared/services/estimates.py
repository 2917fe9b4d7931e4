"""Prices without doing: what a request would cost, and what each model costs at least."""

from dataclasses import dataclass

from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.identity import Caller
from shared.domain.models import MODELS, ModelCapability
from shared.domain.prices import PriceCatalogue
from shared.domain.views import EstimateView, ModelList, ModelView, quote_view
from shared.services.budgets import Budgets


@dataclass(frozen=True)
class Estimates:
    """Quotes from the same catalogue that reservations use."""

    catalogue: PriceCatalogue
    budgets: Budgets

    async def estimate(self, caller: Caller, request: GenerationRequest) -> EstimateView:
        """The worst case of a request, and whether the budgets would cover it now."""
        resolved, capability = resolve_request(request)
        quote = self.catalogue.quote(resolved)
        available_micros = await self.budgets.available_micros(caller)
        return EstimateView(
            model=capability.model,
            provider=capability.provider,
            request=resolved,
            quote=quote_view(vars(quote)),
            fits_budget=quote.amount_micros <= available_micros,
            available_micros=available_micros,
        )

    def models(self) -> ModelList:
        """Every priced model with its capabilities."""
        priced = [model for model in MODELS.values() if self.catalogue.is_priced(model.model)]
        return ModelList(items=tuple(self._view(model) for model in priced))

    def _view(self, model: ModelCapability) -> ModelView:
        return ModelView(
            model=model.model,
            title=model.title,
            provider=model.provider,
            sizes=tuple(model.sizes),
            qualities=model.qualities,
            output_formats=model.output_formats,
            count_max=model.count_max,
            prompt_chars_max=model.prompt_chars_max,
            seed=model.seed,
            negative_prompt=model.negative_prompt,
            residency=model.residency,
            retires_on=model.retires_on,
            price_from_micros=self._cheapest_micros(model),
            price_version=self.catalogue.version,
        )

    def _cheapest_micros(self, model: ModelCapability) -> int:
        requests = [
            GenerationRequest(model=model.model, prompt="-", size=size, quality=quality)
            for size in model.sizes
            for quality in (model.qualities or (None,))
        ]
        return min(self.catalogue.quote(resolve_request(r)[0]).amount_micros for r in requests)
