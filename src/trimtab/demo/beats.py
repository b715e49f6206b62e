"""What is told, and what stands at a moment: read off entries of the ledger, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from trimtab.sdk import shapes


class Tone(StrEnum):
    """How a line is shown; it never carries meaning that is not in the words."""

    PLAIN = "plain"
    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"
    STAGE = "stage"
    """Not read off the records: something that the demo itself does."""


@dataclass(frozen=True)
class Beat:
    """A sentence of the story. `entries` are the sequences that it was read off; none, for
    what the demo itself does."""

    at: datetime
    text: str
    tone: Tone = Tone.PLAIN
    entries: tuple[int, ...] = ()


@dataclass
class Exposure:
    """What traffic a version has in one place: `state` as the deployment says it."""

    model: str
    tenant: str | None
    version: str
    state: str
    percent: float


@dataclass
class OpenIncident:
    """An incident that is not over, and what is known of it."""

    id: str
    model: str
    tenant: str | None
    title: str
    phase: str = "open"
    cause: str = ""


@dataclass
class Board:
    """What stands now, after every entry that was heard."""

    exposures: dict[tuple[str, str | None, str], Exposure] = field(default_factory=dict)
    incidents: dict[str, OpenIncident] = field(default_factory=dict)

    def hear(self, entry: shapes.EntryShape) -> None:
        """Take in one entry."""
        data = entry.data or {}
        if entry.kind == "deployment.moved":
            place = (data["model"], entry.tenant, data["version"])
            self.exposures[place] = Exposure(*place, data["after"], data["percent_after"])
        elif entry.kind == "incident.opened":
            self.incidents[entry.subject] = OpenIncident(
                entry.subject, data["model"], entry.tenant, data["title"]
            )
        elif entry.subject in self.incidents:
            self._incident(self.incidents[entry.subject], entry)

    def _incident(self, incident: OpenIncident, entry: shapes.EntryShape) -> None:
        data = entry.data or {}
        match entry.kind:
            case "incident.resolved" | "incident.merged":
                del self.incidents[incident.id]
            case "incident.diagnosed":
                incident.phase, incident.cause = "diagnosed", data["summary"]
            case "incident.acting" | "incident.verifying" | "incident.escalated":
                incident.phase = entry.kind.removeprefix("incident.")

    def placed(self) -> list[Exposure]:
        """Versions that carry or carried traffic, by model, place and version."""
        return sorted(self.exposures.values(), key=lambda e: (e.model, e.tenant or "", e.version))
