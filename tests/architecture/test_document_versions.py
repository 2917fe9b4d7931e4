"""Whatever is stored passes the one place that stamps and upgrades schema versions."""

import re
from pathlib import Path

ADAPTERS = Path(__file__).resolve().parents[2] / "shared" / "adapters"
DIRECT = re.compile(r"\.(create_item|upsert_item|replace_item|read_item|read_all_items)\(")


def test_documents_are_created_and_read_in_one_place() -> None:
    direct = {
        path.name for path in ADAPTERS.rglob("*.py") if DIRECT.search(path.read_text("utf-8"))
    }
    assert direct == {"cosmos.py"}
    source = (ADAPTERS / "cosmos.py").read_text("utf-8")
    assert source.count("stamped(") == 2  # of one document, and of a transaction
    assert "return upgrade(dict(document))" in source
