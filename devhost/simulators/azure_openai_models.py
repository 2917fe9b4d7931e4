"""The deployments of the simulated Azure OpenAI resource, and what their pictures cost.

Each deployment has the name of its model. Prices are micro-USD for a token.
"""

from __future__ import annotations

from dataclasses import dataclass

from devhost.simulators.invoice import GPT_IMAGE_2, Charge, input_text_tokens

TokenTable = dict[str, dict[str, int]]


@dataclass(frozen=True)
class AzureModel:
    """One model: output tokens of a picture by size and quality, and the two token prices."""

    name: str
    tokens: TokenTable
    output_usd_micros: int = 30
    input_usd_micros: int = 5

    @property
    def qualities(self) -> tuple[str, ...]:
        return tuple(next(iter(self.tokens.values())))

    def output_tokens(self, size: str, quality: str, images: int) -> int:
        """Output tokens of `images` pictures; size and quality are resolved, never `auto`."""
        return self.tokens[size][quality] * images

    def charges(self, size: str, quality: str, images: int, prompt: str) -> list[Charge]:
        """A delivered request: output tokens of the pictures and text tokens of the prompt."""
        text_tokens = input_text_tokens(prompt)
        return [
            self.output_charge("image_output", size, quality, images),
            Charge("text_input", text_tokens, "token", text_tokens * self.input_usd_micros),
        ]

    def output_charge(self, kind: str, size: str, quality: str, images: int) -> Charge:
        """Output tokens only: also the stated price of a content-filter 400 and of a 408."""
        tokens = self.output_tokens(size, quality, images)
        return Charge(kind, tokens, "token", tokens * self.output_usd_micros)


def _by_quality(names: str, tokens: str) -> dict[str, int]:
    return dict(zip(names.split(), map(int, tokens.split()), strict=True))


_THREE = "low medium high"
_FIVE = "low medium high xhigh max"
# OpenAI's image guide for gpt-image-2.
_TOKENS_2: TokenTable = {
    "1024x1024": _by_quality(_THREE, "196 1756 7024"),
    "1024x1536": _by_quality(_THREE, "158 1372 5488"),
    "1536x1024": _by_quality(_THREE, "158 1372 5488"),
}
# Derived from another vendor's prices of the same models.
_TOKENS_2_5: TokenTable = {
    "1024x1024": _by_quality(_FIVE, "196 439 1756 3122 7024"),
    "1024x1536": _by_quality(_FIVE, "158 343 1372 2459 5488"),
    "1536x1024": _by_quality(_FIVE, "158 343 1372 2459 5488"),
    "2560x1440": _by_quality(_FIVE, "205 478 1843 3276 7370"),
}
_TOKENS_1_MINI: TokenTable = {
    "1024x1024": _by_quality(_THREE, "272 1056 4160"),
    "1024x1536": _by_quality(_THREE, "408 1584 6240"),
    "1536x1024": _by_quality(_THREE, "400 1568 6208"),
}
AZURE_MODELS = {
    model.name: model
    for model in (
        AzureModel(GPT_IMAGE_2, _TOKENS_2),
        AzureModel("gpt-image-2.5-flare", _TOKENS_2_5),
        AzureModel("gpt-image-2.5-sunburst", _TOKENS_2_5),
        AzureModel("gpt-image-1-mini", _TOKENS_1_MINI, output_usd_micros=8, input_usd_micros=2),
    )
}
