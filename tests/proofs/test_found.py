"""What the histories found, each as the shortest scenario that shows it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from shared.domain.attempts import Billed, Failure, ImageOrder, NotDelivered, Unknown
from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchSource
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.generations import GenerationRequest, request_hash
from shared.domain.identity import Role
from shared.domain.ids import operation_id, row_generation_id
from shared.errors import IdempotencyKeyReused, Unavailable
from shared.ports import DirectoryUser
from shared.services.batch_admission import BatchOrder
from tests.builders import PARTITION, caller, catalogue, marker, report, request, routed
from tests.fakes.directory import FakeDirectory
from tests.fakes.orchestrations import FakeOrchestrations
from tests.fakes.providers import Work
from tests.proofs.chaos import PROCESS, Chaos, Process
from tests.proofs.histories import settle_down
from tests.proofs.provider_scripts import Script, steady_script
from tests.proofs.virtual_loop import VirtualLoop
from tests.proofs.world import TIMES, World

LIMIT_MICROS = 10_000_000
BATCH_ID = operation_id(PARTITION, "batch")
FIRST_ROW = row_generation_id(BATCH_ID, 1)
CHEAP, DEAR = request("gpt-image-2", quality="low"), request("gpt-image-2", quality="high")
Scenario = Callable[[World], Awaitable[None]]


def play(scenario: Scenario, script: Script | None = None, seed: int = 1) -> World:
    """Run a scenario in a world where nothing goes wrong by itself."""
    directory = FakeDirectory({caller().key: DirectoryUser("marketing")}, ["marketing"])
    world = World(
        Chaos(seed, rate=0.0),
        directory,
        catalogue(),
        script or steady_script(catalogue(), 0),
        [("marketing", BudgetPolicy(s, LIMIT_MICROS)) for s in caller().charge().scopes()],
    )

    async def main() -> None:
        PROCESS.set(Process("test"))
        await scenario(world)

    VirtualLoop().run(main())  # type: ignore[abstract]  # what it lacks, no service may use
    assert world.checker.violations == []
    return world


def order(*requests: GenerationRequest) -> BatchOrder:
    return BatchOrder(
        caller=caller(),
        charge=caller().charge(),
        batch_id=BATCH_ID,
        source=BatchSource("inline"),
        content_hash=request_hash([each.model_dump(mode="json") for each in requests]),
        read_rows=lambda: iter(
            [BatchRow(n, n, f"row-{n}", each, ()) for n, each in enumerate(requests, start=1)]
        ),
        correlation_id="c-1",
    )


async def sweep(world: World, age_s: float) -> FakeOrchestrations:
    """One run of the sweep when everything is at least so old; nothing is running."""
    orchestrations = FakeOrchestrations()
    await asyncio.sleep(age_s)
    done = await world.sweep.run(orchestrations)
    assert done.errors == 0
    return orchestrations


async def settle_unknown(world: World) -> None:
    """A second delivery of attempt 1 met the marker of the first: nobody knows how it ends."""
    item = await world.work.find(FIRST_ROW)
    await world.settlements.settle(BATCH_ID, [report(item, "unknown", reason="in flight")])


def test_retryable_end_that_the_sweep_books_leaves_no_way_to_call_again() -> None:
    def busy_then_delivers(wanted: ImageOrder) -> Work:
        if wanted.attempt == 1:
            return Work(NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "429"), 0)
        return steady_script(catalogue(), 0)(wanted)

    async def scenario(world: World) -> None:
        await world.batches.submit(order(CHEAP), FakeOrchestrations())
        item = await world.work.find(FIRST_ROW)
        assert (await world.attempts.run(item, 1)).ending == "retry"
        await settle_unknown(world)
        await sweep(world, TIMES.grace.total_seconds() + 1)
        # A restarted batch runs all its rows again, also this one, which has been released.
        again = await world.attempts.run(item, 1)
        if again.ending == "retry":
            assert (await world.attempts.run(item, 2)).ending == "canceled"

    world = play(scenario, busy_then_delivers)
    assert world.providers["azure_openai"].invoice.get(FIRST_ROW, 0) == 0


@pytest.mark.parametrize("seed", range(8))  # each payload wins some of these races
def test_plan_of_a_hold_survives_another_payload_under_the_same_key(seed: int) -> None:
    async def scenario(world: World) -> None:
        answers = await asyncio.gather(
            world.batches.submit(order(CHEAP), FakeOrchestrations()),
            world.batches.submit(order(DEAR), FakeOrchestrations()),
            return_exceptions=True,
        )
        refused = [each for each in answers if isinstance(each, IdempotencyKeyReused)]
        assert len(refused) == 1
        hold = await world.ledger.hold(BATCH_ID)
        item = await world.work.find(FIRST_ROW)
        assert hold is not None and hold.amount_micros == item.quote.amount_micros

    play(scenario, seed=seed)


@pytest.mark.parametrize("status", ["running", "indeterminate"])
def test_batch_whose_last_row_ended_after_its_orchestration_died_is_finished(status: str) -> None:
    async def scenario(world: World) -> None:
        await world.batches.submit(order(CHEAP), FakeOrchestrations())
        if status == "indeterminate":
            await settle_unknown(world)
            assert await world.results.finish(BATCH_ID) == status
        item = await world.work.find(FIRST_ROW)
        await world.settlements.settle(BATCH_ID, [await world.attempts.run(item, 1)])
        await sweep(world, TIMES.grace.total_seconds() + 1)
        batch = await world.records.batch(BATCH_ID)
        assert batch is not None
        assert (batch["status"], batch["counts"]["succeeded"]) == ("completed", 1)

    play(scenario)


def test_hold_that_cannot_be_read_keeps_no_other_hold_from_its_end() -> None:
    async def submitted(world: World, key: str) -> str:
        view = await world.generations.submit(
            caller(),
            CHEAP,
            caller().charge(),
            key=key,
            correlation_id="c-1",
            orchestrations=FakeOrchestrations(),
        )
        return view.id

    async def scenario(world: World) -> None:
        damaged = await submitted(world, "key-1")
        item = await world.work.find(damaged)
        await world.ledger.begin_attempt(replace(marker(item), outcome={"ending": "no ending"}))
        lost = await submitted(world, "key-2")
        await asyncio.sleep(TIMES.restart_until.total_seconds() + 1)
        done = await world.sweep.run(FakeOrchestrations())
        assert (done.errors, done.released) == (1, 1)
        record = await world.records.generation(lost)
        assert record is not None and record["status"] == "canceled"

    play(scenario)


def test_batch_that_a_lagging_replica_does_not_show_yet_is_not_taken_for_cancelled() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(Unavailable):
            await world.batches.is_cancel_requested(BATCH_ID)

    play(scenario)


def test_unknown_outcome_past_the_horizon_is_booked_at_the_maximum_and_finishes_its_batch() -> None:
    async def scenario(world: World) -> None:
        await world.batches.submit(order(CHEAP), FakeOrchestrations())
        item = await world.work.find(FIRST_ROW)
        unknown = await world.attempts.run(item, 1)
        assert unknown.ending == "unknown"
        await world.settlements.settle(BATCH_ID, [unknown])
        assert await world.results.finish(BATCH_ID) == "indeterminate"
        await sweep(world, TIMES.unknown_horizon.total_seconds() + 1)
        batch = await world.records.batch(BATCH_ID)
        assert batch is not None
        assert batch["status"] == "completed"
        assert batch["spent_micros"] == item.quote.amount_micros

    play(scenario, lambda wanted: Work(Unknown("connection_lost"), 0))


@pytest.mark.parametrize("model", ["gpt-image-2", "sdxl"])  # answered at once, and a job
def test_work_whose_adapter_always_raises_is_booked_at_the_horizon(model: str) -> None:
    def chokes(wanted: ImageOrder) -> Work:
        return replace(steady_script(catalogue(), 0)(wanted), unreadable=True)

    async def scenario(world: World) -> None:
        await world.batches.submit(order(request(model)), FakeOrchestrations())
        item = await world.work.find(FIRST_ROW)
        assert (await world.attempts.run(item, 1)).ending == "unknown"
        stopped = await world.attempts.stop(item, "canceller")
        assert stopped.ending == "unknown"
        await world.settlements.settle(BATCH_ID, [stopped])
        await sweep(world, TIMES.unknown_horizon.total_seconds() + 1)
        ended = world.connection.container("ledger").peek(PARTITION.key, f"x:{FIRST_ROW}")
        assert ended is not None and ended["amount_micros"] == item.quote.amount_micros

    play(scenario, chokes)


def test_repeat_that_would_go_another_way_leaves_the_plan_of_the_hold_alone() -> None:
    async def scenario(world: World) -> None:
        wanted = order(routed("auto", strategy="cheapest"))
        await world.batches.submit(wanted, FakeOrchestrations())
        first = await world.work.find(FIRST_ROW)
        admin = caller(99, role=Role.ORG_ADMIN)
        await world.freezes.set(admin, f"model:{first.request.model}", "audit", None, "c")
        await asyncio.sleep(TIMES.grace.total_seconds())  # whatever the repeat knew by then
        # A replica that lags behind does not show the batch yet.
        await world.batches.admission.admit(wanted, FakeOrchestrations())
        assert await world.work.find(FIRST_ROW) == first

    play(scenario)


@pytest.mark.parametrize("seed", range(8))  # of some, the rows outlast the last sweep
def test_start_that_comes_late_has_ended_when_the_end_is_checked(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.batches.submit(order(CHEAP, CHEAP), world.orchestrations)
        await settle_down(world)
        world.orchestrations.launch(BATCH_ID, batch=True)
        await settle_down(world)
        assert not world.orchestrations.are_running()

    play(scenario, seed=seed)


def test_what_a_history_leaves_running_is_cancelled_and_may_still_clean_up() -> None:
    ended = []

    async def goes_on() -> None:
        try:
            await asyncio.sleep(LIMIT_MICROS)
        finally:
            await asyncio.sleep(1)
            ended.append("cleaned up")

    async def main() -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(goes_on())
        await asyncio.sleep(1)
        return task

    task = VirtualLoop().run(main())  # type: ignore[abstract]  # as above
    assert task.cancelled() and ended == ["cleaned up"]
