"""How many histories to run in pytest, and from which seed on; `make prove` runs many more."""

import os

HISTORIES = int(os.environ.get("EIG_PROOF_HISTORIES", "4000"))
FIRST_SEED = int(os.environ.get("EIG_PROOF_SEED", "1"))
