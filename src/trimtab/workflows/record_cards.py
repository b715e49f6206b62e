"""The card of a record, as it stands or stood, with everything that is on record about it."""

from __future__ import annotations

from collections.abc import Mapping

from trimtab.audit.work import Reading
from trimtab.documents.card import Card
from trimtab.documents.words import day
from trimtab.identity import store as people
from trimtab.inventory import waiver_store
from trimtab.inventory.compliance import Evaluation
from trimtab.workflows.cards import Place, card_of
from trimtab.workflows.inventoried import RecordView
from trimtab.workflows.judging import evaluation_of


def of_view(reading: Reading, view: RecordView) -> Card:
    """The card of a record as it stands, or stood at the moment that the view is of. Without a
    moment its date is since when the record says what it says, so that it is the same file as
    long as nothing changes."""
    entry = view.entry
    judged = evaluation_of(reading, entry) if entry.compliance.get("rules") else None
    place = Place(
        registry=view.connection.name,
        address=view.connection.url,
        inspection=entry.inspection,
        removed=entry.removed,
        waivers=_waivers(reading, judged),
    )
    return card_of(entry.record, judged, place, as_of=view.moment or entry.since)


def _waivers(reading: Reading, judged: Evaluation | None) -> Mapping[str, str]:
    """Of each waiver that holds, who answers, until when, and why."""
    ids = [] if judged is None else [r.waiver for r in judged.results if r.waiver is not None]
    if not ids:
        return {}
    names = {str(person.id): person.name for person in people.people(reading)}
    found = [waiver_store.get(reading, waiver_id) for waiver_id in ids]
    return {
        w.id: f"{names.get(w.granted_by, w.granted_by)} answers for it until "
        f"{day(w.expires_at)}: “{w.reason}”"
        for w in found
    }
