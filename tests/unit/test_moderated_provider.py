"""Content Safety around a provider: what is sent, what is kept, what it costs."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    ModerationNote,
    NotDelivered,
    ProviderImage,
    ProviderOutcome,
    Unknown,
    Usage,
)
from shared.domain.content_safety import CATEGORIES, SafetyFinding, parse_thresholds
from shared.domain.provider_health import verdict_of
from shared.errors import Invalid, Unavailable
from shared.ports import JobRecorder
from shared.services.moderated_provider import (
    PICTURE_TRIES_MAX,
    ModeratedProvider,
    is_moderated_by_us,
)
from tests.contract.image_orders import Recorder, bytes_of, order

HARMLESS = dict.fromkeys(CATEGORIES, 0)
USAGE = Usage(images=2)
Severities = Mapping[str, int]


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data[:3]
    yield data[3:]


def delivered(*pictures: bytes, usage: Usage | None = USAGE) -> Delivered:
    images = tuple(ProviderImage(once(each), seed=n) for n, each in enumerate(pictures))
    return Delivered(images, usage, "request-1", "job-1", model_version="m:1")


@dataclass
class Judge:
    """Finds what it is told; `down` counts how many more questions go unanswered."""

    text: Severities = field(default_factory=dict)
    pictures: Mapping[bytes, Severities] = field(default_factory=dict)
    down: int = 0
    asked: int = 0
    gate: Callable[[], None] = lambda: None
    is_confused: bool = False

    async def judge_text(self, text: str) -> SafetyFinding:
        self._answer()
        return SafetyFinding({**HARMLESS, **self.text})

    async def judge_picture(self, picture: bytes) -> SafetyFinding:
        self.gate()
        self._answer()
        return SafetyFinding({**HARMLESS, **self.pictures.get(picture, {})})

    def _answer(self) -> None:
        self.asked += 1
        if self.is_confused:
            raise Invalid("cannot read this")
        if self.down > 0:
            self.down -= 1
            raise Unavailable("down", retry_after_s=0)


@dataclass
class SilentJudge(Judge):
    """Never answers about a text; `judging` is set once it is asked."""

    judging: asyncio.Event = field(default_factory=asyncio.Event)

    async def judge_text(self, text: str) -> SafetyFinding:
        self.judging.set()
        await asyncio.Event().wait()
        raise AssertionError


@dataclass
class Inner:
    """A provider that ends as it is told, and counts."""

    outcome: Callable[[], ProviderOutcome]
    name: str = "azure_foundry"
    submitted: int = 0
    resumed: int = 0

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        self.submitted += 1
        return self.outcome()

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        self.resumed += 1
        return self.outcome()


def going_down(judge: Judge, questions: int) -> Callable[[], ProviderOutcome]:
    """A delivery, after which the judge does not answer so many questions."""

    def deliver() -> ProviderOutcome:
        judge.down = questions
        return delivered(b"picture")

    return deliver


def moderated(inner: Inner, judge: Judge) -> ModeratedProvider:
    return ModeratedProvider(inner, judge, parse_thresholds(""), pause_s=0)


async def generate(inner: Inner, judge: Judge, model: str = "sdxl-sovereign") -> ProviderOutcome:
    return await moderated(inner, judge).generate(order(model), Recorder())


async def test_harmless_pictures_pass_with_every_byte_and_seed() -> None:
    pictures = (b"first picture", b"second" * 100_000)
    outcome = await generate(Inner(lambda: delivered(*pictures)), Judge())
    assert isinstance(outcome, Delivered)
    assert [await bytes_of(image) for image in outcome.images] == list(pictures)
    assert [image.seed for image in outcome.images] == [0, 1]
    assert outcome.moderation == ModerationNote(passed=2)
    assert (outcome.usage, outcome.request_id, outcome.model_version) == (USAGE, "request-1", "m:1")


async def test_refused_prompt_is_never_sent_and_costs_nothing() -> None:
    inner = Inner(lambda: delivered(b"picture"))
    outcome = await generate(inner, Judge(text={"violence": 6}))
    assert outcome == NotDelivered(
        Failure.CONTENT_REJECTED,
        Billed.NOTHING,
        "prompt_refused",
        categories=("violence",),
        moderation=ModerationNote(categories=("violence",)),
    )
    assert (inner.submitted, verdict_of(outcome)) == (0, "nothing")


async def test_prompt_nobody_can_judge_is_never_sent_and_may_be_tried_again() -> None:
    inner = Inner(lambda: delivered(b"picture"))
    outcome = await generate(inner, Judge(down=1))
    assert outcome == NotDelivered(
        Failure.TRANSIENT, Billed.NOTHING, "prompt_not_judged", retry_after_s=0
    )
    assert inner.submitted == 0


async def test_prompt_that_cannot_be_judged_is_not_asked_about_again() -> None:
    inner = Inner(lambda: delivered(b"picture"))
    outcome = await generate(inner, Judge(is_confused=True))
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.INVALID_REQUEST, Billed.NOTHING)
    assert (inner.submitted, verdict_of(outcome)) == (0, "nothing")


async def test_picture_that_cannot_be_judged_is_dropped_at_once() -> None:
    judge = Judge()
    picture = going_down(judge, 0)

    def deliver() -> ProviderOutcome:
        judge.is_confused = True
        return picture()

    outcome = await generate(Inner(deliver), judge)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.CUSTODY, Billed.USAGE)
    assert judge.asked == 2


async def test_refused_picture_is_dropped_and_paid_for(caplog: pytest.LogCaptureFixture) -> None:
    judge = Judge(pictures={b"bad picture": {"sexual": 4}})
    with caplog.at_level(logging.WARNING, "eig.moderation"):
        outcome = await generate(Inner(lambda: delivered(b"bad picture")), judge)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.CONTENT_REJECTED, Billed.USAGE)
    assert (outcome.usage, outcome.reason, outcome.categories) == (
        USAGE,
        "picture_refused",
        ("sexual",),
    )
    assert outcome.moderation == ModerationNote(refused=1, categories=("sexual",))
    (record,) = caplog.records
    assert record.__dict__["report"] == {
        "sha256": hashlib.sha256(b"bad picture").hexdigest(),
        "categories": ["sexual"],
    }


async def test_refused_picture_without_usage_is_booked_at_the_maximum() -> None:
    judge = Judge(pictures={b"bad": {"hate": 2}})
    outcome = await generate(Inner(lambda: delivered(b"bad", usage=None)), judge)
    assert isinstance(outcome, NotDelivered)
    assert outcome.billed is Billed.MAXIMUM


async def test_good_pictures_of_a_mixed_delivery_are_kept_at_the_price_of_all() -> None:
    judge = Judge(pictures={b"bad picture": {"violence": 4}})
    outcome = await generate(Inner(lambda: delivered(b"bad picture", b"good picture")), judge)
    assert isinstance(outcome, Delivered)
    assert [await bytes_of(image) for image in outcome.images] == [b"good picture"]
    assert outcome.usage == USAGE
    assert outcome.moderation == ModerationNote(passed=1, refused=1, categories=("violence",))


async def test_picture_is_judged_again_while_the_service_is_down() -> None:
    judge = Judge()
    inner = Inner(going_down(judge, 3))
    outcome = await generate(inner, judge)
    assert isinstance(outcome, Delivered)
    assert judge.asked == 1 + 4  # the prompt, then the picture


async def test_picture_nobody_can_judge_is_dropped_and_paid_for() -> None:
    judge = Judge()
    inner = Inner(going_down(judge, 99))
    outcome = await generate(inner, judge)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.CUSTODY, Billed.USAGE)
    assert outcome.reason == "picture_not_judged"
    assert outcome.moderation == ModerationNote(unjudged=1)
    assert judge.asked == 1 + PICTURE_TRIES_MAX
    assert inner.submitted == 1


@pytest.mark.parametrize(
    "ended",
    [
        NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "http_429", retry_after_s=3),
        Unknown("connection_lost"),
    ],
)
async def test_endings_without_pictures_pass_as_they_are(ended: ProviderOutcome) -> None:
    assert await generate(Inner(lambda: ended), Judge()) == ended


async def test_resumed_pictures_are_judged_too_and_the_prompt_is_not_asked_about() -> None:
    inner = Inner(lambda: delivered(b"bad picture"))
    judge = Judge(text={"hate": 7}, pictures={b"bad picture": {"hate": 6}})
    outcome = await moderated(inner, judge).resume(order("sdxl-sovereign"), "job-1")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.job_id) == (Failure.CONTENT_REJECTED, "job-1")
    assert (inner.submitted, inner.resumed, judge.asked) == (0, 1, 1)


async def test_cancelled_while_a_paid_picture_is_judged_leaves_it_unknown() -> None:
    judging = asyncio.Event()
    judge = Judge(gate=judging.set)
    provider = ModeratedProvider(
        Inner(going_down(judge, 99)),
        judge,
        parse_thresholds(""),
    )
    call = asyncio.create_task(provider.generate(order("sdxl-sovereign"), Recorder()))
    await judging.wait()
    call.cancel()
    assert await call == Unknown("cancelled_in_flight", "job-1")


async def test_cancelled_while_the_prompt_is_judged_was_never_sent_and_costs_nothing() -> None:
    judge, inner = SilentJudge(), Inner(lambda: delivered(b"picture"))
    call = asyncio.create_task(generate(inner, judge))
    await judge.judging.wait()
    call.cancel()
    outcome = await call
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "cancelled_before_sending")
    assert (inner.submitted, verdict_of(outcome)) == (0, "nothing")


async def test_model_that_its_provider_moderates_is_left_alone() -> None:
    judge = Judge(text={"violence": 6})
    outcome = await generate(Inner(lambda: delivered(b"picture")), judge, model="gpt-image-2")
    assert isinstance(outcome, Delivered) and outcome.moderation is None
    assert judge.asked == 0


def test_providers_that_need_it_are_those_of_the_table() -> None:
    names = ("azure_openai", "replicate", "adobe_firefly", "azure_foundry", "azure_ml")
    assert [name for name in names if is_moderated_by_us(name)] == ["azure_foundry", "azure_ml"]
