"""The price catalogue that ships with the app: shared/prices.json."""

import json
from pathlib import Path

from shared.domain.prices import PriceCatalogue, parse_catalogue

PRICES_PATH = Path(__file__).resolve().parent.parent / "prices.json"


def load_catalogue(path: Path = PRICES_PATH) -> PriceCatalogue:
    """Read and check the catalogue; raises InvariantBroken if it is malformed."""
    return parse_catalogue(json.loads(path.read_text(encoding="utf-8")))
