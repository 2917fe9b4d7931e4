"""Reports of attempts: from a provider's answer, from a marker alone, or for want of both."""

from collections.abc import Sequence
from typing import Final

from shared.domain.attempt_markers import AttemptMarker
from shared.domain.attempts import (
    AttemptLine,
    AttemptReport,
    Billed,
    Course,
    Delivered,
    Failure,
    NotDelivered,
    metered,
)
from shared.domain.ids import image_id

NO_COURSE: Final = Course()
# Why an end is unknown although there is evidence of it: a later look may find what it was.
JOB_UNREADABLE: Final = "job_unreadable"
NOT_STORED: Final = "not_stored"
UNREAD: Final = frozenset({JOB_UNREADABLE, NOT_STORED})
_NOT_ASKED: Final = frozenset({"again", "canceled"})  # endings before a provider was asked


def lines_before(marker: AttemptMarker) -> tuple[AttemptLine, ...]:
    """What the attempts before a worker's marker were booked at."""
    return tuple(AttemptLine.model_validate(line) for line in marker.lines)


def course_of(marker: AttemptMarker) -> Course:
    """How far a generation had come when a marker was made."""
    return Course(
        candidate=marker.candidate, lines=lines_before(marker), held_micros=marker.held_micros
    )


def delivered(
    marker: AttemptMarker, outcome: Delivered, usd_micros: int, list_usd_micros: int | None
) -> AttemptReport:
    """The report of a delivery, whose pictures are still to be named."""
    return AttemptReport(
        generation_id=marker.generation_id,
        attempt=marker.attempt,
        candidate=marker.candidate,
        lines=lines_before(marker),
        held_micros=marker.held_micros,
        ending="delivered",
        usd_micros=usd_micros,
        list_usd_micros=list_usd_micros,
        estimated=outcome.usage is None,
        request_id=outcome.request_id,
        job_id=outcome.job_id,
        model_version=outcome.model_version,
        moderation=outcome.moderation,
        warnings=outcome.warnings,
        metered=metered(outcome.usage),
    )


def failed(
    marker: AttemptMarker, outcome: NotDelivered, usd_micros: int, list_usd_micros: int | None
) -> AttemptReport:
    """The report of a definite end without pictures."""
    return AttemptReport(
        generation_id=marker.generation_id,
        attempt=marker.attempt,
        candidate=marker.candidate,
        lines=lines_before(marker),
        held_micros=marker.held_micros,
        ending="ended",
        failure=outcome.failure,
        reason=outcome.reason,
        categories=outcome.categories,
        usd_micros=usd_micros,
        list_usd_micros=list_usd_micros,
        estimated=outcome.billed in (Billed.OUTPUT, Billed.MAXIMUM),
        request_id=outcome.request_id,
        job_id=outcome.job_id,
        model_version=outcome.model_version,
        moderation=outcome.moderation,
    )


def recorded(marker: AttemptMarker, course: Course) -> AttemptReport | None:
    """What a marker itself says about its attempt's end; None: a call whose end is elsewhere.

    `course` is what led to it, for a marker that somebody took to stop the work.
    """
    if marker.outcome is not None:
        return AttemptReport.model_validate(marker.outcome)
    if marker.owner != "worker":
        return canceled(marker.generation_id, marker.attempt, course)
    return None


def canceled(generation_id: str, attempt: int, course: Course) -> AttemptReport:
    """The report of an attempt that somebody stopped before it began."""
    return AttemptReport(
        generation_id=generation_id,
        attempt=attempt,
        candidate=course.candidate,
        lines=course.lines,
        held_micros=course.held_micros,
        ending="canceled",
        failure=Failure.CANCELED,
        reason="stopped before the provider was called",
    )


def unknown(marker: AttemptMarker, reason: str, job_id: str | None = None) -> AttemptReport:
    """The report of an attempt that was begun and of whose end nobody knows."""
    return AttemptReport(
        generation_id=marker.generation_id,
        attempt=marker.attempt,
        candidate=marker.candidate,
        lines=lines_before(marker),
        held_micros=marker.held_micros,
        ending="unknown",
        reason=reason,
        job_id=job_id or marker.job_id,
    )


def postponed(
    generation_id: str, attempt: int, wait_s: float, reason: str, course: Course = NO_COURSE
) -> AttemptReport:
    """The report of an attempt that was not begun, or whose marker protects it: ask later."""
    return AttemptReport(
        generation_id=generation_id,
        attempt=attempt,
        candidate=course.candidate,
        lines=course.lines,
        held_micros=course.held_micros,
        ending="again",
        reason=reason,
        retry_after_s=wait_s,
        next=course,
    )


def counted_ending(report: AttemptReport, attempt: int) -> str | None:
    """What asking a provider ended in; None: attempt n asked nobody, or an earlier one is told."""
    if report.ending in _NOT_ASKED or report.attempt != attempt:
        return None
    return report.failure or report.ending


def image_ids_of(reports: Sequence[AttemptReport]) -> tuple[str, ...]:
    """The pictures that these reports brought."""
    return tuple(
        image_id(report.generation_id, image.index)
        for report in reports
        if report.ending == "delivered"
        for image in report.images
    )
