"""Check a receipt against its signature, offline.

    python -m shared.verify_receipt receipt.json receipt.json.jws jwks.json

The signature is a detached JWS over the exact bytes of the receipt; the keys are the answer of
`GET /api/v1/keys`, fetched from the service itself and not from whoever sent the receipt.
"""

import json
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jwt import PyJWK
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

USAGE = "usage: python -m shared.verify_receipt receipt.json receipt.json.jws jwks.json"
ALGORITHM = "ES256"  # the only one: a header must not choose a weaker one


class NotGenuine(Exception):
    """The receipt is not what was signed; the text says why."""


def verify(receipt: bytes, signature: bytes, keys: Mapping[str, Any]) -> str:
    """The id of the key that signed these bytes; raises NotGenuine."""
    parts = signature.strip().split(b".")
    if len(parts) != 3 or parts[1]:
        raise NotGenuine("the signature is no detached JWS")
    try:
        header = PyJWS().get_unverified_header(b".".join(parts))
        found = [key for key in keys["keys"] if key.get("kid") == header.get("kid")]
        if header.get("alg") != ALGORITHM or len(found) != 1:
            raise NotGenuine("the signature is not by one of these keys")
        payload = urlsafe_b64encode(receipt).rstrip(b"=")
        compact = b".".join((parts[0], payload, parts[2]))
        PyJWS().decode(compact, PyJWK(found[0], ALGORITHM).key, algorithms=[ALGORITHM])
    except (PyJWTError, KeyError, TypeError, AttributeError) as fault:
        raise NotGenuine("the signature does not fit this receipt") from fault
    return str(header["kid"])


def check_sums(receipt: Mapping[str, Any]) -> None:
    """The totals are the sums of the lines; raises NotGenuine."""
    for name in ("amount_micros", "usd_micros"):
        if receipt[name] != sum(line[name] for line in receipt["lines"]):
            raise NotGenuine(f"{name} is not the sum of the lines")


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    if len(arguments) != 3:
        sys.stderr.write(USAGE + "\n")
        return 2
    try:
        receipt, signature, keys = (Path(name).read_bytes() for name in arguments)
        key_id = verify(receipt, signature, json.loads(keys))
        document = json.loads(receipt)
        check_sums(document)
    except NotGenuine as fault:
        sys.stderr.write(f"NOT genuine: {fault}\n")
        return 1
    except (OSError, ValueError) as fault:
        sys.stderr.write(f"not checked: {type(fault).__name__}\n")
        return 2
    sys.stdout.write(
        f"genuine: batch {document['batch_id']}, {len(document['lines'])} entries, "
        f"{document['amount_micros']} micro-{document['currency']}, key {key_id}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
