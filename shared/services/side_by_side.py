"""Calls to storage side by side, a bounded number at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

CALLS_AT_ONCE: Final = 16  # to storage, by one run
T = TypeVar("T")
Call = Callable[[], Awaitable[T]]


async def together(calls: Sequence[Call[T]]) -> list[T]:
    """Make calls side by side; the first that failed is raised when all have ended."""
    gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def one(call: Call[T]) -> T:
        async with gate:
            return await call()

    answers = await asyncio.gather(*(one(call) for call in calls), return_exceptions=True)
    done: list[T] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        done.append(answer)
    return done
