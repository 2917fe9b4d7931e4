"""Where token buckets are kept, so that all workers take from the same ones."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.token_buckets import BucketDocument


class TokenBucketStore(Protocol):
    """Bucket documents; those that are taken from together lie in one partition."""

    async def read(self, partition: str, ids: Sequence[str]) -> list[BucketDocument]:
        """The documents in the order of `ids`, as far as a read can tell; revision 0: none yet."""
        ...

    async def write(self, partition: str, documents: Sequence[BucketDocument]) -> bool:
        """Store the next revision of each, all or none; False if any of them has moved on.

        The revisions decide, not what was read. Raises Unavailable if it is not known whether it
        was stored.
        """
        ...
