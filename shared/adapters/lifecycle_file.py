"""The lifecycle rules that Bicep deploys: bicep/lifecycle.json, which ships with the app."""

import json
from pathlib import Path

from shared.domain.storage_tiers import LifecyclePolicy, parse_policy
from shared.errors import InvariantBroken

LIFECYCLE_PATH = Path(__file__).resolve().parents[2] / "bicep" / "lifecycle.json"


def load_lifecycle(*, tracks_access: bool, path: Path = LIFECYCLE_PATH) -> LifecyclePolicy:
    """Read and check the rules of our account; raises InvariantBroken if they are not usable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise InvariantBroken("The lifecycle rules cannot be read.") from fault
    return parse_policy(document).for_account(tracks_access=tracks_access)
