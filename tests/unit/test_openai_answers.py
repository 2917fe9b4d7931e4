"""What a client of OpenAI is told about its pictures."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.generations import GenerationRequest
from shared.domain.openai_images import OpenAIImageRequest
from shared.domain.views import GenerationView, ImageView, RoutingView
from shared.services.openai_images import OpenAIImages


class Links:
    """Gives a link to any picture."""

    async def link_of(self, image: ImageView) -> tuple[str, datetime]:
        return f"https://pictures.example/{image.id}", datetime(2026, 11, 22, tzinfo=UTC)


def view(chosen: str, content_type: str, width: int, height: int) -> GenerationView:
    """A generation that was asked of flux-2-pro and carried out by `chosen`."""
    picture = ImageView.model_construct(
        id="one", content_type=content_type, width=width, height=height, size_bytes=9
    )
    return GenerationView.model_construct(
        request=GenerationRequest(
            model="flux-2-pro", prompt="x", size="1024x1024", quality="low", output_format="webp"
        ),
        routing=RoutingView.model_construct(chosen=chosen),
        images=(picture,),
        usage=None,
        created_at="2026-11-22T00:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (view("flux-2-pro", "image/webp", 1024, 1024), ("webp", "1024x1024", "low")),
        (view("gpt-image-2", "image/png", 1536, 1024), ("png", "1536x1024", None)),
        (view("flux-2-pro", "image/gif", 64, 64), (None, "64x64", "low")),
    ],
    ids=["as_asked", "after_a_fallback", "a_format_openai_has_no_word_for"],
)
async def test_format_and_size_are_those_of_what_came(
    shown: GenerationView, told: tuple[str | None, ...]
) -> None:
    unused: Any = None
    endpoint = OpenAIImages(unused, Links(), unused, unused)  # type: ignore[arg-type]
    body = OpenAIImageRequest(prompt="x", response_format="url")
    answer = await endpoint.answer(body, shown)
    assert (answer.output_format, answer.size, answer.quality) == told
    assert [each.url for each in answer.data] == ["https://pictures.example/one"]
