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


_SENTENCES: dict[str, Callable[[_Data], str]] = {
    "incident.opened": _opened,
    "incident.signal_added": _signal,
    "incident.severity_raised": lambda d: (
        f"Severity raised from {_v(d, 'before')} to {_v(d, 'after')}."
    ),
    "incident.diagnosed": lambda d: f"Diagnosed: {_v(d, 'summary')}",
    "incident.acting": lambda d: f"Remedy under way: {_v(d, 'action')}.",
    "incident.verifying": lambda d: f"Recovery is measured at {_v(d, 'look_at')}.",
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
