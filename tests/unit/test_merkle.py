"""RFC 6962 trees: published vectors, every proof of small trees, and proofs that must fail."""

import hashlib

import pytest

from shared.domain import merkle

SIZES = range(1, 130)
# The eight entries and the roots over the first n of them that Certificate Transparency's own
# implementations are tested with.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(max(SIZES))]


def test_roots_are_those_that_certificate_transparency_is_tested_with() -> None:
    leaves = [merkle.leaf_hash(entry) for entry in ENTRIES]
    found = [merkle.root_from_leaves(leaves[:size]).hex() for size in range(1, 9)]
    assert found == list(ROOTS)


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.root_from_leaves([]) == hashlib.sha256(b"").digest()


def test_published_inclusion_proof_of_the_first_of_eight() -> None:
    leaves = [merkle.leaf_hash(entry) for entry in ENTRIES]
    assert [each.hex() for each in merkle.inclusion_proof(leaves, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_published_consistency_proof_of_six_and_eight() -> None:
    leaves = [merkle.leaf_hash(entry) for entry in ENTRIES]
    assert [each.hex() for each in merkle.consistency_proof(leaves, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof_holds_for_its_leaf_only(size: int) -> None:
    leaves = LEAVES[:size]
    root = merkle.root_from_leaves(leaves)
    for index in range(size):
        proof = merkle.inclusion_proof(leaves, index)
        assert merkle.verify_inclusion(leaves[index], index, size, proof, root)
        assert not merkle.verify_inclusion(leaves[index - 1], index, size, proof, root) or size == 1
        if size > 1:
            assert not merkle.verify_inclusion(leaves[index], index ^ 1, size, proof, root)


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_proof_holds_for_its_sizes_only(size: int) -> None:
    leaves = LEAVES[:size]
    root = merkle.root_from_leaves(leaves)
    for old in range(1, size + 1):
        before = merkle.root_from_leaves(leaves[:old])
        proof = merkle.consistency_proof(leaves, old)
        assert merkle.verify_consistency(old, size, before, root, proof)
        if old < size:
            assert not merkle.verify_consistency(old, size, root, before, proof)
            assert not merkle.verify_consistency(old, size, LEAVES[-1], root, proof) or size == 1


@pytest.mark.parametrize("size", [2, 3, 7, 8, 13, 64, 129])
def test_a_changed_proof_proves_nothing(size: int) -> None:
    leaves = LEAVES[:size]
    root = merkle.root_from_leaves(leaves)
    for index in range(size):
        proof = merkle.inclusion_proof(leaves, index)
        for changed in _changed(proof):
            assert not merkle.verify_inclusion(leaves[index], index, size, changed, root)
    for old in range(1, size):
        before = merkle.root_from_leaves(leaves[:old])
        for changed in _changed(merkle.consistency_proof(leaves, old)):
            assert not merkle.verify_consistency(old, size, before, root, changed)


def _changed(proof: list[bytes]) -> list[list[bytes]]:
    """A proof with one hash too many, one too few, and a bit of each turned over."""
    bits = [
        [*proof[:at], bytes([each[0] ^ 1, *each[1:]]), *proof[at + 1 :]]
        for at, each in enumerate(proof)
    ]
    return [*bits, [*proof, LEAVES[0]], [LEAVES[0], *proof], proof[:-1], proof[1:], [b""]]


@pytest.mark.parametrize("sizes", [(0, 5), (5, 3), (-1, 5)])
def test_sizes_that_prove_nothing_are_refused(sizes: tuple[int, int]) -> None:
    root = merkle.root_from_leaves(LEAVES[:5])
    assert not merkle.verify_consistency(*sizes, root, root, [])
    with pytest.raises(ValueError):
        merkle.consistency_ranges(*sizes)


def test_an_index_outside_the_tree_is_refused() -> None:
    root = merkle.root_from_leaves(LEAVES[:5])
    for index in (-1, 5):
        assert not merkle.verify_inclusion(LEAVES[0], index, 5, [], root)
        with pytest.raises(ValueError):
            merkle.inclusion_proof(LEAVES[:5], index)


def test_equal_trees_are_consistent_without_a_proof() -> None:
    root = merkle.root_from_leaves(LEAVES[:5])
    assert merkle.verify_consistency(5, 5, root, root, [])
    assert not merkle.verify_consistency(5, 5, root, LEAVES[0], [])
    assert not merkle.verify_consistency(5, 5, root, root, [root])


def test_the_usual_names_are_there() -> None:
    assert merkle.root is merkle.root_from_leaves
    assert merkle.leaf_hash(b"") == hashlib.sha256(b"\x00").digest()
    assert merkle.node_hash(LEAVES[0], LEAVES[1]) == merkle.root(LEAVES[:2])


def test_a_tree_of_nothing_proves_nothing() -> None:
    for index in (0, 1):
        assert not merkle.verify_inclusion(LEAVES[0], index, 0, [], merkle.EMPTY_ROOT)
    assert not merkle.verify_consistency(0, 0, merkle.EMPTY_ROOT, merkle.EMPTY_ROOT, [])
    assert not merkle.verify_consistency(0, 1, merkle.EMPTY_ROOT, LEAVES[0], [])
    assert not merkle.verify_consistency(0, 1, merkle.EMPTY_ROOT, LEAVES[0], [LEAVES[0]])


def test_a_tree_of_one_is_its_leaf() -> None:
    assert merkle.root(LEAVES[:1]) == LEAVES[0]
    assert merkle.inclusion_proof(LEAVES[:1], 0) == []
    assert merkle.verify_inclusion(LEAVES[0], 0, 1, [], LEAVES[0])
    assert not merkle.verify_inclusion(LEAVES[0], 0, 1, [LEAVES[1]], LEAVES[0])
    assert not merkle.verify_inclusion(LEAVES[0], 1, 1, [], LEAVES[0])
    assert merkle.verify_consistency(1, 1, LEAVES[0], LEAVES[0], [])
    assert merkle.verify_consistency(1, 2, LEAVES[0], merkle.root(LEAVES[:2]), [LEAVES[1]])
    assert not merkle.verify_consistency(1, 2, LEAVES[0], merkle.root(LEAVES[:2]), [])


def test_hashes_of_another_length_prove_nothing() -> None:
    """Two that together are as long as two hashes would make the same node."""
    one, other = LEAVES[:2]
    root = merkle.root(LEAVES[:2])
    longer, shorter = one + other[:1], other[1:]
    assert merkle.node_hash(longer, shorter) == root
    assert not merkle.verify_inclusion(longer, 0, 2, [shorter], root)
    assert not merkle.verify_inclusion(one, 0, 2, [other + b"\0"], root)
    assert not merkle.verify_inclusion(one, 0, 1, [], one[:-1])
    assert not merkle.verify_consistency(1, 2, longer, root, [shorter])
    before = merkle.root(LEAVES[:3])
    proof = merkle.consistency_proof(LEAVES[:5], 3)
    after = merkle.root(LEAVES[:5])
    assert merkle.verify_consistency(3, 5, before, after, proof)
    assert not merkle.verify_consistency(3, 5, before, after, [proof[0] + b"\0", *proof[1:]])
