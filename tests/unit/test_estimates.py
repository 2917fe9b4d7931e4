from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.batch_files import BatchRow
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.freezes import Freeze, Target
from shared.domain.generations import GenerationRequest
from shared.errors import FieldFault, Invalid
from shared.ports import DirectoryUser
from shared.services.budget_periods import BudgetPeriods
from shared.services.budgets import Budgets
from shared.services.calendars import Calendars
from shared.services.estimates import Estimates
from shared.services.freezes import FreezeWatch
from shared.services.routing import Routing
from tests.builders import TENANT, caller, catalogue, catalogues, event, request, routed, routing
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.freezes import FakeFreezes

AVA = caller(1)
MEDIUM_MICROS = catalogue().quote(request()).amount_micros
WISH = {"prompt": "a lighthouse at dawn"}


class Bench:
    """Estimates over stores in memory; the person may spend two medium pictures."""

    def __init__(self, now: datetime = NOON) -> None:
        clock = FakeClock(now)
        connection = FakeConnection()
        policies = FakeBudgetPolicies(connection)
        directory = FakeDirectory({AVA.key: DirectoryUser("marketing")}, ["marketing"])
        department, user = AVA.charge().scopes()
        policies.plant("marketing", BudgetPolicy(department, 50_000_000))
        policies.plant("marketing", BudgetPolicy(user, 2 * MEDIUM_MICROS))
        ledger = CosmosLedger(connection.as_connection())
        calendars = Calendars(policies, directory, clock)
        periods = BudgetPeriods(policies, calendars, clock)
        budgets = Budgets(ledger, policies, directory, calendars, periods, clock)
        self.freezes = FakeFreezes(connection)
        watch = FreezeWatch(self.freezes, clock)
        self.estimates = Estimates(catalogues(), routing(), budgets, watch, clock)


def wishes(*models: str) -> list[GenerationRequest]:
    return [GenerationRequest.model_validate(WISH | {"model": model}) for model in models]


async def test_estimate_names_the_budget_that_does_not_cover_it() -> None:
    view = await Bench().estimates.estimate(AVA, AVA.charge(), request(count=3))
    assert (view.fits_budget, view.eligible) == (False, False)
    assert view.available_micros == 2 * MEDIUM_MICROS
    assert [each.fits for each in view.budgets] == [True, False]
    assert [each.code for each in view.refusals] == ["budget_exceeded"]
    assert AVA.key in view.refusals[0].detail


async def test_comparison_says_what_is_frozen() -> None:
    bench = Bench()
    freeze = Freeze(Target("model", "sdxl"), "drift", "t.o", NOON.isoformat(), change_id="1")
    await bench.freezes.put(TENANT, freeze, event("freeze:model:sdxl", "freeze.set.1"))
    compared = await bench.estimates.compare(AVA, AVA.charge(), wishes("sdxl", "flux-schnell"))
    assert [each.model for each in compared.candidates] == ["flux-schnell", "sdxl"]
    sdxl = compared.candidates[1]
    assert [each.code for each in sdxl.refusals] == ["frozen"]
    assert sdxl.quote is not None and not sdxl.eligible
    rows = iter([BatchRow(1, 2, "a", request("sdxl"), ())])
    dry = await bench.estimates.dry_run(AVA, AVA.charge(), rows)
    assert (dry.eligible, [each.code for each in dry.refusals]) == (False, ["frozen"])


async def test_model_in_its_last_days_is_announced() -> None:
    before = Bench(datetime(2027, 1, 20, tzinfo=UTC)).estimates.models()
    earlier = next(each for each in before.items if each.model == "gpt-image-2")
    assert earlier.deprecation is None
    bench = Bench(datetime(2027, 4, 20, 23, tzinfo=UTC))
    model = next(each for each in bench.estimates.models().items if each.model == "gpt-image-2")
    assert model.deprecation is not None
    assert (model.deprecation.retires_on, model.deprecation.days_left) == ("2027-04-21", 1)
    view = await bench.estimates.estimate(AVA, AVA.charge(), request())
    assert view.deprecation == model.deprecation
    assert view.exchange_rate.stale is True


async def test_model_that_has_ended_is_refused_and_listed_as_retired() -> None:
    bench = Bench(datetime(2027, 4, 21, tzinfo=UTC))
    models = bench.estimates.models()
    assert "gpt-image-2" not in {each.model for each in models.items}
    assert "gpt-image-2" in {each.model for each in models.retired}
    with pytest.raises(Invalid, match="retired"):
        await bench.estimates.estimate(AVA, AVA.charge(), request())
    compared = await bench.estimates.compare(AVA, AVA.charge(), wishes("gpt-image-2"))
    assert [each.code for each in compared.candidates[0].refusals] == ["model_retired"]
    rows = iter([BatchRow(1, 2, "a", request(), ())])
    dry = await bench.estimates.dry_run(AVA, AVA.charge(), rows)
    assert (dry.valid_rows, dry.eligible) == (0, False)
    assert dry.items[0].faults[0]["field"] == "/model"


async def test_nothing_is_priced_without_a_rate_in_force() -> None:
    bench = Bench(datetime(2028, 1, 1, tzinfo=UTC))
    with pytest.raises(Invalid) as refusal:
        await bench.estimates.compare(AVA, AVA.charge(), wishes("sdxl"))
    assert refusal.value.problem_code == "unpriced"


async def test_dry_run_counts_the_rows_that_fit() -> None:
    fault = BatchRow(2, 3, "b", None, (FieldFault("/size", "no"),))
    rows = iter(
        [BatchRow(1, 2, "a", request(), ()), fault]
        + [BatchRow(n, n + 1, f"r{n}", request(), ()) for n in (3, 4)]
    )
    dry = await Bench().estimates.dry_run(AVA, AVA.charge(), rows)
    assert (dry.rows, dry.valid_rows, dry.invalid_rows) == (4, 3, 1)
    assert (dry.fits_budget, dry.rows_that_fit) == (False, 2)
    assert dry.quoted_micros == 3 * MEDIUM_MICROS == sum(each.amount_micros for each in dry.models)


async def test_model_of_a_provider_that_is_not_set_up_is_not_on_offer() -> None:
    bench = Bench()
    only = Routing(catalogues(), configured=frozenset({"replicate"}))
    estimates = replace(bench.estimates, routing=only)
    shown = {model.provider for model in estimates.models().items}
    assert shown == {"replicate"}
    answer = await estimates.compare(AVA, AVA.charge(), wishes("gpt-image-2", "sdxl"))
    codes = {each.model: [refusal.code for refusal in each.refusals] for each in answer.candidates}
    assert codes["gpt-image-2"][-1] == "not_configured"
    assert "not_configured" not in codes["sdxl"]


async def test_estimate_of_auto_is_that_of_its_first_choice_and_says_why() -> None:
    bench = Bench()
    asked = routed("auto", models=("sdxl", "flux-schnell"))
    estimate = await bench.estimates.estimate(AVA, AVA.charge(), asked)
    assert estimate.model == estimate.routing.chosen == "flux-schnell"
    assert estimate.quote.amount_micros == estimate.routing.candidates[0].quoted_micros
    assert {each.model for each in estimate.routing.excluded} >= {"sdxl", "gpt-image-2"}


async def test_estimates_tell_which_model_would_drop_the_end_of_a_prompt() -> None:
    estimates = Bench().estimates
    long = {"prompt": "word " * 76}
    for model, warnings in (("sdxl", ("prompt_cut",)), ("flux-schnell", ())):
        view = await estimates.estimate(AVA, AVA.charge(), request(model, **long))
        assert view.warnings == warnings
    wished = GenerationRequest.model_validate({"model": "auto"} | long)
    auto = await estimates.estimate(AVA, AVA.charge(), wished)
    assert (auto.warnings, "prompt_cut" in {each.code for each in auto.routing.excluded}) == (
        (),
        True,
    )
    requests = [
        GenerationRequest.model_validate({"model": model} | long)
        for model in ("sdxl", "flux-schnell", "nobody")
    ]
    compared = await estimates.compare(AVA, AVA.charge(), requests)
    assert {each.model: each.warnings for each in compared.candidates} == {
        "sdxl": ("prompt_cut",),
        "flux-schnell": (),
        "nobody": (),
    }
    rows = [
        BatchRow(1, 2, "a", request("sdxl", **long), ()),
        BatchRow(2, 3, "b", None, (FieldFault("/size", "no"),)),
    ]
    dry = await estimates.dry_run(AVA, AVA.charge(), iter(rows))
    assert [each.warnings for each in dry.items] == [("prompt_cut",), ()]
    read = {each.model: each.prompt_tokens_read for each in estimates.models().items}
    assert (read["sdxl"], read["sdxl-sovereign"], read["gpt-image-2"]) == (77, 77, None)
