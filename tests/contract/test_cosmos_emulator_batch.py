"""Contract of patches and transactional batches: the two on which no money may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceNotFoundError,
)

from tests.contract.cosmos_account import Account, all_rows, open_account

PK = "dep|202501"
V_IS_ONE = "FROM c WHERE c.v = 1"
FITS = (
    "FROM c WHERE IS_NUMBER(c.reserved) AND IS_NUMBER(c.spent) AND IS_NUMBER(c.limit_micros) "
    "AND c.spent + c.reserved + {amount} <= c.limit_micros"
)


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


async def get(container: ContainerProxy, item_id: str) -> dict[str, Any]:
    return {
        key: value
        for key, value in (await container.read_item(item_id, PK)).items()
        if not key.startswith("_") and key not in ("id", "pk")
    }


async def patched(
    container: ContainerProxy, before: dict[str, Any], *operations: dict[str, Any]
) -> dict[str, Any]:
    await put(container, "p", **before)
    await container.patch_item("p", PK, list(operations))
    return await get(container, "p")


async def patch_status(
    container: ContainerProxy, before: dict[str, Any], *operations: dict[str, Any]
) -> int | None:
    await put(container, "p", **before)
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.patch_item("p", PK, list(operations))
    assert await get(container, "p") == before
    return refused.value.status_code


def op(name: str, path: str, *value: Any) -> dict[str, Any]:
    return {"op": name, "path": path} | ({"value": value[0]} if value else {})


# --- patch ---


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ({}, op("add", "/a", 1), {"a": 1}),
        ({"a": 1}, op("add", "/a", 2), {"a": 2}),
        ({"a": [1, 3]}, op("add", "/a/1", 2), {"a": [1, 2, 3]}),
        ({"a": [1]}, op("add", "/a/-", 2), {"a": [1, 2]}),
        ({"a": [1, 3]}, op("set", "/a/1", 2), {"a": [1, 2]}),
        ({"a": {"b": {}}}, op("set", "/a/b/c", None), {"a": {"b": {"c": None}}}),
        ({"a": 1}, op("replace", "/a", "x"), {"a": "x"}),
        ({"a": 1, "b": 2}, op("remove", "/a"), {"b": 2}),
        ({"a": [1, 2]}, op("remove", "/a/0"), {"a": [2]}),
        ({"a": 1}, op("incr", "/a", 2.5), {"a": 3.5}),
        ({"a": 5}, op("incr", "/a", -7), {"a": -2}),
        ({}, op("incr", "/a", 3), {"a": 3}),
        ({"a/b": 1}, op("incr", "/a~1b", 1), {"a/b": 2}),
        ({"a": 1}, {"op": "move", "from": "/a", "path": "/b"}, {"b": 1}),
        ({}, op("set", "/ttl", 60), {"ttl": 60}),
    ],
)
async def test_patch_applies(
    container: ContainerProxy,
    before: dict[str, Any],
    operation: dict[str, Any],
    after: dict[str, Any],
) -> None:
    assert await patched(container, before, operation) == after


@pytest.mark.parametrize(
    ("before", "operation"),
    [
        ({}, op("replace", "/a", 1)),
        ({}, op("remove", "/a")),
        ({"a": []}, op("remove", "/a/0")),
        ({"a": []}, op("add", "/a/1", 1)),
        ({}, op("set", "/a/b", 1)),
        ({"a": "1"}, op("incr", "/a", 1)),
        ({"a": None}, op("incr", "/a", 1)),
        ({"a": 1}, op("incr", "/a", "1")),
        ({"a": True}, op("incr", "/a", 1)),
        ({}, op("set", "/_etag", "x")),
        ({}, op("set", "/_ts", 1)),
        ({}, op("set", "/id", "x")),
        ({}, op("set", "/pk", "x")),
        ({}, op("set", "a", 1)),
        ({}, op("test", "/a", 1)),
    ],
)
async def test_patch_is_refused_with_400(
    container: ContainerProxy, before: dict[str, Any], operation: dict[str, Any]
) -> None:
    assert await patch_status(container, before, operation) == 400


async def test_patch_is_atomic_over_its_operations(container: ContainerProxy) -> None:
    assert await patch_status(container, {"a": 1}, op("incr", "/a", 1), op("remove", "/z")) == 400


async def test_patch_takes_ten_operations_and_no_more(container: ContainerProxy) -> None:
    ten = [op("incr", "/a", 1)] * 10
    assert await patched(container, {"a": 0}, *ten) == {"a": 10}
    assert await patch_status(container, {"a": 0}, *ten, op("incr", "/a", 1)) == 400


async def test_patch_of_missing_item_is_404(container: ContainerProxy) -> None:
    with pytest.raises(CosmosResourceNotFoundError):
        await container.patch_item("ghost", PK, [op("set", "/a", 1)])


async def test_patch_with_false_condition_is_412_and_changes_nothing(
    container: ContainerProxy,
) -> None:
    await put(container, "cond", n=5)
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.patch_item(
            "cond", PK, [op("incr", "/n", 1)], filter_predicate="FROM c WHERE c.n < 5"
        )
    assert await get(container, "cond") == {"n": 5}


async def test_patch_with_stale_etag_is_412(container: ContainerProxy) -> None:
    item = await container.upsert_item({"id": "et", "pk": PK, "n": 1})
    await put(container, "et", n=2)
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.patch_item(
            "et",
            PK,
            [op("incr", "/n", 1)],
            etag=item["_etag"],
            match_condition=MatchConditions.IfNotModified,
        )


# --- batches ---


async def test_batch_applies_every_kind_of_operation(container: ContainerProxy) -> None:
    await put(container, "b-replace", v=1)
    await put(container, "b-delete", v=1)
    await put(container, "b-patch", v=1)
    results = await container.execute_item_batch(
        [
            ("create", ({"id": "b-create", "pk": PK},)),
            ("read", ("b-patch",)),
            ("replace", ("b-replace", {"id": "b-replace", "pk": PK, "v": 2})),
            ("upsert", ({"id": "b-upsert", "pk": PK, "v": 1},)),
            ("delete", ("b-delete",)),
            ("patch", ("b-patch", [op("incr", "/v", 1)]), {"filter_predicate": V_IS_ONE}),
        ],
        partition_key=PK,
    )  # fmt: skip
    assert [each["statusCode"] for each in results] == [201, 200, 200, 201, 204, 200]
    assert results[1]["resourceBody"]["v"] == 1
    assert results[5]["resourceBody"]["v"] == 2
    assert results[5]["eTag"] == results[5]["resourceBody"]["_etag"]
    assert all(each["requestCharge"] > 0 for each in results)
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("b-delete", PK)


async def failing_batch(
    container: ContainerProxy, *operations: tuple[Any, ...]
) -> CosmosBatchOperationError:
    with pytest.raises(CosmosBatchOperationError) as refused:
        await container.execute_item_batch(list(operations), partition_key=PK)
    return refused.value


async def test_failing_batch_applies_nothing_and_names_the_operation(
    container: ContainerProxy,
) -> None:
    await put(container, "budget", spent=0, reserved=90, limit_micros=100)
    error = await failing_batch(
        container,
        ("create", ({"id": "h:1", "pk": PK},)),
        (
            "patch",
            ("budget", [op("incr", "/reserved", 20)]),
            {"filter_predicate": FITS.format(amount=20)},
        ),
        ("create", ({"id": "event:1", "pk": PK},)),
    )
    assert (error.error_index, error.status_code) == (1, 412)
    assert [each["statusCode"] for each in error.operation_responses] == [424, 412, 424]
    assert (await get(container, "budget"))["reserved"] == 90
    for absent in ("h:1", "event:1"):
        with pytest.raises(CosmosResourceNotFoundError):
            await container.read_item(absent, PK)


async def test_replayed_batch_is_409_on_its_create(container: ContainerProxy) -> None:
    await put(container, "b2", reserved=0)
    operations = [
        ("create", ({"id": "h:2", "pk": PK},)),
        ("patch", ("b2", [op("incr", "/reserved", 5)])),
    ]
    await container.execute_item_batch(operations, partition_key=PK)
    error = await failing_batch(container, *operations)
    assert (error.error_index, error.status_code) == (0, 409)
    assert (await get(container, "b2"))["reserved"] == 5


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (("read", ("ghost",)), 404),
        (("delete", ("ghost",)), 404),
        (("patch", ("ghost", [op("set", "/a", 1)])), 404),
        (("create", ({"id": "elsewhere", "pk": "other"},)), 400),
        (("replace", ("seen", {"id": "seen", "pk": PK}), {"if_match_etag": '"stale"'}), 412),
        (("patch", ("seen", [op("incr", "/text", 1)])), 400),
    ],
)
async def test_batch_reports_status_of_failing_operation(
    container: ContainerProxy, operation: tuple[Any, ...], status: int
) -> None:
    await put(container, "seen", text="t")
    error = await failing_batch(
        container, ("upsert", ({"id": "before", "pk": PK, "n": 1},)), operation
    )
    assert (error.error_index, error.status_code) == (1, status)


async def test_batch_sees_its_own_earlier_operations(container: ContainerProxy) -> None:
    results = await container.execute_item_batch(
        [
            ("upsert", ({"id": "own", "pk": PK, "n": 0},)),
            ("patch", ("own", [op("incr", "/n", 1)]), {"filter_predicate": "FROM c WHERE c.n=0"}),
            ("patch", ("own", [op("incr", "/n", 1)]), {"filter_predicate": "FROM c WHERE c.n=1"}),
        ],
        partition_key=PK,
    )
    assert results[2]["resourceBody"]["n"] == 2
    assert len({each["eTag"] for each in results}) == 3


async def test_batch_of_one_hundred_is_accepted_and_more_refused(
    container: ContainerProxy,
) -> None:
    hundred = [("upsert", ({"id": f"many-{n}", "pk": PK},)) for n in range(100)]
    assert len(await container.execute_item_batch(hundred, partition_key=PK)) == 100
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.execute_item_batch([*hundred, hundred[0]], partition_key=PK)
    assert refused.value.status_code == 400


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_batch_above_two_megabytes_is_413(container: ContainerProxy) -> None:
    big = [("upsert", ({"id": f"big-{n}", "pk": PK, "x": "x" * 2**20},)) for n in range(2)]
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.execute_item_batch(big, partition_key=PK)
    assert refused.value.status_code == 413


async def test_concurrent_conditional_increments_never_pass_the_limit(
    container: ContainerProxy,
) -> None:
    await put(container, "race", spent=0, reserved=0, limit_micros=400)

    async def reserve(task: int) -> int:
        won = 0
        for attempt in range(2):
            try:
                await container.execute_item_batch(
                    [
                        ("create", ({"id": f"race-{task}-{attempt}", "pk": PK},)),
                        (
                            "patch",
                            ("race", [op("incr", "/reserved", 7)]),
                            {"filter_predicate": FITS.format(amount=7)},
                        ),
                    ],
                    partition_key=PK,
                )
                won += 1
            except CosmosBatchOperationError as error:
                assert error.status_code == 412
        return won

    wins = sum(await asyncio.gather(*(reserve(task) for task in range(64))))
    assert wins == 400 // 7
    assert (await get(container, "race"))["reserved"] == wins * 7
    holds = "SELECT VALUE COUNT(1) FROM c WHERE STARTSWITH(c.id, 'race-')"
    assert await all_rows(container, holds, partition_key=PK) == [wins]
