"""Every kind of entry has words of its own on the pages."""

from __future__ import annotations

import re
from pathlib import Path

from trimtab.incidents import sentences as of_incidents
from trimtab.web import sentences

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
SELDOM_READ = {"remediation.heartbeat"}
"""What says no more than its name."""


def test_every_kind_of_entry_has_a_sentence() -> None:
    known = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", REFERENCE.read_text(), re.MULTILINE))
    assert len(known) > 50
    assert known - sentences._SENTENCES.keys() - of_incidents._SENTENCES.keys() == SELDOM_READ
