"""What is to be done about an incident, told so that its parts do not contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.diagnosis.model import Advice, Analysis
from trimtab.incidents.model import Incident, Kind
from trimtab.policies.operation import ActionName
from trimtab.remediation.model import Phase, Remediation
from trimtab.remediation.plan import Course
from trimtab.web import words
from trimtab.web.versions import Number, numbers_of
from trimtab.web.words import Status, Tone

_DONE = Status("done already", "disc", Tone.GOOD)
_WAITS = Status("has to wait", "half", Tone.WAIT)
_WAITED = Status("had to wait first", "half", Tone.PLAIN)


@dataclass(frozen=True)
class Line:
    """An action, what is made of it, and why."""

    action: str
    status: Status
    why: str


def plan(
    steps: Sequence[Mapping[str, Any]],
    incident: Incident,
    analysis: Analysis,
    remedies: Sequence[Remediation],
) -> tuple[Line, ...]:
    """The lines of a plan. What is advised and was not done at once is not refused: it has
    happened already, or has to wait, and where it was done later, that is said."""
    advised = {advice.action.value for advice in analysis.advice if not advice.refused}
    return tuple(_step(step, incident, advised, remedies) for step in steps)


def advice(analysis: Analysis, lines: Sequence[Line]) -> tuple[Line, ...]:
    """What a diagnosis advises; what has happened already is not asked for again."""
    done = {line.action for line in lines if line.status is _DONE}
    return tuple(_advice(each, done) for each in analysis.advice)


def recovery(measured: Mapping[str, Any] | None) -> tuple[Number, ...]:
    """What came back after a remedy, in words."""
    if not measured or "outcome" not in measured:
        return numbers_of(measured or {})
    facts = {
        "outcome": words.words(str(measured["outcome"])),
        "metric": words.words(str(measured["metric"])),
        **{name: words.number(measured[name]) for name in ("before", "during", "after")},
        "counts as healthy at": words.number(measured["limit"]),
        "harm that is left": _left(measured["remaining_share"]),
        "healthy windows at the end": words.number(measured["healthy_in_a_row"]),
        "windows": "; ".join(_window(w) for w in measured["windows"]) or "none yet",
    }
    return tuple(Number(name, value, None, None) for name, value in facts.items())


def _step(
    step: Mapping[str, Any],
    incident: Incident,
    advised: set[str],
    remedies: Sequence[Remediation],
) -> Line:
    action, why = str(step["action"]), str(step["reason"])
    if step["course"] != Course.REFUSED.value or action not in advised:
        return Line(action, words.state(str(step["course"])), why)
    if incident.kind is Kind.ROLLOUT_ROLLED_BACK and action == ActionName.ROLLBACK_MODEL.value:
        return Line(action, _DONE, why)
    begun = [
        r.proposed_at for r in remedies if r.action.value == action and r.phase is not Phase.REFUSED
    ]
    if begun:
        first = words.moment(min(begun))
        return Line(action, _WAITED, f"{why}; begun {first}, see below")
    return Line(action, _WAITS, why)


def _advice(each: Advice, done: set[str]) -> Line:
    if each.refused:
        return Line(each.action.value, words.state("advised_against"), each.why)
    status = _DONE if each.action.value in done else words.state("advised")
    return Line(each.action.value, status, each.why)


def _left(share: object) -> str:
    """How much of the harm is left; better than before the incident is none."""
    if isinstance(share, int | float) and share <= 0:
        return "none"
    return words.share(share, 0)


def _window(window: Mapping[str, Any]) -> str:
    day = words.day(datetime.fromisoformat(str(window["start"])))
    if window["value"] is None:
        return f"{day}: no figure"
    return f"{day}: {words.number(window['value'])} in {words.number(window['rows'])} rows"
