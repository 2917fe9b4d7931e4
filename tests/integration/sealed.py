"""Opens stored prompts as docs/encryption.md describes them, with none of the app's code."""

from __future__ import annotations

import os
from base64 import b64decode
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from devhost.local_settings import FIELD_KEY_SETTING
from devhost.stack import REPOSITORY
from tests.integration.api import Json
from tests.integration.cloud import Cloud

FIELDS = ("prompt", "negative_prompt")


def key_file(cloud: Cloud) -> Path:
    """The file of wrapping keys: ours, or for EIG_TARGET the one that this variable names."""
    given = cloud.environment.get(FIELD_KEY_SETTING) or os.environ.get(FIELD_KEY_SETTING)
    return REPOSITORY / (given or ".devhost/field_keys")


def wrapping_keys(cloud: Cloud) -> dict[str, bytes]:
    """The versions in the local key file, by the name that wrapped keys give; none without it."""
    path = key_file(cloud)
    text = path.read_text("ascii") if path.exists() else ""
    lines = [line.split() for line in text.splitlines()]
    return {f"local:{version}": b64decode(key) for version, key in lines}


async def open_prompts(cloud: Cloud, records: list[Json]) -> None:
    """Puts texts in the place of envelopes; without their key, envelopes stay."""
    versions = wrapping_keys(cloud)
    secrets: dict[tuple[str, str], bytes] = {}
    for key in await cloud.documents("keys", "c.type = 'data_key' AND c.status = 'active'"):
        if key["kek"] in versions:
            secret = aes_key_unwrap(versions[key["kek"]], b64decode(key["wrapped"]))
            secrets[key["user_key"], str(key["number"])] = secret
    for record in records:
        for name in FIELDS:
            envelope = record["request"][name]
            if isinstance(envelope, dict):
                held = secrets.get((record["user_key"], envelope["kid"]))
                if held is not None:
                    record["request"][name] = opened(held, record, name)


def opened(secret: bytes, record: Json, name: str) -> str:
    """The text of one envelope."""
    envelope = record["request"][name]
    parts = (record["tenant_id"], record["id"], f"request.{name}", "1", envelope["kid"])
    nonce, ciphertext = b64decode(envelope["nonce"]), b64decode(envelope["ct"])
    text = AESGCM(secret).decrypt(nonce, ciphertext, "|".join(parts).encode())
    return text.decode("utf-8", "surrogatepass")
