"""An export of the whole ledger, clean and tampered with in every way we could think of."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def test_a_clean_export(ledger: Any, verify: Any, naive: Any) -> None:
    for leaves in (False, True):
        report = verify(ledger.lines(leaves=leaves), known_heads=[ledger.head(7), ledger.head()])
        assert report.ok
        assert report.pinned
        assert (report.entries, report.blanked, report.head_size) == (20, 0, 20)
        assert report.root == naive.mth(ledger.headers())
        assert (report.findings, report.findings_total) == ((), 0)
        assert (report.warnings, report.warnings_total) == ((), 0)


def test_an_empty_ledger(empty_ledger: Any, verify: Any) -> None:
    report = verify(empty_ledger().lines())
    assert (report.ok, report.entries, report.head_size) == (True, 0, 0)


def test_a_false_root_of_the_empty_ledger(empty_ledger: Any, verify: Any) -> None:
    empty = empty_ledger()
    text = empty.text().replace("47DEQ", "47DEA")
    report = verify([empty.first_line(head=empty.signer.note(text))])
    assert places(report) == [(Code.ROOT_MISMATCH, None, 0)]


@pytest.mark.parametrize("row", [1, 10, 20])
def test_a_bit_of_a_payload(ledger: Any, verify: Any, row: int) -> None:
    lines = ledger.lines()
    lines[row] = changed(lines[row], "payload", "step", "stop")
    report = verify(lines)
    assert not report.ok
    assert places(report) == [(Code.PAYLOAD_MISMATCH, row + 1, row)]


@pytest.mark.parametrize("row", [1, 10, 20])
def test_a_bit_of_a_salt(ledger: Any, verify: Any, row: int) -> None:
    lines = ledger.lines()
    salt = lines[row]["salt"]
    lines[row]["salt"] = ("B" if salt[0] == "A" else "A") + salt[1:]
    assert places(verify(lines)) == [(Code.PAYLOAD_MISMATCH, row + 1, row)]


@pytest.mark.parametrize("row", [1, 10, 20])
def test_a_bit_of_a_header_where_the_leaf_is_kept(ledger: Any, verify: Any, row: int) -> None:
    lines = ledger.lines(leaves=True)
    lines[row] = changed(lines[row], "header", "usr_", "usq_")
    assert places(verify(lines)) == [
        (Code.LEAF_MISMATCH, row + 1, row),
        (Code.ROOT_MISMATCH, 21, 20),
    ]


def test_a_bit_of_a_header_is_narrowed_down_between_two_heads(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    lines[10] = changed(lines[10], "header", "usr_", "usq_")
    report = verify(lines, known_heads=[ledger.head(8), ledger.head(12), ledger.head(3)])
    assert places(report) == [(Code.ROOT_MISMATCH, 13, 12), (Code.ROOT_MISMATCH, 21, 20)]
    for finding in report.findings:
        assert "one of 9 to" in finding.what


def test_a_bit_of_the_digest_in_a_header(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    digest = json.loads(lines[10]["header"])["payload_digest"]
    other = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    lines[10] = changed(lines[10], "header", digest, other)
    assert places(verify(lines)) == [
        (Code.PAYLOAD_MISMATCH, 11, 10),
        (Code.ROOT_MISMATCH, 21, 20),
    ]


@given(row=st.integers(1, 20), drawn=st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_flipped_bit_goes_unseen(
    ledger: Any, verify: Any, row: int, drawn: st.DataObject
) -> None:
    lines = [json.dumps(line).encode() for line in ledger.lines(leaves=True)]
    meaning = json.loads(lines[row])
    place = drawn.draw(st.integers(0, len(lines[row]) - 1))
    bit = drawn.draw(st.integers(0, 7))
    raw = bytearray(lines[row])
    raw[place] ^= 1 << bit
    lines[row] = bytes(raw)
    try:
        harmless = json.loads(lines[row]) == meaning  # such as another kind of white space
    except ValueError:
        harmless = False
    report = verify(lines)
    assert report.ok == harmless
    if not harmless:
        assert min(finding.line or 99 for finding in report.findings) == row + 1


@pytest.mark.parametrize("row", [1, 10])
def test_a_row_removed(ledger: Any, verify: Any, row: int) -> None:
    lines = ledger.lines()
    del lines[row]
    report = verify(lines)
    assert (Code.SEQUENCE_GAP, row + 1, row + 1) == places(report)[0]
    assert Code.TENANT_GAP in {finding.code for finding in report.findings}
    assert places(report)[-1] == (Code.TAIL_CUT, None, 20)
    assert report.entries == 19


def test_the_last_row_removed(ledger: Any, verify: Any) -> None:
    assert places(verify(ledger.lines()[:-1])) == [(Code.TAIL_CUT, None, 20)]


def test_two_rows_swapped(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    lines[5], lines[6] = lines[6], lines[5]
    assert places(verify(lines)) == [
        (Code.SEQUENCE_GAP, 6, 6),
        (Code.SEQUENCE_ORDER, 7, 5),
        (Code.SEQUENCE_GAP, 8, 7),
        (Code.ROOT_MISMATCH, 21, 20),
    ]


def test_a_row_repeated(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    lines.insert(6, lines[5])
    found = places(verify(lines))
    assert (Code.SEQUENCE_ORDER, 7, 5) in found
    assert (Code.NOT_COVERED, 22, 21) in found


def test_a_row_added_behind_the_head(ledger: Any, verify: Any) -> None:
    head = ledger.head()
    ledger.add("aa")
    lines = ledger.lines()
    lines[0]["head"] = head
    assert places(verify(lines)) == [(Code.NOT_COVERED, 22, 21)]


def test_a_tail_cut_with_an_older_head_shows_by_a_known_head(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()[:16]
    lines[0]["head"] = ledger.head(15)
    assert verify(lines).ok  # nothing in the file can show it
    report = verify(lines, known_heads=[ledger.head(20)])
    assert places(report) == [(Code.TAIL_CUT, None, 16)]


def rewritten(ledger: Any, row: int) -> Any:
    """The ledger as an administrator makes it: one actor changed, everything hashed again."""
    twin = ledger.fork()
    header, salt, payload = twin.rows[row - 1]
    twin.rows[row - 1] = (header.replace(b"usr_", b"usq_"), salt, payload)
    return twin


def test_a_rewritten_ledger_without_the_key(ledger: Any, verify: Any, signers: Any) -> None:
    twin = rewritten(ledger, 10)
    lines = twin.lines()
    old_signature = ledger.head().split("\n\n")[1]
    lines[0]["head"] = twin.text() + "\n" + old_signature
    assert places(verify(lines)) == [(Code.HEAD_SIGNATURE, 1, None)]
    twin.signer = signers(seed="administrator")
    assert places(verify(twin.lines())) == [
        (Code.WRONG_KEY, 1, None),
        (Code.HEAD_SIGNATURE, 1, None),
    ]


def test_a_rewritten_ledger_with_the_key_shows_by_a_known_head(ledger: Any, verify: Any) -> None:
    lines = rewritten(ledger, 10).lines()
    assert verify(lines).ok  # which is why heads are kept elsewhere
    assert verify(lines, known_heads=[ledger.head(9)]).ok
    report = verify(lines, known_heads=[ledger.head(15)])
    assert places(report) == [(Code.ROOT_MISMATCH, 16, 15)]


def test_a_rewritten_ledger_with_another_key_shows_without_a_pinned_one(
    ledger: Any, write: Any, signers: Any
) -> None:
    twin = rewritten(ledger, 10)
    twin.signer = signers(seed="administrator")
    file = write(twin.lines())
    report = verify_export(file, pinned_key=None, pinned_origin=None, known_heads=[ledger.head(15)])
    assert places(report) == [(Code.HEAD_SIGNATURE, None, None), (Code.ROOT_MISMATCH, 16, 15)]


def test_a_forked_history(ledger: Any, verify: Any) -> None:
    fork = ledger.fork()
    fork.rows = fork.rows[:12]
    for number in range(12, 20):
        fork.add("aa", actor="usr_other", tenant_sequence=5 + number - 12)
    assert verify(fork.lines()).ok
    report = verify(fork.lines(), known_heads=[ledger.head(12), ledger.head(14)])
    assert places(report) == [(Code.ROOT_MISMATCH, 15, 14)]
    assert "one of 13 to 14" in report.findings[0].what


def test_nothing_pinned_is_said_plainly(ledger: Any, write: Any) -> None:
    report = verify_export(write(ledger.lines()), pinned_key=None, pinned_origin=None)
    assert report.ok
    assert not report.pinned
    assert [warning.code for warning in report.warnings] == [
        Code.NO_PINNED_KEY,
        Code.NO_PINNED_ORIGIN,
    ]


def test_another_origin(empty_ledger: Any, ledger: Any, verify: Any) -> None:
    stranger = empty_ledger(origin="audit.example.org/other")
    stranger.add("cc")
    assert places(verify(stranger.lines())) == [(Code.WRONG_ORIGIN, 1, None)]
    lines = stranger.lines()
    lines[0]["origin"] = ORIGIN  # the file says one thing, what was signed another
    assert places(verify(lines)) == [(Code.WRONG_ORIGIN, 1, None)]
    assert places(verify(ledger.lines(), known_heads=[stranger.head()])) == [
        (Code.WRONG_ORIGIN, None, None),
        (Code.ROOT_MISMATCH, 2, 1),
    ]


def test_a_known_head_that_nobody_signed(ledger: Any, verify: Any, signers: Any) -> None:
    forged = signers(seed="forger").note(ledger.text(5))
    report = verify(ledger.lines(), known_heads=[forged])
    assert places(report) == [(Code.HEAD_SIGNATURE, None, None)]


def test_a_key_rotated_and_a_witness(ledger: Any, verify: Any, signers: Any) -> None:
    lines = ledger.lines()
    lines[0]["head"] = signers(seed="next").note(ledger.text()) + ledger.signer.line(ledger.text())
    assert verify(lines).ok


def test_blanked_payloads_are_counted(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    for row in (3, 4):
        lines[row] |= {"salt": None, "payload": None}
    report = verify(lines)
    assert (report.ok, report.entries, report.blanked) == (True, 20, 2)


def test_a_header_is_checked_though_its_payload_was_blanked(ledger: Any, verify: Any) -> None:
    lines = ledger.lines(leaves=True)
    lines[3] = changed(lines[3], "header", "usr_", "usq_") | {"salt": None, "payload": None}
    assert places(verify(lines))[0] == (Code.LEAF_MISMATCH, 4, 3)


def test_a_salt_left_behind_is_a_warning(ledger: Any, verify: Any) -> None:
    lines = ledger.lines()
    lines[3]["payload"] = None
    report = verify(lines)
    assert report.ok
    assert [(w.code, w.line, w.sequence) for w in report.warnings] == [(Code.SALT_KEPT, 4, 3)]


@pytest.mark.parametrize("salt", [None, "AAAA"])
def test_a_payload_without_its_salt(ledger: Any, verify: Any, salt: str | None) -> None:
    lines = ledger.lines()
    lines[3]["salt"] = salt
    assert places(verify(lines)) == [(Code.PAYLOAD_UNVERIFIABLE, 4, 3)]


def test_time_that_goes_backwards_is_noted(empty_ledger: Any, verify: Any) -> None:
    made = empty_ledger()
    made.add(at="2015-07-01T00:00:02.000000Z")
    made.add(at="2015-07-01T00:00:01.999999Z")
    report = verify(made.lines())
    assert report.ok
    assert [(w.code, w.line, w.sequence) for w in report.warnings] == [(Code.TIME_BACKWARDS, 3, 2)]


def test_a_gap_in_a_tenants_numbers(empty_ledger: Any, verify: Any) -> None:
    made = empty_ledger()
    for tenant_sequence in (1, 3, 4):
        made.add("aa", tenant_sequence=tenant_sequence)
    made.add("bb", tenant_sequence=2)
    assert places(verify(made.lines())) == [(Code.TENANT_GAP, 3, 2), (Code.TENANT_GAP, 5, 4)]


def test_an_unknown_version_is_refused(empty_ledger: Any, verify: Any) -> None:
    made = empty_ledger()
    for version in (1, 2, "1", 1.0, True, None):
        made.add(v=version)
    found = places(verify(made.lines()))
    assert found[:5] == [(Code.UNKNOWN_VERSION, row + 1, row) for row in range(2, 7)]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_ledger(empty_ledger: Any, tmp_path: Path) -> None:
    peaks = []
    for count in (500, 5000):
        made = empty_ledger()
        for number in range(count):
            made.add((None, "aa", "bb")[number % 3])
        file = tmp_path / f"{count}.jsonl"
        with file.open("w") as out:
            for line in made.lines():
                out.write(json.dumps(line) + "\n")
        tracemalloc.start()
        assert verify_export(file, pinned_key=made.signer.vkey, pinned_origin=ORIGIN).ok
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000
