"""Records held to the rules: what is met, what is a gap, and what cannot be told.

A rule that is met says that the record shows what the rule asks for. It does not say that a law
is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.inventory.conditions import Answer, answer, fields_of, told, value_of
from trimtab.inventory.record import Origin, Record
from trimtab.inventory.rulebook import Framework, Regulation, Rule, Rulebook, Severity
from trimtab.inventory.waivers import Waiver, holds
from trimtab.kernel.clock import parse_iso
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.events import plain

_EXAMPLES_AT_MOST = 5
_YES = frozenset((Answer.YES,))
_NO = frozenset((Answer.NO,))
_UNTOLD = frozenset((Answer.ABSENT, Answer.UNKNOWN))


class Outcome(StrEnum):
    """What a rule comes to on a record."""

    PASS = "pass"
    """The record shows what is demanded."""
    FAIL = "fail"
    """A gap: the record shows that it is not so, or nobody says."""
    INCONCLUSIVE = "inconclusive"
    """It cannot be told; the sentence says what is missing."""
    WAIVED = "waived"
    """A gap, and a waiver that holds."""
    NOT_APPLICABLE = "not_applicable"
    """The rule does not ask this of the record."""


@dataclass(frozen=True)
class Pointer:
    """Where the evidence of a rule stands in the registry; without an origin nobody says."""

    field: str
    origin: Origin | None = None
    key: str = ""
    claim: bool = False


@dataclass(frozen=True)
class Judged:
    """A rule on a record. `sentence` says what the record shows; `missing` are the fields that
    would have to be known; `waiver` the id of the one that holds."""

    rule: str
    version: int
    title: str
    severity: Severity
    outcome: Outcome
    sentence: str
    evidence: tuple[Pointer, ...]
    regulations: tuple[Regulation, ...]
    remedy: str
    missing: tuple[str, ...] = ()
    waiver: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """All rules on a record, by which rulebook, and when."""

    model: str
    version: int
    rulebook: str
    digest: str
    at: datetime
    results: tuple[Judged, ...]

    def of(self, *outcomes: Outcome) -> tuple[Judged, ...]:
        """The results with one of these outcomes."""
        return tuple(result for result in self.results if result.outcome in outcomes)

    def plain(self) -> dict[str, Any]:
        """As it is kept, in JSON types."""
        kept: dict[str, Any] = plain(self)
        return kept

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Evaluation:
        """What `plain` has made."""
        results = tuple(_judged(result) for result in kept["results"])
        return cls(**{**kept, "at": parse_iso(kept["at"]), "results": results})


def evaluate(
    record: Record, rulebook: Rulebook, waivers: Sequence[Waiver], now: datetime
) -> Evaluation:
    """Hold `record` to each rule.

    Args:
        record: The record; the one rulebook is for all stages, and each rule says for which.
        rulebook: The rules.
        waivers: Those of the tenant whose record it is, expired ones too: they count for nothing.
        now: When.

    Raises:
        InvalidInput: the waivers are of more than one tenant.
    """
    if len({waiver.tenant for waiver in waivers}) > 1:
        raise InvalidInput(
            "the waivers are of more than one tenant",
            field="waivers",
            remedy="Give those of the tenant whose record it is.",
        )
    results = tuple(_judge(rule, record, rulebook, waivers, now) for rule in rulebook.rules)
    return Evaluation(record.model, record.version, rulebook.version, rulebook.digest, now, results)


@dataclass(frozen=True)
class _Stand:
    """How a record stands by a rule: whether it applies, what that comes to without waivers,
    and the waiver that holds."""

    applies: Answer
    unwaived: Outcome
    waiver: str | None

    @property
    def outcome(self) -> Outcome:
        return self.unwaived if self.waiver is None else Outcome.WAIVED


def _stand(
    rule: Rule, record: Record, rulebook: Rulebook, waivers: Sequence[Waiver], now: datetime
) -> _Stand:
    applies = Answer.YES if rule.when is None else answer(rule.when, record)
    outcome = _outcome(applies, answer(rule.require, record))
    if outcome is not Outcome.FAIL:
        return _Stand(applies, outcome, None)
    held = (w.id for w in waivers if holds(w, rule, record, rulebook, now))
    return _Stand(applies, outcome, next(held, None))


def _judge(
    rule: Rule, record: Record, rulebook: Rulebook, waivers: Sequence[Waiver], now: datetime
) -> Judged:
    stand = _stand(rule, record, rulebook, waivers, now)
    return Judged(
        rule=rule.id,
        version=rule.version,
        title=rule.title,
        severity=rule.severity,
        outcome=stand.outcome,
        sentence=_sentence(rule, record, stand.applies, stand.unwaived),
        evidence=tuple(_pointer(name, record) for name in rule.evidence),
        regulations=rule.regulations,
        remedy=rule.remedy,
        missing=_missing(rule, record) if stand.unwaived in _OPEN else (),
        waiver=stand.waiver,
    )


_OPEN = (Outcome.FAIL, Outcome.INCONCLUSIVE)


def _outcome(applies: Answer, met: Answer) -> Outcome:
    if applies is Answer.NO:
        return Outcome.NOT_APPLICABLE
    if met is Answer.YES:
        return Outcome.PASS  # whether it is demanded or not
    if applies is not Answer.YES or met is Answer.UNKNOWN:
        return Outcome.INCONCLUSIVE
    return Outcome.FAIL


def _sentence(rule: Rule, record: Record, applies: Answer, outcome: Outcome) -> str:
    if rule.when is not None and outcome is Outcome.NOT_APPLICABLE:
        return f"Does not apply: {'; '.join(told(rule.when, record, _NO))}."
    if rule.when is not None and outcome is Outcome.INCONCLUSIVE and applies is not Answer.YES:
        why = "; ".join(told(rule.when, record, _UNTOLD))
        return f"{rule.sentence} It cannot be told whether this applies: {why}."
    said = told(rule.require, record, _YES if outcome is Outcome.PASS else _NO | _UNTOLD)
    return f"{rule.sentence} Here {'; '.join(said)}." if said else rule.sentence


def _pointer(name: str, record: Record) -> Pointer:
    known, _value = value_of(name, record)
    return Pointer(name, known.origin, known.key, known.claim and known.value is not None)


def _missing(rule: Rule, record: Record) -> tuple[str, ...]:
    """The fields that the rule asks about and that have no value."""
    asked = (*(fields_of(rule.when) if rule.when else ()), *fields_of(rule.require))
    return tuple(name for name in dict.fromkeys(asked) if value_of(name, record)[1] is None)


@dataclass(frozen=True)
class Readiness:
    """How many results of rules that refer to a framework came to what, over versions: counts,
    because no share of rules is a degree of compliance. Rules that did not apply are left out."""

    framework: Framework
    passed: int = 0
    gaps: int = 0
    waived: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Move:
    """Versions whose outcome of a rule would be another; None: the rule is not there."""

    before: Outcome | None
    after: Outcome | None
    versions: int
    examples: tuple[tuple[str, int], ...]
    """Model and version of the first few."""


@dataclass(frozen=True)
class Change:
    """What would become of one rule."""

    rule: str
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Preview:
    """What would change if one rulebook took the place of another. Rules by which no version's
    outcome changes are left out of `changes`."""

    before: str
    after: str
    versions: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changes: tuple[Change, ...]


@dataclass
class _Tally:
    versions: int = 0
    examples: list[tuple[str, int]] = field(default_factory=list)


def preview(
    records: Iterable[tuple[Record, Sequence[Waiver]]],
    before: Rulebook,
    after: Rulebook,
    *,
    now: datetime,
) -> Preview:
    """What would change on `records`, each of which is looked at once and not kept, with the
    waivers that there are for it."""
    tallies: dict[tuple[str, Outcome | None, Outcome | None], _Tally] = defaultdict(_Tally)
    others = _others(before, after)
    versions = 0
    for record, waivers in records:
        versions += 1
        for rule, (one, other) in others.items():
            old = None if one is None else _stand(one, record, before, waivers, now).outcome
            new = None if other is None else _stand(other, record, after, waivers, now).outcome
            if old is not new:
                tally = tallies[rule, old, new]
                tally.versions += 1
                if len(tally.examples) < _EXAMPLES_AT_MOST:
                    tally.examples.append((record.model, record.version))
    moves: dict[str, list[Move]] = defaultdict(list)
    for (rule, was, will), tally in tallies.items():
        moves[rule].append(Move(was, will, tally.versions, tuple(tally.examples)))
    known, wanted = ({rule.id for rule in book.rules} for book in (before, after))
    return Preview(
        before=before.digest,
        after=after.digest,
        versions=versions,
        added=tuple(sorted(wanted - known)),
        removed=tuple(sorted(known - wanted)),
        changes=tuple(
            Change(rule, tuple(sorted(found, key=lambda move: -move.versions)))
            for rule, found in sorted(moves.items())
        ),
    )


def _others(before: Rulebook, after: Rulebook) -> dict[str, tuple[Rule | None, Rule | None]]:
    """The rules that are not the same in both, as each of them has it; by what is the same in
    both everybody stands as they did, unless waivers may last longer or shorter."""
    names = dict.fromkeys(rule.id for book in (before, after) for rule in book.rules)
    alike = before.max_waiver_days == after.max_waiver_days
    pairs = {name: (before.rule(name), after.rule(name)) for name in names}
    return {name: (was, will) for name, (was, will) in pairs.items() if not alike or was != will}


def _judged(kept: Mapping[str, Any]) -> Judged:
    return Judged(
        **{
            **kept,
            "severity": Severity(kept["severity"]),
            "outcome": Outcome(kept["outcome"]),
            "evidence": tuple(_pointed(said) for said in kept["evidence"]),
            "regulations": tuple(
                Regulation(Framework(said["framework"]), said["reference"])
                for said in kept["regulations"]
            ),
            "missing": tuple(kept["missing"]),
        }
    )


def _pointed(kept: Mapping[str, Any]) -> Pointer:
    origin = kept["origin"]
    return Pointer(**{**kept, "origin": None if origin is None else Origin(origin)})
