"""The file of wrapping keys that the local app uses in the place of Key Vault."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def ensure_field_keys(path: Path) -> None:
    """Makes the file with one random key; a file that exists stays, so that old data opens."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    mine = path.with_name(f"{path.name}.{os.getpid()}")
    mine.touch(mode=0o600)
    mine.write_text(f"1 {key}\n", "ascii")
    try:
        os.link(mine, path)  # another stack may start at this moment: the first one's key stands
    except FileExistsError:
        return
    finally:
        mine.unlink()
