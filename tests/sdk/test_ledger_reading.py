"""Reading an export: what is no line, no first line, no file; and how much is said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trimtab.kernel.errors import InvalidInput, NotFound, Unavailable
from trimtab.sdk.ledger import Code, Report, verify_export

ORIGIN = "audit.example.org/trimtab"


@pytest.fixture
def verify(ledger: Any, write: Any) -> Callable[..., Report]:
    """Writes lines and verifies them with the true key and origin pinned."""

    def verified(lines: list[Any], **options: Any) -> Report:
        known = {"pinned_key": ledger.signer.vkey, "pinned_origin": ORIGIN}
        return verify_export(write(lines), **(known | options))

    return verified


def places(report: Report) -> list[tuple[Code, int | None, int | None]]:
    return [(finding.code, finding.line, finding.sequence) for finding in report.findings]


def changed(line: dict[str, Any], member: str, old: str, new: str) -> dict[str, Any]:
    assert old in line[member]
    return line | {member: line[member].replace(old, new, 1)}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b"1" * 10_000,
        b'{"header":"a","header":"b","salt":null,"payload":null}',
        b'{"header":"a","salt":null,"payload":null,"more":1}',
        b'{"header":1,"salt":null,"payload":null}',
        b'{"header":"a","salt":"*","payload":null}',
        b'{"header":"a","salt":0,"payload":null}',
        b'{"header":"a","salt":null,"payload":{}}',
        b'{"header":"\\ud800","salt":null,"payload":null}',
        b'{"header":"a","salt":null,"payload":null,"leaf":7}',
        b'{"header":"a","salt":null,"payload":null,"proof":[]}',
    ],
)
def test_a_line_that_is_no_entry(ledger: Any, verify: Any, line: bytes) -> None:
    lines = ledger.lines()
    lines[10] = line
    report = verify(lines, known_heads=[ledger.head(9)])
    assert places(report)[0] == (Code.LINE_UNREADABLE, 11, None)
    assert places(report)[-1] == (Code.ROOT_MISMATCH, 21, 20)
    assert "one of 10 to 20" in report.findings[-1].what
    assert report.entries == 20


def test_a_line_without_end(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    lines[10] = b" " * 5000
    report = verify(lines, max_line_bytes=4000)
    assert places(report) == [(Code.LINE_UNREADABLE, 11, None), (Code.TAIL_CUT, None, 10)]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"format": "trimtab-ledger-export/2"}, Code.UNKNOWN_FORMAT),
        ({"format": None}, Code.UNKNOWN_FORMAT),
        ({"more": 1}, Code.EXPORT_UNREADABLE),
        ({"origin": None}, Code.EXPORT_UNREADABLE),
        ({"tenant": "aa"}, Code.EXPORT_UNREADABLE),
        ({"tenant": 5, "scope": "tenant"}, Code.EXPORT_UNREADABLE),
        ({"scope": "some"}, Code.EXPORT_UNREADABLE),
        ({"scope": []}, Code.EXPORT_UNREADABLE),
        ({"verifier_key": "name+00000000+AAAA"}, Code.EXPORT_UNREADABLE),
        ({"verifier_key": "\ud800+00000000+AAAA"}, Code.EXPORT_UNREADABLE),
        ({"head": "no note"}, Code.HEAD_UNREADABLE),
        ({"head": "\ud800\n\n— a AAAAAAAA\n"}, Code.HEAD_UNREADABLE),
    ],
)
def test_a_first_line_that_cannot_be_trusted(
    ledger: Any, verify: Any, members: dict[str, Any], code: Code
) -> None:
    lines = ledger.lines()
    lines[0] |= members
    report = verify(lines)
    assert places(report)[0] == (code, 1, None)
    assert report.head_size in (None, 20)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff\xfe", b'{"format":1,"format":1}'])
def test_a_file_that_is_no_export(verify: Any, raw: bytes) -> None:
    report = verify([raw])
    assert places(report) in (
        [(Code.EXPORT_UNREADABLE, 1, None)],
        [(Code.UNKNOWN_FORMAT, 1, None)],
    )
    assert report.entries == 0


def test_an_empty_file_is_no_clean_ledger(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    report = verify_export(file, pinned_key=None, pinned_origin=None)
    assert places(report) == [(Code.EXPORT_UNREADABLE, 1, None)]


def test_an_unreadable_head_does_not_stop_the_rest(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    lines[0]["head"] = "gone"
    lines[5] = changed(lines[5], "payload", "step", "stop")
    report = verify(lines, known_heads=[ledger.head(20)])
    assert places(report) == [(Code.HEAD_UNREADABLE, 1, None), (Code.PAYLOAD_MISMATCH, 6, 5)]


def test_all_problems_are_counted_and_the_first_are_listed(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    for row in range(1, 21):
        lines[row] = changed(lines[row], "payload", "step", "stop")
    report = verify(lines, max_findings=3)
    assert places(report) == [(Code.PAYLOAD_MISMATCH, row + 1, row) for row in (1, 2, 3)]
    assert report.findings_total == 20
    assert not report.ok
    assert not verify(lines, max_findings=0).ok


def test_foreign_text_reaches_no_terminal(empty_ledger: Any, verify: Any) -> None:
    made = empty_ledger(origin="\u202e" + "x" * 500)
    made.add()
    (finding,) = verify(made.lines()).findings
    assert finding.what.isascii()
    assert len(finding.what) < 200


def test_what_the_caller_got_wrong_is_an_error(ledger: Any, write: Any, tmp_path: Path) -> None:
    file = write(ledger.lines())
    with pytest.raises(InvalidInput) as caught:
        verify_export(file, pinned_key="nonsense", pinned_origin=None)
    assert caught.value.field == "pinned_key"
    with pytest.raises(InvalidInput) as caught:
        verify_export(file, pinned_key=None, pinned_origin=None, known_heads=[ledger.head(), "x"])
    assert caught.value.field == "known_heads[1]"
    with pytest.raises(NotFound):
        verify_export(tmp_path / "none", pinned_key=None, pinned_origin=None)
    with pytest.raises(Unavailable):
        verify_export(tmp_path, pinned_key=None, pinned_origin=None)
