"""Files dropped into an upload slot, and what the slot's link does not allow."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.api import Json, Person, order, until
from tests.integration.batch_files import as_csv, as_jsonl
from tests.integration.cloud import Cloud

BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}
TRIGGER = "Host.Functions.UploadArrived"


async def slot_for(person: Person, file_name: str = "rows.csv") -> Json:
    return (await person.post("/batches/uploads", {"file_name": file_name})).json(201)


async def put(cloud: Cloud, url: str, content: bytes) -> int:
    async with cloud.session.put(url, data=io.BytesIO(content), headers=BLOCK_BLOB) as response:
        return response.status


async def batches_of(person: Person, slot: Json, count: int = 1) -> list[str]:
    path = f"/batches/uploads/{slot['id']}"

    async def look() -> list[str]:
        ids: list[str] = (await person.get(path)).json()["batch_ids"]
        return ids

    found: list[str] = await until(look, lambda ids: len(ids) >= count, 30)
    return found


async def uploaded(cloud: Cloud, person: Person, content: bytes, name: str = "rows.csv") -> Json:
    """The ended batch of one file."""
    slot = await slot_for(person, name)
    assert await put(cloud, slot["upload_url"], content) == 201
    [batch_id] = await batches_of(person, slot)
    return await person.ended_batch(batch_id)


async def test_slot_is_bound_to_its_caller_and_a_time(finn: Person) -> None:
    answer = await finn.post("/batches/uploads", {"file_name": "rows.csv"})
    slot = answer.json(201)
    assert answer.headers["Location"] == f"/api/v1/batches/uploads/{slot['id']}"
    lifetime = datetime.fromisoformat(slot["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < lifetime <= timedelta(hours=1)
    shown = (await finn.get(f"/batches/uploads/{slot['id']}")).json()
    assert shown == slot | {"upload_url": None}


@pytest.mark.parametrize(
    ("name", "write"),
    [("rows.csv", as_csv), ("rows.jsonl", as_jsonl), ("rows.ndjson", as_jsonl)],
)
async def test_uploaded_file_becomes_a_batch(
    cloud: Cloud, finn: Person, name: str, write: Callable[[Iterable[Json]], bytes]
) -> None:
    rows = [order(id="one", count=2), order("sdxl", id="two"), order(id="three", size="7x7")]
    batch = await uploaded(cloud, finn, write(rows), name)
    assert batch["status"] == "completed"
    assert batch["source"]["kind"] == "upload"
    assert batch["source"]["file_name"] == name
    rows_shown = batch["rows"]
    assert (rows_shown["succeeded"], rows_shown["invalid"]) == (2, 1)
    assert batch["images"] == 3
    receipt = (await finn.get(f"/batches/{batch['id']}/receipt")).json()
    assert receipt["amount_micros"] == batch["spent_micros"] > 0


async def test_slot_link_allows_one_write_and_nothing_else(cloud: Cloud, finn: Person) -> None:
    slot = await slot_for(finn)
    url = slot["upload_url"]
    address, _, signature = url.partition("?")
    container = address.rpartition("/")[0].rpartition("/")[0]
    assert await put(cloud, url, as_csv([order()])) == 201
    assert await put(cloud, url, as_csv([order(), order()])) in (403, 409)
    forbidden = [
        ("GET", url),
        ("HEAD", url),
        ("DELETE", url),
        ("GET", f"{container}?restype=container&comp=list&{signature}"),
        ("PUT", f"{address.replace('rows.csv', 'other.csv')}?{signature}"),
        ("PUT", f"{url}&comp=metadata"),
        ("GET", address),
    ]
    for method, target in forbidden:
        async with cloud.session.request(method, target, headers=BLOCK_BLOB) as response:
            assert response.status in (401, 403, 404, 409), (method, response.status)
    await finn.ended_batch((await batches_of(finn, slot))[0])


async def test_second_delivery_of_a_file_starts_nothing(own_cloud: Cloud, finn: Person) -> None:
    slot = await slot_for(finn)
    assert await put(own_cloud, slot["upload_url"], as_csv([order()])) == 201
    [batch_id] = await batches_of(finn, slot)
    ended = await finn.ended_batch(batch_id)
    calls = await own_cloud.submissions()
    statuses = await asyncio.gather(*(deliver(own_cloud, slot) for _ in range(3)))
    assert statuses == [202, 202, 202]
    await asyncio.sleep(1)
    assert await batches_of(finn, slot) == [batch_id]
    assert await finn.batch(batch_id) == ended
    assert await own_cloud.submissions() == calls


async def deliver(cloud: Cloud, slot: Json) -> int:
    """Posts the storage account's event once more, as Event Grid may do."""
    subject = f"/blobServices/default/containers/uploads/blobs/{slot['id']}/{slot['file_name']}"
    event = {
        "specversion": "1.0",
        "id": slot["id"],
        "source": "/subscriptions/test",
        "type": "Microsoft.Storage.BlobCreated",
        "subject": subject,
        "data": {},
    }
    url = f"{cloud.host_url}/runtime/webhooks/blobs?functionName={TRIGGER}"
    async with cloud.session.post(url, json=event) as response:
        return response.status


async def test_deliveries_at_the_same_time_are_one_batch(own_cloud: Cloud, finn: Person) -> None:
    slot = await slot_for(finn)
    rows = [order() for _ in range(5)]
    assert await put(own_cloud, slot["upload_url"], as_csv(rows)) == 201
    await asyncio.gather(*(deliver(own_cloud, slot) for _ in range(5)))
    [batch_id] = await batches_of(finn, slot)
    batch = await finn.ended_batch(batch_id)
    assert batch["rows"]["succeeded"] == 5


async def test_file_outside_any_slot_charges_nobody(files: Cloud, finn: Person) -> None:
    assert files.storage is not None
    path = "202611-design-00000000000000000000000000000000/rows.csv"
    calls = len(await files.submissions())
    blob = files.storage.get_blob_client("uploads", path)
    await blob.upload_blob(as_csv([order()]), overwrite=True)

    async def unclaimed() -> list[str]:
        assert files.storage is not None
        container = files.storage.get_container_client("results")
        return [b.name async for b in container.list_blobs(name_starts_with="unclaimed/")]

    found = await until(unclaimed, lambda names: names, 30)
    assert found[0].endswith("/errors.csv")
    assert len(await files.submissions()) == calls
    assert (await uploaded(files, finn, as_csv([order()])))["status"] == "completed"


async def test_upload_over_budget_is_rejected_as_a_whole(
    cloud: Cloud, files: Cloud, finn: Person
) -> None:
    calls = len(await cloud.submissions())
    rows = [order(quality="high", count=10) for _ in range(40)]
    batch = await uploaded(cloud, finn, as_csv(rows))
    assert batch["status"] == "rejected"
    assert batch["problem"]["code"] == "budget_exceeded"
    assert batch["spent_micros"] == batch["quoted_micros"] == 0
    assert len(await cloud.submissions()) == calls
    errors = await files.result_file(batch["id"], "errors.csv")
    assert errors is not None and b"budget" in errors
