"""The independent verifier of the audit ledger, written from docs/reference/ledger.md alone.

It shares no code with the writer, needs no network and no server, and reads a ledger of any
length once, in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from trimtab.kernel.errors import NotFound, Unavailable
from trimtab.sdk.checkpoint import Checkpoint, VerifierKey
from trimtab.sdk.ledger_export import (
    FORMAT,
    Line,
    Preamble,
    read_entry,
    read_lines,
    read_preamble,
)
from trimtab.sdk.ledger_heads import NamedHead, check_history, check_speaker, warn_unpinned
from trimtab.sdk.ledger_report import Code, Collector, Finding, Report, shown
from trimtab.sdk.ledger_walk import Entry, Walk
from trimtab.sdk.merkle_proofs import (
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

__all__ = [
    "FORMAT",
    "Checkpoint",
    "Code",
    "Entry",
    "Finding",
    "Report",
    "VerifierKey",
    "verify_consistency",
    "verify_entries",
    "verify_export",
    "verify_inclusion",
]


def verify_entries(
    entries: Iterable[Entry],
    heads: Sequence[Checkpoint],
    *,
    key: str | None = None,
    origin: str | None = None,
    max_findings: int = 100,
) -> Report:
    """Verify a whole ledger, row by row from the first, as it lies in a live database.

    Args:
        entries: All entries in order of sequence; read once.
        heads: Signed heads, also old ones, best from outside the database. Each must
            agree with the entries that it covers.
        key: Verifier key that must have signed every head; with None no signature is
            looked at, and the report says so.
        origin: Name of the ledger that every head must carry.
        max_findings: How many findings and how many warnings the report lists.

    Raises:
        InvalidInput: `key` is not a verifier key.
    """
    collector = Collector(max_findings)
    pinned = None if key is None else VerifierKey.parse(key, field="key")
    named = [NamedHead(f"the head of size {head.size}", head) for head in heads]
    for head in named:
        check_speaker(collector, head, pinned, origin)
    warn_unpinned(collector, pinned, origin)
    walk = Walk(collector, named)
    for entry in entries:
        walk.row(entry, None)
    walk.end()
    largest = max((head.size for head in heads), default=None)
    if largest is None:
        what = "without a signed head a cut or rewritten ledger looks whole"
        collector.warn(Code.NO_HEAD, what)
    elif largest < walk.entries:
        what = "no head covers the entries from here on"
        collector.warn(Code.AFTER_HEAD, what, sequence=largest + 1)
    return collector.report(
        entries=walk.entries,
        blanked=walk.blanked,
        root=walk.root(),
        head_size=largest,
        pinned=pinned is not None,
    )


def verify_export(
    path: str | Path,
    *,
    pinned_key: str | None,
    pinned_origin: str | None,
    known_heads: Sequence[str] = (),
    consistency_proofs: Mapping[int, Sequence[bytes]] | None = None,
    max_findings: int = 100,
    max_line_bytes: int = 16 * 1024 * 1024,
) -> Report:
    """Verify an export file against what the caller knows from elsewhere.

    Whatever is wrong with the content of the file is a finding, never an exception.

    Args:
        path: The export.
        pinned_key: Verifier key that the head must be signed by. With None the key that
            the export names is believed, and the report says so.
        pinned_origin: Name of the ledger that it must be.
        known_heads: Texts of signed notes that were kept from earlier, or come from a
            witness. They must be signed by the same key and belong to the same history.
        consistency_proofs: For a tenant's export only: for the size of each smaller known
            head, the proof from it to the export's head, hashes of 32 bytes.
        max_findings: How many findings and how many warnings the report lists.
        max_line_bytes: A longer line ends the reading, as a finding.

    Raises:
        InvalidInput: `pinned_key` or a known head is not in its form.
        NotFound: there is no such file.
        Unavailable: the file cannot be read.
    """
    collector = Collector(max_findings)
    key = None if pinned_key is None else VerifierKey.parse(pinned_key, field="pinned_key")
    known = _named(known_heads)
    try:
        with Path(path).open("rb") as file:
            lines = read_lines(file, max_line_bytes, collector)
            preamble = read_preamble(next(lines, None), collector)
            if preamble is None:
                return collector.report(pinned=key is not None)
            _check_speakers(preamble, key, pinned_origin, known, collector)
            if preamble.one_tenant:
                _check_past(preamble, known, consistency_proofs or {}, collector)
                walk = _one_tenant(preamble, lines, collector)
            else:
                walk = _whole_ledger(preamble, lines, known, collector)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", field="path") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}", field="path") from error
    return collector.report(
        entries=walk.entries,
        blanked=walk.blanked,
        root=walk.root(),
        head_size=preamble.head.checkpoint.size if preamble.head else None,
        pinned=key is not None,
    )


def _named(known_heads: Sequence[str]) -> list[NamedHead]:
    """Heads that the caller has kept, each under the name that findings call it by."""
    return [
        NamedHead(f"known head {place}", Checkpoint.parse(text, field=f"known_heads[{place}]"))
        for place, text in enumerate(known_heads)
    ]


def _check_past(
    preamble: Preamble,
    known: Sequence[NamedHead],
    proofs: Mapping[int, Sequence[bytes]],
    collector: Collector,
) -> None:
    """Whether the head of a tenant's export continues the heads that the caller has kept."""
    if preamble.head is not None:
        check_history(collector, preamble.head.checkpoint, known, proofs)


def _check_speakers(
    preamble: Preamble,
    pinned: VerifierKey | None,
    origin: str | None,
    known: list[NamedHead],
    collector: Collector,
) -> None:
    """One origin everywhere, and one key: the caller's if there is one.

    A head of another origin is a finding, never a reason to leave it out: a verifier that
    skips what it takes for a stranger's can be talked out of its own memory.
    """
    if origin is not None and preamble.origin != origin:
        what = f"an export of {shown(preamble.origin)}, not of {shown(origin)}"
        collector.find(Code.WRONG_ORIGIN, what, line=1)
    if pinned is not None and preamble.key is not None and preamble.key != pinned:
        what = f"the export names {shown(str(preamble.key), 100)}, not the pinned key"
        collector.find(Code.WRONG_KEY, what, line=1)
    if preamble.head is not None:
        # A head must fit its own export too, not only what the caller expects.
        check_speaker(collector, preamble.head, pinned or preamble.key, preamble.origin)
    for head in known:
        check_speaker(collector, head, pinned or preamble.key, origin or preamble.origin)
    warn_unpinned(collector, pinned, origin)


def _whole_ledger(
    preamble: Preamble, lines: Iterator[Line], known: list[NamedHead], collector: Collector
) -> Walk:
    """Verify an export of the whole ledger by computing its tree."""
    head = preamble.head
    walk = Walk(collector, [head, *known] if head else known)
    for line in lines:
        read = read_entry(line, collector, with_proof=False)
        if read is None:
            walk.lost(line.number)
        else:
            walk.row(read[0], line.number)
    walk.end()
    if head is not None and head.checkpoint.size < walk.entries:
        size = head.checkpoint.size
        collector.find(
            Code.NOT_COVERED,
            f"the head covers {size} entries, but there are {walk.entries}",
            line=size + 2,
            sequence=size + 1,
        )
    return walk


def _one_tenant(preamble: Preamble, lines: Iterator[Line], collector: Collector) -> Walk:
    """Verify a tenant's export: its own numbers, and for each entry a proof to the head."""
    walk = Walk(collector, None)
    for line in lines:
        read = read_entry(line, collector, with_proof=True)
        if read is None:
            walk.lost(line.number)
            continue
        entry, proof = read
        header = walk.row(entry, line.number)
        if header is None:
            continue
        if header.tenant != preamble.tenant:
            what = f"an entry of {shown(header.tenant)}"
            collector.find(Code.OTHER_TENANT, what, line=line.number, sequence=header.sequence)
        if preamble.head is None:
            continue
        head, leaf = preamble.head.checkpoint, leaf_hash(entry.header)
        if not verify_inclusion(leaf, header.sequence - 1, head.size, proof, head.root):
            what = "the proof does not lead from this entry to the head"
            collector.find(Code.INCLUSION_PROOF, what, line=line.number, sequence=header.sequence)
    what = "whether later entries of this tenant exist cannot be seen from here"
    collector.warn(Code.END_OF_TENANT, what)
    return walk
