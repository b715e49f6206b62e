"""The story of an incident, read off the ledger; nobody types it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.incidents import store
from trimtab.incidents.events import SignalAdded
from trimtab.incidents.sentences import sentence
from trimtab.kernel.ids import TenantId

_CHUNK = 1000


@dataclass(frozen=True)
class TimelineLine:
    """One thing that happened; `folded` counts further signals that this line stands for.

    `tenant` is whose history the entry belongs to; None is the fleet's.
    """

    at: datetime
    sequence: int
    kind: str
    text: str
    actor: str
    tenant: TenantId | None = None
    folded: int = 0


def timeline(
    reading: Reading, incident_id: str, *, tenant: TenantId | None = None, depth: int = 8
) -> list[TimelineLine]:
    """Everything the ledger says about an incident, oldest first.

    Entries that mention the incident, its diagnosis or its remedies, and the chain of
    causes behind each. A run of signals is one line, so that a flood can be read.

    Args:
        reading: A reading transaction.
        incident_id: The incident.
        tenant: Leave out what belongs to other tenants; None for everything.
        depth: How many causes to follow back from an entry.

    Raises:
        NotFound: no incident has this id.
    """
    incident = store.get(reading, incident_id)
    refs = [incident.id, *incident.remediations]
    if incident.diagnosis is not None:
        refs.append(incident.diagnosis)
    found: dict[int, ledger.Entry] = {}
    for ref in refs:
        found |= {entry.sequence: entry for entry in _mentioning(reading, ref)}
    _add_causes(reading, found, depth)
    entries = [found[sequence] for sequence in sorted(found)]
    if tenant is not None:
        entries = [entry for entry in entries if _visible(entry, tenant)]
    return _folded(entries)


def _visible(entry: ledger.Entry, tenant: TenantId) -> bool:
    """Not another tenant's, nor a global incident's signal that came from another tenant."""
    if entry.tenant not in (None, tenant):
        return False
    source = (entry.data or {}).get("signal_tenant")
    return entry.kind != SignalAdded.kind or source in (None, tenant)


def _mentioning(reading: Reading, ref: str) -> list[ledger.Entry]:
    found: list[ledger.Entry] = []
    while True:
        after = found[-1].sequence if found else 0
        page = ledger.entries(reading.connection, ref=ref, after=after, limit=_CHUNK)
        found += page
        if len(page) < _CHUNK:
            return found


def _add_causes(reading: Reading, found: dict[int, ledger.Entry], depth: int) -> None:
    """Follow causes back. Signals after the first have causes of their own; each is told by
    its own line, and following ten thousand of them would say nothing more."""
    waiting = [e.cause for e in found.values() if e.kind != SignalAdded.kind and e.cause]
    for _ in range(depth):
        missing = {sequence for sequence in waiting if sequence not in found}
        if not missing:
            return
        waiting = []
        for sequence in missing:
            for entry in ledger.entries(
                reading.connection, after=sequence - 1, before=sequence + 1, limit=1
            ):
                found[entry.sequence] = entry
                waiting += [entry.cause] if entry.cause else []


def _folded(entries: list[ledger.Entry]) -> list[TimelineLine]:
    lines: list[TimelineLine] = []
    for entry in entries:
        line = TimelineLine(
            entry.at, entry.sequence, entry.kind, sentence(entry), entry.actor, entry.tenant
        )
        last = lines[-1] if lines else None
        if last is not None and last.kind == line.kind == SignalAdded.kind:
            lines[-1] = replace(last, folded=last.folded + 1)
        else:
            lines.append(line)
    return [
        replace(line, text=f"{line.text} {line.folded} more signals followed.")
        if line.folded
        else line
        for line in lines
    ]
