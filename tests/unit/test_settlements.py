from dataclasses import replace
from typing import Any

import pytest

from shared.domain.attempts import Failure
from shared.domain.cases import read_case
from shared.domain.routes import pinned_route
from shared.domain.settlements import (
    expired_report,
    resolution_for,
    unknown_event,
    unknown_record,
)
from shared.errors import InvariantBroken
from tests.builders import CLOSED_AT, item, quote, report, request, rows, single_id

WORK = item(quote=quote(1_000))


@pytest.mark.parametrize(
    ("ending", "fields", "status"),
    [
        ("delivered", {}, "succeeded"),
        ("delivered", {"images": ()}, "failed"),
        ("ended", {"failure": Failure.CONTENT_REJECTED}, "refused"),
        ("ended", {"failure": Failure.INVALID_REQUEST}, "failed"),
        ("canceled", {"failure": Failure.CANCELED}, "canceled"),
    ],
)
def test_a_final_report_has_one_status(ending: str, fields: dict[str, Any], status: str) -> None:
    resolution = resolution_for(WORK, report(WORK, ending, **fields), CLOSED_AT)
    assert resolution.status == status == resolution.record["status"]
    assert resolution.record["completed_at"] == CLOSED_AT
    assert (resolution.record["failure"] is None) == (status == "succeeded")


@pytest.mark.parametrize(("kept", "warnings"), [(0, []), (1, ["w", "fewer_pictures"]), (2, ["w"])])
def test_fewer_pictures_than_asked_are_a_warning_beside_the_providers_own(
    kept: int, warnings: list[str]
) -> None:
    work = item(wanted=request("flux-schnell", count=2))
    images = report(work, "delivered").images * kept
    delivered = report(work, "delivered", images=images, warnings=("w",) if kept else ())
    assert resolution_for(work, delivered, CLOSED_AT).record["warnings"] == warnings


def test_prompt_that_is_cut_is_a_warning_of_the_model_that_was_asked_last() -> None:
    wanted = request("sdxl", prompt="word " * 76)
    flux = replace(pinned_route(wanted, quote(1_000)).candidates[0], model="flux-schnell")
    route = replace(pinned_route(wanted, quote(1_000)), strategy="cheapest")
    work = item(wanted=wanted, quote=quote(1_000))
    work = replace(work, planned_route=replace(route, candidates=(*route.candidates, flux)))
    assert work.record()["warnings"] == ["prompt_cut"]
    for candidate, warnings in ((0, ["prompt_cut"]), (1, [])):
        unknown = report(work, "unknown", candidate=candidate)
        assert unknown_record(work, unknown, CLOSED_AT)["warnings"] == warnings
        delivered = report(work, "delivered", candidate=candidate)
        assert resolution_for(work, delivered, CLOSED_AT).record["warnings"] == warnings


@pytest.mark.parametrize("ending", ["retry", "again", "unknown"])
def test_a_report_that_is_not_final_is_an_invariant_broken(ending: str) -> None:
    with pytest.raises(InvariantBroken):
        resolution_for(WORK, report(WORK, ending), CLOSED_AT)


@pytest.mark.parametrize("usd_micros", [0, 1, 999, 1_000])
def test_cost_within_the_hold_is_booked_as_it_is(usd_micros: int) -> None:
    resolution = resolution_for(WORK, report(WORK, usd_micros=usd_micros), CLOSED_AT)
    assert (resolution.cost.amount_micros, resolution.cost.usd_micros) == (usd_micros, usd_micros)
    assert (resolution.held_micros, resolution.cases) == (1_000, ())


def test_cost_above_the_hold_is_booked_up_to_it_and_opens_a_case() -> None:
    resolution = resolution_for(WORK, report(WORK, usd_micros=1_300), CLOSED_AT)
    assert (resolution.cost.amount_micros, resolution.cost.usd_micros) == (1_000, 1_000)
    (opened,) = resolution.cases
    case = read_case(opened)
    assert (case.kind, case.excess_usd_micros, case.status) == ("cost_above_hold", 300, "open")


def test_an_unknown_outcome_past_the_horizon_is_booked_at_the_maximum() -> None:
    resolution = resolution_for(
        WORK, expired_report(WORK, report(WORK, "unknown", attempt=2)), CLOSED_AT
    )
    assert resolution.cost.amount_micros == 1_000
    assert resolution.cost.estimated is True
    assert (resolution.status, resolution.attempt) == ("failed", 2)
    assert [case["kind"] for case in resolution.cases] == ["outcome_unknown"]


def test_an_unknown_record_waits_with_its_attempt_and_job() -> None:
    unknown = report(WORK, "unknown", attempt=2, reason="no answer", job_id="job-1")
    record = unknown_record(WORK, unknown, "2026-11-22T00:00:00+00:00")
    assert (record["status"], record["attempts"], record["cost"]) == ("indeterminate", 2, None)
    assert record["failure"]["code"] == "outcome_unknown"
    assert record["provider_refs"]["job_id"] == "job-1"
    event = unknown_event(WORK, unknown, CLOSED_AT)
    assert event.details == {"attempt": 2, "model": WORK.request.model, "held_micros": 1_000}


def test_a_single_generation_has_a_record_and_a_row_has_none_yet() -> None:
    row = rows(single_id("batch"), [500])[0]
    assert resolution_for(WORK, report(WORK), CLOSED_AT).record_exists is True
    assert resolution_for(row, report(row), CLOSED_AT).record_exists is False


def test_the_audit_event_tells_the_cost_and_nothing_of_the_prompt() -> None:
    event = resolution_for(WORK, report(WORK, usd_micros=400), CLOSED_AT).event
    assert event.details["amount_micros"] == 400
    assert event.details["price_version"] == WORK.quote.price_version
    assert WORK.request.prompt not in str(event.as_json())
