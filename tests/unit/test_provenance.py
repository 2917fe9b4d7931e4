"""The provenance of a picture, and which picture had its bytes first."""

from typing import Any

from shared.domain.attempts import AttemptReport, ModerationNote, StoredImage
from shared.domain.ids import image_id
from shared.domain.provenance_views import ModerationView, first_twin, provenance_view
from shared.domain.settlements import resolution_for
from tests import builders

SHA = "ab" * 32


def record(**report: Any) -> dict[str, Any]:
    """The record of a generation that delivered one picture."""
    item = builders.item()
    picture = StoredImage(
        index=0, sha256=SHA, size_bytes=9, content_type="image/png", width=1, height=1, seed=4
    )
    delivered = AttemptReport(
        generation_id=item.generation_id,
        attempt=1,
        ending="delivered",
        images=(picture,),
        request_id="request-1",
        job_id="job-1",
        **report,
    )
    return resolution_for(item, delivered, "2026-11-22T10:00:00+00:00").record


def test_provenance_names_what_made_the_picture_and_who_let_it_pass() -> None:
    made = record(model_version="sdxl:3", moderation=ModerationNote(passed=1))
    view = provenance_view(made)
    assert (view.model_version, view.job_id, view.request_id) == ("sdxl:3", "job-1", "request-1")
    assert view.price_version == made["quote"]["price_version"]
    assert view.moderation == ModerationView(by="content_safety", passed=1)


def test_provenance_of_a_provider_that_moderates_itself_says_so() -> None:
    view = provenance_view(record())
    assert view.moderation == ModerationView(by="provider")
    assert view.model_version is None


def test_provenance_of_a_record_from_before_there_was_any_is_shown() -> None:
    old = record()
    old["provider_refs"] = {"request_id": None, "job_id": "job-1"}
    assert provenance_view(old).job_id == "job-1"


def twin(generation_id: str, completed_at: str, *hashes: str) -> dict[str, Any]:
    images = [{"index": number, "sha256": each} for number, each in enumerate(hashes)]
    return {"generation_id": generation_id, "completed_at": completed_at, "images": images}


def test_first_twin_is_the_picture_whose_generation_ended_first() -> None:
    records = [
        twin("b", "2026-11-22T10:00:01", SHA),
        twin("c", "2026-11-22T10:00:00", "other", SHA),
        twin("a", "2026-11-22T10:00:02", SHA),
    ]
    assert first_twin(records, SHA) == image_id("c", 1)


def test_first_twin_within_one_generation_is_its_first_picture() -> None:
    assert first_twin([twin("a", "2026", SHA, SHA)], SHA) == image_id("a", 0)


def test_first_twin_of_bytes_nobody_may_see_is_none() -> None:
    assert first_twin([], SHA) is None
