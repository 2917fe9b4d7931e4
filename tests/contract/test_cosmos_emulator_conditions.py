"""Contract of patch conditions: query semantics, and text that must stay text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosAccessConditionFailedError, CosmosHttpResponseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.cosmos_account import Account, open_account

PK = "dep|202501"
COUNT_UP = [{"op": "incr", "path": "/n", "value": 1}]


@pytest.fixture(scope="module")
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        yield opened


@pytest.fixture(scope="module")
async def container(account: Account) -> AsyncIterator[ContainerProxy]:
    async with account.container() as created:
        yield created


async def put(container: ContainerProxy, item_id: str, **fields: Any) -> None:
    await container.upsert_item({"id": item_id, "pk": PK, **fields})


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("from c where c.n = 5", True),
        ("FROM c WHERE c.n + 2 <= c.most", True),
        ("FROM c WHERE c.n + 6 <= c.most", False),
        ("FROM c WHERE c.missing = 5", False),
        ("FROM c WHERE c.missing != 5", False),
        ("FROM c WHERE NOT (c.missing = 5)", False),
        ("FROM c WHERE NOT IS_DEFINED(c.missing)", True),
        ("FROM c WHERE c.missing + 1 <= c.most", False),
        ("FROM c WHERE c.n = '5'", False),
        ("FROM c WHERE c.n != '5'", False),
        ("FROM c WHERE c.text < 1", False),
        ("FROM c WHERE c.flag", True),
        ("FROM c WHERE c.n", False),
        ("FROM c WHERE c.n = 5 OR c.missing = 1", True),
        ("FROM c WHERE c.n = 4 OR c.missing = 1", False),
        ("FROM c WHERE c.state IN ('open', 'held')", True),
        ("FROM c WHERE c.n BETWEEN 5 AND 6", True),
        ('FROM c WHERE c["nested"]["deep"][1] = "b"', True),
        ("FROM root r WHERE r.n / 0 > 1", False),
        ("FROM c WHERE IS_NULL(c.nothing) AND IS_STRING(c.text) AND IS_BOOL(c.flag)", True),
    ],
)
async def test_patch_condition_follows_query_semantics(
    container: ContainerProxy, condition: str, holds: bool
) -> None:
    fields = {
        "n": 5,
        "most": 10,
        "text": "t",
        "flag": True,
        "state": "held",
        "nothing": None,
        "nested": {"deep": ["a", "b"]},
    }
    await put(container, "sem", **fields)
    patch = container.patch_item("sem", PK, COUNT_UP, filter_predicate=condition)
    if holds:
        assert (await patch)["n"] == 6
    else:
        with pytest.raises(CosmosAccessConditionFailedError):
            await patch


# --- injection through the text of a condition ---


@pytest.mark.parametrize(
    "evil",
    [
        "x' OR true OR c.n = '",
        "x' OR '1'='1",
        "x'; DROP TABLE items; --",
        "x\\' OR true --",
        'x" OR true OR "" = "',
        "x') OR (1=1",
        "\\u0027 OR true OR \\u0027",
        "/* x */' OR true --",
    ],
)
async def test_escaped_text_in_condition_stays_text(container: ContainerProxy, evil: str) -> None:
    await put(container, "inj", owner="honest", n=1)
    literal = evil.replace("\\", "\\\\").replace("'", "\\'")
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.patch_item(
            "inj", PK, COUNT_UP, filter_predicate=f"FROM c WHERE c.owner = '{literal}'"
        )
    await put(container, "inj", owner=evil, n=1)
    found = await container.patch_item(
        "inj", PK, COUNT_UP, filter_predicate=f"FROM c WHERE c.owner = '{literal}'"
    )
    assert found["n"] == 2


@pytest.mark.parametrize(
    "condition",
    [
        "FROM c WHERE c.n = 1; DELETE FROM c",
        "FROM c WHERE c.n = 'it''s'",
        "FROM c WHERE c.n = 'open",
        "FROM c WHERE",
        "FROM c WHERE c.n = @n",
        "FROM c WHERE other.n = 1",
        "FROM c WHERE COUNT(1) > 0",
        "FROM c WHERE (c.n = 1",
        "FROM c WHERE c.n == 1",
        "SELECT * FROM c WHERE c.n = 1",
        "true",
        "FROM c WHERE c.order = 1",
        "FROM c WHERE c.n = 2abc",
        "FROM c WHERE " + "(" * 500 + "true" + ")" * 500,
        "FROM c WHERE " + "NOT " * 5000 + "true",
        "FROM c WHERE " + "LOWER(" * 300 + "c.n" + ")" * 300 + " = 1",
        "FROM c WHERE c.n = 1" + " + 1" * 5000,
        "FROM c WHERE c.n = 1 ORDER BY c.n",
    ],
)
async def test_malformed_condition_is_400_and_changes_nothing(
    container: ContainerProxy, condition: str
) -> None:
    await put(container, "mal", n=1)
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.patch_item("mal", PK, COUNT_UP, filter_predicate=condition)
    assert refused.value.status_code == 400
    assert (await container.read_item("mal", PK))["n"] == 1


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
async def test_random_text_as_condition_never_passes_a_false_guard(
    container: ContainerProxy, noise: str
) -> None:
    await put(container, "fuzz", n=1)
    literal = noise.replace("\\", "\\\\").replace("'", "\\'")
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.patch_item(
            "fuzz",
            PK,
            COUNT_UP,
            filter_predicate=f"FROM c WHERE c.n = 2 AND c.x != '{literal}'",
        )
    assert refused.value.status_code == 412
