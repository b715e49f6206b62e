"""One pass over the entries of a ledger, in constant memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from trimtab.sdk.ledger_entry import Fault, Header, check_payload, read_header
from trimtab.sdk.ledger_heads import NamedHead
from trimtab.sdk.ledger_report import Code, Collector
from trimtab.sdk.merkle_proofs import CompactRange, leaf_hash


class Entry(NamedTuple):
    """One entry as it is stored.

    `payload` is None when retention has blanked it. `leaf` is a leaf hash that was kept
    beside the header, if there is one; it only helps to say which row was damaged.
    """

    header: bytes
    salt: bytes | None
    payload: bytes | None
    leaf: bytes | None = None


class Walk:
    """Entries in, findings out.

    Args:
        collector: Where findings go.
        heads: Heads that must be those of this very sequence of entries; each is compared
            when the walk has as many entries as it covers. None for a tenant's export,
            whose entries are not neighbours in the tree.
    """

    def __init__(self, collector: Collector, heads: Iterable[NamedHead] | None) -> None:
        self.entries = 0
        self.blanked = 0
        self.tree = CompactRange() if heads is not None else None
        self._collector = collector
        self._ahead: defaultdict[int, list[NamedHead]] = defaultdict(list)
        for head in heads or ():
            self._ahead[head.checkpoint.size].append(head)
        self._agreed = 0  # the largest size at which every head so far had our root
        self._split = False
        self._next = 1
        self._tenants: dict[str, int] = {}
        self._at = ""
        self._compare(None)

    def row(self, entry: Entry, line: int | None) -> Header | None:
        """Check the next entry; return its header unless that cannot be read."""
        self.entries += 1
        leaf = leaf_hash(entry.header)
        header = read_header(entry.header)
        if isinstance(header, Fault):
            sequence = self._next
            self._collector.find(header.code, header.what, line=line, sequence=sequence)
            self._next += 1
        else:
            sequence = header.sequence
            self._order(header, line)
            self._payload(entry, header, line)
        if entry.leaf is not None and entry.leaf != leaf:
            self._collector.find(
                Code.LEAF_MISMATCH,
                "the header is not the one that the leaf hash beside it was made of",
                line=line,
                sequence=sequence,
            )
        self._append(leaf, line)
        return None if isinstance(header, Fault) else header

    def lost(self, line: int) -> None:
        """Count a row of which not even the header is known; its finding is the caller's."""
        self.entries += 1
        self._next += 1
        self._append(leaf_hash(b""), line)  # no entry's leaf, but it keeps the later ones in place

    def root(self) -> bytes | None:
        """Root over the entries so far; None for a tenant's export."""
        return None if self.tree is None else self.tree.root()

    def end(self) -> None:
        """Say which heads cover more entries than there were."""
        if self.tree is None:
            return
        for size, heads in sorted(self._ahead.items()):
            for head in heads:
                self._collector.find(
                    Code.TAIL_CUT,
                    f"{head.name} covers {size} entries, but there are {self.tree.size}",
                    sequence=self.tree.size + 1,
                )

    def _append(self, leaf: bytes, line: int | None) -> None:
        if self.tree is not None:
            self.tree.append(leaf)
            if self.tree.size in self._ahead:
                self._compare(line)

    def _order(self, header: Header, line: int | None) -> None:
        sequence = header.sequence
        if sequence != self._next and (self.tree is not None or sequence < self._next):
            self._collector.find(
                Code.SEQUENCE_GAP if sequence > self._next else Code.SEQUENCE_ORDER,
                f"sequence {sequence} stands where {self._next} belongs",
                line=line,
                sequence=sequence,
            )
        self._next = sequence + 1
        expected = self._tenants.get(header.tenant, 0) + 1
        if header.tenant_sequence != expected:
            self._collector.find(
                Code.TENANT_GAP,
                f"tenant_sequence {header.tenant_sequence} stands where {expected} belongs",
                line=line,
                sequence=sequence,
            )
        self._tenants[header.tenant] = header.tenant_sequence
        if header.at < self._at:  # fixed width in UTC, so text order is time order
            self._collector.warn(
                Code.TIME_BACKWARDS,
                f"{header.at} comes after {self._at}",
                line=line,
                sequence=sequence,
            )
        self._at = header.at

    def _payload(self, entry: Entry, header: Header, line: int | None) -> None:
        if entry.payload is None:
            self.blanked += 1
            if entry.salt is not None:
                self._collector.warn(
                    Code.SALT_KEPT,
                    "the payload is blanked, but its salt lets likely ones be tried",
                    line=line,
                    sequence=header.sequence,
                )
            return
        fault = check_payload(entry.payload, entry.salt, header)
        if fault is not None:
            self._collector.find(fault.code, fault.what, line=line, sequence=header.sequence)

    def _compare(self, line: int | None) -> None:
        """Compare the heads, if any, that were signed over as many entries as there are now."""
        if self.tree is None:
            return
        heads = self._ahead.pop(self.tree.size, [])
        root = self.tree.root() if heads else b""
        for head in heads:
            if head.checkpoint.root == root:
                continue
            self._split = True
            self._collector.find(
                Code.ROOT_MISMATCH,
                f"the entries are not those of {head.name}: "
                f"the first that differs is one of {self._agreed + 1} to {self.tree.size}",
                line=line,
                sequence=self.tree.size,
            )
        if heads and not self._split:
            self._agreed = self.tree.size
