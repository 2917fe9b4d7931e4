"""What follows from the end of an attempt, and what it costs: pure, from the route and the lines.

Invariant: before an attempt starts, what is held for its generation covers what earlier attempts
were billed and the most that this one may cost.
"""

from collections.abc import Iterable
from typing import Final

from shared.domain.attempts import (
    RETRYABLE,
    AttemptLine,
    AttemptReport,
    Course,
    Failure,
    LineStatus,
)
from shared.domain.ledger import ATTEMPTS_MAX
from shared.domain.work import WorkItem

RETRY_WAIT_S: Final = 5.0  # after a retryable failure that named no time
RETRY_AFTER_S_MAX: Final = 300.0  # a provider that asks for more is treated as if it asked for this
SAME_PROVIDER_WAIT_S_MAX: Final = 20.0  # who asks for more patience is passed over, if others can
GATE_WAIT_S_MAX: Final = 30.0  # who must wait longer asks somebody else, if the route has anybody
PASSED_OVER_RETRY_S: Final = 30.0  # until a first choice that was passed over is asked again
NOT_AFFORDABLE: Final = "fallback_not_affordable"
# What met the whole account meets the provider's other models alike.
_ACCOUNT_WIDE: Final = frozenset(
    {Failure.AUTH_OR_CONFIG, Failure.QUOTA_EXHAUSTED, Failure.PROVIDER_BLOCKED}
)
_FINAL: Final = frozenset({Failure.CUSTODY, Failure.CANCELED})


def line_of(item: WorkItem, report: AttemptReport) -> AttemptLine:
    """What an attempt is booked at: never more than its candidate's quote."""
    quote = item.quote_of(report.candidate)
    candidate = item.candidate(report.candidate)
    return AttemptLine(
        attempt=report.attempt,
        candidate=report.candidate,
        model=candidate.model,
        provider=candidate.provider,
        status=status_of(report),
        failure=report.failure,
        usd_micros=min(report.usd_micros, quote.usd_micros),
        amount_micros=min(quote.settled_micros(report.usd_micros), quote.amount_micros),
        list_usd_micros=report.list_usd_micros,
        excess_usd_micros=max(0, report.usd_micros - quote.usd_micros),
        estimated=report.estimated,
        request_id=report.request_id,
        job_id=report.job_id,
    )


def lines_of(item: WorkItem, report: AttemptReport) -> tuple[AttemptLine, ...]:
    """Every line of a generation up to this attempt."""
    return (*report.lines, line_of(item, report))


def status_of(report: AttemptReport) -> LineStatus:
    """How an attempt ended, in the words of the generation's status."""
    if report.ending == "canceled":
        return "canceled"
    if report.ending == "delivered" and report.images:
        return "succeeded"
    return "refused" if report.failure is Failure.CONTENT_REJECTED else "failed"


def billed_micros(lines: Iterable[AttemptLine]) -> int:
    """Micro-AUD that attempts were booked at."""
    return sum(line.amount_micros for line in lines)


def held_micros(item: WorkItem, course: Course) -> int:
    """Micro-AUD that are held for a generation."""
    return item.quote.amount_micros if course.held_micros is None else course.held_micros


def raise_micros(item: WorkItem, course: Course) -> int:
    """By how much the hold must rise before the course's candidate may be asked."""
    needed = billed_micros(course.lines) + item.candidate(course.candidate).amount_micros
    return max(0, needed - held_micros(item, course))


def continued(item: WorkItem, report: AttemptReport, retry_after_s: float | None) -> AttemptReport:
    """A definite failure with what follows from it: the same again, another candidate, the end.

    Nothing is asked for again that was billed; a billed failure may only fall through to another
    candidate, inside what the request may cost.
    """
    if report.attempt >= ATTEMPTS_MAX or report.failure is None or report.failure in _FINAL:
        return report
    lines = lines_of(item, report)
    following = _following(item, report, billed_micros(lines))
    wait_s = RETRY_WAIT_S if retry_after_s is None else min(retry_after_s, RETRY_AFTER_S_MAX)
    if report.failure in RETRYABLE and report.usd_micros == 0:
        limited = report.failure is Failure.RATE_LIMITED
        patient = limited and wait_s <= SAME_PROVIDER_WAIT_S_MAX
        if following is None or patient:
            course = Course(candidate=report.candidate, lines=lines, held_micros=report.held_micros)
            update = {"ending": "retry", "retry_after_s": wait_s, "next": course}
            return report.model_copy(update=update)
    if following is None:
        return report
    course = Course(candidate=following, lines=lines, held_micros=report.held_micros)
    return report.model_copy(update={"ending": "fallback", "next": course})


def _following(item: WorkItem, report: AttemptReport, billed: int) -> int | None:
    """Who may try after this failure."""
    failure, route = report.failure, item.route
    if failure is Failure.CONTENT_REJECTED and not route.content_fallback:
        return None
    provider = item.candidate(report.candidate).provider
    not_at = provider if failure in _ACCOUNT_WIDE else None
    return route.next_after(report.candidate, billed, not_at=not_at)


def passed_over(item: WorkItem, course: Course) -> Course | None:
    """The course on the next candidate, when this one cannot be asked for now; None: wait."""
    provider = item.candidate(course.candidate).provider
    billed = billed_micros(course.lines)
    following = item.route.next_after(course.candidate, billed, not_at=provider)
    return course.model_copy(update={"candidate": following}) if following is not None else None


def in_turn(item: WorkItem, course: Course, wait_s: float) -> tuple[Course, float]:
    """Whose turn it is when this candidate can be asked in `wait_s` only, and in how many seconds.

    When the last one is busy, too, and nobody has been asked yet, it is the first one's turn again.
    """
    if wait_s <= GATE_WAIT_S_MAX:
        return course, wait_s
    following = passed_over(item, course)
    if following is not None:
        return following, 0.0
    if course.lines or course.candidate == 0:
        return course, wait_s
    return course.model_copy(update={"candidate": 0}), PASSED_OVER_RETRY_S


def ended_with(item: WorkItem, course: Course) -> AttemptReport:
    """The end of a generation whose next candidate cannot be paid: what its last attempt said."""
    last = course.lines[-1]
    return AttemptReport(
        generation_id=item.generation_id,
        attempt=last.attempt,
        candidate=last.candidate,
        ending="ended",
        failure=last.failure,
        reason=NOT_AFFORDABLE,
        usd_micros=last.usd_micros + last.excess_usd_micros,
        list_usd_micros=last.list_usd_micros,
        estimated=last.estimated,
        lines=course.lines[:-1],
        held_micros=course.held_micros,
        request_id=last.request_id,
        job_id=last.job_id,
    )
