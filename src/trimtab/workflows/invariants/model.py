"""An invariant: a sentence that is true of the records, and what finds where it is not.

A check is pure: it reads a snapshot and says what is wrong in it. It trusts no row because of
who wrote it; what the services guard when they write is compared here after they have written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trimtab.workflows.invariants.look import Look


@dataclass(frozen=True)
class Found:
    """Something that is not as it must be: a sentence, and the ids that it is about."""

    what: str
    ids: tuple[str, ...]


Check = Callable[[Look], Iterable[Found]]


@dataclass(frozen=True)
class Invariant:
    """A name in plain words, the sentence that must be true, and what looks for exceptions."""

    name: str
    sentence: str
    check: Check


@dataclass(frozen=True)
class Violation:
    """An exception to an invariant."""

    invariant: str
    what: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what} ({', '.join(self.ids)})"
