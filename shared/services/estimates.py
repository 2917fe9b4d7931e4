"""Prices without doing: one request, the same request on several models, a whole file."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import PlannedRow, totals_of
from shared.domain.batch_quotes import planned_row, rows_that_fit
from shared.domain.budget_views import BudgetView
from shared.domain.budgets import Charge
from shared.domain.capabilities import ModelCapability
from shared.domain.estimate_views import (
    BudgetRoomView,
    CandidateView,
    ComparisonView,
    DryRunRowView,
    DryRunView,
    EstimateView,
    ExchangeRateView,
    ModelList,
    ModelTotalView,
    ModelView,
    RefusalView,
    RetiredModelView,
    deprecation_view,
    latency_view,
    refusal_view,
)
from shared.domain.freezes import (
    Freeze,
    standing_freeze,
    targets_of_models,
    targets_of_scopes,
)
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.identity import Caller
from shared.domain.models import MODELS, RETIRED_MODELS, retirement_refusal
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.prices import PriceCatalogue, Quote
from shared.domain.privacy_policies import EffectivePolicy
from shared.domain.prompt_cuts import prompt_warnings
from shared.domain.routes import pinned_route
from shared.domain.routing import routed
from shared.domain.views import quote_view, routing_view
from shared.errors import BudgetExceeded, FieldFault, Frozen, Invalid, PolicyDenied
from shared.ports import Clock
from shared.services.budgets import Budgets
from shared.services.freezes import FreezeWatch
from shared.services.privacy import residency_refusal
from shared.services.privacy_policies import PolicyWatch
from shared.services.routing import Routing


@dataclass(frozen=True)
class Estimates:
    """Quotes from the same catalogues that reservations use; nothing is written."""

    catalogues: PriceCatalogues
    routing: Routing
    budgets: Budgets
    freezes: FreezeWatch
    clock: Clock
    privacy: PolicyWatch | None = None  # asked about residency; prompts are not looked at here

    async def estimate(
        self,
        caller: Caller,
        charge: Charge,
        request: GenerationRequest,
        reference_images: int = 0,
    ) -> EstimateView:
        """The worst case of a request; Invalid if its model cannot serve it."""
        now = self.clock.now()
        route = None
        if request.is_routed:
            around = await self.routing.surroundings(caller, now)
            route = routed(request, around, reference_images)
            request = route.candidates[0].request(request)
        resolved, capability = resolve_request(request)
        quote = self.catalogues.at(now).quote(resolved, reference_images)
        state = await self._state(caller, charge)
        refusals = [
            *_reference_refusals(capability, reference_images),
            *state.refusals([capability.model], quote.amount_micros),
        ]
        return EstimateView(
            model=capability.model,
            provider=capability.provider,
            request=resolved,
            quote=quote_view(vars(quote)),
            fits_budget=quote.amount_micros <= state.available_micros,
            available_micros=state.available_micros,
            budgets=state.rooms(quote.amount_micros),
            eligible=not refusals,
            refusals=tuple(refusals),
            warnings=prompt_warnings(resolved),
            typical_latency=latency_view(capability.latency),
            residency=capability.residency,
            deprecation=deprecation_view(capability, now.date()),
            exchange_rate=self._exchange_rate(now),
            routing=routing_view(route or pinned_route(resolved, quote)),
        )

    async def compare(
        self,
        caller: Caller,
        charge: Charge,
        requests: Sequence[GenerationRequest],
        reference_images: int = 0,
    ) -> ComparisonView:
        """The same wish put to several models; a model that cannot serve it says why."""
        now = self.clock.now()
        catalogue = self.catalogues.at(now)
        state = await self._state(caller, charge)
        candidates = [
            _candidate(request, reference_images, catalogue, now.date(), state)
            for request in requests
        ]
        return ComparisonView(
            candidates=tuple(sorted(candidates, key=_rank)),
            available_micros=state.available_micros,
            budgets={budget.scope: budget.available_micros for budget in state.budgets},
            exchange_rate=self._exchange_rate(now),
        )

    async def dry_run(self, caller: Caller, charge: Charge, rows: Iterator[BatchRow]) -> DryRunView:
        """What a whole file would cost, row by row; a faulty file is refused as a batch is."""
        now = self.clock.now()
        catalogue = self.catalogues.at(now)
        around = await self.routing.surroundings(caller, now)
        planned = await asyncio.to_thread(
            lambda: [planned_row(row, around) for row in rows]  # parsing may take seconds
        )
        state = await self._state(caller, charge)
        totals = totals_of(planned)
        models = _model_totals(planned)
        refusals = state.refusals([each.model for each in models], totals.amount_micros)
        return DryRunView(
            rows=totals.rows,
            valid_rows=totals.valid_rows,
            invalid_rows=totals.invalid_rows,
            quoted_micros=totals.amount_micros,
            quoted_usd_micros=totals.usd_micros,
            price_version=catalogue.version,
            exchange_rate=self._exchange_rate(now),
            models=models,
            budgets=state.rooms(totals.amount_micros),
            fits_budget=totals.amount_micros <= state.available_micros,
            rows_that_fit=rows_that_fit(planned, state.available_micros),
            eligible=totals.valid_rows > 0 and not refusals,
            refusals=tuple(refusals),
            items=tuple(_row_view(row) for row in planned),
        )

    def models(self) -> ModelList:
        """Every priced model that can be called, with what it can do; and the retired ones."""
        now = self.clock.now()
        catalogue = self.catalogues.at(now)
        day = now.date()
        retired = [
            RetiredModelView(model=each.model, retired_on=each.retired_on, successor=each.successor)
            for each in RETIRED_MODELS.values()
        ]
        items = []
        for model in MODELS.values():
            if retirement_refusal(model, day) is not None:
                retired.append(
                    RetiredModelView(
                        model=model.model,
                        retired_on=str(model.retires_on),
                        successor=model.successor,
                    )
                )
            elif catalogue.is_priced(model.model) and self.routing.offers(model):
                items.append(_model_view(model, catalogue, day))
        return ModelList(items=tuple(items), retired=tuple(retired))

    def _exchange_rate(self, now: datetime) -> ExchangeRateView:
        rate = self.catalogues.at(now).exchange_rate
        return ExchangeRateView(
            version=rate.version,
            as_of=rate.as_of,
            aud_per_usd_micros=rate.aud_per_usd_micros,
            stale=self.catalogues.rate_is_stale(now),
        )

    async def _state(self, caller: Caller, charge: Charge) -> "_SpendingState":
        return _SpendingState(
            charge=charge,
            budgets=await self.budgets.charged(charge),
            freezes=await self.freezes.current(caller.tenant_id),
            now=self.clock.now(),
            offers=self.routing.offers,
            denial=await self.routing.denial(caller),
            privacy=await self.privacy.effective(caller.tenant_id, caller.department_id)
            if self.privacy
            else None,
        )


@dataclass(frozen=True)
class _SpendingState:
    """What stood between a price and its reservation at one moment; only a reservation decides."""

    charge: Charge
    budgets: Sequence[BudgetView]
    freezes: Sequence[Freeze]
    now: datetime
    offers: Callable[[ModelCapability], bool]
    denial: Callable[[ModelCapability], PolicyDenied | None]
    privacy: EffectivePolicy | None = None

    @property
    def available_micros(self) -> int:
        return min(budget.available_micros for budget in self.budgets)

    def rooms(self, amount_micros: int) -> tuple[BudgetRoomView, ...]:
        """What each charged budget has left, beside an amount."""
        return tuple(
            BudgetRoomView(
                scope=budget.scope,
                available_micros=budget.available_micros,
                fits=amount_micros <= budget.available_micros,
            )
            for budget in self.budgets
        )

    def refusals(self, models: Sequence[str], amount_micros: int) -> list[RefusalView]:
        """Why an amount for these models would be refused now."""
        refusals = [
            RefusalView(
                code=BudgetExceeded.code,
                detail=f"The budget {room.scope} has {room.available_micros} micro-AUD left.",
            )
            for room in self.rooms(amount_micros)
            if not room.fits
        ]
        scopes = targets_of_scopes(self.charge.department_id, self.charge.scopes())
        freeze = standing_freeze(self.freezes, [*targets_of_models(models), *scopes], self.now)
        if freeze is not None:
            detail = f"New spending is frozen for {freeze.target.text}: {freeze.reason}"
            refusals.append(RefusalView(code=Frozen.code, detail=detail))
        absent = [model for model in models if not self.offers(MODELS[model])]
        refusals += [
            RefusalView(code="not_configured", detail=f"{model} is not set up here.")
            for model in absent
        ]
        denials = [self.denial(MODELS[model]) for model in models]
        refusals += [refusal_view(each) for each in denials if each]
        return refusals + self._residency_refusals(models)

    def _residency_refusals(self, models: Sequence[str]) -> list[RefusalView]:
        if self.privacy is None:
            return []
        denied = [residency_refusal(self.privacy, model) for model in models]
        return [refusal_view(each) for each in denied if each]


def _candidate(
    request: GenerationRequest,
    reference_images: int,
    catalogue: PriceCatalogue,
    day: date,
    state: _SpendingState,
) -> CandidateView:
    capability = MODELS.get(request.model)
    resolved: GenerationRequest | None = None
    quote: Quote | None = None
    refusals: list[RefusalView] = []
    try:
        resolved, _ = resolve_request(request)
        quote = catalogue.quote(resolved, reference_images)
        refusals += state.refusals([request.model], quote.amount_micros)
    except Invalid as refusal:
        refusals.append(refusal_view(refusal))
    if capability is not None:
        refusals += _reference_refusals(capability, reference_images)
    return CandidateView(
        model=request.model,
        provider=capability.provider if capability else None,
        eligible=not refusals,
        refusals=tuple(refusals),
        warnings=prompt_warnings(resolved) if resolved else (),
        request=resolved,
        quote=quote_view(vars(quote)) if quote else None,
        typical_latency=latency_view(capability.latency) if capability else None,
        residency=capability.residency if capability else None,
        deprecation=deprecation_view(capability, day) if capability else None,
    )


def _rank(candidate: CandidateView) -> tuple[bool, bool, int, str]:
    quote = candidate.quote
    amount_micros = quote.amount_micros if quote else 0
    return (not candidate.eligible, quote is None, amount_micros, candidate.model)


def _reference_refusals(model: ModelCapability, reference_images: int) -> list[RefusalView]:
    if reference_images <= model.reference_images_max:
        return []
    fault = FieldFault("/reference_images", f"at most {model.reference_images_max}")
    refusal = Invalid(
        f"The model {model.model} takes no reference pictures here.",
        code="unsupported_by_model",
        faults=[fault],
    )
    return [refusal_view(refusal)]


def _row_view(row: PlannedRow) -> DryRunRowView:
    return DryRunRowView(
        row=row.row,
        item_id=row.item_id,
        model=row.request.model if row.request else None,
        quoted_micros=row.quote.amount_micros if row.quote else None,
        warnings=prompt_warnings(row.request) if row.request else (),
        faults=tuple(fault.model_dump() for fault in row.faults),
    )


def _model_totals(planned: Sequence[PlannedRow]) -> tuple[ModelTotalView, ...]:
    rows: Counter[str] = Counter()
    images: Counter[str] = Counter()
    amount_micros: Counter[str] = Counter()
    usd_micros: Counter[str] = Counter()
    for row in planned:
        if row.request is not None and row.quote is not None:
            rows[row.request.model] += 1
            images[row.request.model] += row.request.count
            amount_micros[row.request.model] += row.quote.amount_micros
            usd_micros[row.request.model] += row.quote.usd_micros
    return tuple(
        ModelTotalView(
            model=model,
            rows=rows[model],
            images=images[model],
            amount_micros=amount_micros[model],
            usd_micros=usd_micros[model],
        )
        for model in sorted(rows)
    )


def _model_view(model: ModelCapability, catalogue: PriceCatalogue, day: date) -> ModelView:
    return ModelView(
        model=model.model,
        title=model.title,
        provider=model.provider,
        sizes=tuple(model.sizes),
        qualities=model.qualities,
        output_formats=model.output_formats,
        count_max=model.count_max,
        prompt_chars_max=model.prompt_chars_max,
        prompt_tokens_read=model.prompt_tokens_read,
        seed=model.seed,
        negative_prompt=model.negative_prompt,
        residency=model.residency,
        retires_on=model.retires_on,
        deprecation=deprecation_view(model, day),
        typical_latency=latency_view(model.latency),
        price_from_micros=_cheapest_micros(model, catalogue),
        price_version=catalogue.version,
    )


def _cheapest_micros(model: ModelCapability, catalogue: PriceCatalogue) -> int:
    requests = [
        GenerationRequest.model_validate(
            {"model": model.model, "prompt": "-", "size": size, "quality": quality}
        )
        for size in model.sizes
        for quality in (model.qualities or (None,))
    ]
    return min(catalogue.quote(resolve_request(r)[0]).amount_micros for r in requests)
