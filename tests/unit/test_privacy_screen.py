"""The privacy screen at work: the order of its layers, its failures, its events, its batches."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.adapters.local_identifiers import LocalIdentifiers
from shared.domain.batch_plans import PlannedQuote, PlannedRow
from shared.domain.identifiers import Finding
from shared.domain.privacy import Detection
from shared.domain.privacy_policies import (
    PrivacyPolicy,
    Residency,
)
from shared.domain.rate_limits import SCREENINGS_PER_MINUTE, RateTerms
from shared.errors import (
    PrivacyBlocked,
    PrivacyScreenUnavailable,
    RateLimited,
    ResidencyDenied,
    Unavailable,
)
from shared.services.batch_planning import BatchPlanning
from shared.services.fresh_views import FRESH
from shared.services.privacy import PrivacyScreen, Requester
from shared.services.privacy_batches import PrivacyBatches
from shared.services.privacy_policies import PolicyWatch
from shared.services.rate_limits import RateLimits
from shared.services.screenings import Screenings
from shared.services.token_buckets import TokenBuckets
from tests import builders
from tests.fakes.batch_files import FakeBatchFiles
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.privacy import FakeDetector, FakePrivacy

KEY = b"k" * 32
TFN = "123456782"
WHO = Requester.of(builders.caller(), builders.single_id(), "c-1")


class World:
    """A screen over fakes; `events` are those it left."""

    def __init__(
        self, answer: Callable[[str], Sequence[Finding] | Detection] = lambda _: ()
    ) -> None:
        self.connection = FakeConnection()
        self.clock = FakeClock()
        self.store = FakePrivacy(self.connection)
        self.second = FakeDetector(answer)
        self.watch = PolicyWatch(self.store, self.clock)
        self.screen = PrivacyScreen(
            detectors=(LocalIdentifiers(), self.second),
            watch=self.watch,
            store=self.store,
            ledger=CosmosLedger(self.connection.as_connection()),
            clock=self.clock,
            key=KEY,
        )
        buckets = TokenBuckets(CosmosTokenBuckets(self.connection.as_connection()), self.clock)
        terms = RateTerms({}, 100, 300, 5_000_000)
        limits = RateLimits(buckets, terms, self.screen.ledger, self.clock)
        self.screenings = Screenings(self.screen, limits)
        self._revisions: dict[str, int] = {}

    async def put(self, wanted: PrivacyPolicy) -> None:
        revision = self._revisions[wanted.owner] = self._revisions.get(wanted.owner, 0) + 1
        changed = replace(wanted, revision=revision, change_id=f"c{revision}")
        event = builders.event(f"policy:{wanted.owner}", f"x.{revision}")
        await self.store.put_policy(builders.TENANT, changed, event)
        self.watch.forget()

    async def events(self) -> list[Mapping[str, Any]]:
        found = await self.connection.container("ledger").scan(
            builders.PARTITION.key, lambda d: d["type"] == "outbox"
        )
        return [each["event"] for each in found]


# --- the screen --------------------------------------------------------------------------------


async def test_nobody_uses_up_the_second_layer_by_trying_texts() -> None:
    world = World()
    for number in range(SCREENINGS_PER_MINUTE):
        await world.screenings.preview(builders.caller(), f"A quiet bay {number}", None, "c")
    asked = len(world.second.seen)
    with pytest.raises(RateLimited):
        await world.screenings.preview(builders.caller(), "A quiet bay", None, "c")
    assert len(world.second.seen) == asked >= SCREENINGS_PER_MINUTE
    request = builders.request(prompt="A quiet bay")
    assert (await world.screen.screen(WHO, request)).refusal is None  # work goes on


async def test_what_the_local_layer_stops_is_not_shown_to_the_second() -> None:
    world = World()
    request = builders.request(prompt=f"TFN {TFN}")
    screened = await world.screen.screen(WHO, request)
    assert isinstance(screened.refusal, PrivacyBlocked)
    assert world.second.seen == []


async def test_what_the_local_layer_covers_goes_covered_to_the_second() -> None:
    world = World(lambda text: [Finding("address", "location", 0, 4, "language")])
    request = builders.request(prompt="near jane@example.com")
    screened = await world.screen.screen(WHO, request)
    assert world.second.seen == ["near ****************"]
    assert screened.refusal is None
    assert screened.request.prompt == "**** ****************"


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a bay, TFN 123 456", "782 and no people"),
        ("card 4111 1111", "1111 1111"),
        ("0412 345", "678"),
    ],
)
async def test_what_is_split_between_two_fields_is_found_in_both(
    prompt: str, negative: str
) -> None:
    world = World()
    request = builders.request("sdxl", prompt=prompt, negative_prompt=negative)
    screened = await world.screen.screen(WHO, request)
    assert screened.verdict is not None
    assert {each.field for each in screened.verdict.noted} == {"prompt", "negative_prompt"}
    if screened.refusal is None:  # covered
        assert screened.request.prompt == "********" and screened.request.negative_prompt == "***"
    else:
        assert isinstance(screened.refusal, PrivacyBlocked)


async def test_fields_that_have_nothing_in_common_are_no_finding() -> None:
    world = World()
    request = builders.request("sdxl", prompt="a bay in 1984", negative_prompt="35 boats")
    screened = await world.screen.screen(WHO, request)
    assert screened.verdict is not None and screened.verdict.judged == ()


async def test_an_allowed_value_is_left_alone_in_every_layer() -> None:
    world = World(lambda text: [Finding("email", "contact", 0, 17, "language")])
    await world.put(PrivacyPolicy("marketing", allowed_values=("Press@Example.com",)))
    screened = await world.screen.screen(WHO, builders.request(prompt="press@example.com"))
    assert screened.request.prompt == "press@example.com" and screened.kept is None


@pytest.mark.parametrize(
    "failure",
    [
        PrivacyScreenUnavailable("x", extra={"layer": "language", "cause": "timeout"}),
        RuntimeError("CANARY"),
        KeyError("CANARY"),
        TimeoutError(),
    ],
)
async def test_a_layer_that_fails_in_any_way_stops_the_text(failure: Exception) -> None:
    def fail(_: str) -> Sequence[Finding]:
        raise failure

    world = World(fail)
    screened = await world.screen.screen(WHO, builders.request())
    assert isinstance(screened.refusal, PrivacyScreenUnavailable)
    assert screened.refusal.retryable and screened.refusal.status == 503
    assert "CANARY" not in str(screened.refusal.extra)
    await world.screen.note(WHO, screened)
    (event,) = await world.events()
    assert (event["outcome"], event["reason"]) == ("denied", "privacy_screen_unavailable")


async def test_a_layer_that_answers_too_little_stops_the_text() -> None:
    class Short(FakeDetector):
        async def detect(self, texts: Sequence[str], terms: Any) -> Sequence[Detection]:
            return []

    world = World()
    screen = replace(world.screen, detectors=(Short(),))
    screened = await screen.screen(WHO, builders.request())
    assert isinstance(screened.refusal, PrivacyScreenUnavailable)


async def test_a_policy_that_cannot_be_read_stops_the_text() -> None:
    world = World()

    async def fail(tenant_id: str, owner: str) -> PrivacyPolicy | None:
        raise Unavailable("silent")

    world.store.policy = fail  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await world.screen.screen(WHO, builders.request())


async def test_a_changed_policy_holds_within_seconds() -> None:
    world = World()
    await world.screen.screen(WHO, builders.request())
    event = builders.event("p", "x.1")
    changed = PrivacyPolicy("marketing", actions={"contact": "block"}, revision=1, change_id="c")
    await world.store.put_policy(builders.TENANT, changed, event)
    request = builders.request(prompt="jane@example.com")
    assert (await world.screen.screen(WHO, request)).refusal is None
    world.clock.advance(FRESH.total_seconds() + 1)
    assert isinstance((await world.screen.screen(WHO, request)).refusal, PrivacyBlocked)


async def test_a_model_that_runs_elsewhere_is_refused_before_anybody_looks() -> None:
    world = World()
    await world.put(PrivacyPolicy("marketing", residency=Residency("australia")))
    screened = await world.screen.screen(WHO, builders.request())
    assert isinstance(screened.refusal, ResidencyDenied)
    assert world.second.seen == []


async def test_events_name_places_and_never_the_text() -> None:
    world = World()
    screened = await world.screen.screen(WHO, builders.request(prompt=f"TFN {TFN}"))
    await world.screen.note(WHO, screened)
    (event,) = await world.events()
    assert event["details"]["findings"].startswith("prompt:au_tfn:block:at4+9=")
    assert TFN not in json.dumps(event)
    assert TFN not in str(vars(screened.refusal))
    assert KEY.decode() not in repr(world.screen)


# --- batches -----------------------------------------------------------------------------------


def row(number: int, prompt: str) -> PlannedRow:
    return PlannedRow(
        row=number,
        item_id=f"i{number}",
        request=builders.request(prompt=prompt),
        quote=PlannedQuote(usd_micros=1, amount_micros=1),
    )


def header() -> Any:
    planning = BatchPlanning(FakeBatchFiles())
    caller = builders.caller()
    return planning.header(
        caller,
        caller.charge(),
        builders.catalogue(),
        batch_id=builders.single_id("batch"),
        plan="p",
        created_at=builders.CREATED_AT,
        correlation_id="c-1",
    )


async def test_rows_are_decided_one_by_one_and_equal_texts_are_read_once() -> None:
    def answer(text: str) -> Sequence[Finding] | Detection:
        return Detection(failure="document_error") if "unreadable" in text else ()

    world = World(answer)
    rows = [
        row(1, "a bay"),
        row(2, f"TFN {TFN}"),
        row(3, "jane@example.com"),
        row(4, "unreadable"),
        row(5, "a bay"),
        PlannedRow(row=6, item_id="i6", faults=()),
    ]
    decided = (await PrivacyBatches(world.screen).screened(header(), rows)).rows
    assert [each.quote is not None for each in decided] == [True, False, True, False, True, False]
    assert decided[1].faults[0].message == "privacy_blocked: au_tfn at 4, 9 characters"
    assert decided[2].request is not None and decided[2].request.prompt == "*" * 16
    assert decided[2].privacy is not None and decided[2].privacy["redacted"]
    assert decided[3].faults[0].message.startswith("privacy_screen_unavailable")
    assert decided[0] == rows[0] and decided[5] == rows[5]
    assert sorted(world.second.seen) == ["*" * 16, "a bay", "unreadable"]
    assert world.second.patient == [True]
    (event,) = await world.events()
    assert (event["details"]["blocked_rows"], event["details"]["unread_rows"]) == (1, 1)
    assert event["details"]["policy_version"] == "marketing.0+0"


async def test_rows_without_findings_leave_no_event() -> None:
    world = World()
    await PrivacyBatches(world.screen).screened(header(), [row(1, "a bay")])
    assert await world.events() == []


async def test_a_batch_that_cannot_be_screened_is_noted_and_not_planned() -> None:
    def fail(_: str) -> Sequence[Finding]:
        raise PrivacyScreenUnavailable("x", extra={"layer": "language", "cause": "timeout"})

    world = World(fail)
    with pytest.raises(PrivacyScreenUnavailable):
        await PrivacyBatches(world.screen).screened(header(), [row(1, "a bay")])
    (event,) = await world.events()
    assert event["reason"] == "privacy_screen_unavailable"


async def test_rows_of_models_that_run_elsewhere_are_refused() -> None:
    world = World()
    await world.put(PrivacyPolicy("marketing", residency=Residency("named", ("US",))))
    flux = row(2, "a bay")
    flux = flux.model_copy(update={"request": builders.request("flux-schnell", prompt="a bay")})
    decided = (await PrivacyBatches(world.screen).screened(header(), [row(1, "a bay"), flux])).rows
    assert decided[0].faults[0].message.startswith("residency_denied: ")
    assert decided[1] == flux
    (event,) = await world.events()
    assert event["details"]["residency_denied_rows"] == 1
