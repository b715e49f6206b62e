"""The prover's side of an RFC 6962 tree, over hashes that somebody else keeps.

Only complete subtrees of 256 ** level leaves are kept beside the leaves, so an append
writes one more row for every 256 entries, and a root or a proof reads a few hundred
hashes at most, however long the ledger is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

FANOUT_BITS = 8
FANOUT = 1 << FANOUT_BITS

Fetch = Callable[[int, int, int], Sequence[bytes]]
"""`fetch(level, first, count)`: roots of complete subtrees of 256 ** level leaves."""


def leaf_hash(header: bytes) -> bytes:
    """RFC 6962, section 2.1: a leaf is hashed behind a zero byte."""
    return hashlib.sha256(b"\x00" + header).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962, section 2.1: a node is hashed behind a one byte."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The root of a complete subtree, from 2 ** k hashes of one level."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


class Tree:
    """Roots and proofs for the first `size` leaves.

    Reads are cached by blocks of 256 hashes, so one tree serves many proofs.
    """

    def __init__(self, size: int, fetch: Fetch):
        self.size = size
        self._fetch = fetch
        self._blocks: dict[tuple[int, int], Sequence[bytes]] = {}
        self._inner: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The root; of no leaves, the hash of nothing."""
        return hashlib.sha256(b"").digest() if self.size == 0 else self._range(0, self.size)

    def inclusion(self, index: int) -> list[bytes]:
        """The audit path of leaf `index` (from 0): RFC 6962, section 2.1.1.

        Raises:
            ValueError: there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise ValueError(f"leaf {index} is not among {self.size}")
        return self._path(index, 0, self.size)

    def consistency(self, earlier: int) -> list[bytes]:
        """That the first `earlier` leaves are a prefix: RFC 6962, section 2.1.2.

        Raises:
            ValueError: `earlier` is not between 0 and the size.
        """
        if not 0 <= earlier <= self.size:
            raise ValueError(f"a tree of {earlier} is no prefix of one of {self.size}")
        if earlier in (0, self.size):
            return []
        return self._subproof(earlier, 0, self.size, whole=True)

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._range(middle, end)]
        return [*self._path(index, middle, end), self._range(start, middle)]

    def _subproof(self, earlier: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        if earlier == end:
            return [] if whole else [self._range(start, end)]
        middle = start + _split(end - start)
        if earlier <= middle:
            return [
                *self._subproof(earlier, start, middle, whole=whole),
                self._range(middle, end),
            ]
        return [
            *self._subproof(earlier, middle, end, whole=False),
            self._range(start, middle),
        ]

    def _range(self, start: int, end: int) -> bytes:
        length = end - start
        if length & (length - 1) == 0:
            return self._complete(length.bit_length() - 1, start >> (length.bit_length() - 1))
        middle = start + _split(length)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _complete(self, bits: int, position: int) -> bytes:
        if bits % FANOUT_BITS == 0:
            return self._stored(bits // FANOUT_BITS, position)
        known = self._inner.get((bits, position))
        if known is None:
            known = node_hash(
                self._complete(bits - 1, 2 * position), self._complete(bits - 1, 2 * position + 1)
            )
            self._inner[bits, position] = known
        return known

    def _stored(self, level: int, position: int) -> bytes:
        block = position // FANOUT
        if (level, block) not in self._blocks:
            present = (self.size >> (FANOUT_BITS * level)) - block * FANOUT
            self._blocks[level, block] = self._fetch(level, block * FANOUT, min(present, FANOUT))
        return self._blocks[level, block][position - block * FANOUT]


def _split(length: int) -> int:
    """The largest power of two below `length`."""
    return 1 << (length - 1).bit_length() - 1
