"""Pictures in custody: the untouched bytes, short-lived links, and nothing without leave."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.api import Json, Person, order
from tests.integration.cloud import Cloud


@pytest.fixture(scope="module")
async def picture(ava: Person) -> Json:
    """One picture of ava's."""
    image: Json = (await ava.generate(order()))["images"][0]
    return image


async def test_image_is_described(ava: Person, picture: Json) -> None:
    described = (await ava.get(f"/images/{picture['id']}")).json()
    assert described == described | picture
    assert picture["content_url"] == f"/api/v1/images/{picture['id']}/content"


async def test_image_content_is_the_bytes_that_the_ledger_names(ava: Person, picture: Json) -> None:
    answer = await ava.get(f"/images/{picture['id']}/content")
    assert answer.status == 200
    assert hashlib.sha256(answer.content).hexdigest() == picture["sha256"]
    assert len(answer.content) == picture["size_bytes"]
    assert answer.headers["Content-Type"] == picture["content_type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_thumbnail_is_drawn_before_anybody_asks_for_it(
    files: Cloud, ava: Person, picture: Json
) -> None:
    drawn = await files.thumbnail(picture["id"])
    assert (drawn[:4], drawn[8:12]) == (b"RIFF", b"WEBP")
    answer = await ava.get(f"/images/{picture['id']}/thumbnail")
    assert (answer.content, answer.headers["Content-Type"]) == (drawn, "image/webp")


async def test_thumbnails_of_a_batch_are_drawn_however_its_rows_ran(
    files: Cloud, finn: Person
) -> None:
    rows = [order(id="now"), order(id="waits", deadline="24h"), order(id="two", count=2)]
    batch = await finn.run_batch(rows)
    items = await finn.listed(f"/batches/{batch['id']}/items")
    ids = [image["id"] for item in items for image in item["generation"]["images"]]
    assert len(ids) == 4
    for image_id in ids:
        assert (await files.thumbnail(image_id))[8:12] == b"WEBP"


async def test_image_link_opens_this_picture_for_reading_and_nothing_else(
    cloud: Cloud, ava: Person, picture: Json
) -> None:
    answer = await ava.get(f"/images/{picture['id']}/content", {"delivery": "link"})
    link = answer.json()
    lifetime = datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)
    assert timedelta(0) < lifetime <= timedelta(minutes=15)
    async with cloud.session.get(link["url"]) as response:
        assert response.status == 200
        assert hashlib.sha256(await response.read()).hexdigest() == picture["sha256"]
    headers = {"x-ms-blob-type": "BlockBlob"}
    async with cloud.session.put(link["url"], data=b"x", headers=headers) as response:
        assert response.status == 403
    async with cloud.session.delete(link["url"]) as response:
        assert response.status == 403
    container, _, signature = link["url"].partition("?")
    listing = f"{container.rpartition('/')[0]}?restype=container&comp=list&{signature}"
    async with cloud.session.get(listing) as response:
        assert response.status == 403
    async with cloud.session.get(container) as response:
        assert response.status in (401, 403, 404)


@pytest.mark.parametrize(
    "image_id",
    [
        "202611-marketing-00000000000000000000000000000000_0",
        "202611-nowhere-00000000000000000000000000000000_0",
        "nonsense",
        "..%2F..%2Fledger",
        "202611-marketing-00000000000000000000000000000000",
        "202611-marketing-00000000000000000000000000000000.00001_9",
        "%00",
        "'%20OR%20true--",
    ],
)
@pytest.mark.parametrize("rest", ["", "/content"])
async def test_unknown_image_answers_404(ava: Person, image_id: str, rest: str) -> None:
    answer = await ava.get(f"/images/{image_id}{rest}")
    assert answer.status == 404
    if answer.content:  # some of these never reach a route
        answer.problem(404, "not_found")


async def test_picture_number_that_does_not_exist_answers_404(ava: Person, picture: Json) -> None:
    other = picture["id"].rpartition("_")[0] + "_7"
    (await ava.get(f"/images/{other}")).problem(404, "not_found")
    (await ava.get(f"/images/{other}/content")).problem(404, "not_found")


async def test_unknown_delivery_answers_422(ava: Person, picture: Json) -> None:
    answer = await ava.get(f"/images/{picture['id']}/content", {"delivery": "pigeon"})
    answer.problem(422, "invalid")
    assert answer.fields() == {"/delivery"}
