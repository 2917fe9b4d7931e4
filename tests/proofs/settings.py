"""How many histories to run, and from which seed on."""

import os

HISTORIES = int(os.environ.get("EIG_PROOF_HISTORIES", "20000"))
FIRST_SEED = int(os.environ.get("EIG_PROOF_SEED", "1"))
