"""The ImageStore port: one suite on the fake and on the adapter over Azurite."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from devhost.simulators.provenance import manifest, with_credentials
from shared.adapters.blob_images import IMAGE_BYTES_MAX
from shared.adapters.system_clock import SystemClock
from shared.domain.attempts import AttemptReport, ProviderImage, StoredImage
from shared.errors import Unavailable
from tests.contract import blob_account, image_bench
from tests.contract.image_bench import (
    ImageBench,
    delivered,
    fresh_id,
    jpeg_with_credentials,
    picture,
    png_with_credentials,
    sealing,
    stored,
)
from tests.fakes.faults import Crashed

# Fixtures, found by their names.
blobs, silent_blobs, bench = blob_account.blobs, blob_account.silent_blobs, image_bench.bench

NO_PICTURES = {
    "nothing": b"",
    "page": b"<html>a page that says it is a picture</html>",
    "signature alone": b"\x89PNG\r\n\x1a\n",
    "png cut off": picture("PNG")[:20],
    "png cut off behind its sides": picture("PNG")[:29],
    "jpeg without a frame": b"\xff\xd8\xff\xd9",
}
MEBIBYTE = 1024 * 1024
# How the SDK sends pictures above a mebibyte is its own choice.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
PICTURES = {
    "png": (picture("PNG"), "image/png"),
    "jpeg": (picture("JPEG"), "image/jpeg"),
    "progressive jpeg": (picture("JPEG", progressive=True), "image/jpeg"),
    "webp": (picture("WEBP"), "image/webp"),
    "gif": (picture("GIF"), "image/gif"),
    "signed png": (png_with_credentials(4_000), "image/png"),
    "signed png, long": (png_with_credentials(300_000), "image/png"),
    "signed jpeg": (jpeg_with_credentials(segments=1), "image/jpeg"),
    "signed jpeg, long": (jpeg_with_credentials(segments=8), "image/jpeg"),
    "signed jpeg, beyond 1 MiB": (jpeg_with_credentials(segments=40), "image/jpeg"),
    "signed png, beyond 1 MiB": (png_with_credentials(3_000_000), "image/png"),
    "webp behind a long profile": (picture("WEBP", icc_profile=b"p" * 2_000_001), "image/webp"),
    "manifest in a png": (with_credentials(picture("PNG")), "image/png"),
    "manifest in a jpeg": (with_credentials(picture("JPEG")), "image/jpeg"),
}


@pytest.mark.parametrize(("data", "content_type"), PICTURES.values(), ids=PICTURES)
async def test_keep_records_hash_size_type_and_dimensions(
    bench: ImageBench, data: bytes, content_type: str
) -> None:
    generation_id = fresh_id()
    report = await bench.store.keep(generation_id, [delivered(data, 7)], sealing(generation_id))
    assert report.images == (stored(data, 0, content_type, seed=7),)


@pytest.mark.parametrize("name", PICTURES)
async def test_keep_leaves_every_byte_as_it_came(bench: ImageBench, name: str) -> None:
    generation_id, (data, _) = fresh_id(), PICTURES[name]
    await bench.store.keep(generation_id, [delivered(data)], sealing(generation_id))
    assert await bench.read(generation_id, 0) == data


@pytest.mark.parametrize("pil_format", ["PNG", "JPEG"])
async def test_keep_leaves_the_manifest_of_a_picture_as_it_was_signed(
    bench: ImageBench, pil_format: str
) -> None:
    generation_id, plain = fresh_id(), picture(pil_format)
    await bench.store.keep(
        generation_id, [delivered(with_credentials(plain))], sealing(generation_id)
    )
    kept = await bench.read(generation_id, 0)
    assert kept is not None and manifest(plain) in kept
    assert kept.index(b"jumb") < kept.index(b"c2pa")


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100_000])
async def test_keep_does_not_mind_how_the_stream_is_cut(
    bench: ImageBench, chunk_bytes: int
) -> None:
    generation_id, data = fresh_id(), picture("JPEG")
    image = delivered(data, chunk_bytes=chunk_bytes)
    report = await bench.store.keep(generation_id, [image], sealing(generation_id))
    assert report.images == (stored(data, 0, "image/jpeg"),)
    assert await bench.read(generation_id, 0) == data


async def test_keep_numbers_several_pictures_in_the_order_they_came(bench: ImageBench) -> None:
    generation_id = fresh_id()
    data = [picture("PNG"), picture("JPEG"), picture("WEBP")]
    images = [delivered(each, seed) for seed, each in enumerate(data)]
    report = await bench.store.keep(generation_id, images, sealing(generation_id))
    types = ["image/png", "image/jpeg", "image/webp"]
    assert report.images == tuple(stored(data[n], n, types[n], seed=n) for n in range(3))
    assert [await bench.read(generation_id, n) for n in range(4)] == [*data, None]


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES)
async def test_keep_leaves_out_what_is_no_picture(bench: ImageBench, data: bytes) -> None:
    generation_id = fresh_id()
    images = [delivered(data), delivered(picture("PNG")), delivered(data)]
    report = await bench.store.keep(generation_id, images, sealing(generation_id))
    assert report.images == (stored(picture("PNG"), 0, "image/png"),)
    assert await bench.read(generation_id, 1) is None


async def test_keep_leaves_out_what_is_too_large_without_reading_it_all(
    bench: ImageBench,
) -> None:
    generation_id = fresh_id()

    async def endless() -> AsyncIterator[bytes]:
        yield picture("PNG")
        while True:
            yield b"\x00" * MEBIBYTE

    images = [ProviderImage(endless()), delivered(picture("JPEG"))]
    report = await bench.store.keep(generation_id, images, sealing(generation_id))
    assert report.images == (stored(picture("JPEG"), 0, "image/jpeg"),)


async def test_keep_and_read_the_largest_picture_allowed(bench: ImageBench) -> None:
    generation_id = fresh_id()
    data = picture("PNG") + bytes(IMAGE_BYTES_MAX - len(picture("PNG")))
    images = [delivered(data, chunk_bytes=MEBIBYTE)]
    report = await bench.store.keep(generation_id, images, sealing(generation_id))
    assert report.images == (stored(data, 0, "image/png"),)
    found = await bench.read(generation_id, 0)
    assert found is not None
    assert hashlib.sha256(found).hexdigest() == report.images[0].sha256


async def test_keep_of_nothing_usable_seals_nothing(bench: ImageBench) -> None:
    generation_id = fresh_id()
    images = [delivered(data) for data in NO_PICTURES.values()]
    seal = sealing(generation_id, ending="ended")
    assert await bench.store.keep(generation_id, images, seal) == seal(())
    assert await bench.store.keep(generation_id, [], seal) == seal(())
    assert await bench.store.sealed(generation_id) is None
    assert await bench.store.read(generation_id, 0) is None


async def test_sealed_is_the_report_that_keep_returned(bench: ImageBench) -> None:
    generation_id = fresh_id()
    seal = sealing(
        generation_id,
        reason="geprüft, ça va: \u2713",
        categories=("naïve", "b"),
        request_id="r-1",
        job_id="j-1",
        estimated=True,
    )
    report = await bench.store.keep(generation_id, [delivered(picture())], seal)
    assert await bench.store.sealed(generation_id) == report


async def test_sealed_holds_as_many_pictures_as_an_image_id_can_name(bench: ImageBench) -> None:
    generation_id = fresh_id()
    images = [delivered(picture(), seed=2**31 + number) for number in range(10)]
    report = await bench.store.keep(
        generation_id, images, sealing(generation_id, job_id="j" * 64, request_id="r" * 64)
    )
    assert len(report.images) == 10
    assert await bench.store.sealed(generation_id) == report


async def test_link_leads_to_a_picture_that_is_there_and_nowhere_else(bench: ImageBench) -> None:
    generation_id, ends = fresh_id(), SystemClock().now() + timedelta(minutes=5)
    assert await bench.store.link(generation_id, 0, ends) is None
    await bench.store.keep(generation_id, [delivered(picture())], sealing(generation_id))
    assert await bench.store.link(generation_id, 0, ends) is not None
    assert await bench.store.link(generation_id, 1, ends) is None


async def test_sealed_before_any_delivery_is_none(bench: ImageBench) -> None:
    assert await bench.store.sealed(fresh_id()) is None


async def test_keep_that_dies_between_pictures_leaves_no_seal(bench: ImageBench) -> None:
    generation_id = fresh_id()
    data = [picture("PNG"), picture("JPEG"), picture("WEBP")]
    seal = sealing(generation_id)
    with pytest.raises(Crashed):
        await bench.dying.keep(generation_id, [delivered(each) for each in data], seal)
    assert await bench.store.sealed(generation_id) is None
    assert await bench.store.read(generation_id, 0) is None

    report = await bench.store.keep(generation_id, [delivered(each) for each in data], seal)
    assert await bench.store.sealed(generation_id) == report
    assert [await bench.read(generation_id, n) for n in range(3)] == data


async def test_keep_repeated_is_sealed_by_the_last_report(bench: ImageBench) -> None:
    generation_id = fresh_id()
    first = await bench.store.keep(
        generation_id, [delivered(picture())], sealing(generation_id, job_id="j-1")
    )
    second = await bench.store.keep(
        generation_id, [delivered(picture())], sealing(generation_id, job_id="j-2")
    )
    assert first.images == second.images
    assert await bench.store.sealed(generation_id) == second
    assert await bench.read(generation_id, 0) == picture()


async def test_keep_of_a_stream_that_breaks_keeps_nothing(bench: ImageBench) -> None:
    generation_id = fresh_id()

    async def broken() -> AsyncIterator[bytes]:
        yield picture("JPEG")[:100]
        raise ConnectionResetError("the provider went away")

    images = [delivered(picture("PNG")), ProviderImage(broken())]
    with pytest.raises(ConnectionResetError):
        await bench.store.keep(generation_id, images, sealing(generation_id))
    assert await bench.store.sealed(generation_id) is None
    assert await bench.store.read(generation_id, 0) is None


async def test_keep_whose_seal_fails_keeps_nothing(bench: ImageBench) -> None:
    generation_id = fresh_id()

    def no_seal(images: tuple[StoredImage, ...]) -> AttemptReport:
        raise ValueError("no report can be made")

    with pytest.raises(ValueError, match="no report"):
        await bench.store.keep(generation_id, [delivered(picture())], no_seal)
    assert await bench.store.sealed(generation_id) is None
    assert await bench.store.read(generation_id, 0) is None


async def test_read_tells_type_and_size(bench: ImageBench) -> None:
    generation_id, data = fresh_id(), picture("WEBP")
    await bench.store.keep(generation_id, [delivered(data)], sealing(generation_id))
    found = await bench.store.read(generation_id, 0)
    assert found is not None
    assert (found.content_type, found.size_bytes) == ("image/webp", len(data))


async def test_read_of_a_picture_that_is_not_there_is_none(bench: ImageBench) -> None:
    generation_id = fresh_id()
    await bench.store.keep(generation_id, [delivered(picture())], sealing(generation_id))
    assert await bench.store.read(generation_id, 1) is None
    assert await bench.store.read(fresh_id(), 0) is None


async def test_store_that_does_not_answer_is_unavailable(bench: ImageBench) -> None:
    generation_id = fresh_id()
    with pytest.raises(Unavailable):
        await bench.silent.keep(generation_id, [delivered(picture())], sealing(generation_id))
    with pytest.raises(Unavailable):
        await bench.silent.sealed(generation_id)
    with pytest.raises(Unavailable):
        await bench.silent.read(generation_id, 0)
