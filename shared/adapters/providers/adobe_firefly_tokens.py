"""Access tokens of Adobe IMS (OAuth server-to-server): fetched once, shared, renewed in time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.adapters.answer_bodies import load_json, read_capped
from shared.adapters.providers.failures import no_credential
from shared.adapters.providers.sessions import ProviderSessions
from shared.domain.attempts import Billed, Failure, NotDelivered
from shared.errors import EigError
from shared.ports.secrets import Secret

SCOPES: Final = (
    "openid,AdobeID,session,additional_info,read_organizations,firefly_api,ff_apis"  # documented
)
TOKEN_AGE_MAX_S: Final = 23 * 3_600.0  # they live for 24 hours
EXPIRY_MARGIN_S: Final = 60.0  # a token that ends sooner may end on its way
TOKEN_ANSWER_BYTES_MAX: Final = 64 * 1024  # a token has 2 KB
TOKEN_CHARS_MAX: Final = 16_384  # more fits into no header
_LIFETIME_S_MAX: Final = 7 * 86_400.0  # more is damage


@dataclass(frozen=True)
class _Token:
    """A token, and the moments of the loop's clock from which to renew it and to drop it."""

    value: str
    renew_at_s: float
    drop_at_s: float


class AdobeTokens:
    """The tokens of one technical account."""

    def __init__(
        self, ims_url: str, client_id: str, client_secret: Secret, sessions: ProviderSessions
    ) -> None:
        """`ims_url` is the sign-in service without its path."""
        self._url = f"{ims_url.rstrip('/')}/ims/token/v3"
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "scope": SCOPES,
        }
        self._secret = client_secret
        self._sessions = sessions
        self._token: _Token | None = None
        self._locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    async def get(self) -> str | NotDelivered:
        """A token that is good for some time; many callers at once cause one request."""
        loop = asyncio.get_running_loop()
        if (token := self._fresh(loop.time())) is not None:
            return token.value
        async with self._locks.setdefault(loop, asyncio.Lock()):
            now_s = loop.time()
            if (token := self._fresh(now_s)) is not None:
                return token.value
            fetched = await self._fetch(now_s)
            if isinstance(fetched, _Token):
                self._token = fetched
                return fetched.value
            if self._token is not None and now_s < self._token.drop_at_s:
                return self._token.value  # it could not be renewed yet, and still works
            return fetched

    def forget(self, refused: str) -> None:
        """Drop a token that was refused, unless it has been replaced meanwhile."""
        if self._token is not None and self._token.value == refused:
            self._token = None

    def _fresh(self, now_s: float) -> _Token | None:
        token = self._token
        return token if token is not None and now_s < token.renew_at_s else None

    async def _fetch(self, now_s: float) -> _Token | NotDelivered:
        """A new token; a secret that was refused is replaced once."""
        try:
            used = await self._secret.value()
            fetched = await self._fetch_with(used, now_s)
            newer = await self._secret.renewed(used) if _is_refused(fetched) else None
        except EigError as error:
            return no_credential(error)
        return fetched if newer is None else await self._fetch_with(newer, now_s)

    async def _fetch_with(self, secret: str, now_s: float) -> _Token | NotDelivered:
        import aiohttp

        form = {**self._form, "client_secret": secret}
        try:
            async with self._sessions.ready().post(
                self._url, data=form, allow_redirects=False
            ) as response:
                status = response.status
                answer = load_json(await read_capped(response, TOKEN_ANSWER_BYTES_MAX) or b"")
        except (aiohttp.ClientError, TimeoutError):
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "identity_unavailable")
        if status == 200 and (token := _token_of(answer, now_s)) is not None:
            return token
        if status == 429 or status >= 500:
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "identity_unavailable")
        return NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "no_access_token")


def _token_of(answer: object, now_s: float) -> _Token | None:
    """The token in an answer; None if it states none that can be used."""
    if not isinstance(answer, Mapping):
        return None
    value, lifetime_s = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(value, str) or not 0 < len(value) <= TOKEN_CHARS_MAX or not _is_plain(value):
        return None
    if isinstance(lifetime_s, bool) or not isinstance(lifetime_s, int | float):
        return None
    if not EXPIRY_MARGIN_S < lifetime_s <= _LIFETIME_S_MAX:
        return None
    drop_in_s = lifetime_s - EXPIRY_MARGIN_S
    return _Token(value, now_s + min(drop_in_s, TOKEN_AGE_MAX_S), now_s + drop_in_s)


def _is_refused(fetched: _Token | NotDelivered) -> bool:
    return isinstance(fetched, NotDelivered) and fetched.failure is Failure.AUTH_OR_CONFIG


def _is_plain(value: str) -> bool:
    """Whether the text can be part of a header."""
    return value.isascii() and value.isprintable() and " " not in value
