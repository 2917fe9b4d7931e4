"""Where a picture comes from: who made it, by which version and price, and who let it pass."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from shared.domain.ids import image_id
from shared.domain.views import PrivacyNote, RoutingView, View, routing_of


class ModerationView(View):
    """Who judged prompt and pictures; counts are those of Content Safety."""

    by: Literal["provider", "content_safety"]
    passed: int = Field(default=0, description="pictures of this generation")
    refused: int = Field(default=0, description="paid for, dropped, never stored")
    unjudged: int = Field(default=0, description="nobody could say: dropped like refused ones")
    categories: tuple[str, ...] = Field(default=(), description="of those that were refused")


class ProvenanceView(View):
    """The record that belongs to a picture: its origin and the decisions that let it be made."""

    generation_id: str
    provider: str
    model: str
    model_version: str | None = Field(description="as the provider names it; null: it does not")
    job_id: str | None = Field(description="the provider's own id, where it has jobs")
    request_id: str | None
    price_version: str
    completed_at: str | None
    privacy: PrivacyNote | None
    moderation: ModerationView
    routing: RoutingView | None


def provenance_view(record: Mapping[str, Any]) -> ProvenanceView:
    """The provenance of every picture of a generation record."""
    refs = record["provider_refs"] or {}
    note = refs.get("moderation")
    return ProvenanceView(
        generation_id=record["generation_id"],
        provider=record["provider"],
        model=record["model"],
        model_version=refs.get("model_version"),
        job_id=refs.get("job_id"),
        request_id=refs.get("request_id"),
        price_version=record["quote"]["price_version"],
        completed_at=record["completed_at"],
        privacy=PrivacyNote(**record["privacy"]) if record.get("privacy") else None,
        moderation=ModerationView(**note) if note else ModerationView(by="provider"),
        routing=routing_of(record),
    )


def first_twin(records: Iterable[Mapping[str, Any]], sha256: str) -> str | None:
    """The id of the picture that had these bytes first, by the end of its generation."""
    twins = [
        (record["completed_at"] or "", record["generation_id"], image["index"])
        for record in records
        for image in record["images"]
        if image["sha256"] == sha256
    ]
    if not twins:
        return None
    _, generation_id, index = min(twins)
    return image_id(generation_id, index)
