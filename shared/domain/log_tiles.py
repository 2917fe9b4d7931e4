"""The log as static files: C2SP tlog-tiles, with 256 hashes or entries a file.

    tile/0/x001/067          a full tile: the hashes of leaves 273,152 to 273,407
    tile/1/000.p/5           a partial tile: the roots of the first five full tiles below
    tile/entries/x001/067    the entries of those leaves, each behind its length in two bytes

A file never changes: a tile that grows gets a name of its own for each width.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    Range,
    node_hash,
    root_from_leaves,
    split_point,
)

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
ENTRY_BYTES_MAX: Final = 65_535  # its length is written in two bytes
_LENGTH_BYTES: Final = 2
_NAME: Final = re.compile(
    r"tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/(?:x[0-9]{3}/){0,6}[0-9]{3}"
    r"(?:\.p/(?:[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


class NotALog(ValueError):
    """A file of the log is not what its name and its neighbours ask for."""


def is_file_name(name: str) -> bool:
    """Whether a log of some size has a file of this name."""
    return _NAME.fullmatch(name) is not None


def tile_name(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The name of a tile of hashes."""
    return f"tile/{level}/{_number(index)}{_partial(width)}"


def bundle_name(index: int, width: int = TILE_WIDTH) -> str:
    """The name of a bundle of entries."""
    return f"tile/entries/{_number(index)}{_partial(width)}"


def _number(index: int) -> str:
    groups = [f"{index % 1_000:03d}"]
    while index := index // 1_000:
        groups.append(f"x{index % 1_000:03d}")
    return "/".join(reversed(groups))


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes a tile has in a tree of `size` leaves; 0 or less if it has no such tile."""
    return min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its length."""
    if any(len(entry) > ENTRY_BYTES_MAX for entry in entries):
        raise NotALog("an entry is longer than its length can say")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def decode_bundle(content: bytes) -> list[bytes]:
    """The entries of a bundle; NotALog if it ends within one."""
    entries: list[bytes] = []
    at = 0
    while at < len(content):  # each turn moves on by two bytes at least
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(content[at:start], "big")
        if start > len(content) or at > len(content):
            raise NotALog("a bundle ends within an entry")
        entries.append(content[start:at])
    return entries


@dataclass(frozen=True)
class Edge:
    """The right edge of a tree: its size, and for each level the hashes of its partial tile."""

    size: int = 0
    levels: tuple[tuple[bytes, ...], ...] = ()

    def root(self) -> bytes:
        """The root of the whole tree: the full subtrees at the edge, joined from the right."""
        found: bytes | None = None
        for hashes in self.levels:
            for subtree in reversed(_full_subtrees(hashes)):
                found = subtree if found is None else node_hash(subtree, found)
        return EMPTY_ROOT if found is None else found


def _full_subtrees(hashes: Sequence[bytes]) -> list[bytes]:
    """The roots of the full subtrees over less than one tile, the largest first."""
    found: list[bytes] = []
    at = 0
    for height in reversed(range(TILE_HEIGHT)):
        if len(hashes) & 1 << height:
            found.append(root_from_leaves(hashes[at : at + (1 << height)]))
            at += 1 << height
    return found


@dataclass(frozen=True)
class Growth:
    """What new leaves make of a tree: its edge afterwards, and the tiles to write."""

    edge: Edge
    tiles: Mapping[str, bytes]


def grow(edge: Edge, leaf_hashes: Sequence[bytes]) -> Growth:
    """Append leaves; partial tiles are written for the size that is reached."""
    levels = [list(hashes) for hashes in edge.levels]
    touched: set[int] = set()
    tiles: dict[str, bytes] = {}
    for number, leaf in enumerate(leaf_hashes, edge.size):
        carried: bytes | None = leaf
        level = 0
        while carried is not None:  # each turn goes one level up
            if level == len(levels):
                levels.append([])
            levels[level].append(carried)
            touched.add(level)
            carried = None
            if len(levels[level]) == TILE_WIDTH:
                index = number >> TILE_HEIGHT * (level + 1)
                tiles[tile_name(level, index)] = b"".join(levels[level])
                carried = root_from_leaves(levels[level])
                levels[level] = []
                level += 1
    size = edge.size + len(leaf_hashes)
    for level in sorted(touched):
        if levels[level]:
            index = size >> TILE_HEIGHT * (level + 1)
            name = tile_name(level, index, len(levels[level]))
            tiles[name] = b"".join(levels[level])
    return Growth(Edge(size, tuple(tuple(hashes) for hashes in levels)), tiles)


@dataclass(frozen=True)
class Tiles:
    """The tiles of a tree of `size` leaves, as far as `files` has them."""

    size: int
    files: Mapping[str, bytes]

    def root_of(self, wanted: Range) -> bytes:
        """The root over a range; KeyError names a tile that is missing, NotALog one that is odd."""
        low, high = wanted
        count = high - low
        if count == 0:
            return EMPTY_ROOT
        if count & (count - 1) == 0:
            return self._subtree(count.bit_length() - 1, low)
        middle = low + split_point(count)
        return node_hash(self.root_of((low, middle)), self.root_of((middle, high)))

    def _subtree(self, height: int, first: int) -> bytes:
        level, within, index, width = _place(height, first, self.size)
        content = self.files[tile_name(level, index, width)]
        if len(content) != width * HASH_BYTES:
            raise NotALog("a tile has not the length that the tree's size asks for")
        start = (first >> TILE_HEIGHT * level) % TILE_WIDTH
        hashes = [
            content[at * HASH_BYTES : (at + 1) * HASH_BYTES]
            for at in range(start, start + (1 << within))
        ]
        return root_from_leaves(hashes)


def _place(height: int, first: int, size: int) -> tuple[int, int, int, int]:
    """Where a full subtree's hashes stand: tile level, height within it, tile index, tile width."""
    level, within = divmod(height, TILE_HEIGHT)
    index = first >> TILE_HEIGHT * (level + 1)
    return level, within, index, tile_width(level, index, size)


def tiles_for(ranges: Sequence[Range], size: int) -> frozenset[str]:
    """The names of the tiles that the roots over these ranges are computed from."""
    names: set[str] = set()
    waiting = [wanted for wanted in ranges if wanted[0] != wanted[1]]
    while waiting:  # each turn takes one range, and puts back two that are smaller
        low, high = waiting.pop()
        count = high - low
        if count & (count - 1) == 0:
            level, _, index, width = _place(count.bit_length() - 1, low, size)
            names.add(tile_name(level, index, width))
        else:
            middle = low + split_point(count)
            waiting += [(low, middle), (middle, high)]
    return frozenset(names)


def files_of(size: int) -> list[str]:
    """Every file of a log of `size` entries, entries first, then tiles level by level."""
    names = []
    for index in range(-(-size // TILE_WIDTH)):
        names.append(bundle_name(index, tile_width(0, index, size)))
    level = 0
    while size >> TILE_HEIGHT * level:  # each turn goes one level up
        for index in range(-(-(size >> TILE_HEIGHT * level) // TILE_WIDTH)):
            names.append(tile_name(level, index, tile_width(level, index, size)))
        level += 1
    return names
