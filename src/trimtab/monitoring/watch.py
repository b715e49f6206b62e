"""A watch: one question about one model, asked window after window, until the answer is
believed. Each episode is announced once when it is, and once when it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId, WindowId


class WatchPhase(StrEnum):
    """What is believed."""

    CALM = "calm"
    """The last windows that could be looked at were calm."""
    SUSPECTED = "suspected"
    """Alarming windows, not yet enough of them in a row."""
    CONFIRMED = "confirmed"
    """Enough alarming windows in a row; stays so until as many calm ones in a row."""


class Subject(StrEnum):
    """What is watched."""

    DRIFT = "drift"
    """A feature, by the quorum of detectors."""
    STRUCTURE = "structure"
    """A feature, by a finding that needs no quorum; named `feature/finding` or, for one that
    is gone, `feature/vanished_category/category`."""
    PERFORMANCE = "performance"
    """A metric of the output."""


class Outcome(StrEnum):
    """What one window says about one subject."""

    ALARM = "alarm"
    CALM = "calm"
    UNKNOWN = "unknown"
    """It could not tell: neither confirms nor clears."""


@dataclass(frozen=True)
class DriftEvidence:
    """What a window found about a feature. Values and thresholds by the name of the number."""

    feature: str
    drift_type: str
    finding: str
    direction: str | None
    values: dict[str, Any]
    thresholds: dict[str, Any]
    votes: list[dict[str, Any]]
    severity: str | None
    items: list[str]
    reason: str


@dataclass(frozen=True)
class PerformanceEvidence:
    """What a window found about a metric; shares from 0 to 1."""

    metric: str
    version: str | None
    value: float | None
    limit: float | None
    interval: list[float] | None
    baseline: float | None
    reason: str


@dataclass(frozen=True)
class Sighting:
    """What one window says about one subject, with its evidence."""

    subject: Subject
    name: str
    outcome: Outcome
    evidence: DriftEvidence | PerformanceEvidence
    needed: int
    """Windows in a row that are believed, 1 or more."""


@dataclass(frozen=True)
class Watch:
    """One subject of one model, for one tenant or the fleet (None).

    `alarming` counts alarming windows in a row while suspected (at most as many as are
    needed), `calm` the calm ones in a row while confirmed. `since` is the start of the first
    window of the episode. `judged_through` is the start of the last window that counted: an
    older one, or the same again, changes nothing.
    """

    id: str
    model: str
    tenant: TenantId | None
    subject: Subject
    name: str
    phase: WatchPhase
    alarming: int
    calm: int
    since: datetime | None
    judged_through: datetime | None
    window: WindowId | None
    revision: int = 0

    def see(
        self, sighting: Sighting, window: WindowId, start: datetime
    ) -> tuple[Watch, Event] | None:
        """The watch after one more window, and why; None when nothing changes."""
        if sighting.outcome is Outcome.UNKNOWN:
            return None
        if self.judged_through is not None and start <= self.judged_through:
            return None
        if sighting.outcome is Outcome.ALARM:
            return self._alarmed(sighting, window, start)
        return self._calmed(sighting, window, start)

    def reconsider(
        self, sighting: Sighting, window: WindowId, start: datetime
    ) -> tuple[Watch, Event] | None:
        """The watch after the last window that counted was judged again; None when nothing
        changes. A suspicion may fall with it, or the calm that was to end an episode; what
        has been announced stands, and no window counts twice."""
        if self.judged_through != start:
            return None
        if self.phase is WatchPhase.SUSPECTED and sighting.outcome is Outcome.CALM:
            return self._calmed(sighting, window, start)
        if self.phase is WatchPhase.CONFIRMED and sighting.outcome is Outcome.ALARM:
            return self._alarmed(sighting, window, start)
        return None

    def _alarmed(
        self, sighting: Sighting, window: WindowId, start: datetime
    ) -> tuple[Watch, Event] | None:
        if self.phase is WatchPhase.CONFIRMED:
            if not self.calm:
                return None
            again = replace(self, calm=0, judged_through=start, window=window)
            return again, again._moved(self.phase, sighting)
        count = self.alarming + 1
        believed = count >= sighting.needed
        seen = replace(
            self,
            phase=WatchPhase.CONFIRMED if believed else WatchPhase.SUSPECTED,
            alarming=count,
            calm=0,
            since=self.since or start,
            judged_through=start,
            window=window,
        )
        event = seen._confirmed(sighting) if believed else seen._moved(self.phase, sighting)
        return seen, event

    def _calmed(
        self, sighting: Sighting, window: WindowId, start: datetime
    ) -> tuple[Watch, Event] | None:
        if self.phase is WatchPhase.CALM:
            return None
        count = self.calm + 1
        if self.phase is WatchPhase.CONFIRMED and count < sighting.needed:
            waiting = replace(self, calm=count, judged_through=start, window=window)
            return waiting, waiting._moved(self.phase, sighting)
        over = replace(
            self,
            phase=WatchPhase.CALM,
            alarming=0,
            calm=0,
            since=None,
            judged_through=start,
            window=window,
        )
        if self.phase is WatchPhase.SUSPECTED:
            return over, over._moved(self.phase, sighting)
        return over, self._cleared(sighting, window, start, count)

    def _moved(self, before: WatchPhase, sighting: Sighting) -> WatchMoved:
        return WatchMoved(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            window=self.window or "",
            watched=self.subject.value,
            name=self.name,
            before=before.value,
            after=self.phase.value,
            alarming=self.alarming,
            calm=self.calm,
            needed=sighting.needed,
            reason=sighting.evidence.reason,
        )

    def _confirmed(self, sighting: Sighting) -> Event:
        episode = {"consecutive": self.alarming, "since": self.since}
        return self._announce(sighting, self.window, DriftConfirmed, PerformanceDegraded, episode)

    def _cleared(self, sighting: Sighting, window: WindowId, start: datetime, count: int) -> Event:
        episode = {"consecutive": count, "since": self.since, "until": start}
        return self._announce(sighting, window, DriftCleared, PerformanceRecovered, episode)

    def _announce(
        self,
        sighting: Sighting,
        window: WindowId | None,
        drift: type[DriftConfirmed | DriftCleared],
        performance: type[PerformanceDegraded | PerformanceRecovered],
        episode: dict[str, Any],
    ) -> Event:
        kind = performance if isinstance(sighting.evidence, PerformanceEvidence) else drift
        return kind(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            window=window or "",
            **vars(sighting.evidence),
            **episode,
        )


@dataclass(frozen=True)
class WatchMoved(Event):
    """A window counted towards, or against, an episode that is not announced yet or not over."""

    kind: ClassVar[str] = "watch.moved"

    model: str
    window: str
    watched: str
    name: str
    before: str
    after: str
    alarming: int
    calm: int
    needed: int
    reason: str


@dataclass(frozen=True)
class DriftConfirmed(Event):
    """A feature has drifted in enough windows in a row to be believed."""

    kind: ClassVar[str] = "drift.confirmed"

    model: str
    window: str
    feature: str
    drift_type: str
    finding: str
    direction: str | None
    values: dict[str, Any]
    thresholds: dict[str, Any]
    votes: list[dict[str, Any]]
    severity: str | None
    items: list[str]
    reason: str
    consecutive: int
    since: datetime


@dataclass(frozen=True)
class DriftCleared(DriftConfirmed):
    """A feature is back, in as many windows in a row; the numbers are of the last of them."""

    kind: ClassVar[str] = "drift.cleared"

    until: datetime


@dataclass(frozen=True)
class PerformanceDegraded(Event):
    """A metric lay wholly beyond its limit in enough windows in a row."""

    kind: ClassVar[str] = "performance.degraded"

    model: str
    window: str
    metric: str
    version: str | None
    value: float | None
    limit: float | None
    interval: list[float] | None
    baseline: float | None
    reason: str
    consecutive: int
    since: datetime


@dataclass(frozen=True)
class PerformanceRecovered(PerformanceDegraded):
    """A metric is back within its limit, in as many windows in a row."""

    kind: ClassVar[str] = "performance.recovered"

    until: datetime
