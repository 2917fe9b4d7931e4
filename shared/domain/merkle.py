"""RFC 6962 Merkle trees over SHA-256: roots, inclusion proofs, consistency proofs.

A leaf hash is SHA-256(0x00 || entry), a node SHA-256(0x01 || left || right). Every function takes
and answers 32-byte hashes; only `leaf_hash` takes an entry. Verification follows RFC 9162,
2.1.3.2 and 2.1.4.2, and answers False for anything that does not fit, whatever its shape.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Range = tuple[int, int]  # the leaves first..last, last exclusive


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a log entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_leaves(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, level by level; an odd last node moves up as it is."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:  # each turn halves it
        paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


root = root_from_leaves  # the name that test suites of other logs call it by


def split_point(size: int) -> int:
    """The largest power of two below `size` (2 or more), where RFC 6962 divides a tree."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose roots prove a leaf, from its sibling up; ValueError if it is not there."""
    if not 0 <= index < size:
        raise ValueError("the tree has no leaf of this index")
    found: list[Range] = []
    low, high = 0, size
    while high - low > 1:  # each turn halves the range around the leaf
        middle = low + split_point(high - low)
        if index < middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    return found[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[Range]:
    """The ranges whose roots prove that a tree only grew; ValueError if it did not."""
    if not 0 < old_size <= new_size:
        raise ValueError("a tree is consistent with a larger one, and not with an empty one")
    found: list[Range] = []
    low, high, whole = 0, new_size, True  # whole: the verifier knows the root of this subtree
    while high != old_size:  # each turn halves the range around the old tree's edge
        middle = low + split_point(high - low)
        if old_size <= middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low, whole = middle, False
    if not whole:
        found.append((low, high))
    return found[::-1]


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from a leaf to the root, its sibling first."""
    ranges = inclusion_ranges(index, len(leaf_hashes))
    return [root_from_leaves(leaf_hashes[low:high]) for low, high in ranges]


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """The hashes that show the first `old_size` leaves under both roots."""
    ranges = consistency_ranges(old_size, len(leaf_hashes))
    return [root_from_leaves(leaf_hashes[low:high]) for low, high in ranges]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the leaf hash stands at `index` of the tree of `size` leaves with this root."""
    if not 0 <= index < size or not _are_hashes([leaf, root, *proof]):
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the new tree starts with the old one's leaves; an empty old tree proves nothing."""
    if old_size <= 0 or not _are_hashes([old_root, new_root, *proof]):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size > new_size or not proof:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # a full tree: its root is left out of the proof
        path.insert(0, old_root)
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_found = new_found = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_found = node_hash(sibling, old_found)
            new_found = node_hash(sibling, new_found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old_found == old_root and new_found == new_root


def _are_hashes(values: Sequence[bytes]) -> bool:
    """Two hashes of other lengths could stand in a node for the two that belong there."""
    return all(len(value) == HASH_BYTES for value in values)
