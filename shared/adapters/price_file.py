"""The price catalogue that ships with the app: shared/prices.json."""

import json
from pathlib import Path

from shared.domain.prices import PriceCatalogue, parse_catalogue
from shared.errors import InvariantBroken

PRICES_PATH = Path(__file__).resolve().parent.parent / "prices.json"


def load_catalogue(path: Path = PRICES_PATH) -> PriceCatalogue:
    """Read and check the catalogue; raises InvariantBroken if it is malformed."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InvariantBroken("The price catalogue is no JSON.") from fault
    return parse_catalogue(document)
