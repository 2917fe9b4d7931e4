"""One-off command: `python -m shared.show_witness_key` prints the public key of a witness.

It reads the settings of the witness's own app from the environment. The platform is told the line
that it prints.
"""

import asyncio
import sys

from shared.errors import EigError
from shared.wiring.witnessing import Witnessing
from shared.witness_settings import load_witness_settings


async def _key() -> str:
    return (await Witnessing(load_witness_settings()).witness_signer.verifier()).text


def main() -> int:
    """Run the command; returns the exit code."""
    try:
        sys.stdout.write(asyncio.run(_key()) + "\n")
    except EigError as error:
        sys.stderr.write(f"not shown: {error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
