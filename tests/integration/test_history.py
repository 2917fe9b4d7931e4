"""History: filters, pages, order, and continuation tokens that are not what they should be."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from devhost.local_settings import people
from tests.integration.api import Json, Person, order


def object_id(username: str) -> str:
    return str(next(u["oid"] for u in people()["users"] if u["username"] == username))


@pytest.fixture(scope="module")
async def past(finn: Person, pat: Person) -> dict[str, Json]:
    """Generations of several kinds in the design department, by name."""
    wanted = {
        "azure": finn.generate(order()),
        "sdxl": finn.generate(order("sdxl")),
        "refused": finn.generate(order(scenario="content_filter")),
        "pats": pat.generate(order()),
    }
    ended = await asyncio.gather(*wanted.values())
    return dict(zip(wanted, ended, strict=True))


async def listed_ids(person: Person, **params: str) -> set[str]:
    return {item["id"] for item in await person.listed("/generations", **params)}


async def test_standard_user_lists_own_generations_only(
    finn: Person, past: dict[str, Json]
) -> None:
    items = await finn.listed("/generations")
    assert {item["requested_by"] for item in items} == {object_id("finn")}
    assert {past["azure"]["id"], past["sdxl"]["id"], past["refused"]["id"]} <= {
        item["id"] for item in items
    }


async def test_listed_generation_is_the_one_shown(finn: Person, past: dict[str, Json]) -> None:
    items = {item["id"]: item for item in await finn.listed("/generations")}
    assert items[past["azure"]["id"]] == past["azure"]


async def test_history_is_newest_first(finn: Person, past: dict[str, Json]) -> None:
    moments = [item["created_at"] for item in (await finn.get("/generations")).json()["items"]]
    assert moments == sorted(moments, reverse=True)


async def test_history_narrows_by_status(finn: Person, past: dict[str, Json]) -> None:
    assert past["refused"]["id"] in await listed_ids(finn, status="refused")
    assert past["azure"]["id"] not in await listed_ids(finn, status="refused")


async def test_history_narrows_by_provider(finn: Person, past: dict[str, Json]) -> None:
    found = await listed_ids(finn, provider="replicate")
    assert past["sdxl"]["id"] in found
    assert past["azure"]["id"] not in found


async def test_history_narrows_by_user_for_those_who_see_several(
    olga: Person, past: dict[str, Json]
) -> None:
    found = await listed_ids(olga, user=object_id("pat"))
    assert past["pats"]["id"] in found
    assert past["azure"]["id"] not in found


async def test_history_of_a_standard_user_ignores_another_persons_id(
    finn: Person, past: dict[str, Json]
) -> None:
    assert past["pats"]["id"] not in await listed_ids(finn, user=object_id("pat"))


async def test_history_narrows_by_batch(pat: Person, past: dict[str, Json]) -> None:
    batch = await pat.run_batch([order(), order()])
    found = await pat.listed("/generations", batch_id=batch["id"])
    assert {item["row"] for item in found} == {1, 2}
    assert {item["batch_id"] for item in found} == {batch["id"]}


async def test_history_narrows_by_dates(finn: Person, past: dict[str, Json]) -> None:
    today = datetime.now(UTC).date()
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    within = await listed_ids(finn, since=yesterday.isoformat(), until=tomorrow.isoformat())
    assert past["azure"]["id"] in within
    assert await listed_ids(finn, until=yesterday.isoformat()) == set()
    assert await listed_ids(finn, since=tomorrow.isoformat(), until=tomorrow.isoformat()) == set()


async def test_pages_join_into_the_whole_listing(olga: Person, past: dict[str, Json]) -> None:
    whole = await olga.listed("/generations", limit="100", status="refused")
    paged = await olga.listed("/generations", limit="2", status="refused")
    assert len({item["id"] for item in paged}) == len(paged) > 0
    assert {item["id"] for item in paged} == {item["id"] for item in whole}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"status": "lost"}, "/status"),
        ({"provider": "acme"}, "/provider"),
        ({"user": "finn"}, "/user"),
        ({"limit": "0"}, "/limit"),
        ({"limit": "101"}, "/limit"),
        ({"limit": "many"}, "/limit"),
        ({"since": "yesterday"}, "/since"),
        ({"since": "2026-13-01"}, "/since"),
        ({"since": "2026-11-01T00:00:00"}, "/since"),
        ({"until": "0"}, "/until"),
        ({"since": "2001-01-01"}, "/since"),
        ({"sort": "asc"}, "/sort"),
        ({"continuation": "!!"}, "/continuation"),
        ({"continuation": "bm90IG91cnM"}, "/continuation"),
    ],
)
async def test_history_names_the_parameter_at_fault(
    finn: Person, params: dict[str, str], field: str
) -> None:
    answer = await finn.get("/generations", params)
    answer.problem(422, "invalid")
    assert answer.fields() == {field}


async def test_dates_out_of_order_answer_422(finn: Person) -> None:
    answer = await finn.get("/generations", {"since": "2026-11-20", "until": "2026-01-01"})
    answer.problem(422, "invalid")


async def test_repeated_parameter_answers_422(finn: Person) -> None:
    answer = await finn.get("/generations?limit=1&limit=2")
    answer.problem(422, "invalid")


def forged(period: object, department_id: object, token: object) -> str:
    text = json.dumps([period, department_id, token])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "continuation",
    [
        forged(f"{datetime.now(UTC):%Y%m}", "marketing", None),
        forged("190001", "design", None),
        forged(f"{datetime.now(UTC):%Y%m}", "design", "not a token of the store"),
        forged(f"{datetime.now(UTC):%Y%m}", "design", 7),
        forged(7, None, None),
        forged(f"{datetime.now(UTC):%Y%m}", ["design"], None),
    ],
)
async def test_forged_continuation_answers_422(finn: Person, continuation: str) -> None:
    answer = await finn.get("/generations", {"continuation": continuation})
    answer.problem(422, "invalid")
    assert answer.fields() == {"/continuation"}
