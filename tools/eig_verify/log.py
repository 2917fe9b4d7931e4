"""An exported log: every file read, every hash computed again, every entry looked at."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .entries import read_entry
from .faults import Fault
from .notes import HASH_BYTES, Checkpoint, Key, read_checkpoint, require_two
from .tree import leaf_hash, root_of

WIDTH = 256  # hashes in a tile, entries in a bundle
CHECKPOINT = "checkpoint"
FILE_BYTES_MAX = WIDTH * (2 + 65_535)  # the largest bundle there can be


@dataclass(frozen=True)
class Verified:
    """What a log that holds says of itself."""

    checkpoint: Checkpoint
    entries: int
    last_at: str  # when the event of the last entry happened, as it says


def verify_log(
    folder: Path, log: Key, witness: Key | None = None, earlier: list[str] | None = None
) -> Verified:
    """Check a log and that it grew out of earlier checkpoints; raises the first Fault."""
    require_two(log, witness)
    note = _read(folder, CHECKPOINT).decode(errors="replace")
    checkpoint = read_checkpoint(note, CHECKPOINT, log, witness)
    leaves, last_at = _leaves(folder, checkpoint.size)
    _check_tiles(folder, leaves)
    _require_no_more(folder, checkpoint.size)
    if root_of(leaves) != checkpoint.root:
        raise Fault(CHECKPOINT, "its root hash is not that of the entries")
    for number, each in enumerate(earlier or [], 1):
        place = f"earlier checkpoint {number}"
        before = read_checkpoint(each, place, log, None)
        if before.size > checkpoint.size:
            raise Fault(place, "the log was larger then: entries are missing at its end")
        if root_of(leaves[: before.size]) != before.root:
            raise Fault(place, f"the first {before.size} entries were others then")
    return Verified(checkpoint, len(leaves), last_at)


def _leaves(folder: Path, size: int) -> tuple[list[bytes], str]:
    """The leaf hashes of all entries, and when the last event happened.

    Each bundle is compared with its tile at once.
    """
    leaves: list[bytes] = []
    last_at = "no time"
    ids: dict[tuple[str, str], int] = {}
    for number in range(-(-size // WIDTH)):
        width = min(WIDTH, size - number * WIDTH)
        name, tile = file_name("entries", number, width), file_name("0", number, width)
        hashes = _hashes(folder, tile, width)
        entries = list(_entries(_read(folder, name), name))
        if len(entries) != width:
            raise Fault(name, f"it has {len(entries)} entries instead of {width}")
        for at, content in enumerate(entries):
            index = number * WIDTH + at
            place = f"{name}, entry {at} (index {index})"
            event = read_entry(content, place)
            if leaf_hash(content) != hashes[at]:
                raise Fault(place, f"its hash is not the one in {tile}")
            first = ids.setdefault((event["partition"], event["id"]), index)
            if first != index:
                raise Fault(place, f"the same event stands at index {first}")
            last_at = str(event.get("at"))
        leaves += hashes
    return leaves, last_at


def _entries(content: bytes, name: str) -> Iterator[bytes]:
    at = 0
    while at < len(content):  # each turn moves on by two bytes at least
        start = at + 2
        at = start + int.from_bytes(content[at:start], "big")
        if start > len(content) or at > len(content):
            raise Fault(name, "it ends within an entry")
        yield content[start:at]


def _check_tiles(folder: Path, leaves: list[bytes]) -> None:
    """Every tile above the leaves is made of the tiles below."""
    below, level = leaves, 1
    while len(below) >= WIDTH:  # each turn goes one level up
        full = len(below) // WIDTH
        roots = [root_of(below[at * WIDTH : (at + 1) * WIDTH]) for at in range(full)]
        for number in range(-(-full // WIDTH)):
            part = roots[number * WIDTH : (number + 1) * WIDTH]
            name = file_name(str(level), number, len(part))
            if _hashes(folder, name, len(part)) != part:
                raise Fault(name, "its hashes are not those of the tiles below")
        below, level = roots, level + 1


def _require_no_more(folder: Path, size: int) -> None:
    """A log of this size has no further files: an entry behind its end would be hidden."""
    known = {CHECKPOINT, *_names(size)}
    for name in sorted(_found(folder)):
        if name not in known:
            raise Fault(name, "a log of this size has no such file")


def _found(folder: Path) -> Iterator[str]:
    """Whatever lies under the tiles and is no folder of ours: links and pipes, too."""
    top = folder / "tile"
    if not os.path.lexists(top):
        return
    for parent, folders, others in os.walk(top, onerror=_raised):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*others, *links):
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _raised(problem: OSError) -> None:
    """A folder that cannot be read may hide anything."""
    raise problem


def _names(size: int) -> Iterator[str]:
    for number in range(-(-size // WIDTH)):
        yield file_name("entries", number, min(WIDTH, size - number * WIDTH))
    level, count = 0, size
    while count:  # each turn goes one level up
        for number in range(-(-count // WIDTH)):
            yield file_name(str(level), number, min(WIDTH, count - number * WIDTH))
        level, count = level + 1, count // WIDTH


def file_name(level: str, number: int, width: int) -> str:
    """The name of a tile or bundle (C2SP tlog-tiles)."""
    groups = [f"{number % 1_000:03d}"]
    while number := number // 1_000:
        groups.append(f"x{number % 1_000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def _hashes(folder: Path, name: str, width: int) -> list[bytes]:
    content = _read(folder, name)
    if len(content) != width * HASH_BYTES:
        raise Fault(name, f"it has {len(content)} bytes instead of {width * HASH_BYTES}")
    return [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.exists() and not path.is_file():
            raise Fault(name, "it is no file")
        if path.stat().st_size > FILE_BYTES_MAX:
            raise Fault(name, "it is larger than any file of a log")
        return path.read_bytes()
    except FileNotFoundError:
        raise Fault(name, "it is missing") from None
    except OSError as problem:
        raise Fault(name, f"it cannot be read ({type(problem).__name__})") from None
