"""The secret by which Replicate signs webhooks: as set, or asked for at its API and remembered."""

import asyncio
from collections.abc import Mapping
from typing import Final

from shared.domain.webhooks import SECRET_PREFIX
from shared.errors import EigError, Unavailable
from shared.ports.secrets import Secret

SECRET_AGE_MAX_S: Final = 3_600.0  # a rotated one is noticed sooner: by a signature that fails
RENEWAL_PAUSE_S: Final = 60.0  # anybody can send signatures that fail
FAILURE_PAUSE_S: Final = 5.0  # nor does a service that fails get well by being asked more
REQUEST_TIMEOUT_S: Final = 10.0
SECRET_CHARS_MAX: Final = 512


class ReplicateWebhookSecret:
    """Implements the WebhookSecrets port."""

    def __init__(self, base_url: str, api_token: Secret, fixed: Secret | None = None) -> None:
        """`base_url` ends in `/v1`; a `fixed` secret is never asked for there."""
        self._url = f"{base_url.rstrip('/')}/webhooks/default/secret"
        self._token = api_token
        self._fixed = fixed
        self._known: str | None = None
        self._asked_at_s: float | None = None
        self._asking: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    async def current(self) -> str:
        return await self._no_older_than(SECRET_AGE_MAX_S)

    async def renewed(self) -> str:
        if self._fixed is not None:
            known = await self._fixed.value()
            return await self._fixed.renewed(known) or known
        return await self._no_older_than(RENEWAL_PAUSE_S)

    async def _no_older_than(self, age_s: float) -> str:
        if self._fixed is not None:
            return await self._fixed.value()
        loop = asyncio.get_running_loop()
        async with self._asking.setdefault(loop, asyncio.Lock()):
            waited_s = age_s if self._known is not None else FAILURE_PAUSE_S
            if self._asked_at_s is None or loop.time() - self._asked_at_s > waited_s:
                self._asked_at_s = loop.time()
                self._known = await self._ask() or self._known
        if self._known is None:
            raise Unavailable("The secret of the webhooks is not known just now.")
        return self._known

    async def _ask(self) -> str | None:
        """The secret, or None if the service does not tell it now."""
        import aiohttp

        try:
            token = await self._token.value()
            status, answer = await self._answer(token)
            newer = await self._token.renewed(token) if status == 401 else None
            if newer is not None:
                _, answer = await self._answer(newer)
        except (aiohttp.ClientError, TimeoutError, ValueError, EigError):
            return None
        key = answer.get("key") if isinstance(answer, Mapping) else None
        if not isinstance(key, str) or len(key) > SECRET_CHARS_MAX:
            return None
        return key if key.startswith(SECRET_PREFIX) else None

    async def _answer(self, token: str) -> tuple[int, object]:
        """The status of one answer, and its body if it is a good one."""
        import aiohttp

        headers = {"Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._url, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, await response.json() if response.status == 200 else None
