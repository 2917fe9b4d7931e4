"""Opens stored prompts as docs/encryption.md describes them, with none of the app's code."""

from __future__ import annotations

import os
from base64 import b64decode
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from devhost.local_settings import FIELD_KEY_FILE
from devhost.stack import REPOSITORY
from tests.integration.api import Json
from tests.integration.cloud import Cloud

FIELDS = ("prompt", "negative_prompt")


def wrapping_keys() -> dict[str, bytes]:
    """The versions in the local key file, by the name that wrapped keys give."""
    path = Path(os.environ.get("EIG_FIELD_KEY_FILE", FIELD_KEY_FILE))
    lines = [line.split() for line in (REPOSITORY / path).read_text("ascii").splitlines()]
    return {f"local:{version}": b64decode(key) for version, key in lines}


async def open_prompts(cloud: Cloud, records: list[Json]) -> None:
    """Puts texts in the place of envelopes; where the key was destroyed, the envelope stays."""
    keys = {each["user_key"]: each for each in await cloud.documents("keys", "c.type = 'data_key'")}
    versions = wrapping_keys()
    for record in records:
        for name in FIELDS:
            envelope, key = record["request"][name], keys.get(record["user_key"])
            if isinstance(envelope, dict) and key and key["wrapped"]:
                secret = aes_key_unwrap(versions[key["kek"]], b64decode(key["wrapped"]))
                bound_to = "|".join(
                    (record["tenant_id"], record["id"], f"request.{name}", "1", envelope["kid"])
                )
                record["request"][name] = (
                    AESGCM(secret)
                    .decrypt(
                        b64decode(envelope["nonce"]), b64decode(envelope["ct"]), bound_to.encode()
                    )
                    .decode("utf-8", "surrogatepass")
                )
