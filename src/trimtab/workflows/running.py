"""A cycle of reading a registry while it is under way: what it has come to so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trimtab.inventory.model import Connection, Failure, Sync
from trimtab.inventory.source import Malformed, SourceModel, SourceVersion
from trimtab.inventory.store import key_of

_KEPT_FAILURES = 100


@dataclass
class Running:
    """A cycle under way, and what it has come to so far."""

    sync: Sync
    connection: Connection
    begun: datetime
    began_really: datetime
    """By the machine's time, which says how long it has taken."""
    not_before: datetime
    asked: Mapping[str, Any] = field(default_factory=dict)
    models: dict[str, SourceModel] = field(default_factory=dict)
    unread_models: dict[str, str] = field(default_factory=dict)
    """Models that cannot be read now, each with the reason."""
    untold: int = 0
    """Questions about one version or model that were not answered as a registry does."""
    seen: set[str] = field(default_factory=set)
    counted: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    cut: str = ""
    """Why not all of the registry was seen; empty where it was."""

    def count(self, what: str, more: int = 1) -> None:
        """Add to one of the counts."""
        self.counted[what] = self.counted.get(what, 0) + more

    def failed(self, model: str | None, version: int | None, reason: str) -> None:
        """Note what could not be read; the first of them are kept in full."""
        if len(self.failures) < _KEPT_FAILURES:
            self.failures.append(Failure(model, version, reason[:500]))

    def unread(self, model: str | None, version: int | None, reason: str) -> None:
        """Note what cannot be put on record, and count it."""
        self.count("malformed")
        self.failed(model, version, reason)

    def unfit_models(self, items: Sequence[Malformed]) -> None:
        """Note models that could not be read."""
        for item in items:
            self.unread(item.name, item.version, item.reason)
            if item.name is not None:
                self.unread_models[item.name] = item.reason

    def unfit_versions(self, items: Sequence[Malformed]) -> None:
        """Note versions that could not be read. They are there: none of them is asked for again,
        to find out whether it is gone."""
        for item in items:
            self.unread(item.name, item.version, item.reason)
            if item.name is not None and item.version is not None:
                self.seen.add(key_of(item.name, item.version))

    def model_of(self, version: SourceVersion) -> SourceModel:
        """The model of a version; of one that could not be read, its name alone."""
        return self.models.get(version.name) or SourceModel(version.name, {"name": version.name})

    def told(self, phase: str) -> dict[str, Any]:
        """How far it is, for whoever waits."""
        return {"sync": self.sync.id, "phase": phase, **self.counted}
