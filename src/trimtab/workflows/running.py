"""A cycle of reading a registry while it is under way: what it has come to so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from trimtab.inventory.model import Connection, Failure, Scope, Sync
from trimtab.inventory.source import Malformed, SourceModel, SourceVersion
from trimtab.inventory.store import key_of
from trimtab.kernel.errors import NotPermitted, Unavailable
from trimtab.platform.outbound import NoAnswer

_KEPT_FAILURES = 100
_MOST_UNTOLD = 10
"""Questions about one thing alone that may be answered as no registry does, until all of it is
taken not to answer as one."""
_OF_A_MODEL = (
    "name",
    "description",
    "tags",
    "aliases",
    "creation_timestamp",
    "last_updated_timestamp",
    "user_id",
)


@dataclass(frozen=True)
class Sudden:
    """What takes a second, full cycle to be believed: that a registry has at once more than so
    many versions, and more than such a share (0 to 1) of those known, no more. A registry that
    was set up anew, or shows us nothing, looks like that."""

    versions: int = 20
    share: float = 0.5


SUDDEN = Sudden()


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

    vanished: bool = False
    """Whether it seems to have hardly anything any more, which nobody has confirmed."""

    def count(self, what: str, more: int = 1) -> None:
        """Add to one of the counts."""
        self.counted[what] = self.counted.get(what, 0) + more

    def failed(self, failure: Failure) -> None:
        """Note what could not be read; the first of them are kept in full."""
        if len(self.failures) < _KEPT_FAILURES:
            self.failures.append(replace(failure, reason=failure.reason[:500]))

    def unread(self, model: str | None, version: int | None, reason: str) -> None:
        """Note what cannot be put on record, and count it."""
        self.count("malformed")
        self.failed(Failure(model, version, reason))

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

    def demand_registry(self, error: Unavailable | NotPermitted) -> None:
        """Go on without an answer about one thing alone, unless nobody answers as a registry
        does: who may not see a thing has an answer."""
        if isinstance(error, NotPermitted):
            return
        self.untold += 1
        if isinstance(error, NoAnswer) or self.untold > _MOST_UNTOLD:
            raise error

    def told(self, phase: str) -> dict[str, Any]:
        """How far it is, for whoever waits."""
        return {"sync": self.sync.id, "phase": phase, **self.counted}


def kept_of(model: SourceModel) -> SourceModel:
    """What is held of a model while its registry is read: with its versions, which some
    registries repeat in it, a million models would not fit."""
    document = model.document
    return SourceModel(model.name, {key: document[key] for key in _OF_A_MODEL if key in document})


def wanted(
    asked: Mapping[str, Any], full_at: datetime, now: datetime, reason: str
) -> tuple[Scope, str | None, str]:
    """How much of a registry is to be read, of which model, and why: by what was asked for, and
    since when all of it is due."""
    if now >= full_at:
        return Scope.FULL, None, reason
    if not asked:
        return Scope.CHANGES, None, reason
    return Scope(asked["scope"]), asked["model"], f"asked by {asked['by']}: {asked['reason']}"
