"""What follows from a failure: the same model again, another one inside the same hold, the end."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.attempts import (
    AttemptLine,
    AttemptReport,
    Course,
    Failure,
)
from shared.domain.fallbacks import (
    SAME_PROVIDER_WAIT_S_MAX,
    billed_micros,
    continued,
    held_micros,
    line_of,
    passed_over,
    raise_micros,
)
from shared.domain.ledger import ATTEMPTS_MAX
from shared.domain.routes import Route
from shared.domain.settlements import expired_report, resolution_for
from shared.domain.work import WorkItem, read_work_item
from tests import builders
from tests.unit.fallback_work import QUOTE, candidate, item


def failed(
    work: WorkItem, failure: Failure, usd_micros: int = 0, attempt: int = 1
) -> AttemptReport:
    return AttemptReport(
        generation_id=work.generation_id,
        attempt=attempt,
        ending="ended",
        failure=failure,
        usd_micros=usd_micros,
    )


@pytest.mark.parametrize(
    ("failure", "billed", "wait_s", "ending", "following"),
    [
        (Failure.TRANSIENT, False, None, "fallback", 1),
        (Failure.RATE_LIMITED, False, SAME_PROVIDER_WAIT_S_MAX, "retry", 0),
        (Failure.RATE_LIMITED, False, SAME_PROVIDER_WAIT_S_MAX + 1, "fallback", 1),
        (Failure.PROVIDER_BLOCKED, False, None, "fallback", 1),
        (Failure.AUTH_OR_CONFIG, False, None, "fallback", 1),
        (Failure.QUOTA_EXHAUSTED, False, None, "fallback", 1),
        (Failure.TIMEOUT, True, None, "fallback", 1),
        (Failure.MALFORMED, True, None, "fallback", 1),
        (Failure.INVALID_REQUEST, False, None, "fallback", 1),
        (Failure.TRANSIENT, True, None, "fallback", 1),
        (Failure.CONTENT_REJECTED, True, None, "ended", None),
        (Failure.CUSTODY, True, None, "ended", None),
        (Failure.CANCELED, False, None, "ended", None),
    ],
)
def test_each_failure_goes_on_as_it_may(
    failure: Failure, billed: bool, wait_s: float | None, ending: str, following: int | None
) -> None:
    work = item()
    report = continued(work, failed(work, failure, QUOTE.usd_micros if billed else 0), wait_s)
    assert report.ending == ending
    assert (report.next.candidate if report.next else None) == following


def test_a_refusal_for_content_falls_through_where_the_policy_says_so() -> None:
    work = item(content_fallback=True)
    assert continued(work, failed(work, Failure.CONTENT_REJECTED), None).ending == "fallback"


def test_what_met_the_whole_account_passes_over_the_provider() -> None:
    work = item()
    second = failed(work, Failure.PROVIDER_BLOCKED, attempt=2).model_copy(update={"candidate": 1})
    assert continued(work, second, None).ending == "ended"  # the third is at the same provider
    transient = second.model_copy(update={"failure": Failure.MALFORMED})
    assert continued(work, transient, None).ending == "fallback"


def test_the_last_attempt_ends_whoever_is_left() -> None:
    work = item()
    report = failed(work, Failure.TRANSIENT, attempt=ATTEMPTS_MAX)
    assert continued(work, report, None).ending == "ended"


def test_what_was_billed_counts_against_what_the_request_may_cost() -> None:
    work = item(uplift_percent=0)
    assert continued(work, failed(work, Failure.MALFORMED), None).next == Course(
        candidate=2, lines=(line_of(work, failed(work, Failure.MALFORMED)),)
    )
    billed = failed(work, Failure.MALFORMED, QUOTE.usd_micros)
    assert continued(work, billed, None).ending == "ended"


@given(
    st.lists(st.tuples(st.integers(1, 50_000), st.integers(0, 100)), min_size=1, max_size=4),
    st.integers(0, 1_000),
)
def test_before_each_attempt_the_hold_covers_the_past_and_the_worst_to_come(
    models: Sequence[tuple[int, int]], uplift: int
) -> None:
    names = ("sdxl", "flux-schnell", "gpt-image-2", "sdxl")
    chosen = tuple(
        candidate(name, amount, amount) for name, (amount, _) in zip(names, models, strict=False)
    )
    way = Route("cheapest", chosen, uplift_percent=uplift)
    first = way.candidates[0]
    work = replace(
        builders.item(wanted=builders.request("sdxl")),
        quote=builders.quote(first.amount_micros),
        planned_route=way,
    )
    course, attempt = Course(), 1
    while True:
        raised = raise_micros(work, course)
        held = held_micros(work, course) + raised
        worst = work.candidate(course.candidate).amount_micros
        assert held >= billed_micros(course.lines) + worst
        assert held <= max(way.cost_max_micros, first.amount_micros)
        assert raised >= 0
        share = models[course.candidate][1]
        report = AttemptReport(
            generation_id=work.generation_id,
            attempt=attempt,
            candidate=course.candidate,
            lines=course.lines,
            held_micros=held,
            ending="ended",
            failure=Failure.MALFORMED,
            usd_micros=worst * share // 100,
        )
        report = continued(work, report, None)
        end = resolution_for(work, report.model_copy(update={"ending": "ended"}), "now")
        assert end.cost.amount_micros == sum(line.amount_micros for line in end.lines)
        assert end.cost.amount_micros <= end.held_micros == held
        assert end.raised_micros == held - first.amount_micros
        expired = resolution_for(work, expired_report(work, report), "now")
        assert expired.cost.amount_micros == billed_micros(report.lines) + worst <= held
        if report.next is None:
            return
        course, attempt = report.next, attempt + 1


def test_a_wait_passes_over_every_model_of_that_provider() -> None:
    work = item()
    following = passed_over(work, Course())
    assert following is not None and following.candidate == 1
    assert passed_over(work, Course(candidate=1)) is None


def test_a_route_survives_its_record() -> None:
    work = item()
    assert read_work_item(work.record()) == work
    assert read_work_item(builders.item().record()).route.candidates[0].model == "gpt-image-2"


def test_lines_read_back_as_they_were_written() -> None:
    work = item()
    line = line_of(work, failed(work, Failure.TRANSIENT, QUOTE.usd_micros + 7))
    assert line.excess_usd_micros == 7
    assert AttemptLine.model_validate(line.model_dump(mode="json")) == line
