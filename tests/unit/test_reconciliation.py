"""The comparison: adds up, does not depend on order, and says what a person would say."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.cases import organisation_subject, partition_of_case
from shared.domain.reconciliation import (
    DRIFT_BP_MAX,
    BilledLine,
    BookedEntry,
    Comparison,
    OpenWork,
    compare,
    drift_of,
    drifts,
)
from shared.domain.reconciliation_cases import Books, FindingTerms, findings
from tests import builders

DAY = date(2026, 11, 15)
PROVIDER = "azure_openai"


def line(key: str, usd_micros: int | None = 100, **values: Any) -> BilledLine:
    made = BilledLine(PROVIDER, "gpt-image-2", DAY, "output", usd_micros, generation_id=key)
    return replace(made, **values)


def entry(key: str, usd_micros: int = 100, **values: Any) -> BookedEntry:
    made = BookedEntry(key, PROVIDER, "gpt-image-2", DAY, usd_micros, estimated=False)
    return replace(made, **values)


def standings(comparison: Comparison) -> dict[str, str]:
    return {item.key: item.standing for item in comparison.items}


def test_each_request_stands_as_a_person_would_say() -> None:
    comparison = compare(
        PROVIDER,
        DAY,
        [
            line("same"),
            line("parts", 60),
            line("parts", 40),
            line("dearer", 150),
            line("only billed"),
            line("lost"),
            line("running"),
            line("untold", None),
        ],
        [
            entry("same"),
            entry("parts"),
            entry("dearer"),
            entry("only booked"),
            entry("free", 0),
            entry("untold"),
        ],
        [
            OpenWork("lost", "gpt-image-2", unknown=True),
            OpenWork("running", "gpt-image-2", unknown=False),
        ],
    )
    assert standings(comparison) == {
        "same": "matched",
        "parts": "matched",
        "dearer": "amount_differs",
        "only billed": "billed_not_booked",
        "only booked": "booked_not_billed",
        "free": "matched",
        "lost": "unknown",
        "running": "pending",
        "untold": "amount_unknown",
    }
    (figures,) = comparison.models
    assert figures.drift_usd_micros == (100 + 100 + 150 + 100) - (100 + 100 + 100 + 100)
    assert figures.drift_bp == 50 * 10_000 // 400


def test_lines_find_their_entry_by_job_and_by_request() -> None:
    comparison = compare(
        PROVIDER,
        DAY,
        [
            line("x", generation_id=None, job_id="job"),
            line("x", generation_id=None, request_id="request"),
            line("x", generation_id=None, job_id="job of lost"),
        ],
        [entry("by job", job_id="job"), entry("by request", request_id="request")],
        [OpenWork("lost", "gpt-image-2", True, frozenset({"job of lost"}))],
    )
    assert standings(comparison) == {
        "by job": "matched",
        "by request": "matched",
        "lost": "unknown",
    }


def test_unknown_outcome_whose_price_is_not_told_is_not_settled() -> None:
    lost = OpenWork("lost", "gpt-image-2", unknown=True)
    comparison = compare(PROVIDER, DAY, [line("lost", None)], [], [lost])
    assert standings(comparison) == {"lost": "amount_unknown"}


@pytest.mark.parametrize(("line_day", "entry_day"), [(0, 1), (1, 0), (0, 0)])
def test_request_around_midnight_counts_on_the_day_of_its_line(
    line_day: int, entry_day: int
) -> None:
    lines = [line("a", day=DAY + timedelta(days=line_day))]
    entries = [entry("a", day=DAY + timedelta(days=entry_day))]
    counted = [
        standings(compare(PROVIDER, DAY + timedelta(days=n), lines, entries)) for n in range(2)
    ]
    assert counted[line_day] == {"a": "matched"}
    assert counted[1 - line_day] == {}


def test_daily_sums_are_compared_as_sums() -> None:
    sums = [line("", 250, generation_id=None), line("", 50, generation_id=None)]
    comparison = compare(PROVIDER, DAY, sums, [entry("a"), entry("b"), entry("c", estimated=True)])
    assert comparison.items == ()
    (figures,) = comparison.models
    assert (figures.billed_usd_micros, figures.booked_usd_micros) == (300, 300)
    assert (figures.drift_bp, figures.daily_sum) == (0, True)


def test_estimates_are_no_drift() -> None:
    comparison = compare(PROVIDER, DAY, [line("a", 10)], [entry("a", 1_000_000, estimated=True)])
    assert standings(comparison) == {"a": "amount_differs"}
    assert comparison.models[0].drift_bp == 0


@pytest.mark.parametrize(
    ("billed", "booked", "basis_points"),
    [
        (0, 0, 0),
        (100, 100, 0),
        (102, 100, 200),
        (98, 100, 200),
        (1, 0, DRIFT_BP_MAX),
        (0, 100, 10_000),
        (10**12, 1, DRIFT_BP_MAX),
    ],
)
def test_drift_is_the_share_of_what_was_booked(billed: int, booked: int, basis_points: int) -> None:
    assert drift_of(billed, booked) == basis_points


def test_a_difference_of_rounding_stops_no_model() -> None:
    (figures,) = compare(PROVIDER, DAY, [line("a", 1_100)], [entry("a", 100)]).models
    assert figures.drift_bp == DRIFT_BP_MAX // 10
    assert not drifts(figures, 200)
    (figures,) = compare(PROVIDER, DAY, [line("a", 1_101)], [entry("a", 100)]).models
    assert drifts(figures, 200)


KEYS = st.sampled_from([f"g{n}" for n in range(6)])
AMOUNTS = st.integers(0, 500)
DAYS = st.integers(-1, 1).map(lambda n: DAY + timedelta(days=n))
MODELS = st.sampled_from(["gpt-image-2", "sdxl", None])


@st.composite
def days(draw: st.DrawFn) -> tuple[list[BilledLine], list[BookedEntry], list[OpenWork]]:
    """Lines and entries of three days; generations are billed, booked, both, running or lost."""
    lines = draw(
        st.lists(
            st.builds(
                line,
                st.one_of(KEYS, st.none()),
                st.one_of(AMOUNTS, st.none()),
                day=DAYS,
                model=MODELS,
                job_id=st.one_of(st.none(), KEYS.map(lambda key: f"job {key}")),
                is_priced=st.booleans(),
            ),
            max_size=12,
        )
    )
    keys = sorted(draw(st.sets(KEYS)))
    entries = [
        entry(
            key,
            draw(AMOUNTS),
            day=draw(DAYS),
            model=draw(st.sampled_from(["gpt-image-2", "sdxl"])),
            estimated=draw(st.booleans()),
            job_id=draw(st.one_of(st.none(), st.just(f"job {key}"))),
        )
        for key in keys
    ]
    lost = sorted(draw(st.sets(KEYS)) - set(keys))
    work = [OpenWork(key, "gpt-image-2", draw(st.booleans())) for key in lost]
    return lines, entries, work


def window(
    made: tuple[list[BilledLine], list[BookedEntry], list[OpenWork]],
) -> list[Comparison]:
    return [compare(PROVIDER, DAY + timedelta(days=n), *made) for n in (-1, 0, 1)]


@settings(max_examples=60, deadline=None)
@given(days())
def test_every_line_and_every_entry_counts_once(
    made: tuple[list[BilledLine], list[BookedEntry], list[OpenWork]],
) -> None:
    lines, entries, _ = made
    figures = [figure for comparison in window(made) for figure in comparison.models]
    assert sum(f.billed_usd_micros for f in figures) == sum(x.usd_micros or 0 for x in lines)
    assert sum(f.booked_usd_micros for f in figures) == sum(x.usd_micros for x in entries)


@settings(max_examples=60, deadline=None)
@given(days(), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_repetition_changes_nothing(
    made: tuple[list[BilledLine], list[BookedEntry], list[OpenWork]], order: random.Random
) -> None:
    shuffled = tuple(order.sample(each, len(each)) for each in made)
    assert window(shuffled) == window(made)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(days())
def test_drift_is_zero_where_everything_matches(
    made: tuple[list[BilledLine], list[BookedEntry], list[OpenWork]],
) -> None:
    for comparison in window(made):
        for figures in comparison.models:
            ours = [i for i in comparison.items if (i.model or "?") == figures.model]
            if ours and all(i.standing == "matched" for i in ours) and not figures.daily_sum:
                assert figures.drift_bp == 0


TENANT = builders.TENANT
TERMS = FindingTerms(TENANT, frozenset({"marketing"}), 200, "2026-11-16T05:00:00+00:00")
ID = builders.single_id()


def books(*generation_ids: str) -> Books:
    owner = builders.item().owner
    resolution = {
        "tenant_id": owner.tenant_id,
        "department_id": owner.department_id,
        "user_key": owner.user_key,
        "project_id": "apollo",
        "cost_centre_id": None,
        "amount_micros": 150,
        "usd_micros": 100,
        "aud_per_usd_micros": 1_500_000,
        "last_provider": PROVIDER,
    }
    return Books({g: {**resolution, "generation_id": g} for g in generation_ids}, {})


def test_case_of_an_entry_lies_with_it_and_knows_who_paid() -> None:
    comparison = compare(PROVIDER, DAY, [line(ID, 101)], [entry(ID)])
    (finding,) = findings(comparison, books(ID), (), TERMS)
    case = finding.case
    assert (case.case_id, case.kind, case.subject) == (f"{ID}:1", "amount_differs", ID)
    assert case.partition == partition_of_case(case.case_id, TENANT)
    assert case.charge is not None and case.charge.project_id == "apollo"
    assert (case.billed_usd_micros, case.booked_usd_micros) == (101, 100)
    assert case.booked_micros == 150
    assert finding.quarantine is None


@pytest.mark.parametrize("key", ["chatcmpl-1", ID.replace("marketing", "nowhere"), "../x|y"])
def test_line_without_an_entry_or_a_department_lies_with_the_organisation(key: str) -> None:
    (finding,) = findings(compare(PROVIDER, DAY, [line(key)], []), books(), (), TERMS)
    assert finding.case.partition.key == f"organisation.{TENANT}|cases"
    assert finding.case.subject == organisation_subject(PROVIDER, DAY, "billed_not_booked", key)
    assert partition_of_case(finding.case.case_id, TENANT) == finding.case.partition


def test_line_that_names_no_amount_leaves_it_open_what_was_billed() -> None:
    comparison = compare(PROVIDER, DAY, [line("x", 5), line("x", None)], [])
    (finding,) = findings(comparison, books(), (), TERMS)
    assert finding.case.kind == "billed_not_booked"
    assert finding.case.billed_usd_micros is None


def test_drifting_model_and_unpriced_model_are_stopped() -> None:
    comparison = compare(
        PROVIDER,
        DAY,
        [line(ID, 5_000), line(ID, 0, is_priced=False, item="hd"), line("x", 1, model=None)],
        [entry(ID, 100)],
    )
    found = {f.case.kind: f.quarantine for f in findings(comparison, books(ID), (), TERMS)}
    assert found["drift"] == "gpt-image-2"
    stopped = [
        f.quarantine
        for f in findings(comparison, books(ID), (), TERMS)
        if f.case.kind == "unpriced"
    ]
    assert stopped == [None, "gpt-image-2"]
