"""Who signed which head, and whether heads belong to one ledger and one history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trimtab.kernel.errors import IntegrityFailed
from trimtab.sdk.checkpoint import Checkpoint, VerifierKey
from trimtab.sdk.ledger_report import Code, Collector, shown
from trimtab.sdk.merkle_proofs import verify_consistency


class NamedHead(NamedTuple):
    """A head, what to call it in a sentence, and the line of the export that it stands in."""

    name: str
    checkpoint: Checkpoint
    line: int | None = None


def check_speaker(
    collector: Collector, head: NamedHead, key: VerifierKey | None, origin: str | None
) -> None:
    """Note a head of another ledger, and one that `key` has not signed; None is not asked."""
    found = head.checkpoint.origin
    if origin is not None and found != origin:
        what = f"{head.name} is of {shown(found)}, not of {shown(origin)}"
        collector.find(Code.WRONG_ORIGIN, what, line=head.line)
    if key is None:
        return
    try:
        signed = key.public in head.checkpoint.note.signers([key])
    except IntegrityFailed as error:
        collector.find(Code.HEAD_SIGNATURE, f"{head.name}: {error.message}", line=head.line)
        return
    if not signed:
        what = f"{head.name} is not signed by {shown(str(key), 100)}"
        collector.find(Code.HEAD_SIGNATURE, what, line=head.line)


def warn_unpinned(collector: Collector, key: VerifierKey | None, origin: str | None) -> None:
    """Say plainly what the caller did not bring along, and what that leaves open."""
    if key is None:
        collector.warn(
            Code.NO_PINNED_KEY,
            "no key was pinned: whoever wrote these entries could have signed them himself",
        )
    if origin is None:
        collector.warn(
            Code.NO_PINNED_ORIGIN, "no origin was pinned: this may be another ledger's truth"
        )


def check_history(
    collector: Collector,
    head: Checkpoint,
    known: Sequence[NamedHead],
    proofs: Mapping[int, Sequence[bytes]],
) -> None:
    """Join known heads to `head` where the tree between them cannot be computed.

    Args:
        collector: Where findings go.
        head: The head of a tenant's export.
        known: Heads from elsewhere.
        proofs: For the size of each smaller known head, its consistency proof to `head`.
    """
    for name, old, _ in known:
        if old.size > head.size:
            what = f"{name} covers {old.size} entries, but the export only {head.size}"
            collector.find(Code.TAIL_CUT, what, sequence=head.size + 1)
        elif old.size == head.size:
            if old.root != head.root:
                what = f"the export is not of the history of {name}"
                collector.find(Code.ROOT_MISMATCH, what, sequence=old.size)
        elif old.size not in proofs:
            what = f"no consistency proof from {name} of size {old.size} was given"
            collector.find(Code.UNPROVEN, what, sequence=old.size)
        elif not verify_consistency(old.size, old.root, head.size, head.root, proofs[old.size]):
            what = f"the proof does not lead from {name} to the head of the export"
            collector.find(Code.CONSISTENCY_PROOF, what, sequence=old.size)
