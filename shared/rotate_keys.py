"""Command: `python -m shared.rotate_keys` wraps all data keys by the newest wrapping key."""

import asyncio
import sys

from shared.errors import EigError
from shared.services.key_rotation import RotationReport
from shared.wiring import services

USAGE = "usage: python -m shared.rotate_keys   (settings come from the environment)"


async def _rotate() -> RotationReport:
    try:
        return await services().key_rotation.run()
    finally:
        await services().aclose()


def main(arguments: list[str]) -> int:
    """Run the command; 0 when no key needs an older version any more, 1 when it must run again."""
    if arguments:
        sys.stderr.write(USAGE + "\n")
        return 2
    try:
        report = asyncio.run(_rotate())
    except EigError as error:
        sys.stderr.write(f"not rotated: {error.detail}\n")
        return 1
    sys.stdout.write(
        f"wrapped by {report.kek}: {report.rewrapped} data keys moved, {report.left} left\n"
    )
    return 1 if report.left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
