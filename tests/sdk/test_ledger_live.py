"""Rows of a live database against heads that were published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.sdk.ledger import Checkpoint, Code, Entry, Report, verify_entries

ORIGIN = "audit.example.org/trimtab"


def entries(ledger: Any) -> Iterator[Entry]:
    return (Entry(*row) for row in ledger.rows)


def places(report: Report) -> list[tuple[Code, int | None, int | None]]:
    return [(finding.code, finding.line, finding.sequence) for finding in report.findings]


def warned(report: Report) -> list[Code]:
    return [warning.code for warning in report.warnings]


def test_a_clean_ledger(ledger: Any, naive: Any) -> None:
    heads = [Checkpoint.parse(ledger.head(size)) for size in (0, 1, 8, 20)]
    report = verify_entries(entries(ledger), heads, key=ledger.signer.vkey, origin=ORIGIN)
    assert report.ok
    assert report.pinned
    assert (report.entries, report.head_size) == (20, 20)
    assert report.root == naive.mth(ledger.headers())
    assert report.warnings == ()


def test_what_no_head_covers_is_said(ledger: Any) -> None:
    heads = [Checkpoint.parse(ledger.head(8))]
    report = verify_entries(entries(ledger), heads, key=ledger.signer.vkey, origin=ORIGIN)
    assert report.ok
    assert [(w.code, w.sequence) for w in report.warnings] == [(Code.AFTER_HEAD, 9)]
    report = verify_entries(entries(ledger), [])
    assert (report.ok, report.pinned, report.head_size) == (True, False, None)
    assert warned(report) == [Code.NO_PINNED_KEY, Code.NO_PINNED_ORIGIN, Code.NO_HEAD]


def test_a_cut_tail(ledger: Any) -> None:
    heads = [Checkpoint.parse(ledger.head(size)) for size in (5, 18, 20)]
    ledger.rows = ledger.rows[:17]
    report = verify_entries(entries(ledger), heads)
    assert places(report) == [(Code.TAIL_CUT, None, 18), (Code.TAIL_CUT, None, 18)]


def test_everything_deleted(ledger: Any) -> None:
    report = verify_entries([], [Checkpoint.parse(ledger.head())])
    assert places(report) == [(Code.TAIL_CUT, None, 1)]


def test_tampering_is_found_in_its_row(ledger: Any) -> None:
    heads = [Checkpoint.parse(ledger.head(size)) for size in (5, 20)]
    header, salt, payload = ledger.rows[6]
    ledger.rows[6] = (header, salt, payload.replace(b"step", b"stop"))
    header, salt, payload = ledger.rows[11]
    ledger.rows[11] = (header.replace(b"usr_", b"usq_"), salt, payload)
    report = verify_entries(entries(ledger), heads)
    assert places(report) == [
        (Code.PAYLOAD_MISMATCH, None, 7),
        (Code.ROOT_MISMATCH, None, 20),
    ]
    assert "one of 6 to 20" in report.findings[1].what


def test_a_header_that_does_not_fit_its_stored_leaf(ledger: Any, naive: Any) -> None:
    rows = [row._replace(leaf=naive.sha(b"\0" + row.header)) for row in entries(ledger)]
    assert verify_entries(rows, []).ok
    rows[4] = rows[4]._replace(header=rows[4].header.replace(b"usr_", b"usq_"))
    assert places(verify_entries(rows, [])) == [(Code.LEAF_MISMATCH, None, 5)]


def test_a_head_of_a_stranger(ledger: Any, signers: Any, empty_ledger: Any) -> None:
    heads = [Checkpoint.parse(signers(seed="forger").note(ledger.text()))]
    report = verify_entries(entries(ledger), heads, key=ledger.signer.vkey, origin=ORIGIN)
    assert places(report) == [(Code.HEAD_SIGNATURE, None, None)]
    report = verify_entries(entries(ledger), heads, origin="another")
    assert places(report) == [(Code.WRONG_ORIGIN, None, None)]


def test_two_heads_of_one_size(ledger: Any) -> None:
    fork = ledger.fork()
    header, salt, payload = fork.rows[0]
    fork.rows[0] = (header.replace(b"usr_", b"usq_"), salt, payload)
    heads = [Checkpoint.parse(one.head(9)) for one in (ledger, fork)]
    assert places(verify_entries(entries(ledger), heads)) == [(Code.ROOT_MISMATCH, None, 9)]


def test_a_key_that_is_none(ledger: Any) -> None:
    with pytest.raises(InvalidInput):
        verify_entries(entries(ledger), [], key="nonsense")
