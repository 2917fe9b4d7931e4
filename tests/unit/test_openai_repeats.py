"""Repeats of clients that send no key: what they asked for before is found again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.history import GenerationFilter
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.periods import Calendar
from shared.ports import Page
from shared.services.generations import Generations
from tests import builders
from tests.fakes.clock import NOON, FakeClock

NEW_MONTH = datetime(2026, 12, 1, 0, 2, tzinfo=NOON.tzinfo)
WITHIN = timedelta(minutes=15)


@dataclass
class Listed:
    """Records of one period, and which periods were looked at."""

    period: str
    documents: Sequence[Document]
    asked: list[str] = field(default_factory=list)

    async def generations(
        self, partition: Partition, wanted: GenerationFilter, continuation: None, limit: int
    ) -> Page:
        self.asked.append(partition.period)
        return Page(self.documents[:limit] if partition.period == self.period else [], None)


def endpoint(records: Listed, clock: FakeClock) -> Generations:
    """The service as far as it looks for repeats; everything was admitted."""

    async def calendar(department_id: str) -> Calendar:
        return Calendar()

    async def hold(generation_id: str) -> Any:
        return SimpleNamespace(request_hash=generations._hash_of(builders.request(), charge))

    charge = builders.caller().charge(None, None)
    admission = SimpleNamespace(
        calendars=SimpleNamespace(of=calendar), ledger=SimpleNamespace(hold=hold)
    )
    rest: dict[str, Any] = dict.fromkeys(
        ("directory", "work", "attempts", "settlements", "catalogues", "routing")
    )
    generations = Generations(
        admission=admission,  # type: ignore[arg-type]
        records=records,  # type: ignore[arg-type]
        clock=clock,
        **rest,
    )
    return generations


@pytest.mark.parametrize(
    ("now", "period", "asked"),
    [
        (NOON, "202611", ["202611"]),
        (NEW_MONTH, "202611", ["202612", "202611"]),  # the first request was of last month
        (NEW_MONTH, "202612", ["202612"]),
    ],
)
async def test_repeat_is_found_also_when_a_period_has_begun_meanwhile(
    now: datetime, period: str, asked: list[str]
) -> None:
    first = builders.item()
    records = Listed(period, [first.record()])
    caller = builders.caller()
    found = await endpoint(records, FakeClock(now)).earlier(
        caller, builders.request(), caller.charge(None, None), now - WITHIN
    )
    assert found is not None and found.id == first.generation_id
    assert records.asked == asked


async def test_words_that_nobody_has_asked_for_are_no_repeat() -> None:
    records, caller = Listed("202611", [builders.item().record()]), builders.caller()
    other = builders.request(prompt="another lighthouse")
    found = await endpoint(records, FakeClock(NOON)).earlier(
        caller, other, caller.charge(None, None), NOON - WITHIN
    )
    assert found is None
