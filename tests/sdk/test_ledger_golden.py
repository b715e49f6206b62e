"""Exports as format 1 was released must be read by every later verifier; and the page is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from trimtab.sdk.ledger import Code, verify_export

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden" / "ledger"
PAGE = TESTS.parent / "docs" / "reference" / "ledger.md"
ORIGIN = "audit.example.org/trimtab"
KEY = f"{ORIGIN}+3fbf33a3+AVRZMGjW3aatsZJ3kt4kBQwRtSG+D7Xoin7uFC8a/SuJ"
HEAD_OF_8 = (
    f"{ORIGIN}\n8\n11QKHkWsO6Rc/Es/H0sdFxytahQJuEjthcK+Nl3ooTA=\n\n"
    f"— {ORIGIN} P78zo0ItMtzgKXQd08/B3pgCKWZ7KJOyzuLEHsmjGVvMMZ2ILfIk03QvK6vD3KSqMBpaNchu/66keQx1"
    "y2O7D2vSwgU=\n"
)
FROM_8_TO_20 = [
    bytes.fromhex("aca9e2460166d9c448dc8782591703feb8116d185a67b096762f9f2aee0a4975"),
    bytes.fromhex("6578bdd6fe9f90f605e21e14d64ff5f30ee62bdf0f730ff0f3dcf5f455ef5f83"),
]


def test_the_golden_export() -> None:
    report = verify_export(
        GOLDEN / "v1.jsonl", pinned_key=KEY, pinned_origin=ORIGIN, known_heads=[HEAD_OF_8]
    )
    assert report.ok
    assert report.pinned
    assert (report.entries, report.blanked, report.head_size) == (20, 2, 20)
    assert report.root is not None
    assert report.root.hex() == "c3347a8be39cee1b8cfa7b17498e414f563f5f97e71f9e637e47a189daa8e303"
    assert [(w.code, w.line, w.sequence) for w in report.warnings] == [
        (Code.TIME_BACKWARDS, 20, 19)
    ]


def test_the_golden_export_of_a_tenant() -> None:
    report = verify_export(
        GOLDEN / "v1-tenant.jsonl",
        pinned_key=KEY,
        pinned_origin=ORIGIN,
        known_heads=[HEAD_OF_8],
        consistency_proofs={8: FROM_8_TO_20},
    )
    assert report.ok
    assert (report.entries, report.blanked, report.head_size) == (4, 1, 20)
    assert [warning.code for warning in report.warnings] == [Code.END_OF_TENANT]


def test_every_code_is_on_the_page_and_no_other() -> None:
    section = PAGE.read_text().split("## What the verifier says")[1].split("Which finding")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(Code)


def test_the_verifier_stands_alone() -> None:
    script = (
        "import sys, trimtab.sdk.ledger\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('trimtab.')}\n"
        "assert rooms == {'sdk', 'kernel'}, rooms\n"
        "assert not {'numpy', 'pydantic', 'sqlalchemy', 'httpx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
