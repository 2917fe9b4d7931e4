"""One-off command: `python -m shared.seed FILE` enters departments and people, idempotently."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from shared.errors import EigError
from shared.wiring import services

USAGE = "usage: python -m shared.seed organisation.json   (settings come from the environment)"


async def _seed(document: dict[str, Any]) -> int:
    try:
        return await services().organisation.seed(document)
    finally:
        await services().aclose()


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write(USAGE + "\n")
        return 2
    try:
        created = asyncio.run(_seed(json.loads(Path(arguments[0]).read_text(encoding="utf-8"))))
    except (EigError, OSError, ValueError) as error:
        detail = error.detail if isinstance(error, EigError) else type(error).__name__
        sys.stderr.write(f"not seeded: {detail}\n")
        return 1
    sys.stdout.write(f"directory: {created} new entries\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
