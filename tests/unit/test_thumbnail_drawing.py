"""Thumbnails that are drawn in threads: a fault costs a thumbnail, never more."""

import inspect
from collections.abc import Sequence
from types import SimpleNamespace
from typing import IO

import pytest

from functions import durable_thumbnails
from functions.payloads import ThumbnailsInput, ThumbnailsResult
from shared.domain.attempt_reports import image_ids_of
from shared.domain.attempts import AttemptReport, StoredImage
from shared.domain.blob_paths import PictureName
from shared.errors import Conflict, Unavailable
from shared.services.thumbnail_drawing import START_TIME_MAX_S, ThumbnailDrawing
from tests import builders

IDS = [PictureName(builders.single_id(), index).image_id for index in range(4)]


class FakePaidPictures:
    """Pictures whose bytes are their index; `faults` are raised when one is read."""

    def __init__(self, faults: dict[int, Exception] | None = None) -> None:
        self.thumbnails: dict[int, bytes] = {}
        self.faults = faults or {}

    def read(self, picture: PictureName, file: IO[bytes]) -> bool:
        if picture.index in self.faults:
            raise self.faults[picture.index]
        return file.write(b"%d" % picture.index) > 0

    def put_thumbnail(self, picture: PictureName, content: bytes) -> bool:
        return self.thumbnails.setdefault(picture.index, content) is content


def small(file: IO[bytes]) -> bytes | None:
    file.seek(0)
    return b"small " + file.read()


def test_each_thumbnail_is_kept_once_whoever_asks_again() -> None:
    pictures = FakePaidPictures()
    drawing = ThumbnailDrawing(pictures, small)
    assert (drawing.draw(IDS[:2]), drawing.draw(IDS)) == (2, 2)
    assert pictures.thumbnails == {n: b"small %d" % n for n in range(4)}


@pytest.mark.parametrize(
    ("fault", "drawn"),
    [
        (Unavailable("gone", retry_after_s=5), [0]),  # the next one would wait as long
        (Conflict("many writers"), [0, 2, 3]),
        (MemoryError(), [0, 2, 3]),
    ],
)
def test_fault_is_never_raised(fault: Exception, drawn: list[int]) -> None:
    pictures = FakePaidPictures({1: fault})
    assert ThumbnailDrawing(pictures, small).draw(IDS) == len(drawn)
    assert list(pictures.thumbnails) == drawn


def test_what_cannot_be_drawn_is_left_out() -> None:
    pictures = FakePaidPictures()
    assert ThumbnailDrawing(pictures, lambda _: None).draw(IDS) == 0
    assert pictures.thumbnails == {}


def test_slow_store_ends_the_work_before_the_host_does() -> None:
    moments = iter([0.0, 0.0, START_TIME_MAX_S, START_TIME_MAX_S + 1])
    pictures = FakePaidPictures()
    drawing = ThumbnailDrawing(pictures, small, now_s=lambda: next(moments))
    assert drawing.draw(IDS) == 2


def test_only_what_was_delivered_is_to_be_drawn() -> None:
    def report(ending: str, indexes: list[int]) -> AttemptReport:
        image = {"sha256": "0", "size_bytes": 1, "content_type": "image/png"}
        images = [
            StoredImage.model_validate({**image, "index": index, "width": 1, "height": 1})
            for index in indexes
        ]
        return AttemptReport.model_validate(
            {"generation_id": f"{ending}-1", "attempt": 1, "ending": ending, "images": images}
        )

    reports = [report("delivered", [0, 2]), report("ended", [1]), report("unknown", [])]
    assert image_ids_of(reports) == ("delivered-1_0", "delivered-1_2")


@pytest.mark.parametrize("is_broken", [False, True])
def test_activity_is_a_plain_function_that_answers_whatever_happens(
    monkeypatch: pytest.MonkeyPatch, *, is_broken: bool
) -> None:
    def draw(image_ids: Sequence[str]) -> int:
        if is_broken:
            raise OSError("no temporary folder")
        return len(image_ids)

    drawing = SimpleNamespace(thumbnail_drawing=SimpleNamespace(draw=draw))
    monkeypatch.setattr(durable_thumbnails, "services", lambda: drawing)
    activity = durable_thumbnails.draw_thumbnails_activity._function.get_user_function()
    assert not inspect.iscoroutinefunction(activity)
    task = ThumbnailsInput(operation_id="o-1", image_ids=tuple(IDS))
    expected = ThumbnailsResult(ok=not is_broken, drawn=0 if is_broken else len(IDS))
    assert activity(task.to_json()) == expected.to_json()
