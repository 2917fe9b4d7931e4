"""Public keys as other parties read them."""

from typing import Literal

from pydantic import Field

from shared.domain.views import View


class KeyView(View):
    """One public key as a JWK (RFC 7517)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    kid: str
    alg: Literal["ES256"]
    use: Literal["sig"]


class KeySetView(View):
    """A JWK set: the key that signs receipts, then those that signed them before."""

    keys: tuple[KeyView, ...] = Field(min_length=1)
