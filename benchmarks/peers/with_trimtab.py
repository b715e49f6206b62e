"""Ours: both files from scratch, or the second against a profile of the first."""

from __future__ import annotations

from pathlib import Path

from benchmarks.drift import against_stored, from_scratch
from benchmarks.peers import timed


def look(reference: str, current: str, method: str) -> set[str]:
    """Columns that have changed, by the preset `standard`."""
    compare = from_scratch if method == "files" else against_stored
    return {look.feature for look in compare(Path(reference), Path(current)).affected}


timed.main("trimtab", look, "files")
