"""Entries of the log and their proofs, computed from its files and checked before use."""

import asyncio
from collections.abc import Sequence

from shared.domain.log_tiles import (
    TILE_WIDTH,
    NotALog,
    Tiles,
    bundle_name,
    decode_bundle,
    tile_width,
    tiles_for,
)
from shared.domain.merkle import Range, inclusion_ranges, leaf_hash, verify_inclusion
from shared.errors import InvariantBroken
from shared.ports.audit_log import LogFiles

FILES_KEPT_MAX = 64  # of at most 8 KB, or 16 MB for a bundle of the largest entries


class LogProofs:
    """Reads files of one log; made for one request or one page, so that it keeps what it read."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._kept: dict[str, bytes] = {}

    async def entry(self, index: int, size: int, root: bytes) -> tuple[bytes, list[bytes]]:
        """The entry at an index and its inclusion proof; InvariantBroken if the files are false."""
        number, at = divmod(index, TILE_WIDTH)
        entries = await self.bundle(number, size)
        proof = await self.roots(inclusion_ranges(index, size), size)
        if at >= len(entries) or not verify_inclusion(
            leaf_hash(entries[at]), index, size, proof, root
        ):
            raise InvariantBroken("The files of the audit log are not what was signed.")
        return entries[at], proof

    async def bundle(self, number: int, size: int) -> list[bytes]:
        """The entries of one bundle of a log of this size, unchecked."""
        content = await self._file(bundle_name(number, tile_width(0, number, size)))
        try:
            return decode_bundle(content)
        except NotALog as odd:
            raise InvariantBroken(f"The audit log is broken: {odd}.") from odd

    async def roots(self, ranges: Sequence[Range], size: int) -> list[bytes]:
        """The roots over ranges of a log of this size."""
        names = sorted(tiles_for(ranges, size))
        contents = await asyncio.gather(*(self._file(name) for name in names))
        tiles = Tiles(size, dict(zip(names, contents, strict=True)))
        try:
            return [tiles.root_of(each) for each in ranges]
        except NotALog as odd:
            raise InvariantBroken(f"The audit log is broken: {odd}.") from odd

    async def _file(self, name: str) -> bytes:
        if name not in self._kept:
            content = await self._files.read(name)
            if content is None:
                raise InvariantBroken(f"{name} of the audit log is missing.")
            if len(self._kept) >= FILES_KEPT_MAX:
                self._kept.clear()
            self._kept[name] = content
        return self._kept[name]
