"""Signed heads and proofs, held against the verifier that shares no code with the writer."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import databases

from trimtab.audit import ledger
from trimtab.audit.heads import Heads, HeadSigner
from trimtab.audit.merkle import FANOUT, Tree, complete_root
from trimtab.audit.tables import HEADS, SIZE, WHOLE
from trimtab.audit.work import Records
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.events import Note
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Database, metadata
from trimtab.sdk.checkpoint import Checkpoint, VerifierKey
from trimtab.sdk.ledger import Code, Entry, Report, verify_entries
from trimtab.sdk.merkle_proofs import (
    CompactRange,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

ORIGIN = "audit.example.org/trimtab"
SOMEBODY = system("test")


class Happened(Note):
    """Something happened."""

    kind: ClassVar[str] = "thing.happened"


def write(records: Records, count: int, batch: int = 100) -> None:
    for start in range(0, count, batch):
        with records.begin(SOMEBODY, reason="r") as work:
            for n in range(start, min(start + batch, count)):
                tenant = [None, TenantId("aa"), TenantId("bb")][n % 3]
                work.record(Happened(subject=f"x{n}", tenant=tenant))


@pytest.fixture
def signer() -> HeadSigner:
    return HeadSigner(ORIGIN, Ed25519PrivateKey.generate())


@pytest.fixture
def heads(database: Database, signer: HeadSigner, tmp_path: Path) -> Heads:
    return Heads(database, signer, tmp_path / "heads")


def verified(database: Database, signer: HeadSigner, notes: Sequence[str]) -> Report:
    with database.read() as connection:
        rows = [Entry(*row[1:]) for row in ledger.stored(connection)]
    parsed = [Checkpoint.parse(note) for note in notes]
    return verify_entries(rows, parsed, key=signer.verifier_key, origin=ORIGIN)


def test_the_independent_verifier_agrees(
    records: Records, heads: Heads, signer: HeadSigner
) -> None:
    notes = [heads.sign()]
    for count in (1, 2, 252, 1, 1, 300):
        write(records, count)
        notes.append(heads.sign())
    report = verified(records.database, signer, notes)
    assert (report.ok, report.entries, report.warnings) == (True, 557, ())
    assert [Checkpoint.parse(n).size for n in notes] == [0, 1, 3, 255, 256, 257, 557]
    heads.confirm()


def test_a_note_is_signed_by_its_key_and_no_other(
    records: Records, heads: Heads, signer: HeadSigner
) -> None:
    write(records, 3)
    checkpoint = Checkpoint.parse(heads.sign())
    assert VerifierKey.parse(signer.verifier_key).name == ORIGIN
    other = HeadSigner(ORIGIN, Ed25519PrivateKey.generate())
    report = verify_entries([], [checkpoint], key=other.verifier_key, origin=ORIGIN)
    assert not report.ok


def test_signing_again_is_the_same_note_and_it_is_outside(records: Records, heads: Heads) -> None:
    write(records, 5)
    note = heads.sign()
    assert heads.sign() == note
    assert heads.published() == [note]
    write(records, 1)
    later = heads.sign()
    assert heads.published() == [note, later]


def test_a_crash_between_publishing_and_keeping_is_made_good(
    database: Database, heads: Heads, records: Records
) -> None:
    write(records, 5)
    note = heads.sign()
    for lost in Path(heads._folder).glob("*.note"):
        lost.unlink()
    assert heads.sign() == note
    assert heads.published() == [note]


def test_many_signers_at_once_publish_whole_notes(records: Records, heads: Heads) -> None:
    write(records, 5)
    with ThreadPoolExecutor(16) as pool:
        notes = set(pool.map(lambda _: heads.sign(), range(32)))
    assert len(notes) == 1
    assert set(heads.published()) == notes
    assert list(heads._folder.glob("*.draft")) == []


def address_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def backed_up(database: Database, folder: Path) -> str:
    """A backup of a database in use: a file, or another database of the server."""
    if not database.is_sqlite:
        return databases.server().copy(address_of(database), "b" + uuid.uuid4().hex)
    source, target = sqlite3.connect(str(database.url.database)), sqlite3.connect(folder / "backup")
    source.backup(target)
    source.close()
    target.close()
    return str(folder / "backup")


def restored(database: Database, backup: str) -> Database:
    if not database.is_sqlite:
        database.close()
        return Database(backup)
    path = Path(str(database.url.database))
    database.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, path)
    return Database(str(database.url))


@pytest.mark.parametrize("later", [1, 300])
def test_a_database_restored_from_a_backup_is_refused(
    records: Records, heads: Heads, signer: HeadSigner, tmp_path: Path, later: int
) -> None:
    write(records, 100)
    heads.sign()
    backup = backed_up(records.database, tmp_path)
    write(records, later)
    published = heads.sign()
    old = restored(records.database, backup)
    after = Heads(old, signer, heads._folder)
    with pytest.raises(IntegrityFailed, match="does not continue"):
        after.confirm()
    assert not verified(old, signer, [published]).ok

    again = Records(old, SteppedClock(records.clock.now()))
    write(again, later)
    with pytest.raises(IntegrityFailed, match="does not continue"):
        after.confirm()
    with pytest.raises(IntegrityFailed, match="two histories"):
        after.sign()
    with old.read() as connection:
        kept = connection.execute(sa.select(HEADS.c.size)).scalars().all()
    assert 100 + later not in kept, "what contradicts the world is not kept"
    write(again, 50)
    with pytest.raises(IntegrityFailed):
        after.confirm()
    old.close()


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE ledger_entries SET header = :other WHERE sequence = 40", None),
        ("UPDATE ledger_payloads SET body = :other WHERE sequence = 8", Code.PAYLOAD_MISMATCH),
        ("DELETE FROM ledger_entries WHERE sequence = 1", None),
        ("DELETE FROM ledger_entries WHERE sequence = 300", Code.TAIL_CUT),
        ("DELETE FROM ledger_entries WHERE sequence > 290", Code.TAIL_CUT),
    ],
)
def test_what_was_changed_behind_our_back_is_found(
    records: Records, heads: Heads, signer: HeadSigner, statement: str, code: Code | None
) -> None:
    write(records, 300)
    note = heads.sign()
    assert verified(records.database, signer, [note]).ok
    with databases.behind_our_back(address_of(records.database)) as raw:
        other = {"other": b"{}"} if ":other" in statement else {}
        assert raw.execute(sa.text(statement), other).rowcount >= 1
    report = verified(records.database, signer, [note])
    assert not report.ok
    assert code is None or code in {f.code for f in report.findings}


def test_a_leaf_rewritten_with_its_header_does_not_continue_the_published_head(
    records: Records, heads: Heads
) -> None:
    write(records, 300)
    heads.sign()
    header = b'{"v":1}'
    with databases.behind_our_back(address_of(records.database)) as raw:
        rewrite = "UPDATE ledger_entries SET header = :header, leaf = :leaf WHERE sequence = 299"
        raw.execute(sa.text(rewrite), {"header": header, "leaf": leaf_hash(header)})
    with pytest.raises(IntegrityFailed):
        heads.confirm()


def test_a_published_head_that_cannot_be_read_is_no_consent(records: Records, heads: Heads) -> None:
    write(records, 3)
    heads.sign()
    (path,) = heads._folder.glob("*.note")
    for text in ("", "one line", "a\nb\nc\n", "a\n3\n***\n"):
        path.write_text(text)
        with pytest.raises(IntegrityFailed):
            heads.confirm()


def test_nothing_published_yet_nothing_to_confirm(heads: Heads) -> None:
    heads.confirm()


def in_memory(leaves: Sequence[bytes]) -> Tree:
    """A prover over leaves in memory, with the complete subtrees that a ledger keeps."""
    levels = [list(leaves)]
    while len(levels[-1]) >= FANOUT:
        below = levels[-1]
        levels.append(
            [
                complete_root(below[i : i + FANOUT])
                for i in range(0, len(below) // FANOUT * FANOUT, FANOUT)
            ]
        )

    def fetch(level: int, first: int, count: int) -> Sequence[bytes]:
        found = levels[level][first : first + count]
        assert len(found) == count, "asked for hashes that nobody keeps"
        return found

    return Tree(len(leaves), fetch)


LEAVES = [hashlib.sha256(b"\x00%d" % n).digest() for n in range(65_536 * 2 + 300)]


def roots(sizes: set[int]) -> dict[int, bytes]:
    """The verifier's roots, in one pass."""
    found, tree = {}, CompactRange()
    for size in range(max(sizes) + 1):
        if size in sizes:
            found[size] = tree.root()
        if size < len(LEAVES):
            tree.append(LEAVES[size])
    return found


SMALL = [*range(20), *range(250, 262), *range(510, 516), 767, 768, 769]
LARGE = [65_279, 65_280, 65_535, 65_536, 65_537, 65_792, 131_071, 131_072, 131_073, 131_372]


@pytest.mark.parametrize("sizes", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)])
def test_roots_and_proofs_satisfy_the_verifier(sizes: list[int]) -> None:
    known = roots({*sizes, *SMALL} | {n - 1 for n in (*sizes, *SMALL) if n})
    for size in sizes:
        tree = in_memory(LEAVES[:size])
        assert tree.root() == known[size]
        picks = {0, 1, 127, 128, 255, 256, 257, size // 2, 65_535, 65_536, size - 2, size - 1}
        for index in (i for i in picks if 0 <= i < size):
            proof = tree.inclusion(index)
            assert verify_inclusion(LEAVES[index], index, size, proof, known[size])
            assert not verify_inclusion(LEAVES[index - 1], index, size, proof, known[size])
        for earlier in (e for e in {*sizes, *SMALL} if e <= size):
            proof = tree.consistency(earlier)
            assert verify_consistency(earlier, known[earlier], size, known[size], proof)
            if 0 < earlier < size:
                wrong = known[earlier - 1]
                assert not verify_consistency(earlier, wrong, size, known[size], proof)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1200), st.data())
def test_any_size_any_leaf_any_prefix(size: int, data: st.DataObject) -> None:
    tree = in_memory(LEAVES[:size])
    root = roots({size})[size]
    index = data.draw(st.integers(0, size - 1))
    earlier = data.draw(st.integers(0, size))
    assert verify_inclusion(LEAVES[index], index, size, tree.inclusion(index), root)
    old = roots({earlier})[earlier]
    assert verify_consistency(earlier, old, size, root, tree.consistency(earlier))


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_no_proof_of_what_is_not_there(index: int) -> None:
    tree = in_memory(LEAVES[:5])
    with pytest.raises(ValueError, match="not among"):
        tree.inclusion(index)
    with pytest.raises(ValueError, match="no prefix"):
        tree.consistency(6)


def test_proofs_out_of_the_ledger_itself(either_database: Database, clock: SteppedClock) -> None:
    records = Records(either_database, clock)
    write(records, 700, batch=97)
    with records.look() as reading:
        leaves = [e.leaf for e in ledger.entries(reading.connection, limit=1000)]
        naive = CompactRange()
        for leaf in leaves:
            naive.append(leaf)
        for size in (1, 255, 256, 257, 511, 512, 513, 700):
            tree = ledger.tree(reading.connection, size)
            old = CompactRange()
            for leaf in leaves[:size]:
                old.append(leaf)
            assert tree.root() == old.root()
            proof = ledger.tree(reading.connection).consistency(size)
            assert verify_consistency(size, old.root(), 700, naive.root(), proof)
            inclusion = tree.inclusion(size - 1)
            assert verify_inclusion(leaves[size - 1], size - 1, size, inclusion, old.root())


def test_a_ledger_of_its_own_file_begins_empty(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.sqlite")
    metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})
    signer = HeadSigner(ORIGIN, Ed25519PrivateKey.generate())
    note = Checkpoint.parse(Heads(database, signer, tmp_path / "h").sign())
    assert (note.size, note.root) == (0, hashlib.sha256(b"").digest())
    database.close()
