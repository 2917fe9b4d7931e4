"""HTTP sessions towards providers that are called without an SDK: one for each event loop."""
# aiohttp takes 140 ms to import: only a worker that calls a provider pays.

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import aiohttp

# From looking up the name to the end of the TLS handshake, which take less than one second across
# the world: what is not connected by then was never sent, and must not end as a lost answer.
CONNECT_TIMEOUT_S: Final = 10.0
REQUEST_TIMEOUT_S: Final = 30.0  # providers answer a submission or a poll in well under a second
KEEPALIVE_S: Final = 4.0  # shorter than any server's idle limit


class ProviderSessions:
    """Makes a session when it is first needed; without cookies, and with short-lived connections.

    A connection that the peer is just closing would turn a request that was never read into an
    unknown outcome: polls share connections, older ones are not used again.
    """

    def __init__(self, held_s: float = 0.0) -> None:
        """A request may be held by the server for `held_s` besides its usual time."""
        self._held_s = held_s
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    def ready(self) -> "aiohttp.ClientSession":
        """The session of the running loop."""
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            import aiohttp

            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=REQUEST_TIMEOUT_S + self._held_s, connect=CONNECT_TIMEOUT_S
                ),
            )
            self._sessions[loop] = session
        return session

    async def aclose(self) -> None:
        """Close the session of the running loop; the next request opens a new one."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()
