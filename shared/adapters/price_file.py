"""The price catalogues that ship with the app: shared/prices.json."""

import json
from pathlib import Path

from shared.domain.price_catalogues import PriceCatalogues, parse_catalogues
from shared.errors import InvariantBroken

PRICES_PATH = Path(__file__).resolve().parent.parent / "prices.json"


def load_catalogues(path: Path = PRICES_PATH) -> PriceCatalogues:
    """Read and check the catalogues; raises InvariantBroken if they are malformed."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InvariantBroken("The price catalogue is no JSON.") from fault
    return parse_catalogues(document)
