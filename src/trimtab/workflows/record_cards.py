"""The card of a record, as it stands or stood, with everything that is on record about it."""

from __future__ import annotations

from trimtab.audit.work import Reading
from trimtab.documents.card import Card
from trimtab.inventory import waiver_store
from trimtab.workflows.cards import Place, card_of
from trimtab.workflows.inventoried import RecordView
from trimtab.workflows.judging import evaluation_of


def of_view(reading: Reading, view: RecordView) -> Card:
    """The card of what is shown of a record."""
    entry = view.entry
    granted = waiver_store.holding(reading, entry.connection, reading.now)
    told = {
        one.id: f"{one.granted_by} answers for it until {one.expires_at:%Y-%m-%d}: {one.reason}"
        for one in granted
    }
    place = Place(view.connection.name, view.connection.url, entry.inspection, entry.removed, told)
    judged = evaluation_of(reading, entry)
    return card_of(entry.record, judged, place, as_of=view.moment or entry.since)
