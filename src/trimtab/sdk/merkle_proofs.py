"""The hash tree of RFC 6962 and its two proofs, from the side of who verifies.

Hashes are 32 bytes throughout. A verdict is a bool: bytes that form no valid proof are
simply not a proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf; its prefix keeps it from ever being taken for a node.

    Source: RFC 6962, section 2.1.
    """
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node over its two children.

    Source: RFC 6962, section 2.1.
    """
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The roots of the complete subtrees that the leaves so far fall into.

    Holds one hash for each bit that is set in `size`, so a tree of any length is rooted
    in constant memory, and its root is known at every size on the way.
    """

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []  # widest first

    def append(self, leaf: bytes) -> None:
        """Add the next leaf hash, joining subtrees of equal width."""
        node, width = leaf, self.size
        while width & 1:
            node = sha256(b"\x01" + self._subtrees.pop() + node).digest()
            width >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over the leaves so far; SHA-256 of nothing when there are none."""
        if not self._subtrees:
            return EMPTY_ROOT
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = node_hash(left, node)
        return node


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `leaf` is the leaf number `index` of the tree with this size and root.

    Args:
        leaf: Leaf hash of the entry.
        index: From 0.
        size: Leaves in the tree.
        proof: Sibling hashes from the leaf upwards.
        root: Root of the tree, from a head that is trusted.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size or not _all_hashes([leaf, root, *proof]):
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            # At the right edge, levels without a sibling carry no hash in the proof.
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(
    size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of `size2` leaves begins with the whole tree of `size1` leaves.

    Equal sizes need equal roots and no proof. The empty tree begins every tree: its
    root must be that of the empty tree, and there is no proof.

    Source: RFC 9162, section 2.1.4.2.
    """
    if not 0 <= size1 <= size2 or not _all_hashes([root1, root2, *proof]):
        return False
    if size1 == size2:
        return not proof and root1 == root2
    if size1 == 0:
        return not proof and root1 == EMPTY_ROOT
    if not proof:
        return False
    # The root of a complete first tree is a node of the second, so the proof omits it.
    path = [root1, *proof] if size1 & (size1 - 1) == 0 else list(proof)
    return _joins(size1, root1, size2, root2, path)


def _joins(size1: int, root1: bytes, size2: int, root2: bytes, path: list[bytes]) -> bool:
    """Steps 3 to 7 of the consistency check: both roots rebuilt along one path."""
    first, second = size1 - 1, size2 - 1
    while first & 1:
        first >>= 1
        second >>= 1
    old = new = path[0]
    for node in path[1:]:
        if second == 0:
            return False
        if first & 1 or first == second:
            old = node_hash(node, old)
            new = node_hash(node, new)
            while not first & 1 and first:
                first >>= 1
                second >>= 1
        else:
            new = node_hash(new, node)
        first >>= 1
        second >>= 1
    return second == 0 and old == root1 and new == root2


def _all_hashes(values: Sequence[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
