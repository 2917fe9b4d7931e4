"""Names and addresses made findable without being readable: keyed hashes of whole values and words.

Who has the key can check a guess; who has the database alone cannot.
"""

import hmac
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

WORDS_MAX: Final = 24  # of one person's names and addresses
WORD_HASH_CHARS: Final = 16  # 64 bits: a word is found among a million others
_WORD: Final = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """The one spelling under which a text is found: case and width play no part."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def lookup_key(secret: bytes, tenant_id: str, field: str, text: str) -> str:
    """The keyed hash of a whole value; no other field and no other tenant has the same."""
    return hmac.digest(secret, f"{tenant_id}|{field}|{folded(text)}".encode(), "sha256").hex()


def word_keys(secret: bytes, tenant_id: str, *texts: str | None) -> tuple[str, ...]:
    """The keyed hashes of every word, for a search by words."""
    words: dict[str, None] = {}
    for text in texts:
        for word in _WORD.findall(folded(text or "")):
            words.setdefault(word)
    return tuple(
        lookup_key(secret, tenant_id, "word", word)[:WORD_HASH_CHARS]
        for word in list(words)[:WORDS_MAX]
    )


def lookup_keys(secret: bytes, tenant_id: str, values: Mapping[str, str | None]) -> dict[str, str]:
    """The keyed hash of each value that is given."""
    return {
        field: lookup_key(secret, tenant_id, field, text) for field, text in values.items() if text
    }
