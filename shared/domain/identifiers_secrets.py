"""Secrets: keys and tokens of known forms, private keys, passwords that are named as such."""

import re
from collections.abc import Iterator
from typing import Final

from shared.domain.identifiers import Span
from shared.domain.identifiers_contacts import SURE

# Each pattern is bounded and has no repetition inside a repetition: it runs in linear time.
_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])",  # AWS
        r"gh[pousr]_[A-Za-z0-9]{36,255}",  # GitHub
        r"github_pat_[A-Za-z0-9_]{40,255}",
        r"(?<![A-Za-z0-9])xox[abprs]-[A-Za-z0-9-]{10,250}",  # Slack
        r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,250}",  # OpenAI and others
        r"(?<![A-Za-z0-9])[srp]k_(?:live|test)_[A-Za-z0-9]{16,250}",  # Stripe
        r"AIza[A-Za-z0-9_-]{35}",  # Google
        r"(?<![A-Za-z0-9])r8_[A-Za-z0-9]{37,40}",  # Replicate
        r"glpat-[A-Za-z0-9_-]{20,100}",  # GitLab
        r"npm_[A-Za-z0-9]{36}",
        r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}",
        r"(?i)(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,90}={0,2}",  # Azure
        r"(?i)[?&]sig=[A-Za-z0-9%+/]{40,120}(?:%3D|=){0,2}",
        r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----"
        r"(?:[A-Za-z0-9+/=\s\\]{0,8000}-----END (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----)?",
    )
)
_URL_PASSWORD: Final = re.compile(r"(?<=://)[^\s:/@]{1,64}:[^\s:/@]{3,128}(?=@)")
_NAMED: Final = re.compile(
    r"(?<![A-Za-z])(?:pass(?:word|wort|wd|phrase)|pwd|contrasena|mot de passe|wachtwoord"
    r"|api[ _-]?key|access[ _-]?key|client[ _-]?secret"
    r"|secret[ _-]?key|bearer|auth[ _-]?token|access[ _-]?token)"
    r"(?:\s{0,3}(?:[:=]|\bis\b)\s{0,3}|\s)"
    r"[\"'`]?(?P<value>[^\s\"'`,;]{8,200})",
    re.IGNORECASE,
)
_LETTER: Final = re.compile(r"[A-Za-z]")
_NOT_LETTER: Final = re.compile(r"[0-9!@#$%^&*+=/_~]")  # a hyphen joins words: sun-drenched


def find_secrets(text: str) -> Iterator[Span]:
    """Every key of a known form, and what a text calls a password if it looks like one."""
    for pattern in _PATTERNS:
        for found in pattern.finditer(text):
            yield Span("secret", *found.span(), SURE)
    if "://" in text:
        for found in _URL_PASSWORD.finditer(text):
            yield Span("secret", *found.span(), SURE)
    for found in _NAMED.finditer(text):
        value = found["value"]
        if _LETTER.search(value) and _NOT_LETTER.search(value):
            yield Span("secret", *found.span("value"), SURE)
