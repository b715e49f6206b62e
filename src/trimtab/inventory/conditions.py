"""Conditions over a record as data: a few words, no expressions, and four answers.

{field: owner, op: known}
{field: risk_category, op: in, value: [high], rules_out: [limited, minimal]}
{finding: run_missing}
{all: [...]}, {any: [...]}, {not: ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trimtab.artifacts.redaction import shown
from trimtab.inventory.record import FIELDS, Known, Record
from trimtab.inventory.strict import demand_name
from trimtab.policies.reading import Document, Path

PARTS: Mapping[str, tuple[str, ...]] = {
    "runtime_environment": ("pinned",),
    "artifact_manifest": ("result",),
}
"""What can be asked of the inside of a field. It is not yet known where the field is there and
this is not: a file that was not inspected is not clean."""

NAMES: tuple[str, ...] = (
    *FIELDS,
    *(f"{field}.{part}" for field, parts in PARTS.items() for part in parts),
)


class Answer(StrEnum):
    """What a condition comes to."""

    YES = "yes"
    NO = "no"
    ABSENT = "absent"
    """Nobody says. A demand is not met by it, and nothing is ruled out by it."""
    UNKNOWN = "unknown"
    """It cannot be told: not read, not inspected, malformed, or in words that decide nothing."""


_ALL = (Answer.NO, Answer.ABSENT, Answer.UNKNOWN, Answer.YES)
_ANY = (Answer.YES, Answer.UNKNOWN, Answer.ABSENT, Answer.NO)
_NAMED_AT_MOST = 3
_FORMS = ("field", "finding", "unsettled_by", "all", "any", "not")
_OPPOSITE = {Answer.YES: Answer.NO, Answer.NO: Answer.YES}


class Op(StrEnum):
    """What can be asked of a field."""

    KNOWN = "known"
    """It has a value."""
    IN = "in"
    """Its value, or one of its values, is one of these words."""
    IS = "is"
    """It is exactly this: a truth value, a number or a text."""
    CONTAINS = "contains"
    """Its text has one of these in it, whatever the case."""
    MEASURED = "measured"
    """At least one of its metrics has a finite value."""


_WITH_WORDS = frozenset((Op.IN, Op.CONTAINS))
_ALLOWED: Mapping[Op, tuple[str, ...]] = {
    Op.KNOWN: ("field", "op"),
    Op.MEASURED: ("field", "op"),
    Op.IS: ("field", "op", "value"),
    Op.CONTAINS: ("field", "op", "value"),
    Op.IN: ("field", "op", "value", "rules_out"),
}


@dataclass(frozen=True)
class Ask:
    """A question about one field. `rules_out` are values that answer an `in` with no; where
    there are some, any other value that is not asked for decides nothing."""

    field: str
    op: Op
    value: tuple[str, ...] = ()
    exactly: bool | int | float | str | None = None
    rules_out: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Seen:
    """Whether the record has a finding of this code."""

    finding: str


@dataclass(frozen=True)
class Unsettled:
    """Met, unless the record has a finding of this code: then it cannot be told."""

    finding: str


@dataclass(frozen=True)
class Both:
    """All of these, or any of them."""

    every: bool
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The opposite; what cannot be told stays so."""

    inner: Condition


Condition = Ask | Seen | Unsettled | Both | Not


def parse(document: Document, path: Path, findings: Sequence[str]) -> Condition:
    """The condition that stands at `path` of `document`.

    Args:
        document: What was read.
        path: Where in it.
        findings: The codes of findings that there are.

    Raises:
        InvalidInput: an unknown word, field, op or finding, with its place and the nearest one.
    """
    said = _at(document, path)
    if not isinstance(said, dict) or not said:
        document.refuse(path, f"a condition is one of {', '.join(_FORMS)}")
    if "field" in said:
        return _ask(document, path, said)
    if len(said) != 1:
        document.refuse(path, f"a condition is one of {', '.join(_FORMS)}")
    (word, inner), *_ = said.items()
    demand_name(document, (*path, word), word, _FORMS, "a condition")
    if word in ("finding", "unsettled_by"):
        demand_name(document, (*path, word), str(inner), findings, "a finding")
        return Seen(str(inner)) if word == "finding" else Unsettled(str(inner))
    if word == "not":
        return Not(parse(document, (*path, "not"), findings))
    if not isinstance(inner, list) or not inner:
        document.refuse((*path, word), f"{word} is a list of conditions, not empty")
    parts = tuple(parse(document, (*path, word, n), findings) for n in range(len(inner)))
    return Both(word == "all", parts)


def _at(document: Document, path: Path) -> Any:
    found: Any = document.data
    for part in path:
        found = found[part]
    return found


def _ask(document: Document, path: Path, said: Mapping[str, Any]) -> Ask:
    demand_name(document, (*path, "field"), str(said["field"]), NAMES, "a field of a record")
    if "op" not in said:
        document.refuse(path, "op is missing", remedy=f"Give one of {', '.join(Op)}.")
    demand_name(document, (*path, "op"), str(said["op"]), tuple(Op), "an op")
    op = Op(str(said["op"]))
    for key in said:
        demand_name(document, (*path, key), key, _ALLOWED[op], f"a key of the op {op.value}")
    if len(_ALLOWED[op]) > 2 and "value" not in said:
        document.refuse(path, f"value is missing, which the op {op.value} needs")
    rules_out = said.get("rules_out")
    words = _words(document, (*path, "value"), said["value"]) if op in _WITH_WORDS else ()
    exactly = said["value"] if op is Op.IS else None
    if isinstance(exactly, list | dict):
        document.refuse((*path, "value"), "the op is compares with one value")
    return Ask(
        field=str(said["field"]),
        op=op,
        value=words,
        exactly=exactly,
        rules_out=None
        if rules_out is None
        else _words(document, (*path, "rules_out"), rules_out, may_be_empty=True),
    )


def _words(
    document: Document, path: Path, said: Any, *, may_be_empty: bool = False
) -> tuple[str, ...]:
    fits = isinstance(said, list) and all(isinstance(word, str) for word in said)
    if not fits or not (said or may_be_empty):
        empty = "" if may_be_empty else ", not empty"
        document.refuse(path, f"a list of words is expected{empty}")
    return tuple(said)


def answer(condition: Condition, record: Record) -> Answer:
    """What `condition` comes to on `record`."""
    match condition:
        case Ask():
            return _asked(condition, record)
        case Seen(code):
            return _yes(_has(code, record))
        case Unsettled(code):
            return Answer.UNKNOWN if _has(code, record) else Answer.YES
        case Not(inner):
            found = answer(inner, record)
            return _OPPOSITE.get(found, found)
        case Both(every, parts):
            answers = {answer(part, record) for part in parts}
            return next(found for found in (_ALL if every else _ANY) if found in answers)


def fields_of(condition: Condition) -> tuple[str, ...]:
    """The names that `condition` asks about, each once, in their order."""
    match condition:
        case Ask(field):
            return (field,)
        case Seen() | Unsettled():
            return ()
        case Not(inner):
            return fields_of(inner)
        case Both(_, parts):
            return tuple(dict.fromkeys(name for part in parts for name in fields_of(part)))


def value_of(name: str, record: Record) -> tuple[Known, Any]:
    """A field of `record`, and the value under `name`, which may be a part of it."""
    field, _, part = name.partition(".")
    known = record.fields[field]
    if not part:
        return known, known.value
    return known, known.value.get(part) if isinstance(known.value, Mapping) else None


def _has(code: str, record: Record) -> bool:
    return any(finding.code == code for finding in record.findings)


def _asked(ask: Ask, record: Record) -> Answer:
    known, value = value_of(ask.field, record)
    if known.value is None:
        if known.fault is not None:
            return Answer.UNKNOWN
        return Answer.NO if ask.op is Op.KNOWN else Answer.ABSENT
    if value is None:
        return Answer.UNKNOWN
    return _compared(ask, value)


def _compared(ask: Ask, value: Any) -> Answer:
    match ask.op:
        case Op.KNOWN:
            return _yes(value not in ([], {}, ""))
        case Op.MEASURED:
            return _yes(isinstance(value, Mapping) and any(map(_finite, value.values())))
        case Op.IS:
            return _yes(type(value) is type(ask.exactly) and value == ask.exactly)
        case Op.CONTAINS:
            text = str(value).casefold()
            return _yes(any(word.casefold() in text for word in ask.value))
        case Op.IN:
            values = value if isinstance(value, list) else [value]
            if any(item in ask.value for item in values):
                return Answer.YES
            if ask.rules_out is None or all(item in ask.rules_out for item in values):
                return Answer.NO
            return Answer.UNKNOWN


def _yes(found: bool) -> Answer:
    return Answer.YES if found else Answer.NO


def _finite(metric: Any) -> bool:
    return isinstance(metric, Mapping) and isinstance(metric.get("value"), int | float)


def told(condition: Condition, record: Record, answers: frozenset[Answer]) -> list[str]:
    """What `record` says to the questions of `condition`, in sentences without their stops.

    Args:
        condition: What is asked.
        record: Of whom.
        answers: Of several parts, only those that come to one of these are told.
    """
    match condition:
        case Ask():
            return [_sentence(condition, record)]
        case Seen(code) | Unsettled(code):
            return [f.detail for f in record.findings if f.code == code][:3]
        case Not(inner):
            return told(inner, record, frozenset(_OPPOSITE.get(one, one) for one in answers))
        case Both(_, parts):
            wanted = [part for part in parts if answer(part, record) in answers]
            lines = (line for part in wanted for line in told(part, record, answers))
            return list(dict.fromkeys(lines))


def _sentence(ask: Ask, record: Record) -> str:
    known, value = value_of(ask.field, record)
    if known.value is None:
        if known.fault is not None:
            return f"{ask.field} cannot be told: {shown(known.fault, 300)}"
        if known.coerced_from is not None:
            return f"nobody says {ask.field}: {shown(known.coerced_from)} stands in its place"
        return f"nobody says {ask.field}"
    if value is None:
        return f"{ask.field} is not known before the files are inspected"
    said = _short(value)
    unless = "" if _compared(ask, value) is not Answer.UNKNOWN else ", which decides nothing"
    if known.claim and known.key.startswith("tags."):
        return f"the tags claim that {ask.field} {said}{unless}"
    return f"{ask.field} {said}{unless}"


def _short(value: Any) -> str:
    """A value with its verb, in a few words; of what is many how much, and the first."""
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if isinstance(value, Mapping):
        value = value["files"] if "files" in value else list(value)
    if not isinstance(value, list):
        return f"is {shown(str(value), 80)}"
    named = [str(_name(item)) for item in value[:_NAMED_AT_MOST]]
    more = f" and {len(value) - len(named)} more" if len(value) > len(named) else ""
    return f"is {', '.join(shown(name, 60) for name in named)}{more}" if named else "is empty"


def _name(item: Any) -> Any:
    return item.get("path") or item.get("name") if isinstance(item, Mapping) else item
