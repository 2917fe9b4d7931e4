"""What the providers of a history do: every outcome, billed within the documented bounds."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderOutcome,
    Unknown,
    Usage,
)
from shared.domain.generations import GenerationRequest
from shared.domain.prices import PriceCatalogue
from tests.fakes.providers import NOT_A_PICTURE, PNG, Work
from tests.proofs.virtual_loop import now_s

Script = Callable[[ImageOrder], Work]
OUTPUT_TOKEN_USD_MICROS = 30  # the catalogue's price of one output token of gpt-image-2
JOB_RUNS_S = 30.0  # longer than whoever submitted it waits
JOB_KEPT_S = 120.0  # an hour in truth: no activity that has begun to fetch a picture lasts so long
FREE = (  # what nobody bills, as often as each other
    Failure.TRANSIENT,
    Failure.INVALID_REQUEST,
    Failure.AUTH_OR_CONFIG,
    Failure.QUOTA_EXHAUSTED,
    Failure.PROVIDER_BLOCKED,
    Failure.TIMEOUT,
)


def random_script(chance: random.Random, catalogue: PriceCatalogue) -> Script:
    """A provider that delivers about every second time and fails in every known way."""

    def script(order: ImageOrder) -> Work:
        request = _request_of(order)
        usage = _usage(order, chance, catalogue, request)
        somewhat = chance.randint(0, catalogue.quote(request).usd_micros)
        picked = chance.random()
        pictures = (PNG,) * order.count
        fewer = replace(usage, images=min(usage.images, max(1, order.count - 1)))
        metered, metered_fewer = (
            catalogue.billed_usd_micros(request, Billed.USAGE, each) for each in (usage, fewer)
        )
        output = catalogue.billed_usd_micros(request, Billed.OUTPUT, None)
        for share, work in (
            (0.30, Work(Delivered((), usage), metered, pictures)),
            (0.05, Work(Delivered((), fewer), metered_fewer, pictures[: max(1, order.count - 1)])),
            (0.02, Work(Delivered((), usage), metered, pictures, unreadable=True)),
            (0.05, Work(Delivered((), None), somewhat, pictures)),
            (0.03, Work(Delivered((), usage), metered, (NOT_A_PICTURE,))),
            (0.09, _free(Failure.RATE_LIMITED)),
            *((0.02, _free(failure)) for failure in FREE),
            (0.05, _billed(Failure.CONTENT_REJECTED, Billed.OUTPUT, output)),
            (0.05, _billed(Failure.CONTENT_REJECTED, Billed.USAGE, metered, usage)),
            (0.02, _billed(Failure.TRANSIENT, Billed.OUTPUT, output)),
            (0.03, _billed(Failure.TIMEOUT, Billed.OUTPUT, output)),
            (0.04, _billed(Failure.MALFORMED, Billed.MAXIMUM, somewhat)),
            (0.02, _billed(Failure.CANCELED, Billed.USAGE, metered, usage)),
            *((0.02, work) for work in _jobs(usage, metered, pictures)),
            (0.02, Work(Unknown("connection_lost"), somewhat)),
        ):
            picked -= share
            if picked < 0:
                return work
        return Work(Unknown("connection_lost"), 0)

    return script


def _jobs(usage: Usage, metered: int, pictures: tuple[bytes, ...]) -> Iterator[Work]:
    """Jobs that whoever resumes them finds otherwise than whoever submitted them: at their end
    after all, or gone. Where there are no jobs, the first answer is all that anybody learns."""
    delivered, unfinished = Delivered((), usage), Unknown("not_finished_in_time")
    canceled = NotDelivered(Failure.CANCELED, Billed.USAGE, "canceled", usage=usage)
    expired = NotDelivered(Failure.MALFORMED, Billed.USAGE, "output_expired", usage=usage)
    for first, then, after_s in (
        (unfinished, delivered, JOB_RUNS_S),
        (unfinished, canceled, JOB_RUNS_S),
        (delivered, expired, JOB_KEPT_S),
        (delivered, Unknown("poll_http_404"), JOB_KEPT_S),
    ):
        yield Work(first, metered, pictures, found=_changing(first, then, now_s() + after_s))


def _changing(
    first: ProviderOutcome, then: ProviderOutcome, at_s: float
) -> Callable[[], ProviderOutcome]:
    return lambda: then if now_s() >= at_s else first


def failing_script(catalogue: PriceCatalogue, failure: Failure, *, billed: bool) -> Script:
    """A provider whose first attempt ends in a failure, billed in full or not at all; then it
    delivers and bills all that was quoted."""
    steady = steady_script(catalogue, 0)

    def script(order: ImageOrder) -> Work:
        if order.attempt > 1:
            return steady(order)
        if not billed:
            return _free(failure)
        return _billed(failure, Billed.MAXIMUM, steady(order).usd_micros)

    return script


def steady_script(catalogue: PriceCatalogue, busy_attempts: int) -> Script:
    """A provider that is busy for so many attempts, then delivers and bills all that was quoted."""

    def script(order: ImageOrder) -> Work:
        if order.attempt <= busy_attempts:
            return _free(Failure.RATE_LIMITED)
        maximum = catalogue.quote(_request_of(order)).usd_micros
        return Work(Delivered((), None), maximum, (PNG,) * order.count)

    return script


def thrifty_script(catalogue: PriceCatalogue, busy_attempts: int) -> Script:
    """A provider that is busy for so many attempts, then meters a third of what was quoted."""

    def script(order: ImageOrder) -> Work:
        if order.attempt <= busy_attempts:
            return _free(Failure.RATE_LIMITED)
        output = catalogue.billed_usd_micros(_request_of(order), Billed.OUTPUT, None)
        usage = Usage(input_tokens=1, output_tokens=output // OUTPUT_TOKEN_USD_MICROS // 3)
        metered = catalogue.billed_usd_micros(_request_of(order), Billed.USAGE, usage)
        return Work(Delivered((), usage), metered, (PNG,) * order.count)

    return script


def _request_of(order: ImageOrder) -> GenerationRequest:
    return GenerationRequest(
        model=order.model,
        prompt=order.prompt,
        size=order.size,
        quality=order.quality,
        count=order.count,
    )


def _free(failure: Failure) -> Work:
    return Work(NotDelivered(failure, Billed.NOTHING, failure.value, retry_after_s=2.0), 0)


def _billed(failure: Failure, billed: Billed, usd_micros: int, usage: Usage | None = None) -> Work:
    return Work(NotDelivered(failure, billed, failure.value, usage=usage), usd_micros)


def _usage(
    order: ImageOrder,
    chance: random.Random,
    catalogue: PriceCatalogue,
    request: GenerationRequest,
) -> Usage:
    seconds_max = catalogue.run_seconds_max(order.model)
    if seconds_max:
        return Usage(seconds=Decimal(chance.randint(0, seconds_max * 10)) / 10)
    if order.model == "gpt-image-2":
        output = catalogue.billed_usd_micros(request, Billed.OUTPUT, None)
        return Usage(
            input_tokens=chance.randint(0, len(order.prompt.encode())),
            output_tokens=chance.randint(0, output // OUTPUT_TOKEN_USD_MICROS),
        )
    return Usage(images=order.count)
