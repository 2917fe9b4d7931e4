"""docs/privacy.md says of every provider where prompts go, and says what residency rules go by."""

import re
from pathlib import Path

from shared.domain.models import MODELS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "privacy.md"
NAMES = {
    "azure_openai": "Azure OpenAI",
    "replicate": "Replicate",
    "adobe_firefly": "Adobe Firefly",
    "azure_foundry": "Azure AI Foundry",
    "azure_ml": "Azure Machine Learning",
}
ROW = re.compile(r"^\| (?P<who>[^|]+) \| [^|]+ \| `(?P<regions>[A-Z*, ]+)` \|$", re.MULTILINE)


def test_every_provider_has_a_row_with_the_regions_that_its_models_have() -> None:
    told = {
        provider: set(row["regions"].replace(",", " ").split())
        for row in ROW.finditer(PAGE.read_text("utf-8"))
        for provider, name in NAMES.items()
        if name in row["who"]
    }
    known: dict[str, set[str]] = {}
    for model in MODELS.values():
        known.setdefault(model.provider, set()).update(model.regions)
    assert told == known
