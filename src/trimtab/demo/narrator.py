"""From entries of the ledger to a story in plain sentences.

Every sentence is made of what the entries say; of outcomes nothing is known here. Entries
that say the same of several tenants become one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from trimtab.demo.beats import Beat, Tone
from trimtab.sdk import shapes

_Data = Mapping[str, Any]
_Entry = shapes.EntryShape

_TOGETHER = {
    "drift.confirmed": ("model", "feature", "finding"),
    "drift.cleared": ("model", "feature", "finding"),
    "performance.degraded": ("model", "metric"),
    "performance.recovered": ("model", "metric"),
    "check.finished": ("model", "version"),
}
"""Kinds that are told once for all entries which agree in these members."""


def tell(entries: Iterable[_Entry]) -> list[Beat]:
    """The story of these entries, in their order; those that need no sentence have none.

    An incident of a tenant that a wider one of the same cause takes in at once is none of
    its own: it is not told.
    """
    heard = list(entries)
    merged = {entry.subject for entry in heard if entry.kind == "incident.merged"}
    fleeting = {e.subject for e in heard if e.kind == "incident.opened" and e.subject in merged}
    kept = [entry for entry in heard if entry.subject not in fleeting]
    return [beat for group in _groups(kept) for beat in _beats(group)]


def _groups(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """Entries that are told together stand where the first of them stands."""
    groups: dict[tuple[object, ...], list[_Entry]] = {}
    for entry in entries:
        data = entry.data or {}
        names = _TOGETHER.get(entry.kind)
        same: tuple[object, ...] = (
            (entry.sequence,) if names is None else (entry.kind, *(data.get(n) for n in names))
        )
        groups.setdefault(same, []).append(entry)
    yield from groups.values()


def _beats(group: Sequence[_Entry]) -> Iterator[Beat]:
    teller = _TELLERS.get(group[0].kind)
    if teller is None or group[0].data is None:
        return
    told = teller(group)
    if told is not None:
        tone, text = told
        yield Beat(group[-1].at, text, tone, tuple(e.sequence for e in group))


_Told = tuple[Tone, str] | None
_Teller = Callable[[Sequence[_Entry]], _Told]


def _one(tone: Tone, words: Callable[[_Entry, _Data], str]) -> _Teller:
    """Of one entry."""

    def teller(group: Sequence[_Entry]) -> _Told:
        return tone, words(group[0], group[0].data or {})

    return teller


def _said(tone: Tone, words: Callable[[_Data], str]) -> _Teller:
    """Of one entry, of what it says only."""
    return _one(tone, lambda _entry, data: words(data))


def everybody(tenant: str | None) -> str:
    """Who a null tenant is, in a sentence."""
    return "everybody" if tenant is None else tenant.upper()


def _version(entry: _Entry, data: _Data) -> str:
    whose = "" if entry.tenant is None else f" of {entry.tenant.upper()}"
    return f"{data['model']} {data['version']}{whose}"


def _tenants(group: Sequence[_Entry]) -> str:
    named = sorted({e.tenant.upper() for e in group if e.tenant is not None})
    fleet = ["everybody together"] if any(e.tenant is None for e in group) else []
    return " and ".join([*fleet, *([", ".join(named)] if named else [])])


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "unknown"


def _plain(text: object) -> str:
    return str(text).replace("_", " ")


# --- intake and release ----------------------------------------------------------------


def _registered(data: _Data) -> str:
    return (
        f"{data['name']} is registered: tier {data['tier']} ({_plain(data['risk_level'])} risk), "
        f"policy {data['policy']}"
    )


def _arrived(entry: _Entry, data: _Data) -> str:
    by = "" if data["trigger"] == "manual" else f", trained because of {_plain(data['trigger'])}"
    return (
        f"{_version(entry, data)} arrives{by}: inspected ({data['inspection']}), "
        f"{'signed' if data['signer'] else 'not signed'}, {data['digest'][:19]}…"
    )


def _checked(group: Sequence[_Entry]) -> _Told:
    data = [e.data or {} for e in group]
    bad = [d for d in data if d["verdict"] != "pass"]
    if bad:
        why = "; ".join(f"{_plain(d['name'])} {d['verdict']}: {d['reason']}" for d in bad)
        return Tone.BAD, f"{_version(group[0], data[0])} is checked: {why}"
    names = ", ".join(_plain(d["name"]) for d in data)
    performance = [d["reason"] for d in data if d["name"] == "performance"]
    shown = f": {performance[0]}" if performance else ""
    return Tone.PLAIN, f"{_version(group[0], data[0])} passes {names}{shown}"


def _voted(entry: _Entry, data: _Data) -> str:
    verb = "approves" if data["approve"] else "rejects"
    last = f"; it is {data['phase']}" if data["phase"] != "pending" else ""
    return f"{data['name']} ({_plain(data['role'])}) {verb} {_version(entry, data)}{last}"


def _started(entry: _Entry, data: _Data) -> str:
    rival = f", beside {data['active_version']}" if data["active_version"] else ", the first"
    steps = " → ".join(f"{step:g}" for step in data["steps"])
    return (
        f"{_version(entry, data)} starts as a canary for {everybody(entry.tenant)}{rival}: "
        f"{steps} % of the endpoints"
    )


def _observed(group: Sequence[_Entry]) -> _Told:
    entry, data = group[0], group[0].data or {}
    if data["intended_percent"] != data["observed_percent"]:
        return None
    who = _version(entry, data)
    match data["phase"]:
        case "promoted":
            return Tone.GOOD, f"{who} is stable: gateways report {data['observed_percent']:g} %"
        case "rolled_back":
            return Tone.PLAIN, f"{who} carries no traffic any more, gateways report"
    return Tone.PLAIN, f"{who} serves {data['observed_percent']:g} %, gateways report"


def _rolled_back(entry: _Entry, data: _Data) -> str:
    return f"{_version(entry, data)} is ROLLED BACK at {data['percent']:g} %: {data['reason']}"


# --- watch -----------------------------------------------------------------------------


def _drifted(group: Sequence[_Entry]) -> _Told:
    data = group[0].data or {}
    what = _plain(data["finding"] if data["drift_type"] == "structural" else "drift")
    items = f" ({', '.join(data['items'])})" if data["items"] else ""
    effects = _effects(data)
    return (
        Tone.WATCH,
        f"{what} of {data['feature']}{items} is confirmed for {_tenants(group)}{effects}: "
        f"{data['reason']}",
    )


def _effects(data: _Data) -> str:
    values, limits = data["values"], data["thresholds"]
    shown = [
        f"{_plain(name)} {values[name]:.2f} (limit {limit:.2f})"
        for name, limit in limits.items()
        if isinstance(values.get(name), int | float) and isinstance(limit, int | float)
    ]
    return f", {', '.join(shown)}" if shown else ""


def _cleared(group: Sequence[_Entry]) -> _Told:
    data = group[0].data or {}
    what = _plain(data["finding"] if data["drift_type"] == "structural" else "drift")
    return Tone.GOOD, f"{what} of {data['feature']} has cleared for {_tenants(group)}"


def _degraded(group: Sequence[_Entry]) -> _Told:
    data = group[0].data or {}
    return (
        Tone.WATCH,
        f"{_plain(data['metric'])} of {data['model']} is {_percent(data['value'])} for "
        f"{_tenants(group)}, the limit {_percent(data['limit'])}: {data['reason']}",
    )


def _back(group: Sequence[_Entry]) -> _Told:
    data = group[0].data or {}
    return (
        Tone.GOOD,
        f"{_plain(data['metric'])} of {data['model']} is back at {_percent(data['value'])} for "
        f"{_tenants(group)}",
    )


# --- repair ----------------------------------------------------------------------------


def _opened(entry: _Entry, data: _Data) -> str:
    return (
        f"INCIDENT {entry.subject}, {data['model']}, {everybody(entry.tenant)}, "
        f"{data['severity']}: {data['title']}"
    )


def _diagnosed(data: _Data) -> str:
    causes = data["causes"]
    if data["verdict"] != "cause_found" or not causes:
        return f"{data['incident']}: no cause is named: {data['summary']}"
    cause = causes[0]
    evidence = "".join(f"; for it: {line}" for line in cause["evidence_for"][:2])
    against = "".join(f"; against it: {line}" for line in cause["evidence_against"][:1])
    return (
        f"{data['incident']} is diagnosed, {cause['confidence']:.0%} sure: {data['summary']}"
        f"{evidence}{against}"
    )


def _planned(data: _Data) -> str:
    done = [_plain(s["action"]) for s in data["steps"] if s["course"] == "automatic"]
    asked = [_plain(s["action"]) for s in data["steps"] if s["course"] == "ask"]
    plan = f"{data['incident']}, the plan: {', '.join(done) or 'nothing'} without asking"
    return plan + (f"; {', '.join(asked)} if a person asks for it" if asked else "")


def _remedy(words: str) -> Callable[[_Data], str]:
    def told(data: _Data) -> str:
        why = f": {data['reason']}" if data.get("reason") else ""
        return f"{data['incident']}, {_plain(data['action'])} {words}{why}"

    return told


def _recovered(data: _Data) -> str:
    how = "is done" if data["action"] == "notify_team" else "has helped, measured"
    return f"{data['incident']}, {_plain(data['action'])} {how}: {data['reason']}"


def _resolved(entry: _Entry, data: _Data) -> str:
    how = "" if data["measured"] else " on somebody's word"
    return f"{entry.subject} is RESOLVED{how}: {data['resolution']}"


# --- retraining ------------------------------------------------------------------------


def _training(words: str, *, why: bool = False) -> Callable[[_Data], str]:
    def told(data: _Data) -> str:
        reason = f": {data['reason']}" if why else ""
        return f"retraining of {data['model']} {words.format(**data)}{reason}"

    return told


_TELLERS: dict[str, _Teller] = {
    "model.registered": _said(Tone.PLAIN, _registered),
    "version.registered": _one(Tone.PLAIN, _arrived),
    "check.finished": _checked,
    "approval.voted": _one(Tone.PLAIN, _voted),
    "approval.approved_automatically": _one(
        Tone.PLAIN, lambda e, d: f"{_version(e, d)} is approved automatically, by its criteria"
    ),
    "rollout.started": _one(Tone.PLAIN, _started),
    "rollout.step_observed": _observed,
    "rollout.rolled_back": _one(Tone.BAD, _rolled_back),
    "drift.confirmed": _drifted,
    "drift.cleared": _cleared,
    "performance.degraded": _degraded,
    "performance.recovered": _back,
    "incident.opened": _one(Tone.BAD, _opened),
    "incident.escalated": _one(
        Tone.BAD, lambda e, d: f"{e.subject} is handed to a person: {d['why']}"
    ),
    "incident.merged": _one(Tone.PLAIN, lambda e, d: f"{e.subject} is taken into {d['into']}"),
    "incident.resolved": _one(Tone.GOOD, _resolved),
    "diagnosis.made": _said(Tone.WATCH, _diagnosed),
    "plan.drawn_up": _said(Tone.PLAIN, _planned),
    "remediation.permitted": _said(Tone.PLAIN, _remedy("is PERMITTED by the safety gate, once")),
    "remediation.refused": _said(Tone.BAD, _remedy("is REFUSED by the safety gate")),
    "remediation.executed": _said(Tone.PLAIN, _remedy("is carried out")),
    "remediation.recovered": _said(Tone.GOOD, _recovered),
    "remediation.no_effect": _said(Tone.BAD, _remedy("has had no effect")),
    "remediation.failed": _said(Tone.BAD, _remedy("has failed")),
    "remediation.compensated": _said(Tone.PLAIN, _remedy("is undone")),
    "remediation.escalated": _said(Tone.BAD, _remedy("is handed to a person")),
    "retraining.requested": _said(
        Tone.PLAIN, _training("is asked for, against {champion}, because of {trigger}")
    ),
    "retraining.refused": _said(Tone.BAD, _training("is REFUSED", why=True)),
    "retraining.data_checked": _said(Tone.PLAIN, _training("has {rows} rows that passed")),
    "retraining.judged": _said(
        Tone.PLAIN, _training("compared with {champion} on the same later rows", why=True)
    ),
    "retraining.submitted": _said(Tone.GOOD, _training("is handed in as {version}")),
    "retraining.kept": _said(Tone.PLAIN, _training("keeps {champion}", why=True)),
    "retraining.failed": _said(Tone.BAD, _training("has failed", why=True)),
}
