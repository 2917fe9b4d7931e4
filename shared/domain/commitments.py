"""Binding a prompt without showing it: HMAC-SHA256 under a salt that is kept beside the prompt.

The commitment goes into the audit log for ever. Whoever has salt and prompt can show that they
belong together; when the record with the salt is erased, it says nothing about anybody any more.
"""

import hmac
import json


def prompt_commitment(salt: str, prompt: str, negative_prompt: str | None) -> str:
    """The commitment as hex; `salt` is hex. Prompts are trimmed, as they were when admitted."""
    message = json.dumps(
        {"negative_prompt": negative_prompt, "prompt": prompt},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hmac.digest(bytes.fromhex(salt), message.encode(), "sha256").hex()
