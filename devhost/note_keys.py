"""The keys that sign the local audit log and its witness: P-256, in files, always the same.

They are made from their names, so that the app can be told the public half beforehand. Like every
key of the local cloud they protect nothing; in Azure they are made in Key Vault and stay there.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOG_NAME = "eig.local/audit-log"
LOG_KEY_FILE = ".devhost/audit_log_key.pem"  # one for all local stacks
WITNESS_NAME = "eig.local/witness"
WITNESS_KEY_FILE = ".devhost/witness_key.pem"
ECDSA = b"\x02"  # the signature type of C2SP signed notes


def ensure_note_keys(root: Path) -> None:
    """Writes both files; a stack that starts at this moment writes the same."""
    for name, file in ((LOG_NAME, LOG_KEY_FILE), (WITNESS_NAME, WITNESS_KEY_FILE)):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f"{path.name}.{os.getpid()}")
        mine.touch(mode=0o600)
        mine.write_bytes(
            _key(name).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        mine.replace(path)


def verifier(name: str) -> str:
    """The public key on one line, as verifiers take it: name+id+base64."""
    public_key = (
        _key(name)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    key_id = hashlib.sha256(public_key).hexdigest()[:8]
    return f"{name}+{key_id}+{base64.b64encode(ECDSA + public_key).decode()}"


@cache
def _key(name: str) -> ec.EllipticCurvePrivateKey:
    seed = int.from_bytes(hashlib.sha256(f"local {name}".encode()).digest(), "big")
    return ec.derive_private_key(seed, ec.SECP256R1())
