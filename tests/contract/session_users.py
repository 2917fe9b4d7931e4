"""A process with many requests of one session, as a second instance of the app has them.

    python -m tests.contract.session_users ENDPOINT KEY TOKEN DEVICE CLIENTS

It says "ready", waits for a line, opens the session again and again until it is refused or a second
line comes, and says "in" once it was let in. At the end it prints the successors that it was given,
how many clients were refused, and when the last request that was let in began, in microseconds.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field

from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_sessions import CosmosSessions
from shared.adapters.field_cipher import AesFieldCipher
from shared.adapters.system_clock import SystemClock
from shared.domain.sessions import PROFILES, Device
from shared.errors import Unauthenticated, Unavailable
from shared.services.session_checks import SessionChecks
from shared.services.sessions import Sessions
from tests.contract.token_takers import since_epoch_us
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.field_keys import Sealing
from tests.fakes.sign_in import FakeSignIn

DATABASE = "eig"
POLICY = PROFILES["standard"]


@dataclass
class Outcome:
    """What the requests of this process were told."""

    successors: set[str] = field(default_factory=set)
    refused: int = 0
    let_in: int = 0
    last_began_us: int = 0


def sessions_over(connection: CosmosConnection) -> Sessions:
    """The service as an instance wires it; the issuer is never asked."""
    clock = SystemClock()
    vault = Sealing(connection=FakeConnection()).vault
    return Sessions(
        CosmosSessions(connection, POLICY, clock),
        SessionChecks(FakeSignIn(), vault),
        POLICY,
        clock,
        AesFieldCipher().new_key,
        lambda: None,
    )


async def use(
    sessions: Sessions, token: str, device: Device, outcome: Outcome, ended: asyncio.Event
) -> None:
    """Requests of one client, one after the other, each with the token that it began with."""
    while not ended.is_set():
        began_us = since_epoch_us(sessions.clock.now())
        try:
            opened = await sessions.open(token, device, "c")
        except Unavailable:
            continue
        except Unauthenticated:
            outcome.refused += 1
            return
        outcome.let_in += 1
        if outcome.let_in == 1:
            print("in", flush=True)
        outcome.last_began_us = max(outcome.last_began_us, began_us)
        if opened.token:
            outcome.successors.add(opened.token.text())


async def main(endpoint: str, key: str, token: str, device: str, clients: str) -> None:
    connection = CosmosConnection(CosmosAccount(endpoint, DATABASE, key))
    sessions, outcome, ended = sessions_over(connection), Outcome(), asyncio.Event()
    shown = Device(device, device, "Browser on Linux", "")
    await sessions.store.find("t", "connected before the start")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    crowd = [use(sessions, token, shown, outcome, ended) for _ in range(int(clients))]
    running = asyncio.gather(*crowd)
    if await asyncio.to_thread(sys.stdin.readline):  # not the end of the input
        ended.set()
    await running
    await connection.aclose()
    print(json.dumps({**vars(outcome), "successors": sorted(outcome.successors)}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
