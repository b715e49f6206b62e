"""The card of a version in somebody else's registry: what is known of it, how it stands by the
rules, what was found in its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trimtab import __version__
from trimtab.documents import cyclonedx, html, pdf
from trimtab.documents.card import (
    Badge,
    Card,
    Dataset,
    File,
    Library,
    Metric,
    Oddity,
    Parameter,
    Rule,
    Section,
    Shape,
    Tone,
)
from trimtab.documents.words import count, encodable
from trimtab.documents.words import source as said_source
from trimtab.inventory.compliance import Evaluation, Judged, Pointer
from trimtab.inventory.record import GROUPS, Known, Record, Stage
from trimtab.inventory.rulebook import Framework
from trimtab.kernel.errors import InvalidInput
from trimtab.workflows.card_fields import LABELS, TITLES, objects, source, statement, when

_OUTCOMES: Mapping[str, Badge] = {
    "pass": Badge("kept", Shape.DISC, Tone.GOOD),
    "fail": Badge("gap", Shape.CROSS, Tone.BAD),
    "inconclusive": Badge("cannot tell", Shape.HALF, Tone.WAIT),
    "waived": Badge("waived", Shape.RING, Tone.WAIT),
    "not_applicable": Badge("does not apply", Shape.DASH, Tone.PLAIN),
}
_RESULTS: Mapping[str, Badge] = {
    "clean": Badge("clean", Shape.DISC, Tone.GOOD),
    "suspicious": Badge("suspicious", Shape.HALF, Tone.WAIT),
    "malicious": Badge("malicious", Shape.CROSS, Tone.BAD),
    "unreadable": Badge("unreadable", Shape.TRIANGLE, Tone.WAIT),
}
_UNSEEN = Badge("not inspected", Shape.RING, Tone.PLAIN)
_STAGES: Mapping[Stage, Shape] = {
    Stage.DEVELOPMENT: Shape.RING,
    Stage.STAGING: Shape.HALF,
    Stage.PRODUCTION: Shape.DISC,
    Stage.ARCHIVED: Shape.DASH,
}
_EXPOSED = (Stage.STAGING, Stage.PRODUCTION)
_FRAMEWORKS: Mapping[Framework, str] = {
    Framework.EU_AI_ACT: "EU AI Act",
    Framework.ISO_42001: "ISO/IEC 42001",
    Framework.NIST_AI_RMF: "NIST AI RMF",
    Framework.SOC2: "SOC 2",
    Framework.HIPAA: "HIPAA",
    Framework.GDPR: "GDPR",
}
_FORMS: Mapping[str, Callable[[Card], str | bytes]] = {
    "json": lambda card: json.dumps(card.plain(), ensure_ascii=False, indent=2, allow_nan=False),
    "html": html.render,
    "pdf": pdf.render,
    "cyclonedx": cyclonedx.render,
}
FORMS = tuple(_FORMS)
"""What a card can be had as."""


@dataclass(frozen=True)
class Place:
    """Where a record came from, and what is known of it beside what its registry says.

    `inspection` is the worst that was found in its files, None where nobody has looked;
    `waivers` says of each waiver by its id who answers, until when and why.
    """

    registry: str
    address: str
    inspection: str | None = None
    removed: bool = False
    waivers: Mapping[str, str] | None = None


def render(card: Card, form: str) -> bytes:
    """A card as one of `FORMS`.

    Raises:
        InvalidInput: there is no such form.
        Unavailable: what makes this form is not installed.
    """
    make = _FORMS.get(form)
    if make is None:
        raise InvalidInput(
            f"a card cannot be had as {ascii(form)[:40]}",
            field="format",
            remedy=f"the formats are {', '.join(FORMS)}",
        )
    made = make(card)
    return made if isinstance(made, bytes) else encodable(made).encode()


def card_of(record: Record, judged: Evaluation | None, place: Place, *, as_of: datetime) -> Card:
    """The card of a record as it was known at `as_of`; `judged` None: no rule was asked yet."""
    results = () if judged is None else judged.results
    return Card(
        model=record.model,
        version=str(record.version),
        registry=place.registry,
        address=place.address,
        as_of=as_of,
        made_by=f"Trimtab {__version__}",
        rulebook=_rulebook(judged),
        badges=(
            stage_badge(record, place.inspection),
            compliance_badge([r.outcome for r in results]),
            inspection_badge(place.inspection),
        )
        + ((_gone(),) if place.removed else ()),
        sections=tuple(
            Section(TITLES[group], tuple(statement(n, record.fields[n]) for n in names))
            for group, names in GROUPS.items()
        ),
        rules=tuple(_rule(result, place) for result in results),
        metrics=tuple(_metrics(record)),
        parameters=tuple(
            Parameter(str(name), str(value))
            for name, value in _mapping(record, "hyperparameters").items()
        ),
        datasets=tuple(_datasets(record)),
        python=_python(record),
        libraries=tuple(_libraries(record)),
        files=tuple(
            _file(one) for one in objects(_mapping(record, "artifact_manifest").get("files"))
        ),
        files_cut=_cut(record),
        oddities=tuple(Oddity(one.code, one.detail) for one in record.findings),
        incomplete=record.incomplete,
    )


# -- badges ----------------------------------------------------------------------------------


def stage_badge(record: Record, inspection: str | None) -> Badge:
    """Where a version stands, and under which names. A place is neither good nor bad by itself;
    to stand where it is used with a file that may do harm is as bad as the file."""
    shape, tone = _STAGES[record.stage], Tone.PLAIN
    if record.stage in _EXPOSED and inspection in ("malicious", "suspicious"):
        tone = _result(inspection).tone
    names = ", ".join(record.aliases)
    return Badge(record.stage.value, shape, tone, "Stage", f"alias {names}" if names else "")


def outcome_badge(outcome: str) -> Badge:
    """The outcome of a rule; one that is not known is no success."""
    return _OUTCOMES.get(outcome, Badge(outcome, Shape.TRIANGLE, Tone.BAD))


def inspection_badge(result: str | None) -> Badge:
    """What was found in the files of a version; nobody has looked is not clean."""
    said = {
        None: "nobody has looked into its files yet",
        "clean": "every file was read, and nothing was found that runs",
        "suspicious": "a file holds what may run when it is loaded",
        "malicious": "a file holds what runs when it is loaded",
        "unreadable": "not every file could be read to its end",
    }.get(result, "")
    badge = _UNSEEN if result is None else _result(result)
    return Badge(badge.word, badge.shape, badge.tone, "Files", said)


def compliance_badge(outcomes: Sequence[str]) -> Badge:
    """How a record stands by the rules, from the outcome of each: gaps first, then what cannot be
    told. Where most rules ask nothing of it, what is kept of the few is no all-clear."""
    apply = [one for one in outcomes if one != "not_applicable"]
    of = f"of {count(len(apply), 'rule')} that apply"
    amount = {word: outcomes.count(word) for word in _OUTCOMES}
    if not outcomes:
        return Badge("not judged", Shape.RING, Tone.PLAIN, "Compliance", "no rule was asked yet")
    if amount["fail"]:
        word = count(amount["fail"], "gap")
        return Badge(word, Shape.CROSS, Tone.BAD, "Compliance", f"{amount['fail']} {of}")
    strange = sum(word not in _OUTCOMES for word in outcomes)
    unknown = amount["inconclusive"] + strange
    if unknown:
        word, why = f"{unknown} unknown", f"{unknown} {of} cannot be told"
        return Badge(word, Shape.HALF, Tone.WAIT, "Compliance", why)
    if amount["waived"]:
        word, why = f"{amount['waived']} waived", f"{amount['waived']} {of} are set aside"
        return Badge(word, Shape.RING, Tone.WAIT, "Compliance", why)
    if not apply:
        return Badge("no rule applies", Shape.DASH, Tone.PLAIN, "Compliance")
    if 2 * len(apply) < len(outcomes):
        word, why = (
            f"{len(apply)} of {count(len(outcomes), 'rule')} kept",
            "the others do not apply",
        )
        return Badge(word, Shape.RING, Tone.PLAIN, "Compliance", why)
    return Badge("no gaps", Shape.DISC, Tone.GOOD, "Compliance", f"all {of[3:]} are kept")


def _gone() -> Badge:
    why = "its registry has it no more, or is read no more; what was known is kept"
    return Badge("removed", Shape.DASH, Tone.PLAIN, "In the registry", why)


def _result(word: str) -> Badge:
    return _RESULTS.get(word, Badge(word, Shape.TRIANGLE, Tone.BAD))


# -- rules -----------------------------------------------------------------------------------


def _rulebook(judged: Evaluation | None) -> str:
    if judged is None:
        return "no rules yet"
    return f"rulebook {judged.rulebook}, {judged.digest.removeprefix('sha256:')[:12]}"


def _rule(told: Judged, place: Place) -> Rule:
    badge = outcome_badge(told.outcome)
    waived = None
    if told.waiver is not None:
        waived = (place.waivers or {}).get(told.waiver, f"waiver {told.waiver}")
    return Rule(
        id=told.rule,
        title=told.title,
        outcome=badge,
        sentence=told.sentence,
        remedy=told.remedy if badge.tone in {Tone.BAD, Tone.WAIT} else "",
        references=tuple(f"{framework(r.framework)} {r.reference}" for r in told.regulations),
        evidence=tuple(_pointer(one) for one in told.evidence),
        waived=waived,
        severity=told.severity.value,
    )


def framework(name: Framework) -> str:
    """A framework by the name that people know."""
    return _FRAMEWORKS[name]


def _pointer(told: Pointer) -> str:
    """Where evidence stands, as a statement of the card says it."""
    read = source(Known(origin=told.origin, key=told.key))
    label = LABELS.get(told.field.partition(".")[0], told.field)
    if read is None:
        return f"{label}: nobody says"
    return f"{label}: {said_source(replace(read, at=None, coerced_from=None))}"


# -- what a record holds ---------------------------------------------------------------------


def _mapping(record: Record, name: str) -> Mapping[str, Any]:
    value = record.value(name)
    return value if isinstance(value, Mapping) else {}


def _metrics(record: Record) -> list[Metric]:
    found = []
    for name, told in sorted(_mapping(record, "metrics").items()):
        said = told if isinstance(told, Mapping) else {"value": told}
        value, step = said.get("value"), said.get("step")
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        invalid = said.get("invalid") if numeric or value is None else str(value)
        found.append(
            Metric(
                str(name),
                value if numeric else None,
                None if invalid is None else str(invalid),
                step if isinstance(step, int) else None,
                when(said.get("at")),
            )
        )
    return found


def _datasets(record: Record) -> list[Dataset]:
    read = [
        Dataset(*(str(one.get(part) or "") for part in _PARTS))
        for one in objects(record.value("dataset_inputs"))
    ]
    reference = record.value("dataset_reference")
    return read or ([Dataset(str(reference))] if reference else [])


_PARTS = ("name", "digest", "source_type", "source", "context")


def _environments(record: Record) -> list[Mapping[str, Any]]:
    return objects(_mapping(record, "runtime_environment").get("files"))


def _python(record: Record) -> str | None:
    said = [str(one["python"]) for one in _environments(record) if one.get("python")]
    return ", ".join(dict.fromkeys(said)) or None


def _libraries(record: Record) -> list[Library]:
    """The packages of all files of the environment; what several of them ask for in the same
    words is there once."""
    found: dict[Library, None] = {}
    for file in _environments(record):
        for told in objects(file.get("dependencies")):
            name, asked = str(told.get("name", "")), str(told.get("specifier") or "")
            exact = _exact(asked) if told.get("pinned") is True else None
            found[Library(name, exact, f"{name}{asked}")] = None
    return sorted(found, key=lambda one: (one.name.lower(), one.asked))


def _exact(asked: str) -> str:
    """The version that a pinned package is asked for in: of `==1.7`, of `=1.7=py311` as conda
    writes it, or where a direct reference leads, commit included."""
    if asked.startswith("@"):
        return asked.removeprefix("@").strip()
    return asked.lstrip("= ").partition("=")[0].strip() or asked


def _file(told: Mapping[str, Any]) -> File:
    size, result, found = told.get("size"), told.get("result"), told.get("findings")
    return File(
        path=str(told.get("path", "")),
        size=size if isinstance(size, int) else None,
        result=_UNSEEN if result is None else _result(str(result)),
        sha256=_text(told.get("sha256")),
        format=_text(told.get("format")),
        findings=tuple(str(one) for one in found) if isinstance(found, list) else (),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _cut(record: Record) -> str | None:
    cut = _mapping(record, "artifact_manifest").get("truncated")
    return f"not all files are listed: {cut}" if cut else None
