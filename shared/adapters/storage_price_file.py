"""The storage prices that ship with the app: shared/storage_prices.json."""

import json
from pathlib import Path

from shared.domain.storage_prices import StorageCatalogue, parse_storage_prices
from shared.errors import InvariantBroken

STORAGE_PRICES_PATH = Path(__file__).resolve().parent.parent / "storage_prices.json"


def load_storage_prices(path: Path = STORAGE_PRICES_PATH) -> StorageCatalogue:
    """Read and check the prices; raises InvariantBroken if they are malformed."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InvariantBroken("The storage prices are no JSON.") from fault
    return parse_storage_prices(document)
