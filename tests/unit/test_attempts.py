from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.attempt_markers import MarkerOwner
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    Unknown,
    Usage,
)
from shared.domain.fallbacks import RETRY_AFTER_S_MAX
from shared.domain.ledger import ATTEMPTS_MAX
from shared.domain.price_catalogues import PriceVersion
from shared.errors import Unavailable
from shared.services.attempts import STORE_RETRY_S, Attempts
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.telemetry import JsonFormatter
from tests.builders import catalogue, catalogues, item, marker, request
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Crashed, Fault, Faults, NoFaults, ScriptedFaults
from tests.fakes.image_store import FakeImageStore
from tests.fakes.providers import NOT_A_PICTURE, PNG, FakeProvider, Work

USAGE = Usage(input_tokens=5, output_tokens=100)
DELIVERED = Work(Delivered((), USAGE, request_id="r-1"), 3_025, (PNG,))
UNREADABLE = Work(Unknown("never said"), 3_025, unreadable=True)
BUSY = Work(NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "http_429", retry_after_s=7.0), 0)


def delivers(order: ImageOrder) -> Work:
    return DELIVERED


def always(work: Work) -> Callable[[ImageOrder], Work]:
    return lambda order: work


@dataclass
class Bench:
    """Attempts over a fake store, image store and provider."""

    script: Callable[[ImageOrder], Work] = delivers
    jobs: bool = False
    store_faults: Faults = field(default_factory=NoFaults)
    image_faults: Faults = field(default_factory=NoFaults)
    provider_faults: Faults = field(default_factory=NoFaults)
    limit: GateLimit = field(default_factory=lambda: GateLimit(2, 60))

    def __post_init__(self) -> None:
        self.connection = FakeConnection(self.store_faults)
        self.images = FakeImageStore(self.image_faults)
        self.work = item(wanted=request("sdxl" if self.jobs else "gpt-image-2"))
        name = self.work.provider
        self.provider = FakeProvider(name, self.script, self.jobs, self.provider_faults)
        clock = FakeClock()
        self.attempts = Attempts(
            ledger=CosmosLedger(self.connection.as_connection()),
            images=self.images,
            providers={name: self.provider},
            catalogues=catalogues(),
            gate=ProviderGate({name: self.limit}, clock),
            clock=clock,
            end_user_salt="salt",
        )

    async def run(self, attempt: int = 1) -> Any:
        return await self.attempts.run(self.work, attempt)

    def marker(self, attempt: int = 1) -> dict[str, Any]:
        marker_id = f"a:{self.work.generation_id}:{attempt}"
        found = self.connection.container("ledger").peek("marketing|202611", marker_id)
        assert found is not None
        return found

    @property
    def calls(self) -> int:
        return sum(self.provider.submitted.values())


async def test_run_delivers_keeps_the_pictures_and_says_what_they_cost() -> None:
    bench = Bench()
    report = await bench.run()
    assert (report.ending, report.usd_micros, report.estimated) == ("delivered", 3_025, False)
    assert [image.content_type for image in report.images] == ["image/png"]
    assert report.request_id == "r-1"
    assert await bench.images.sealed(bench.work.generation_id) == report


async def test_run_sends_the_order_with_a_hashed_user() -> None:
    seen: list[ImageOrder] = []

    def script(order: ImageOrder) -> Work:
        seen.append(order)
        return DELIVERED

    await Bench(script).run(2)
    assert seen[0].attempt == 2
    assert len(seen[0].end_user_hash) == 64
    assert "00000000" not in seen[0].end_user_hash


async def test_run_delivered_twice_calls_once_and_reports_the_same() -> None:
    bench = Bench()
    assert await bench.run() == await bench.run()
    assert bench.calls == 1


async def test_run_bills_by_the_version_of_the_quote_after_prices_changed() -> None:
    bench = Bench()
    standing = catalogues()
    rows = tuple(replace(row, usd_micros=2 * row.usd_micros) for row in standing.prices[-1].rows)
    dearer = replace(standing, prices=(*standing.prices, PriceVersion("new", "2026-11-15", rows)))
    bench.attempts = replace(bench.attempts, catalogues=dearer)
    assert dearer.at(NOON).quote(request()).usd_micros > bench.work.quote.usd_micros
    assert (await bench.run()).usd_micros == 3_025


async def test_run_without_a_meter_books_the_maximum() -> None:
    report = await Bench(always(Work(Delivered((), None), 0, (PNG,)))).run()
    assert (report.usd_micros, report.estimated) == (item().quote.usd_micros, True)


async def test_run_that_delivers_no_picture_ends_as_paid_and_malformed() -> None:
    report = await Bench(always(Work(Delivered((), USAGE), 3_025, (NOT_A_PICTURE,)))).run()
    assert (report.ending, report.failure) == ("ended", Failure.MALFORMED)
    assert (report.usd_micros, report.images) == (3_025, ())


async def test_run_whose_pictures_cannot_be_kept_ends_as_paid_custody() -> None:
    bench = Bench(image_faults=ScriptedFaults("keep", Fault.REFUSED))
    report = await bench.run()
    assert (report.ending, report.failure) == ("ended", Failure.CUSTODY)
    assert report.usd_micros == 3_025
    assert bench.marker()["outcome"]["failure"] == "custody"


async def test_run_whose_pictures_can_be_fetched_again_is_unknown_until_they_are_kept() -> None:
    bench = Bench(jobs=True, image_faults=ScriptedFaults("keep", *[Fault.REFUSED] * 2))
    report = await bench.run()
    assert (report.ending, report.reason) == ("unknown", "not_stored")
    assert report.job_id == bench.marker()["job_id"]
    assert bench.marker()["outcome"] is None
    assert (await bench.attempts.stop(bench.work, "sweeper")).reason == "not_stored"
    found = await bench.attempts.stop(bench.work, "sweeper")
    assert (found.ending, len(found.images), bench.calls) == ("delivered", 1, 1)


async def test_run_whose_pictures_and_job_cannot_be_kept_ends_as_paid_custody() -> None:
    bench = Bench(
        always(Work(Delivered((), None), 0, (PNG,))),
        jobs=True,
        store_faults=ScriptedFaults("patch", *[Fault.REFUSED] * 5),
        image_faults=ScriptedFaults("keep", Fault.REFUSED),
    )
    report = await bench.run()
    assert (report.ending, report.failure) == ("ended", Failure.CUSTODY)
    assert report.usd_micros == bench.work.quote.usd_micros


async def test_run_of_a_job_that_made_no_picture_ends_for_good() -> None:
    bench = Bench(always(Work(Delivered((), USAGE), 3_025, (NOT_A_PICTURE,))), jobs=True)
    assert (await bench.run()).failure is Failure.MALFORMED
    assert bench.marker()["outcome"]["reason"] == "not_an_image"


async def test_run_of_a_busy_provider_may_be_retried_after_its_time() -> None:
    bench = Bench(always(BUSY))
    report = await bench.run()
    assert (report.ending, report.retry_after_s, report.usd_micros) == ("retry", 7.0, 0)
    assert (await bench.run()).ending == "retry"
    assert bench.calls == 1


async def test_run_of_the_last_attempt_ends_instead_of_retrying() -> None:
    report = await Bench(always(BUSY)).run(ATTEMPTS_MAX)
    assert (report.ending, report.failure) == ("ended", Failure.RATE_LIMITED)


async def test_run_caps_the_time_a_provider_asks_for() -> None:
    busy = NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "429", retry_after_s=86_400)
    report = await Bench(always(Work(busy, 0))).run()
    assert report.retry_after_s == RETRY_AFTER_S_MAX


async def test_run_that_was_billed_is_never_retried() -> None:
    broke = NotDelivered(Failure.TRANSIENT, Billed.OUTPUT, "http_500")
    report = await Bench(always(Work(broke, 0))).run()
    assert report.ending == "ended"
    assert report.usd_micros == catalogue().billed_usd_micros(item().request, Billed.OUTPUT, None)
    assert report.estimated is True


@pytest.mark.parametrize("failure", [Failure.CONTENT_REJECTED, Failure.INVALID_REQUEST])
async def test_run_that_is_refused_for_good_ends(failure: Failure) -> None:
    report = await Bench(always(Work(NotDelivered(failure, Billed.NOTHING, "no"), 0))).run()
    assert (report.ending, report.failure, report.usd_micros) == ("ended", failure, 0)


async def test_run_with_a_lost_answer_is_unknown_and_never_calls_again() -> None:
    bench = Bench(provider_faults=ScriptedFaults("generate", Fault.LOST))
    assert (await bench.run()).ending == "unknown"
    assert (await bench.run()).ending == "unknown"
    assert bench.calls == 1


async def test_run_after_a_crash_at_the_provider_is_unknown_and_never_calls_again() -> None:
    bench = Bench(provider_faults=ScriptedFaults("generate", Fault.CRASH_AFTER))
    with pytest.raises(Crashed):
        await bench.run()
    assert (await bench.run()).ending == "unknown"
    assert bench.calls == 1


async def test_run_after_a_crash_resumes_by_the_recorded_job() -> None:
    bench = Bench(jobs=True, provider_faults=ScriptedFaults("resume", Fault.CRASH_AFTER))
    with pytest.raises(Crashed):
        await bench.run()
    report = await bench.run()
    assert (report.ending, bench.calls) == ("delivered", 1)
    assert report.job_id == bench.marker()["job_id"]


async def test_run_after_a_crash_past_custody_reports_the_sealed_delivery() -> None:
    bench = Bench(image_faults=ScriptedFaults("keep", Fault.CRASH_AFTER))
    with pytest.raises(Crashed):
        await bench.run()
    report = await bench.run()
    assert (report.ending, report.usd_micros, bench.calls) == ("delivered", 3_025, 1)


async def test_run_whose_job_cannot_be_recorded_still_follows_it() -> None:
    bench = Bench(jobs=True, store_faults=ScriptedFaults("patch", *[Fault.REFUSED] * 5))
    report = await bench.run()
    assert report.ending == "delivered"
    assert bench.marker()["job_id"] is None


async def test_run_whose_outcome_cannot_be_recorded_still_reports_it() -> None:
    bench = Bench(always(BUSY), store_faults=ScriptedFaults("patch", *[Fault.REFUSED] * 5))
    assert (await bench.run()).ending == "retry"
    assert (await bench.run()).ending == "unknown"
    assert bench.calls == 1


async def test_run_without_an_answer_of_the_ledger_does_not_call() -> None:
    bench = Bench(store_faults=ScriptedFaults("create", *[Fault.REFUSED] * 5))
    report = await bench.run()
    assert (report.ending, report.retry_after_s, bench.calls) == ("again", STORE_RETRY_S, 0)
    assert (await bench.run()).ending == "delivered"


async def test_run_whose_marker_answers_were_all_lost_is_unknown_and_does_not_call() -> None:
    bench = Bench(store_faults=ScriptedFaults("create", Fault.LOST, *[Fault.REFUSED] * 4))
    assert (await bench.run()).ending == "again"
    assert (await bench.run()).ending == "unknown"
    assert bench.calls == 0


async def test_run_whose_marker_answer_was_lost_once_calls_once() -> None:
    bench = Bench(store_faults=ScriptedFaults("create", Fault.LOST))
    assert (await bench.run()).ending == "delivered"
    assert bench.calls == 1


async def test_run_at_a_closed_gate_is_asked_again_later() -> None:
    bench = Bench(limit=GateLimit(concurrent_max=1, starts_per_minute=1))
    await bench.run(1)
    report = await bench.run(2)
    assert (report.ending, report.reason) == ("again", "provider_limit")
    assert report.retry_after_s == pytest.approx(60.0)


async def test_run_gives_its_slot_back_after_a_crash() -> None:
    bench = Bench(
        provider_faults=ScriptedFaults("generate", Fault.CRASH_BEFORE),
        limit=GateLimit(concurrent_max=1, starts_per_minute=60),
    )
    with pytest.raises(Crashed):
        await bench.run(1)
    assert (await bench.run(2)).ending == "delivered"


@pytest.mark.parametrize("owner", ["canceller", "sweeper"])
async def test_run_against_the_marker_of_a_stop_is_canceled_and_does_not_call(owner: str) -> None:
    bench = Bench()
    await bench.attempts.stop(bench.work, owner)  # type: ignore[arg-type]
    report = await bench.run()
    assert (report.ending, report.failure, bench.calls) == ("canceled", Failure.CANCELED, 0)


async def test_stop_before_the_call_is_canceled_at_no_cost() -> None:
    bench = Bench()
    report = await bench.attempts.stop(bench.work, "canceller")
    assert (report.ending, report.attempt, report.usd_micros) == ("canceled", 1, 0)
    assert bench.marker()["owner"] == "canceller"


async def test_stop_repeated_stays_canceled() -> None:
    bench = Bench()
    first = await bench.attempts.stop(bench.work, "canceller")
    assert await bench.attempts.stop(bench.work, "sweeper") == first


async def test_stop_after_a_delivery_reports_the_delivery() -> None:
    bench = Bench()
    delivered = await bench.run()
    assert await bench.attempts.stop(bench.work, "canceller") == delivered


async def test_stop_after_a_busy_answer_takes_the_next_marker() -> None:
    bench = Bench(always(BUSY))
    await bench.run(1)
    report = await bench.attempts.stop(bench.work, "sweeper")
    assert (report.ending, report.attempt) == ("canceled", 2)
    assert (await bench.run(2)).ending == "canceled"


async def test_stop_while_the_provider_works_is_unknown() -> None:
    bench = Bench()
    await bench.attempts.ledger.begin_attempt(marker(bench.work))
    assert (await bench.attempts.stop(bench.work, "sweeper")).ending == "unknown"


@pytest.mark.parametrize("owner", ["canceller", "sweeper"])
async def test_stop_of_an_unknown_attempt_again_is_still_unknown(owner: MarkerOwner) -> None:
    bench = Bench(provider_faults=ScriptedFaults("generate", Fault.LOST))
    await bench.run(1)  # paid for, and the answer was lost
    assert (await bench.attempts.stop(bench.work, owner)).ending == "unknown"
    assert (await bench.attempts.stop(bench.work, "sweeper")).ending == "unknown"


async def test_evidence_of_a_resumed_job_that_stays_lost_is_unknown_with_its_id() -> None:
    bench = Bench(jobs=True, provider_faults=ScriptedFaults("resume", *[Fault.LOST] * 2))
    report = await bench.run()
    again = await bench.run()
    assert report.ending == again.ending == "unknown"
    assert again.job_id == f"job-{bench.work.generation_id}-1"


async def test_stop_without_a_look_believes_the_markers_alone() -> None:
    bench = Bench(always(BUSY))
    await bench.run(1)
    await bench.attempts.ledger.begin_attempt(marker(bench.work, 2))
    unreadable = FakeImageStore(ScriptedFaults("sealed", *[Fault.REFUSED] * 9))
    attempts = replace(bench.attempts, images=unreadable)
    with pytest.raises(Unavailable):
        await attempts.stop(bench.work, "sweeper")
    blind = await attempts.stop(bench.work, "sweeper", look=False)
    assert (blind.ending, blind.attempt) == ("unknown", 2)
    assert bench.marker(3)["owner"] == "sweeper"


async def test_unknown_from_the_provider_keeps_its_reason() -> None:
    report = await Bench(always(Work(Unknown("connection_lost"), 0))).run()
    assert (report.ending, report.reason) == ("unknown", "connection_lost")


@pytest.mark.parametrize("jobs", [False, True])
async def test_run_whose_adapter_raises_is_unknown_and_never_calls_again(
    jobs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(always(UNREADABLE), jobs=jobs)
    job_id = f"job-{bench.work.generation_id}-1" if jobs else None
    report = await bench.run()
    assert (report.ending, report.reason, report.job_id) == ("unknown", "adapter_failed", job_id)
    again = await bench.run()
    assert again.reason == ("job_unreadable" if jobs else "no answer was recorded")
    assert (again.ending, again.job_id) == ("unknown", job_id)
    assert (await bench.attempts.stop(bench.work, "canceller")).ending == "unknown"
    assert bench.calls == 1
    failed = [JsonFormatter().format(each) for each in caplog.records if each.exc_info]
    assert failed and all("RuntimeError" in line for line in failed)
    assert "what the provider said" not in "".join(failed)


async def test_stop_ends_though_the_provider_is_on_offer_no_more() -> None:
    bench = Bench(jobs=True, provider_faults=ScriptedFaults("resume", Fault.CRASH_AFTER))
    with pytest.raises(Crashed):
        await bench.run()
    bench.attempts = replace(bench.attempts, providers={})
    report = await bench.attempts.stop(bench.work, "sweeper")
    assert (report.ending, report.reason) == ("unknown", "job_unreadable")
