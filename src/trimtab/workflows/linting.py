"""How the tags of a registry are named and written."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.audit.work import Reading
from trimtab.inventory.model import Connection
from trimtab.inventory.store import Filter
from trimtab.inventory.tag_lint import Lint, lint
from trimtab.kernel.actor import Actor
from trimtab.workflows.judging import each
from trimtab.workflows.registries import tag_map_of


@dataclass(frozen=True)
class Line:
    """Something untidy, on so many versions."""

    kind: str
    field: str
    sentence: str
    versions: int


def of_connection(reading: Reading, actor: Actor, connection: Connection) -> list[Line]:
    """What is untidy in the tags of a registry, what is on most versions first."""
    entries = each(reading, actor, Filter(connection=connection.id))
    found = lint((entry.record for entry in entries), tag_map_of(connection))
    return sorted(map(_line, found), key=lambda line: -line.versions)


def _line(found: Lint) -> Line:
    return Line(found.kind.value, found.field, found.sentence, found.versions)
