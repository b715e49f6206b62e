"""Sentences for entries about other registries: what was read there, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trimtab.documents.words import seen
from trimtab.web import words

_Data = Mapping[str, Any]


def _of(data: _Data) -> str:
    return f"{seen(str(data.get('model', '')), 80)} {data.get('version', '')}".strip()


def _place(placement: Any) -> str:
    """`production, under champion`; where nothing is known, that."""
    if not isinstance(placement, Mapping):
        return "an unknown place"
    names = [seen(str(name), 40) for name in placement.get("aliases") or ()]
    return f"{placement.get('stage')}" + (f", under {', '.join(names)}" if names else "")


def _fields(data: _Data) -> str:
    found = [words.words(str(name)) for name in data.get("fields") or ()]
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return ", ".join(found[:4]) + more


def _changes(data: _Data) -> str:
    changed = data.get("changes") or {}
    if changed.get("paused") is not None:
        return "paused" if changed["paused"] else "read again"
    return "changed: " + ", ".join(words.words(str(name)) for name in changed)


def _ended(data: _Data) -> str:
    counts = data.get("counts") or {}
    told = ", ".join(
        f"{words.number(counts.get(name, 0))} {name}"
        for name in ("seen", "added", "changed", "removed")
    )
    why = f"; {seen(str(data['why']), 200)}" if data.get("why") else ""
    return f"Reading a registry {data.get('phase')}: {told}{why}"


def _evaluated(data: _Data) -> str:
    before, after = (len(data.get(f"gaps_{when}") or ()) for when in ("before", "after"))
    return f"{_of(data)} judged anew: {words.count(after, 'gap')}, before {words.number(before)}"


def _waived(data: _Data) -> str:
    version = data.get("version")
    which = "every version" if version is None else str(version)
    model = seen(str(data.get("model", "")), 80)
    until = str(data.get("expires_at", ""))[:10]
    return f"{data.get('rule')} waived for {model}, {which}, until {until}"


SENTENCES: Mapping[str, Callable[[_Data], str]] = {
    "connection.created": lambda d: (
        f"{seen(str(d.get('name', '')), 80)} connected: {seen(str(d.get('url', '')), 120)}"
    ),
    "connection.changed": lambda d: f"{seen(str(d.get('name', '')), 80)} {_changes(d)}",
    "connection.removed": lambda d: (
        f"{seen(str(d.get('name', '')), 80)} removed: nobody reads it any more"
    ),
    "connection.probed": lambda d: (
        f"A registry is {seen(str(d.get('server', '')), 80)} and knows us as "
        f"{seen(str(d.get('identity', '')), 80)}"
    ),
    "connection.health_changed": lambda d: (
        f"Reading {seen(str(d.get('name', '')), 80)} is {d.get('after')}: "
        f"{seen(str(d.get('why', '')), 200)}"
    ),
    "connection.message_refused": lambda d: (
        f"A message that was to be a registry's was refused: {seen(str(d.get('why', '')), 200)}"
    ),
    "sync.started": lambda d: (
        f"Reading a registry began, {words.words(str(d.get('scope', '')))}, as "
        f"{seen(str(d.get('identity', '')), 80) if d.get('identity') else 'nobody yet'}"
    ),
    "sync.ended": _ended,
    "record.added": lambda d: f"{_of(d)} seen first, in {_place(d.get('placement'))}",
    "record.changed": lambda d: f"{_of(d)} changed: {_fields(d)}",
    "record.placed": lambda d: (
        f"{_of(d)} moved there from {_place(d.get('before'))} to {_place(d.get('after'))}"
    ),
    "record.removed": lambda d: f"{_of(d)} is there no more; it was in {_place(d.get('before'))}",
    "record.disconnected": lambda d: (
        f"{_of(d)} counts no more, as its connection was removed; it was in "
        f"{_place(d.get('before'))}"
    ),
    "record.returned": lambda d: f"{_of(d)} is there again, in {_place(d.get('placement'))}",
    "record.inspected": lambda d: (
        f"{words.count(int(d.get('files') or 0), 'file')} of {_of(d)} looked into: "
        f"{d.get('result')}"
    ),
    "record.evaluated": _evaluated,
    "rulebook.adopted": lambda d: f"Rulebook {d.get('version', '')} is in force".replace("  ", " "),
    "waiver.granted": _waived,
    "waiver.revoked": lambda d: (
        f"{d.get('rule')} of {seen(str(d.get('model', '')), 80)} is waived no more"
    ),
}
"""By kind of entry."""
