"""A sign-in on its way through the issuer: what the browser keeps of it, and what follows from it.

The browser keeps one random secret in a cookie; state, nonce and PKCE verifier are derived from
it. So nothing is stored for a sign-in that was only begun, and only the browser that began one can
end it.
"""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.sessions import SECRET_BYTES

TIME_MAX: Final = timedelta(minutes=10)  # to sign in at the issuer, with a second factor
RETURN_CHARS_MAX: Final = 512
COOKIE_CHARS_MAX: Final = 2_048
_RETURN_TO: Final = re.compile(r"/(?![/\\])[!#-;=?-\[\]-~]*")  # a path of ours: no host, no quotes
_FAMILY: Final = re.compile(r"[0-9a-f]{32}")


def is_return_path(text: str) -> bool:
    """Whether the browser may be sent there: a path of our own origin."""
    return len(text) <= RETURN_CHARS_MAX and _RETURN_TO.fullmatch(text) is not None


@dataclass(frozen=True)
class PendingSignIn:
    """What the cookie of a begun sign-in holds."""

    secret: bytes = field(repr=False)
    begun_at: datetime
    return_to: str
    replaces: str | None = None  # the family of the session that steps up

    def cookie(self) -> str:
        return f"{base64url(self.secret)}.{base64url(self._payload())}"

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def code_verifier(self) -> str:
        return self._derived("verifier")

    @property
    def code_challenge(self) -> str:
        """S256 of RFC 7636."""
        return base64url(hashlib.sha256(self.code_verifier.encode()).digest())

    def is_answered_by(self, state: str, now: datetime) -> bool:
        """Whether this browser began the sign-in that comes back, not too long ago."""
        is_ours = hmac.compare_digest(self.state.encode(), state.encode("utf-8", "replace"))
        return is_ours and timedelta(0) <= now - self.begun_at <= TIME_MAX

    def _derived(self, use: str) -> str:
        """The payload is part of it: a changed cookie has another state."""
        return base64url(hmac.digest(self.secret, use.encode() + b"|" + self._payload(), "sha256"))

    def _payload(self) -> bytes:
        begun_s = int(self.begun_at.timestamp())
        return json.dumps([begun_s, self.return_to, self.replaces]).encode()


def read_pending(cookie: str) -> PendingSignIn | None:
    """The sign-in of a cookie; None for everything that `PendingSignIn.cookie` does not write."""
    secret_text, _, payload_text = cookie.partition(".")
    if len(cookie) > COOKIE_CHARS_MAX:
        return None
    try:
        secret = _bytes(secret_text)
        begun_s, return_to, replaces = json.loads(_bytes(payload_text))
        begun_at = datetime.fromtimestamp(begun_s, UTC)
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        return None
    if len(secret) != SECRET_BYTES or type(begun_s) is not int:
        return None
    if not isinstance(return_to, str) or not is_return_path(return_to):
        return None
    if replaces is not None and not (isinstance(replaces, str) and _FAMILY.fullmatch(replaces)):
        return None
    pending = PendingSignIn(secret, begun_at, return_to, replaces)
    return pending if pending.cookie() == cookie else None


def base64url(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
