"""Tiers, tags and thumbnails on Azurite, and that every writer writes what the rules look for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError

from shared.adapters.blob import BlobConnection
from shared.adapters.blob_images import BlobImageStore
from shared.adapters.blob_picture_storage import BlobPictureStorage
from shared.adapters.system_clock import SystemClock
from shared.domain.blob_paths import (
    IMAGES_CONTAINER,
    THUMBNAILS_CONTAINER,
    UNDECIDED,
    PictureName,
    new_tags,
)
from shared.domain.storage_tiers import StoredBlob
from shared.errors import Conflict, ImageArchived, NotFound
from shared.ports.picture_storage import PictureStorage
from tests.contract import blob_account
from tests.contract.image_bench import big_picture, delivered, draw, fresh_id, picture, sealing
from tests.fakes.clock import FakeClock
from tests.fakes.picture_storage import FakePictureStorage

blobs = blob_account.blobs  # a fixture, found by its name


async def keep(blobs: BlobConnection, retention: str = "seven-years") -> PictureName:
    async def retention_of(_: str) -> str:
        return retention

    generation_id = fresh_id()
    store = BlobImageStore(blobs, SystemClock(), retention_of)
    await store.keep(generation_id, [delivered(picture())], sealing(generation_id))
    name = PictureName(generation_id, 0)
    assert await draw([name]) == 1
    return name


@pytest.fixture
def storage(blobs: BlobConnection) -> BlobPictureStorage:
    return BlobPictureStorage(blobs)


async def tags_of(blobs: BlobConnection, name: PictureName) -> list[dict[str, str]]:
    """The tags of a picture and of its thumbnail."""
    return [
        await blobs.blob(container, blob).get_blob_tags()
        for container, blob in (
            (IMAGES_CONTAINER, name.blob),
            (THUMBNAILS_CONTAINER, name.thumbnail),
        )
    ]


async def archive(blobs: BlobConnection, name: PictureName) -> None:
    from azure.storage.blob import StandardBlobTier

    blob = blobs.blob(IMAGES_CONTAINER, name.blob)
    await blob.set_standard_blob_tier(StandardBlobTier.ARCHIVE)


@dataclass
class Bench:
    """Picture storage on trial: the fake, or the adapter over Azurite."""

    storage: PictureStorage
    blobs: BlobConnection | None

    async def kept(self) -> PictureName:
        """A new picture whose retention is not decided."""
        if self.blobs is not None:
            return await keep(self.blobs, UNDECIDED)
        assert isinstance(self.storage, FakePictureStorage)
        name, now = PictureName(fresh_id(), 0), FakeClock().now()
        tags = new_tags(UNDECIDED)
        self.storage.blobs[name] = StoredBlob(f"images/{name.blob}", "hot", 10, now, now, tags)
        return name


@pytest.fixture(params=["fake", "azurite"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "fake":
        return Bench(FakePictureStorage(FakeClock()), None)
    blobs: BlobConnection = request.getfixturevalue("blobs")
    return Bench(BlobPictureStorage(blobs), blobs)


async def test_state_tells_path_tier_and_tags(bench: Bench) -> None:
    storage, name = bench.storage, await bench.kept()
    found = await storage.state(name)
    assert found is not None
    assert found.path == f"images/{name.blob}"
    assert (found.tier, found.readable, found.tier_changed) == ("hot", True, None)
    assert found.tags == {"retention": UNDECIDED, "hold": "none"}
    assert await storage.state(PictureName(fresh_id(), 0)) is None


async def test_hold_follows_the_latest_revision(bench: Bench) -> None:
    storage, name = bench.storage, await bench.kept()

    async def hold() -> str:
        found = await storage.state(name)
        assert found is not None
        return found.tags["hold"]

    for revision, held, expected in ((1, True, "legal"), (2, False, "none"), (1, True, "none")):
        await storage.set_hold(name, revision, held=held)
        assert await hold() == expected
    await storage.set_hold(PictureName(fresh_id(), 0), 1, held=True)  # gone: nothing to do


async def test_undecided_pictures_are_found_and_decided_once(bench: Bench) -> None:
    storage, name = bench.storage, await bench.kept()
    assert name in await storage.undecided()
    for retention in ("one-year", "ninety-days"):
        await storage.decide(name, retention)
        found = await storage.state(name)
        assert found is not None
        assert found.tags["retention"] == "one-year"
    assert name not in await storage.undecided()


async def test_rehydration_of_what_is_gone_is_not_found(bench: Bench) -> None:
    storage = bench.storage
    with pytest.raises(NotFound):
        await storage.rehydrate(PictureName(fresh_id(), 0), "high")


async def test_archived_picture_is_refused_until_it_is_rehydrated(
    blobs: BlobConnection, storage: BlobPictureStorage
) -> None:
    name = await keep(blobs)
    store, expires_at = BlobImageStore(blobs, SystemClock()), datetime.now(UTC) + timedelta(hours=1)
    await archive(blobs, name)
    with pytest.raises(ImageArchived):
        await store.read(name.generation_id, 0)
    with pytest.raises(ImageArchived):
        await store.link(name.generation_id, 0, expires_at)
    assert await store.sealed(name.generation_id) is not None  # the evidence can always be read
    await storage.set_hold(name, 1, held=True)  # and tags can be written
    await storage.rehydrate(name, "high")
    found = await storage.state(name)  # Azurite takes no time for it
    assert found is not None
    assert (found.tier, found.readable, found.tags["hold"]) == ("cold", True, "legal")
    assert found.tier_changed is not None
    await storage.touch(name)
    content = await store.read(name.generation_id, 0)
    assert content is not None
    assert b"".join([chunk async for chunk in content.chunks]) == picture()


@pytest.mark.parametrize(("others", "expected"), [(3, "legal"), (100, None)])
async def test_tags_that_others_change_are_read_again_until_it_is_a_conflict(
    blobs: BlobConnection, others: int, expected: str | None
) -> None:
    """Azurite does not look at the condition, so its refusal is played here."""

    class Contended:
        def __init__(self, left: int) -> None:
            self.tags, self.left = new_tags("one-year"), left

        async def get_blob_tags(self) -> dict[str, str]:
            return dict(self.tags)

        async def set_blob_tags(self, tags: dict[str, str], if_tags_match_condition: str) -> None:
            assert if_tags_match_condition == "\"retention\"='one-year' AND \"hold\"='none'"
            if self.left:
                self.left -= 1
                refusal = HttpResponseError("somebody was first")
                refusal.error_code, refusal.status_code = "ConditionNotMet", 412  # type: ignore[attr-defined]
                raise refusal
            self.tags = tags

    blob, storage = Contended(others), BlobPictureStorage(blobs)
    storage._both = lambda _: (blob, blob)  # type: ignore[method-assign,assignment,return-value]
    if expected is None:
        with pytest.raises(Conflict):
            await storage.set_hold(PictureName(fresh_id(), 0), 1, held=True)
        return
    await storage.set_hold(PictureName(fresh_id(), 0), 1, held=True)
    assert blob.tags["hold"] == expected


async def test_thumbnail_that_is_made_later_has_the_tags_of_its_picture(
    blobs: BlobConnection, storage: BlobPictureStorage
) -> None:
    name = await keep(blobs)
    await storage.set_hold(name, 1, held=True)
    await blobs.blob(THUMBNAILS_CONTAINER, name.thumbnail).delete_blob()
    await storage.put_thumbnail(name, b"small")
    found = await storage.state(name)
    assert found is not None
    tags = await blobs.blob(THUMBNAILS_CONTAINER, name.thumbnail).get_blob_tags()
    assert tags == found.tags
    assert tags["hold"] == "legal"


async def test_listing_of_a_department_has_pictures_and_thumbnails_and_nobody_elses(
    blobs: BlobConnection, storage: BlobPictureStorage
) -> None:
    name = await keep(blobs)
    found = {each.path: each async for each in storage.pictures(name.partition.department_id)}
    state = await storage.state(name)
    assert found[f"images/{name.blob}"] == state
    assert f"thumbnails/{name.thumbnail}" in found
    assert [each async for each in storage.pictures("market")] == []  # a prefix of another


# --- late writers ------------------------------------------------------------------------------


async def test_picture_that_is_kept_again_keeps_its_hold(
    blobs: BlobConnection, storage: BlobPictureStorage
) -> None:
    name = await keep(blobs)
    await storage.set_hold(name, 3, held=True)
    held = await tags_of(blobs, name)
    store = BlobImageStore(blobs, SystemClock())
    await store.keep(name.generation_id, [delivered(picture())], sealing(name.generation_id))
    assert await tags_of(blobs, name) == held
    assert [each["hold"] for each in held] == ["legal", "legal"]
    await storage.put_thumbnail(name, b"drawn late")
    assert await tags_of(blobs, name) == held


async def test_other_bytes_take_the_place_of_a_picture_only_if_it_is_not_held(
    blobs: BlobConnection, storage: BlobPictureStorage
) -> None:
    name = await keep(blobs, "one-year")
    store = BlobImageStore(blobs, SystemClock())
    other = [delivered(big_picture())]
    await store.keep(name.generation_id, other, sealing(name.generation_id))
    found = await store.read(name.generation_id, 0)
    assert found is not None and found.size_bytes == len(big_picture())
    assert (await tags_of(blobs, name))[0]["retention"] == "one-year"  # as it was decided first
    await storage.set_hold(name, 1, held=True)
    with pytest.raises(Conflict):
        await store.keep(name.generation_id, [delivered(picture())], sealing(name.generation_id))


async def test_thumbnail_without_a_class_gets_none_that_nobody_chose(
    blobs: BlobConnection, storage: BlobPictureStorage
) -> None:
    name = await keep(blobs, UNDECIDED)
    thumbnail = blobs.blob(THUMBNAILS_CONTAINER, name.thumbnail)
    await thumbnail.set_blob_tags({"hold": "none"})
    await storage.decide(name, "one-year")
    original, small = await tags_of(blobs, name)
    assert original["retention"] == "one-year" and "retention" not in small
