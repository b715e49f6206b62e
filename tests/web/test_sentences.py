"""Every kind of entry has words of its own on the pages."""

from __future__ import annotations

import re
from pathlib import Path

from trimtab.incidents import sentences as of_incidents
from trimtab.inventory import model
from trimtab.kernel.events import Event
from trimtab.web import inventory_sentences, sentences

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
SELDOM_READ = {"remediation.heartbeat"}
"""What says no more than its name."""
HOSTILE = "<b>\u202e\n"


def test_every_kind_of_entry_has_a_sentence() -> None:
    known = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", REFERENCE.read_text(), re.MULTILINE))
    assert len(known) > 50
    assert known - sentences._SENTENCES.keys() - of_incidents._SENTENCES.keys() == SELDOM_READ


def test_every_kind_of_entry_about_other_registries_is_told_whatever_it_holds() -> None:
    kinds = {each.kind for each in vars(model).values() if isinstance(each, type)
             and issubclass(each, Event)} - {""}  # fmt: skip
    assert len(kinds) > 15
    for kind in kinds:
        for data in ({}, dict.fromkeys(("model", "name", "why", "url", "identity"), HOSTILE)):
            said = inventory_sentences.SENTENCES[kind](data)
            assert said
            assert "\u202e" not in said
            assert "\n" not in said
