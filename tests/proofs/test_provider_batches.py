"""Every way in which the two lines of a provider batch can end, and what is booked for each.

Invariant (I4): what is billed for a row, in its batch and after it, is booked for it, and a row
that was billed in the batch is not sent again. Nothing is booked for a batched attempt that is
proven not to have been worked on; an orchestration then goes on with the row. What was billed and
what was booked for a row meet in reconciliation, whether a result was read or not.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from shared.domain.attempts import Unknown
from shared.domain.ids import row_generation_id
from shared.domain.provider_batches import BatchLine, JobState
from shared.domain.reconciliation import BilledLine, BookedEntry, compare
from tests.fakes.clock import NOON
from tests.fakes.providers import Work
from tests.proofs.mutants import Mutant, installed, mutant
from tests.unit.provider_batches_bench import BATCH_ID, DELIVERED, USD_MICROS, Bench

DAY, PROVIDER, MODEL = NOON.date(), "azure_openai", "gpt-image-2"
LineEnd = Literal["answered", "silent", "unlisted", "late", "left_out"]
WORKED_ON = ("answered", "silent", "unlisted")  # these are billed
NOT_IN_THE_FILES = ("unlisted", "left_out")
SILENT = Work(Unknown("line_without_answer"), USD_MICROS)
Ender = Literal["orchestration", "cancel", "sweep"]  # who asks how the rows ended


@dataclass(frozen=True)
class Story:
    """One job: how its lines ended, what it says of them, and who reads its results."""

    ends: tuple[LineEnd, LineEnd]
    state: JobState
    is_counted: bool
    ender: Ender


def stories() -> Iterator[Story]:
    ends: tuple[LineEnd, ...] = ("answered", "silent", "unlisted", "late", "left_out")
    states: tuple[JobState, ...] = ("expired", "cancelled")
    enders: tuple[Ender, ...] = ("orchestration", "cancel", "sweep")
    pairs = itertools.product(ends, repeat=2)
    for pair, state, counted, ender in itertools.product(pairs, states, (True, False), enders):
        yield Story(pair, state, counted, ender)


async def told(story: Story) -> list[str]:
    """Play a story; what is wrong with the books at its end."""
    names: dict[str, LineEnd] = {}

    def script(line: BatchLine) -> Work:
        return SILENT if names[line.custom_id] == "silent" else DELIVERED

    bench = await Bench(rows=2, script=script, instant=False).open()
    await bench.submit()
    ((job_id, job),) = bench.provider.jobs.items()
    names |= {line.custom_id: end for line, end in zip(job.lines, story.ends, strict=True)}
    job.unlisted = {name for name, end in names.items() if end in NOT_IN_THE_FILES}
    job.is_counted = story.is_counted
    done = [name for name, end in names.items() if end in WORKED_ON]
    bench.provider.finish(job_id, story.state, done)
    await _read(bench, story.ender)
    proven = story.is_counted and all(end == "answered" for end in story.ends if end in WORKED_ON)
    billed_usd: dict[str, int] = {}
    faults = []
    entries = bench.documents("x:")
    for entry, (name, end) in zip(entries, names.items(), strict=True):
        batched = bench.provider.invoice.get(f"{job_id}/{name}", 0)
        alone = (row_generation_id(BATCH_ID, entry["row"]), 2) in bench.sync.submitted
        billed = batched + (USD_MICROS if alone else 0)
        if batched:
            billed_usd[name] = batched
        if batched and alone:
            faults.append(f"{end}: paid twice")
        if entry["usd_micros"] < billed:
            faults.append(f"{end}: I4, billed {billed} and booked {entry['usd_micros']}")
        if entry["usd_micros"] > billed and not entry["estimated"]:
            faults.append(f"{end}: booked {entry['usd_micros']} for certain, billed {billed}")
        goes_on = alone or story.ender != "orchestration"
        is_free = entry["usd_micros"] <= billed and goes_on
        if (end == "late" or (end == "left_out" and proven)) and not is_free:
            faults.append(f"{end}: booked, though it is proven not to have been worked on")
    return faults + _open_money(bench, entries) + _apart(billed_usd, entries)


async def _read(bench: Bench, ender: Ender) -> None:
    if ender == "sweep":
        for row in (1, 2):
            item = await bench.work.find(row_generation_id(BATCH_ID, row))
            report = await bench.attempts.stop(item, "sweeper")
            await bench.settlements.settle(BATCH_ID, [report])
        return
    bench.cancel = ender == "cancel"
    await bench.go_on(await bench.collect(), stop=bench.cancel)


def _open_money(bench: Bench, entries: list[dict[str, Any]]) -> list[str]:
    spent = sum(entry["amount_micros"] for entry in entries)
    budgets = {(b["reserved_micros"], b["spent_micros"]) for b in bench.documents("budget:")}
    return [] if budgets == {(0, spent)} else [f"I3, I6: {budgets}, entries {spent}"]


def _apart(billed_usd: dict[str, int], entries: list[dict[str, Any]]) -> list[str]:
    """Lines of the export that meet no entry: each would be a second case for one amount."""
    lines = [
        BilledLine(
            provider=PROVIDER,
            model=MODEL,
            day=DAY,
            item="image_output",
            usd_micros=usd_micros,
            generation_id=name.rpartition(":")[0] or None,
            request_id=f"request of {name}",
        )
        for name, usd_micros in billed_usd.items()
    ]
    booked = [
        BookedEntry(each["generation_id"], PROVIDER, MODEL, DAY, each["usd_micros"], False)
        for each in entries
    ]
    standings = [item.standing for item in compare(PROVIDER, DAY, lines, booked).items]
    return ["one amount, two cases"] if "billed_not_booked" in standings else []


async def test_every_end_of_a_line_is_booked_at_what_it_may_have_cost() -> None:
    for story in stories():
        assert await told(story) == [], story


_WITHOUT_LINE = "shared.services.provider_batch_results:_without_line"
_OUTCOMES = "shared.services.provider_batch_results:ProviderBatchResults.outcomes"
BUGS = (
    mutant(
        "a row without a line was not worked on, if its job was not completed",
        (_WITHOUT_LINE, "or not all_answered", ""),
    ),
    mutant(
        "a job that does not count its lines worked on none",
        (_WITHOUT_LINE, "job.worked_on is not None and job.worked_on", "(job.worked_on or 0)"),
    ),
    mutant(
        "a line that says that nothing was done counts as an answer",
        (_OUTCOMES, "if line.is_answered", "if True"),
    ),
    mutant(
        "only answers of the rows that are asked about are counted",
        (_OUTCOMES, "if line.is_answered", "if line.is_answered and row in counts"),
    ),
    mutant(
        "a line without an answer is as good as free",
        (_OUTCOMES, "_at_most(said.reason) if isinstance(said, Unknown) else said",
         "NotDelivered(Failure.TRANSIENT, Billed.NOTHING, said.reason) "
         "if isinstance(said, Unknown) else said"),
    ),
    mutant(
        "a line of a batch is named by its row alone",
        (
            "shared.domain.provider_batches:custom_id_of",
            "{row_generation_id(batch_id, row)}:",
            "{row:05d}-",
        ),
    ),
    mutant(
        "a row without a line is always billed",
        (_WITHOUT_LINE, "or not all_answered", "or True"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
async def test_planted_bug_is_caught(bug: Mutant) -> None:
    with installed(bug):
        for story in stories():
            if await told(story):
                return
    pytest.fail("nobody notices")
