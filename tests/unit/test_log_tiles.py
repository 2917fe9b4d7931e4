"""Tiles: names, growth in any steps, proofs out of files, bundles."""

import random

import pytest

from shared.domain import log_tiles, merkle
from shared.domain.log_tiles import Edge, NotALog, Tiles, grow

LEAVES = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(70_000)]


def grown(*steps: int) -> tuple[Edge, dict[str, bytes]]:
    edge, files, at = Edge(), {}, 0
    for step in steps:
        growth = grow(edge, LEAVES[at : at + step])
        edge, at = growth.edge, at + step
        files |= growth.tiles
    return edge, files


def test_names_are_those_of_the_specification() -> None:
    assert log_tiles.tile_name(0, 1_234_067) == "tile/0/x001/x234/067"
    assert log_tiles.tile_name(1, 0, 5) == "tile/1/000.p/5"
    assert log_tiles.bundle_name(273, 112) == "tile/entries/273.p/112"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("tile/0/000", True),
        ("tile/63/x001/x234/067.p/255", True),
        ("tile/entries/000.p/1", True),
        ("tile/64/000", False),
        ("tile/00/000", False),
        ("tile/0/000.p/256", False),
        ("tile/0/000.p/0", False),
        ("tile/0/x000", False),
        ("tile/0/../000", False),
        ("checkpoint", False),
    ],
)
def test_only_names_of_files_are_names_of_files(name: str, fits: bool) -> None:
    assert log_tiles.is_file_name(name) is fits


def test_a_tree_of_70000_has_the_tiles_of_the_specifications_example() -> None:
    edge, files = grown(70_000)
    names = set(files)
    assert len([n for n in names if n.startswith("tile/0/") and ".p/" not in n]) == 273
    assert {n for n in names if ".p/" in n or not n.startswith("tile/0/")} == {
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    }
    assert edge.root() == merkle.root_from_leaves(LEAVES)
    assert names | {n for n in log_tiles.files_of(70_000) if "entries" in n} == set(
        log_tiles.files_of(70_000)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 255, 256, 257, 511, 513, 1000])
def test_growth_in_any_steps_ends_in_the_same_tree(size: int) -> None:
    wanted, files = grown(size)
    assert wanted.root() == merkle.root_from_leaves(LEAVES[:size])
    chance = random.Random(size)
    for _ in range(5):
        steps = []
        while sum(steps) < size:
            steps.append(min(chance.randint(0, 300), size - sum(steps)))
        edge, written = grown(*steps)
        assert edge == wanted
        assert files.items() <= written.items()


@pytest.mark.parametrize("size", [1, 5, 256, 257, 300, 1_000])
def test_proofs_out_of_tiles_are_the_proofs_of_the_tree(size: int) -> None:
    _, files = grown(size)
    leaves = LEAVES[:size]
    for index in {0, 1, size // 2, size - 2, size - 1} & set(range(size)):
        ranges = merkle.inclusion_ranges(index, size)
        needed = {name: files[name] for name in log_tiles.tiles_for(ranges, size)}
        found = [Tiles(size, needed).root_of(each) for each in ranges]
        assert found == merkle.inclusion_proof(leaves, index)
    for old in {1, 2, size // 3, 256, size} & set(range(1, size + 1)):
        ranges = merkle.consistency_ranges(old, size)
        needed = {name: files[name] for name in log_tiles.tiles_for(ranges, size)}
        found = [Tiles(size, needed).root_of(each) for each in ranges]
        assert found == merkle.consistency_proof(leaves, old)
        old_root = [(0, old)]
        needed = {name: files[name] for name in log_tiles.tiles_for(old_root, size)}
        assert Tiles(size, needed).root_of((0, old)) == merkle.root_from_leaves(leaves[:old])


def test_the_empty_tree_has_no_files_and_the_root_of_nothing() -> None:
    assert log_tiles.files_of(0) == []
    assert Edge().root() == merkle.EMPTY_ROOT
    assert Tiles(0, {}).root_of((0, 0)) == merkle.EMPTY_ROOT
    assert grow(Edge(), []).tiles == {}


def test_a_tile_of_another_length_is_refused() -> None:
    _, files = grown(5)
    with pytest.raises(NotALog):
        Tiles(5, {name: content[:-32] for name, content in files.items()}).root_of((0, 5))


def test_a_bundle_reads_back_as_it_was_written() -> None:
    entries = [b"", b"a", b"x" * 65_535]
    assert log_tiles.decode_bundle(log_tiles.encode_bundle(entries)) == entries


@pytest.mark.parametrize("content", [b"\x00", b"\x00\x02a", b"\x00\x01a\x00"])
def test_a_bundle_that_ends_within_an_entry_is_refused(content: bytes) -> None:
    with pytest.raises(NotALog):
        log_tiles.decode_bundle(content)


def test_an_entry_that_is_too_long_is_refused() -> None:
    with pytest.raises(NotALog):
        log_tiles.encode_bundle([b"x" * 65_536])
