"""A sentence for each kind of ledger entry; one that is still readable for any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trimtab.audit.ledger import Entry

_Data = Mapping[str, Any]


def sentence(entry: Entry) -> str:
    """What an entry says, in words. A payload that retention has blanked is said to be so."""
    if entry.data is None:
        return f"{_words(entry.kind)}; what it said has been removed by retention."
    told = _SENTENCES.get(entry.kind)
    return told(entry.data) if told else _fallback(entry)


def _opened(data: _Data) -> str:
    children = data.get("children") or []
    more = f" It stands over {len(children)} incidents of tenants." if children else ""
    return f"Incident opened, severity {_v(data, 'severity')}: {_v(data, 'title')}{more}"


def _signal(data: _Data) -> str:
    tenant = data.get("signal_tenant")
    whose = f" from {tenant}" if tenant else ""
    return f"Signal {_v(data, 'signals')}{whose}: {_v(data, 'title')}"


def _resolved(data: _Data) -> str:
    by = "" if data.get("measured") else " on a person's word"
    return f"Resolved{by}: {_v(data, 'resolution')}"


def _drift(data: _Data) -> str:
    values = data.get("values")
    shown = f" ({_pairs(values)})" if isinstance(values, Mapping) and values else ""
    told = data.get("reason") or f"{_v(data, 'feature')} has moved"
    return f"Drift confirmed: {told}{shown}"


def _degraded(data: _Data) -> str:
    return (
        f"Performance degraded: {_v(data, 'metric')} is {_v(data, 'value')}, "
        f"the limit is {_v(data, 'limit')}."
    )


def _plan(data: _Data) -> str:
    steps = [step for step in data.get("steps") or [] if isinstance(step, Mapping)]
    told = "; ".join(f"{_name(step, 'action')} {_course(step)}" for step in steps)
    return f"Plan drawn up: {told or 'nothing to do'}."


def _course(step: _Data) -> str:
    course = str(step.get("course"))
    if course == "refused":
        return f"is refused ({_v(step, 'reason')})"
    return {"automatic": "by itself", "ask": "if a person asks"}.get(course, _name(step, "course"))


def _proposed(data: _Data) -> str:
    by = "by the platform" if data.get("automatic") else "by a person"
    return f"Remedy proposed {by}: {_name(data, 'action')}, attempt {_v(data, 'attempt')}."


def _aborted(data: _Data) -> str:
    stands = "; something of it may stand" if data.get("may_have_acted") else ""
    return f"Stopped: {_name(data, 'action')}, {_v(data, 'reason')}{stands}"


_SENTENCES: dict[str, Callable[[_Data], str]] = {
    "plan.drawn_up": _plan,
    "remediation.proposed": _proposed,
    "remediation.permitted": lambda d: f"Safety gate: {_name(d, 'action')} is permitted.",
    "remediation.refused": lambda d: (
        f"Safety gate: {_name(d, 'action')} is refused, {_v(d, 'reason')}"
    ),
    "action_permit.issued": lambda d: (
        f"Permit for {_name(d, 'action')} signed, valid until {_moment(d, 'expires_at')}."
    ),
    "action_permit.consumed": lambda d: f"Permit for {_name(d, 'action')} used up.",
    "remediation.started": lambda d: f"Begun: {_name(d, 'action')}.",
    "remediation.executed": lambda d: (
        f"Done: {_name(d, 'action')}. Whether it helped is not known yet."
    ),
    "remediation.verifying": lambda d: (
        f"After {_name(d, 'action')}: {_v(d, 'reason')}; looked at again by "
        f"{_moment(d, 'look_at')}."
    ),
    "remediation.recovered": lambda d: f"Success of {_name(d, 'action')}: {_v(d, 'reason')}",
    "remediation.no_effect": lambda d: f"No effect of {_name(d, 'action')}: {_v(d, 'reason')}",
    "remediation.failed": lambda d: f"Failed: {_name(d, 'action')}, {_v(d, 'reason')}",
    "remediation.compensated": lambda d: f"Undone: {_name(d, 'action')}, by {_name(d, 'inverse')}.",
    "remediation.escalated": lambda d: (
        f"Handed to a person: {_name(d, 'action')}, {_v(d, 'reason')}"
    ),
    "remediation.aborted": _aborted,
    "incident.opened": _opened,
    "incident.signal_added": _signal,
    "incident.severity_raised": lambda d: (
        f"Severity raised from {_v(d, 'before')} to {_v(d, 'after')}."
    ),
    "incident.diagnosed": lambda d: f"Diagnosed: {_v(d, 'summary')}",
    "incident.acting": lambda d: f"Remedy under way: {_name(d, 'action')}.",
    "incident.verifying": lambda d: f"Recovery is measured at {_moment(d, 'look_at')}.",
    "incident.resolved": _resolved,
    "incident.escalated": lambda d: f"Escalated to a person: {_v(d, 'why')}",
    "incident.merged": lambda d: f"Taken into {_v(d, 'into')}, which has the same cause.",
    "incident.commented": lambda d: f"Comment: {_v(d, 'text')}",
    "diagnosis.made": lambda d: f"Diagnosis: {_v(d, 'summary')}",
    "drift.confirmed": _drift,
    "drift.cleared": lambda d: f"Drift of {_v(d, 'feature')} has cleared.",
    "performance.degraded": _degraded,
    "performance.recovered": lambda d: f"Performance recovered: {_v(d, 'metric')}.",
    "rollout.rolled_back": lambda d: (
        f"Rollout of version {_v(d, 'version')} taken back at {_v(d, 'percent')} % "
        f"of the traffic: {_v(d, 'reason')}"
    ),
    "rollout.started": lambda d: f"Rollout of version {_v(d, 'version')} started.",
    "rollout.step_intended": lambda d: (
        f"{_v(d, 'intended_percent')} % of the traffic intended for version {_v(d, 'version')}."
    ),
    "rollout.step_observed": lambda d: (
        f"Gateways report {_v(d, 'observed_percent')} % of the traffic on "
        f"version {_v(d, 'version')}."
    ),
}


def _fallback(entry: Entry) -> str:
    assert entry.data is not None
    plain = {
        name: value
        for name, value in entry.data.items()
        if isinstance(value, str | int | float | bool) and len(str(value)) <= 80
    }
    told = f" ({_pairs(plain)})" if plain else ""
    return f"{_words(entry.kind)}{told}."


def _words(kind: str) -> str:
    """`remediation.no_effect` as `Remediation: no effect`."""
    thing, _, happened = kind.partition(".")
    told = f"{thing}: {happened}" if happened else thing
    told = told.replace("_", " ")
    return told[:1].upper() + told[1:]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in values.items())


def _name(data: _Data, name: str) -> str:
    """`retrain_model` as `retrain model`."""
    return _v(data, name).replace("_", " ")


def _moment(data: _Data, name: str) -> str:
    """A time to the minute, as pages and clients show it."""
    at = data.get(name)
    return f"{at[:16].replace('T', ' ')} UTC" if isinstance(at, str) else "an unknown time"


def _v(data: _Data, name: str) -> str:
    return _shown(data.get(name))


def _shown(value: Any) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)
