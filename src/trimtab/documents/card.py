"""What is known of one version of a model, as every kind of document tells it.

A card knows no registry and no rule: it holds sentences and numbers that are ready to be shown,
each with the place that it was read from. What strangers have written stands in it as it is;
whoever draws a card makes it safe for the form that it is drawn in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.kernel.events import plain

FORMAT = "trimtab.card/1"


class Tone(StrEnum):
    """What a colour stands for; a word and a shape say the same."""

    GOOD = "good"
    WAIT = "wait"
    BAD = "bad"
    PLAIN = "plain"


_WORST_FIRST = (Tone.BAD, Tone.WAIT, Tone.GOOD, Tone.PLAIN)
_HEAVIEST_FIRST = ("critical", "high", "medium", "low")


class Shape(StrEnum):
    """The signs that stand beside words."""

    DISC = "disc"
    RING = "ring"
    HALF = "half"
    CROSS = "cross"
    TRIANGLE = "triangle"
    DASH = "dash"


@dataclass(frozen=True)
class Badge:
    """A state in a word, a shape and a tone. `about` names what has the state, where that is not
    plain from the place; `why` is a sentence."""

    word: str
    shape: Shape
    tone: Tone
    about: str = ""
    why: str = ""


@dataclass(frozen=True)
class Source:
    """Where a statement was read: `model version`, `tags.owner`, when the source says that it
    held, and the text that it was made from, where it is not shown as it was written."""

    origin: str
    key: str = ""
    at: datetime | None = None
    coerced_from: str | None = None


@dataclass(frozen=True)
class Statement:
    """What is known of one thing. `name` is stable, `label` is for people. Without `values` there
    is a `gap`, a sentence that says why. `claim`: somebody says so, nobody has measured it."""

    name: str
    label: str
    values: tuple[str, ...] = ()
    source: Source | None = None
    gap: str | None = None
    claim: bool = False


@dataclass(frozen=True)
class Section:
    """Statements that are read together."""

    title: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Rule:
    """What a rule says of this version: its outcome, the sentence with the values, what to do,
    and what in law or standard asks for it. `waived` says who has set it aside, and until when;
    `severity` how much a gap of it weighs, empty where nobody says."""

    id: str
    title: str
    outcome: Badge
    sentence: str
    remedy: str = ""
    references: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    waived: str | None = None
    severity: str = ""


@dataclass(frozen=True)
class Metric:
    """A measured number; `invalid` says what stood there where it was none (`nan`, `inf`)."""

    name: str
    value: float | int | None
    invalid: str | None = None
    step: int | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of the training, as text."""

    name: str
    value: str


@dataclass(frozen=True)
class Dataset:
    """Data that a version was made with; what is "" is not known."""

    name: str
    digest: str = ""
    kind: str = ""
    source: str = ""
    context: str = ""


@dataclass(frozen=True)
class Library:
    """A package that a version needs. `version` only where it is pinned to one; `asked` is what
    the environment asks for, as it is written there."""

    name: str
    version: str | None = None
    asked: str = ""


@dataclass(frozen=True)
class File:
    """A file of a version. Sizes in bytes; what is None was not seen. `result` is that of its
    inspection."""

    path: str
    size: int | None
    result: Badge
    sha256: str | None = None
    format: str | None = None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Oddity:
    """What is odd about a record, in a word and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True)
class Card:
    """All that is known of a version.

    `as_of` is the moment whose knowledge this is, and the only date of every document that is
    made from a card: the same card is the same bytes. `made_by` names the program. `incomplete`
    says what could not be read; `files_cut` that there are more files than are listed.
    """

    model: str
    version: str
    registry: str
    address: str
    as_of: datetime
    made_by: str
    rulebook: str
    badges: tuple[Badge, ...] = ()
    sections: tuple[Section, ...] = ()
    rules: tuple[Rule, ...] = ()
    metrics: tuple[Metric, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    python: str | None = None
    libraries: tuple[Library, ...] = ()
    files: tuple[File, ...] = ()
    files_cut: str | None = None
    oddities: tuple[Oddity, ...] = ()
    incomplete: str | None = None

    def statements(self) -> Iterator[Statement]:
        """Those of all sections, in order."""
        for section in self.sections:
            yield from section.statements

    def said(self, name: str) -> Statement | None:
        """The statement of this stable name; None: the card has none."""
        return next((one for one in self.statements() if one.name == name), None)

    def unmet(self) -> tuple[Rule, ...]:
        """Rules that are not known to be kept: gaps, waived ones, and what cannot be told."""
        return tuple(rule for rule in self.rules if rule.outcome.tone in {Tone.BAD, Tone.WAIT})

    def worst_first(self) -> tuple[Rule, ...]:
        """All rules: gaps, what cannot be told and what is waived, what is kept, what does not
        apply; what weighs most first among each."""
        tones, weights = list(_WORST_FIRST), list(_HEAVIEST_FIRST)

        def place(rule: Rule) -> tuple[int, int]:
            known = rule.severity in weights
            weight = weights.index(rule.severity) if known else len(weights)
            return tones.index(rule.outcome.tone), weight

        return tuple(sorted(self.rules, key=place))

    def plain(self) -> dict[str, Any]:
        """The card in JSON types, with the source of every statement."""
        told: dict[str, Any] = plain(self)
        return {"format": FORMAT, **told}
