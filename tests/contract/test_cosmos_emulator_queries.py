"""Contract of queries: scope, semantics of undefined, order, paging, aggregates, plans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.cosmos_account import Account, all_rows, open_account

COMPOSITE = {
    "indexingMode": "consistent",
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": "/hidden/*"}],
    "compositeIndexes": [
        [{"path": "/kind", "order": "ascending"}, {"path": "/n", "order": "descending"}]
    ],
}
ITEMS: list[dict[str, Any]] = [
    {"id": "h:1", "pk": "a", "kind": "hold", "n": 3, "tags": ["x", "y"], "deep": {"v": 1}},
    {"id": "h:2", "pk": "a", "kind": "hold", "n": 1.5, "tags": [], "deep": {"v": 2}},
    {"id": "h:3", "pk": "a", "kind": "hold", "n": 2, "open": True, "nothing": None},
    {"id": "e:1", "pk": "a", "kind": "event", "n": "2", "text": 'Ünïcode 🦘 "quoted" it\'s'},
    {"id": "e:2", "pk": "a", "kind": "event", "tags": [{"k": 1, "l": 2}], "other words": 7},
    {"id": "h:9", "pk": "b", "kind": "hold", "n": 100, "open": True},
]


@pytest.fixture(scope="module")
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        yield opened


@pytest.fixture(scope="module")
async def container(account: Account) -> AsyncIterator[ContainerProxy]:
    async with account.container(indexing_policy=COMPOSITE) as created:
        for item in ITEMS:
            await created.create_item(dict(item))
        yield created


async def in_a(container: ContainerProxy, query: str, **parameters: Any) -> list[Any]:
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    return await all_rows(container, query, parameters=given, partition_key="a")


async def refused(container: ContainerProxy, query: str, **options: Any) -> int | None:
    with pytest.raises(CosmosHttpResponseError) as error:
        await all_rows(container, query, **options)
    return error.value.status_code


# --- scope ---


async def test_partition_key_limits_query_without_a_condition_on_it(
    container: ContainerProxy,
) -> None:
    query = "SELECT VALUE c.id FROM c WHERE c.n >= 0 AND c.n <= 1000"
    assert sorted(await in_a(container, query)) == ["h:1", "h:2", "h:3"]
    assert await all_rows(container, query, partition_key="b") == ["h:9"]
    assert await all_rows(container, query, partition_key="nobody") == []


async def test_partition_key_wins_over_a_condition_on_another(container: ContainerProxy) -> None:
    assert await in_a(container, "SELECT * FROM c WHERE c.pk = 'b'") == []
    assert await in_a(container, "SELECT * FROM c WHERE c.pk = 'a' OR true = false", x=1) != []


async def test_cross_partition_query_sees_every_partition(container: ContainerProxy) -> None:
    assert len(await all_rows(container, "SELECT * FROM c WHERE c.pk != 'fuzz'")) == len(ITEMS)
    rows = await all_rows(container, "SELECT VALUE c.id FROM c WHERE c.pk = 'b'")
    assert rows == ["h:9"]


# --- conditions ---


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("c.kind = 'hold'", "h:1 h:2 h:3"),
        ('c.kind = "event"', "e:1 e:2"),
        ("c.n = 2", "h:3"),
        ("c.n != 2", "h:1 h:2"),
        ("c.n <> 2", "h:1 h:2"),
        ("c.n > 1 AND c.n < 3", "h:2 h:3"),
        ("c.n < 'z'", "e:1"),
        ("NOT c.n = 2", "h:1 h:2"),
        ("NOT (c.n = 2 OR c.n = 3)", "h:2"),
        ("c.missing = c.missing", ""),
        ("c.missing = null", ""),
        ("c.nothing = null", "h:3"),
        ("c.nothing != 5", ""),
        ("c.open", "h:3"),
        ("c.open = 1", ""),
        ("c.n IN (1.5, '2', true)", "h:2 e:1"),
        ("c.n NOT IN (1.5, 3)", "h:3 e:1"),
        ("c.n BETWEEN 2 AND 3", "h:1 h:3"),
        ("c.n NOT BETWEEN 2 AND 3", "h:2"),
        ("IS_DEFINED(c.open)", "h:3"),
        ("IS_NUMBER(c.n)", "h:1 h:2 h:3"),
        ("IS_STRING(c.n)", "e:1"),
        ("IS_NULL(c.nothing)", "h:3"),
        ("IS_BOOL(c.open)", "h:3"),
        ("IS_ARRAY(c.tags) AND ARRAY_LENGTH(c.tags) > 0", "h:1 e:2"),
        ("STARTSWITH(c.id, 'h:')", "h:1 h:2 h:3"),
        ("startswith(c.id, 'H:', true)", "h:1 h:2 h:3"),
        ("CONTAINS(c.text, '🦘')", "e:1"),
        ("ENDSWITH(c.id, ':2')", "h:2 e:2"),
        ("ARRAY_CONTAINS(c.tags, 'y')", "h:1"),
        ("ARRAY_CONTAINS(c.tags, {'k': 1}, true)", "e:2"),
        ("ARRAY_CONTAINS(c.tags, {'k': 1})", ""),
        ("ARRAY_CONTAINS(['h:1', 'e:2'], c.id)", "h:1 e:2"),
        ("c.deep.v = 2", "h:2"),
        ('c["deep"]["v"] = 1 AND c.tags[0] = "x"', "h:1"),
        ('c["other words"] = 7', "e:2"),
        ("c.n * 2 + 1 = 7", "h:1"),
        ("(c.n - 1) / 2 = 1", "h:1"),
        ("c.n % 2 = 1.5", "h:2"),
        ("-c.n < -2", "h:1"),
        ("c.deep = {'v': 1}", "h:1"),
        ("c.tags = []", "h:2"),
        ("c.kind || c.id = 'holdh:1'", "h:1"),
        ("true", "h:1 h:2 h:3 e:1 e:2"),
    ],
)
async def test_condition_selects(container: ContainerProxy, condition: str, ids: str) -> None:
    rows = await in_a(container, f"SELECT VALUE c.id FROM c WHERE {condition}")
    assert sorted(rows) == sorted(ids.split())


async def test_parameters_are_values_not_text(container: ContainerProxy) -> None:
    query = "SELECT VALUE c.id FROM c WHERE c.kind = @kind"
    assert sorted(await in_a(container, query, kind="event")) == ["e:1", "e:2"]
    assert await in_a(container, query, kind="' OR true OR '") == []
    assert await in_a(container, "SELECT VALUE c.id FROM c WHERE c.text = @t", t=ITEMS[3]["text"])
    among = "SELECT VALUE c.id FROM c WHERE ARRAY_CONTAINS(@ids, c.id)"
    assert await in_a(container, among, ids=["e:1"]) == ["e:1"]


@settings(max_examples=60)
@given(found=st.text(max_size=6), wanted=st.text(max_size=6))
async def test_equality_means_the_same_however_it_is_written(
    container: ContainerProxy, found: str, wanted: str
) -> None:
    await container.upsert_item({"id": "text", "pk": "fuzz", "t": found, "u": {"v": found}})
    rows = [
        await all_rows(
            container,
            f"SELECT VALUE c.id FROM c WHERE {condition}",
            parameters=[{"name": "@w", "value": wanted}],
            partition_key="fuzz",
        )
        for condition in ("c.t = @w", "@w = c.u.v", "c.t = @w OR false", "c.t IN (@w)")
    ]
    assert rows == [["text"] if found == wanted else []] * 4


# --- projections ---


async def test_projections_shape_rows(container: ContainerProxy) -> None:
    only = "WHERE c.id = 'h:1'"
    star = (await in_a(container, f"SELECT * FROM c {only}"))[0]
    assert star["deep"] == {"v": 1} and "_etag" in star
    assert await in_a(container, f"SELECT c.id, c.deep.v AS w, c.missing FROM c {only}") == [
        {"id": "h:1", "w": 1}
    ]
    assert await in_a(container, f"SELECT VALUE {{'k': c.n, 'l': [c.id]}} FROM c {only}") == [
        {"k": 3, "l": ["h:1"]}
    ]
    assert await in_a(container, f"SELECT 1 + 1, r.n FROM items r {only.replace('c.', 'r.')}") == [
        {"$1": 2, "n": 3}
    ]
    assert await in_a(container, f"SELECT VALUE c.missing FROM c {only}") == []


# --- order and pages ---


async def test_order_by_sorts_types_with_undefined_first(container: ContainerProxy) -> None:
    query = "SELECT VALUE c.id FROM c ORDER BY c.n"
    assert await in_a(container, query) == ["e:2", "h:2", "h:3", "h:1", "e:1"]
    assert await in_a(container, f"{query} DESC") == ["e:1", "h:1", "h:3", "h:2", "e:2"]


async def test_order_by_two_properties_needs_matching_composite_index(
    container: ContainerProxy,
) -> None:
    query = "SELECT VALUE c.id FROM c WHERE IS_NUMBER(c.n) ORDER BY c.kind ASC, c.n DESC"
    assert await in_a(container, query) == ["h:1", "h:3", "h:2"]
    reverse = "SELECT VALUE c.id FROM c WHERE IS_NUMBER(c.n) ORDER BY c.kind DESC, c.n ASC"
    assert await in_a(container, reverse) == ["h:2", "h:3", "h:1"]
    unserved = "SELECT * FROM c ORDER BY c.kind, c.n"
    assert await refused(container, unserved, partition_key="a") == 400


async def test_order_by_excluded_path_or_expression_is_400(container: ContainerProxy) -> None:
    for clause in ("c.hidden.x", "c.n + 1", "LOWER(c.kind)"):
        assert await refused(
            container, f"SELECT * FROM c ORDER BY {clause}", partition_key="a"
        ) == (400)


async def test_offset_limit_and_top_cut_the_result(container: ContainerProxy) -> None:
    ordered = "SELECT VALUE c.id FROM c ORDER BY c.id"
    assert await in_a(container, f"{ordered} OFFSET 1 LIMIT 2") == ["e:2", "h:1"]
    assert await in_a(container, f"{ordered} OFFSET @o LIMIT @l", o=4, l=9) == ["h:3"]
    assert await in_a(container, "SELECT TOP 1 VALUE c.id FROM c ORDER BY c.id DESC") == ["h:3"]
    assert len(await in_a(container, "SELECT TOP @n * FROM c", n=3)) == 3


async def pages(container: ContainerProxy, query: str, token: str | None = None) -> Any:
    """The first page from a token on, and the token of the next."""
    result = container.query_items(query, partition_key="a", max_item_count=2)
    by_page: Any = result.by_page(token)
    rows = [row async for row in await anext(by_page)]
    return rows, by_page.continuation_token


@pytest.mark.parametrize(
    "query",
    [
        "SELECT VALUE c.id FROM c",
        "SELECT VALUE c.id FROM c ORDER BY c.n",
        "SELECT VALUE c.id FROM c ORDER BY c.n DESC",
        "SELECT DISTINCT VALUE c.id FROM c",
        "SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 0 LIMIT 5",
    ],
)
async def test_pages_resume_from_their_tokens(container: ContainerProxy, query: str) -> None:
    whole = await in_a(container, query)
    first, token = await pages(container, query)
    second, later = await pages(container, query, token)
    last, end = await pages(container, query, later)
    assert first + second + last == whole and [len(first), len(second)] == [2, 2]
    assert end is None
    assert await pages(container, query, token) == (second, later)


async def test_pages_skip_and_repeat_nothing_when_items_change(account: Account) -> None:
    async with account.container() as own:
        for number in range(0, 60, 10):
            await own.create_item({"id": f"i{number:02}", "pk": "a", "n": number})
        query = "SELECT VALUE c.n FROM c ORDER BY c.n"
        first, token = await pages(own, query)
        await own.delete_item("i00", "a")
        await own.create_item({"id": "new-before", "pk": "a", "n": 5})
        await own.create_item({"id": "new-after", "pk": "a", "n": 25})
        second, token = await pages(own, query, token)
        third, _ = await pages(own, query, token)
        assert (first, second, third) == ([0, 10], [20, 25], [30, 40])


async def test_mangled_or_foreign_token_is_400(container: ContainerProxy) -> None:
    query = "SELECT VALUE c.id FROM c"
    _, token = await pages(container, query)
    swapped = token[:-3] + ("A" if token[-3] != "A" else "B") + token[-2:]
    for query_used, bad in (
        (query, swapped),
        (query, "nonsense"),
        (f"{query} WHERE true", token),
    ):
        with pytest.raises(CosmosHttpResponseError) as error:
            await pages(container, query_used, bad)
        assert error.value.status_code == 400


# --- aggregates ---


@pytest.mark.parametrize(
    ("expression", "where", "value"),
    [
        ("COUNT(1)", "true", [5]),
        ("COUNT(c.n)", "true", [4]),
        ("COUNT(1)", "false", [0]),
        ("SUM(c.n)", "IS_NUMBER(c.n)", [6.5]),
        ("SUM(c.n)", "true", []),
        ("SUM(c.missing)", "true", [0]),
        ("MIN(c.n)", "IS_NUMBER(c.n)", [1.5]),
        ("MAX(c.n)", "true", ["2"]),
        ("AVG(c.n)", "c.n > 1.5", [2.5]),
        ("AVG(c.missing)", "true", []),
        ("MIN(c.n)", "false", []),
        ("SUM(c.n) / COUNT(1)", "c.n > 1.5", [2.5]),
    ],
)
async def test_aggregate_over_a_partition(
    container: ContainerProxy, expression: str, where: str, value: list[Any]
) -> None:
    assert await in_a(container, f"SELECT VALUE {expression} FROM c WHERE {where}") == value


async def test_group_by_within_a_partition(container: ContainerProxy) -> None:
    query = (
        "SELECT c.kind, COUNT(1) AS items, MAX(c.n) AS most FROM c "
        "WHERE IS_NUMBER(c.n) OR NOT IS_DEFINED(c.n) GROUP BY c.kind"
    )
    rows = await in_a(container, query)
    assert sorted(rows, key=lambda row: str(row["kind"])) == [
        {"kind": "event", "items": 1},
        {"kind": "hold", "items": 3, "most": 3},
    ]


# --- over all partitions, which takes a query plan ---


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT VALUE COUNT(1) FROM c WHERE c.pk != 'fuzz'", [6]),
        ("SELECT VALUE SUM(c.n) FROM c WHERE c.kind = 'hold'", [106.5]),
        ("SELECT VALUE AVG(c.n) FROM c WHERE c.n >= 3", [51.5]),
        ("SELECT VALUE MIN(c.n) FROM c WHERE IS_NUMBER(c.n)", [1.5]),
        ("SELECT VALUE MAX(c.n) FROM c WHERE IS_NUMBER(c.n)", [100]),
        ("SELECT VALUE c.id FROM c WHERE c.n > 0 ORDER BY c.n DESC", ["h:9", "h:1", "h:3", "h:2"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 4 LIMIT 2", ["h:3", "h:9"]),
        ("SELECT TOP 2 VALUE c.id FROM c ORDER BY c.id", ["e:1", "e:2"]),
        ("SELECT c.id, c.n FROM c WHERE c.n = 2 ORDER BY c.id", [{"id": "h:3", "n": 2}]),
        (
            "SELECT VALUE c.id FROM c WHERE IS_NUMBER(c.n) ORDER BY c.kind ASC, c.n DESC",
            ["h:9", "h:1", "h:3", "h:2"],
        ),
        ("SELECT DISTINCT VALUE c.kind FROM c WHERE c.pk = 'a' ORDER BY c.kind", ["event", "hold"]),
        ("SELECT VALUE c.id FROM c WHERE c.pk = 'b' OFFSET 0 LIMIT 3", ["h:9"]),
    ],
)
async def test_cross_partition_query_with_plan(
    container: ContainerProxy, query: str, rows: list[Any]
) -> None:
    assert await all_rows(container, query) == rows


async def test_cross_partition_order_by_with_parameters(container: ContainerProxy) -> None:
    parameters: list[dict[str, object]] = [{"name": "@least", "value": 3}]
    query = "SELECT VALUE c.id FROM c WHERE c.n >= @least ORDER BY c.n"
    assert await all_rows(container, query, parameters=parameters) == ["h:1", "h:9"]


async def test_cross_partition_group_by_is_400_as_the_sdk_lacks_it(
    container: ContainerProxy,
) -> None:
    assert await refused(container, "SELECT c.kind, COUNT(1) FROM c GROUP BY c.kind") == 400


async def test_read_items_and_read_all_items(container: ContainerProxy) -> None:
    found = await container.read_items([("h:9", "b"), ("h:1", "a"), ("ghost", "a")])
    assert [item["id"] for item in found] == ["h:9", "h:1"]
    several = await container.read_items([("h:1", "a"), ("h:2", "a")])
    assert [item["id"] for item in several] == ["h:1", "h:2"]
    everything = {item["id"] async for item in container.read_all_items(max_item_count=2)}
    assert everything >= {item["id"] for item in ITEMS}


# --- refusals ---


@pytest.mark.parametrize(
    "query",
    [
        "SELECT FROM c",
        "SELECT * FROM c WHERE",
        "SELECT * FROM c WHERE c.a = 'open",
        "SELECT * FROM c WHERE d.a = 1",
        "SELECT * FROM c; DROP TABLE c",
        "SELECT c.n FROM c WHERE COUNT(1) > 1",
        "SELECT * FROM c WHERE NO_SUCH(c.a)",
        "SELECT c.kind, c.n, COUNT(1) FROM c GROUP BY c.kind",
        "SELECT * FROM c WHERE c.value = 1",
        "SELECT * FROM c WHERE c.n = @unsupplied",
        "SELECT *, c.id FROM c",
        "SELECT * FROM c LIMIT 1",
    ],
)
async def test_malformed_query_is_400(container: ContainerProxy, query: str) -> None:
    assert await refused(container, query, partition_key="a") == 400
