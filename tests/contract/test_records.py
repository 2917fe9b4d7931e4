"""The Records port, single records and history listings: one suite on the fake and on the SDK."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.history import GenerationFilter
from shared.domain.identity import Caller
from shared.domain.ledger import Document
from shared.errors import Invalid
from shared.ports import Page
from tests import builders
from tests.contract import cosmos_stores
from tests.contract.cosmos_account import IS_LIVE
from tests.contract.cosmos_stores import RecordsBench, plain

stores, bench = cosmos_stores.stores, cosmos_stores.bench  # fixtures, found by their names

EVERYTHING = GenerationFilter(tenant_id=builders.TENANT)
OTHER_TENANT = "22222222-2222-4222-8222-222222222222"
PAGES_MAX = 20  # more than any listing here has: ends a listing that goes round in circles


def at(minute: int) -> str:
    """A moment of the test's day."""
    return (datetime.fromisoformat(builders.CREATED_AT) + timedelta(minutes=minute)).isoformat()


def ids(documents: list[Document]) -> list[str]:
    return [document["generation_id"] for document in documents]


async def listed(
    bench: RecordsBench, wanted: GenerationFilter = EVERYTHING, limit: int = 100
) -> list[Document]:
    """All pages of a listing."""
    found: list[Document] = []
    continuation: str | None = None
    for _ in range(PAGES_MAX):
        page = await bench.records.generations(bench.partition, wanted, continuation, limit)
        assert len(page.documents) <= limit
        found += page.documents
        continuation = page.continuation
        if continuation is None:
            return found
    raise AssertionError("the listing has no end")


async def test_generation_is_the_record_as_it_was_admitted(bench: RecordsBench) -> None:
    work = await bench.admit("one")
    assert plain(await bench.records.generation(work.generation_id)) == work.record()


async def test_generation_that_was_never_admitted_is_none(bench: RecordsBench) -> None:
    assert await bench.records.generation(bench.id_of("nobody")) is None


async def test_attempt_is_the_marker_of_that_number(bench: RecordsBench) -> None:
    work = await bench.admit("one")
    first, second = builders.marker(work, 1), builders.marker(work, 2, holder="w-2")
    await bench.money.ledger.begin_attempt(first)
    await bench.money.ledger.begin_attempt(second)
    assert await bench.records.attempt(work.generation_id, 1) == first
    assert await bench.records.attempt(work.generation_id, 2) == second
    assert await bench.records.attempt(work.generation_id, 3) is None


async def test_attempt_shows_the_job_and_the_outcome(bench: RecordsBench) -> None:
    marker = builders.marker(await bench.admit("one"))
    await bench.money.ledger.begin_attempt(marker)
    await bench.money.ledger.record_job(marker, "job-1")
    await bench.money.ledger.record_outcome(marker, {"ending": "ended"})
    found = await bench.records.attempt(marker.generation_id, 1)
    assert found == replace(marker, job_id="job-1", outcome={"ending": "ended"})


async def test_generations_of_an_empty_partition_are_an_empty_page(bench: RecordsBench) -> None:
    page = await bench.records.generations(bench.partition, EVERYTHING, None, 10)
    assert (list(page.documents), page.continuation) == ([], None)


async def test_generations_come_newest_first_whatever_the_order_of_admission(
    bench: RecordsBench,
) -> None:
    for minute in (2, 0, 3, 1):
        await bench.admit(str(minute), created_at=at(minute))
    assert ids(await listed(bench)) == [bench.id_of(str(minute)) for minute in (3, 2, 1, 0)]


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
async def test_generations_over_pages_are_the_whole_listing(
    bench: RecordsBench, limit: int
) -> None:
    for minute in range(7):
        await bench.admit(str(minute), created_at=at(minute))
    expected = [bench.id_of(str(minute)) for minute in reversed(range(7))]
    assert ids(await listed(bench, limit=limit)) == expected


async def test_generations_of_the_same_moment_are_listed_once_each_over_pages(
    bench: RecordsBench,
) -> None:
    expected = {(await bench.admit(str(number))).generation_id for number in range(5)}
    found = ids(await listed(bench, limit=2))
    assert len(found) == len(expected)
    assert set(found) == expected


async def test_generations_admitted_between_two_pages_do_not_disturb_the_next(
    bench: RecordsBench,
) -> None:
    for minute in range(4):
        await bench.admit(str(minute), created_at=at(minute))
    first = await bench.records.generations(bench.partition, EVERYTHING, None, 2)
    second = await bench.records.generations(bench.partition, EVERYTHING, first.continuation, 2)
    again = await bench.records.generations(bench.partition, EVERYTHING, first.continuation, 2)
    assert ids(list(second.documents)) == [bench.id_of("1"), bench.id_of("0")]
    assert ids(list(again.documents)) == ids(list(second.documents))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "queued"}, ["late", "sdxl"]),
        ({"status": "succeeded"}, ["early"]),
        ({"status": "indeterminate"}, ["middle"]),
        ({"status": "canceled"}, []),
        ({"provider": "replicate"}, ["sdxl"]),
        ({"provider": "azure_openai"}, ["late", "middle", "early"]),
        ({"user_key": builders.caller(2).key}, ["late"]),
        ({"since": at(10)}, ["late", "sdxl", "middle"]),
        ({"until": at(10)}, ["early"]),
        ({"since": at(10), "until": at(20)}, ["middle"]),
        ({"since": at(11), "until": at(20)}, []),
        ({"since": "2026-11-16"}, []),
        ({"until": "2026-11-16"}, ["late", "sdxl", "middle", "early"]),
        ({"status": "queued", "provider": "azure_openai"}, ["late"]),
        ({"status": "queued' OR '1' = '1"}, []),
        ({"batch_id": "202611-x-0"}, []),
    ],
)
async def test_generations_are_narrowed_by_every_field_given(
    bench: RecordsBench, changes: dict[str, str], expected: list[str]
) -> None:
    await bench.settle(await bench.admit("early", created_at=at(0)))
    await bench.money.note_unknown(await bench.admit("middle", created_at=at(10)))
    await bench.admit("sdxl", "sdxl", created_at=at(20))
    other = builders.caller(2, bench.partition.department_id)
    await bench.admit("late", created_at=at(30), owner=other)
    found = await listed(bench, replace(EVERYTHING, **changes))
    assert ids(found) == [bench.id_of(seed) for seed in expected]


async def test_generations_of_a_batch_are_its_rows_with_a_record(bench: RecordsBench) -> None:
    await bench.admit("single")
    batch_id, work = await bench.admit_batch(3)
    await bench.settle(work[0], work[2])
    found = await listed(bench, replace(EVERYTHING, batch_id=batch_id))
    assert sorted(ids(found)) == [work[0].generation_id, work[2].generation_id]


async def test_generations_of_another_tenant_in_the_same_department_stay_hidden(
    bench: RecordsBench,
) -> None:
    mine = await bench.admit("mine")
    neighbour = bench.money.owner.principal
    stranger = Caller(replace(neighbour, tenant_id=OTHER_TENANT), bench.partition.department_id)
    theirs = await bench.admit("theirs", owner=stranger)
    assert ids(await listed(bench)) == [mine.generation_id]
    assert ids(await listed(bench, GenerationFilter(OTHER_TENANT))) == [theirs.generation_id]
    assert await listed(bench, GenerationFilter("")) == []


async def test_generations_of_another_month_are_in_another_partition(bench: RecordsBench) -> None:
    await bench.admit("next", period="202612")
    november = await bench.admit("this")
    assert ids(await listed(bench)) == [november.generation_id]


async def two_pages(bench: RecordsBench) -> Page:
    """The first of two pages."""
    for minute in range(4):
        await bench.admit(str(minute), created_at=at(minute))
    page = await bench.records.generations(bench.partition, EVERYTHING, None, 2)
    assert page.continuation
    return page


@pytest.mark.parametrize(
    "mangled",
    [
        "x",
        "2",
        "-1",
        "null",
        "{}",
        "AAAA",
        "é",
        "\N{ARABIC-INDIC DIGIT TWO}",
        "\x00",
        "\r\nx-ms-documentdb-partitionkey: []",
        "\ud800",
        "9" * 4_000,
    ],
)
async def test_generations_with_a_token_that_was_never_given_out_are_refused(
    bench: RecordsBench, mangled: str
) -> None:
    await two_pages(bench)
    with pytest.raises(Invalid, match="continuation token"):
        await bench.records.generations(bench.partition, EVERYTHING, mangled, 2)


async def test_generations_with_a_damaged_token_are_refused(bench: RecordsBench) -> None:
    token = (await two_pages(bench)).continuation or ""
    for damaged in (token[1:], "A" + token, token[:8] + "?" + token[9:]):
        with pytest.raises(Invalid, match="continuation token"):
            await bench.records.generations(bench.partition, EVERYTHING, damaged, 2)


@pytest.mark.skipif(IS_LIVE, reason="the service does not promise to tie a token to its query")
async def test_generations_with_the_token_of_another_listing_are_refused(
    bench: RecordsBench,
) -> None:
    token = (await two_pages(bench)).continuation
    others = [
        (bench.partition, replace(EVERYTHING, status="queued")),
        (bench.partition, GenerationFilter(OTHER_TENANT)),
        (replace(bench.partition, period="202610"), EVERYTHING),
    ]
    for partition, wanted in others:
        with pytest.raises(Invalid, match="continuation token"):
            await bench.records.generations(partition, wanted, token, 2)


async def test_generations_with_picture_are_those_that_hold_its_bytes(bench: RecordsBench) -> None:
    holders = []
    for name, sha256 in (("one", "aa" * 32), ("two", "bb" * 32), ("three", "aa" * 32)):
        work = await bench.admit(name)
        pictures = (builders.picture(0), builders.picture(1).model_copy(update={"sha256": sha256}))
        await bench.money.resolve(work.operation_id, builders.resolution(work, images=pictures))
        holders += [work.generation_id] if sha256 == "aa" * 32 else []
    found = await bench.records.generations_with_picture(bench.partition, "aa" * 32)
    assert sorted(ids(list(found))) == sorted(holders)
    assert await bench.records.generations_with_picture(bench.partition, "cc" * 32) == []
