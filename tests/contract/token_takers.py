"""A process with many clients that take tokens as fast as they are let, and tell when they did.

    python -m tests.contract.token_takers ENDPOINT DATABASE KEY PARTITION CLIENTS RATE PERIOD BURST

It says "ready", waits for a line with the seconds to run, and prints for each token between which
moments, in microseconds, it was taken.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

from shared.adapters.cosmos import CosmosAccount, CosmosConnection
from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.adapters.system_clock import SystemClock
from shared.domain.token_buckets import Limit, Want
from shared.errors import Unavailable
from shared.services.token_buckets import TokenBuckets

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DOCUMENT = "crowd"


async def take_until(
    buckets: TokenBuckets, partition: str, limit: Limit, end: datetime
) -> list[tuple[int, int]]:
    """When one client asked for each token that it got, and when it had the answer."""
    clock, taken = SystemClock(), []
    while (now := clock.now()) < end:
        try:
            answer = await buckets.take(partition, [Want(DOCUMENT, limit, 1)])
        except Unavailable:
            continue
        if answer.taken:
            taken.append((since_epoch_us(now), since_epoch_us(clock.now())))
            continue
        assert answer.wait_s is not None
        await asyncio.sleep(min(answer.wait_s, max(0.0, (end - clock.now()).total_seconds())))
    return taken


def since_epoch_us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


async def main(endpoint: str, database: str, key: str, partition: str, *numbers: str) -> None:
    clients, tokens, period_s, burst = (int(each) for each in numbers)
    connection = CosmosConnection(CosmosAccount(endpoint, database, key))
    buckets = TokenBuckets(CosmosTokenBuckets(connection), SystemClock())
    limit = Limit("crowd", tokens, period_s, burst)
    await buckets.standings(partition, [Want(DOCUMENT, limit, 1)])  # connected before the start
    print("ready", flush=True)
    seconds = float(await asyncio.to_thread(sys.stdin.readline))
    end = SystemClock().now() + timedelta(seconds=seconds)
    taken = await asyncio.gather(
        *(take_until(buckets, partition, limit, end) for _ in range(clients))
    )
    await connection.aclose()
    print(json.dumps(sorted(moment for each in taken for moment in each)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
