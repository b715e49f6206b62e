"""A ledger of a million entries, altered as whoever holds the file could: each is found."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from benchmarks.verify import ORIGIN, write

from trimtab.sdk.ledger import verify_export
from trimtab.sdk.ledger_report import Code

ENTRIES = 1_000_000
MIDDLE = ENTRIES // 2

Line = bytes
Change = Callable[[int, Line], list[Line]]
"""What becomes of the line of an entry, by its sequence."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An export, and the key that its head is signed by."""
    folder = tmp_path_factory.mktemp("ledger")
    path = folder / "export.jsonl"
    key = write(folder / "body.jsonl", path, ENTRIES)
    (folder / "body.jsonl").unlink()
    return path, key


def flipped(line: Line) -> Line:
    """A bit of the payload is another."""
    place = line.index(b"psi_nats")
    return line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]


def hashed_again(line: Line) -> Line:
    """Another payload, with the digest that it has."""
    entry = json.loads(line)
    entry["payload"] = entry["payload"].replace('"verdict":"pass"', '"verdict":"fail"')
    header = json.loads(entry["header"])
    digest = sha256(b64decode(entry["salt"]) + entry["payload"].encode()).hexdigest()
    header["payload_digest"] = f"sha256:{digest}"
    entry["header"] = json.dumps(header, separators=(",", ":"), sort_keys=True)
    return json.dumps(entry).encode() + b"\n"


def without(sequence: int) -> Change:
    return lambda at, line: [] if at == sequence else [line]


def instead(sequence: int, change: Callable[[Line], Line]) -> Change:
    return lambda at, line: [change(line) if at == sequence else line]


def swapped(sequence: int) -> Change:
    held: list[Line] = []

    def change(at: int, line: Line) -> list[Line]:
        if at == sequence:
            held.append(line)
            return []
        return [line, held.pop()] if held else [line]

    return change


def until(sequence: int) -> Change:
    return lambda at, line: [line] if at <= sequence else []


@pytest.mark.parametrize(
    ("change", "code", "sequence"),
    [
        (instead(MIDDLE, flipped), Code.PAYLOAD_MISMATCH, MIDDLE),
        (without(1), Code.SEQUENCE_GAP, 2),
        (without(MIDDLE), Code.SEQUENCE_GAP, MIDDLE + 1),
        (without(ENTRIES), Code.TAIL_CUT, ENTRIES),
        (swapped(MIDDLE), Code.SEQUENCE_GAP, MIDDLE + 1),
        (until(MIDDLE), Code.TAIL_CUT, MIDDLE + 1),
        (instead(MIDDLE, hashed_again), Code.ROOT_MISMATCH, ENTRIES),
    ],
    ids=["a bit", "first", "middle", "last", "two swapped", "tail", "hashed again"],
)
def test_what_was_altered_is_found(
    export: tuple[Path, str], tmp_path: Path, change: Change, code: Code, sequence: int
) -> None:
    path, key = export
    altered = tmp_path / "altered.jsonl"
    with path.open("rb") as lines, altered.open("wb") as out:
        out.writelines(applied(change, lines))
    report = verify_export(altered, pinned_key=key, pinned_origin=ORIGIN)
    altered.unlink()
    assert not report.ok
    assert (code, sequence) in [(found.code, found.sequence) for found in report.findings]


def test_what_was_not_altered_is_whole(export: tuple[Path, str]) -> None:
    path, key = export
    report = verify_export(path, pinned_key=key, pinned_origin=ORIGIN)
    assert report.ok
    assert report.entries == ENTRIES


def applied(change: Change, lines: Iterator[Line]) -> Iterator[Line]:
    yield next(lines)  # who speaks, and the signed head
    for sequence, line in enumerate(lines, start=1):
        yield from change(sequence, line)
