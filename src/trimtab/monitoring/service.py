"""The verbs of monitoring: schedule windows, close them, settle them.

Measuring is done before, outside any transaction, by the pure pages: `survey.survey` for the
input, `performance.outcomes` for the output. Here it is decided and written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from trimtab.audit.work import Reading, Work
from trimtab.kernel.events import plain
from trimtab.kernel.ids import TenantId, WindowId, new_id
from trimtab.monitoring import late_store, sightings, store
from trimtab.monitoring.drift import Scope, min_rows
from trimtab.monitoring.model import Performance, Phase, Window, summary
from trimtab.monitoring.performance import (
    Tally,
    VersionFacts,
    judge,
    rates,
    together,
    verdict_of,
)
from trimtab.monitoring.survey import Look, Survey, without_rows
from trimtab.monitoring.watch import Sighting, Subject, Watch, WatchPhase
from trimtab.policies.operation import Monitoring

INPUT = (Subject.DRIFT, Subject.STRUCTURE)
OUTPUT = (Subject.PERFORMANCE,)


def schedule_windows(
    work: Work, model: str, first_prediction: datetime, demands: Monitoring, *, limit: int = 1000
) -> list[Window]:
    """Make the fleet's windows up to the one that `work.now` lies in.

    Windows follow one another without gaps and begin at whole multiples of their length since
    1970, so daily ones at midnight UTC. Safe to repeat: what exists is left alone.

    Args:
        work: The transaction.
        model: Whose.
        first_prediction: The first window holds this moment.
        demands: The monitoring slice of the policy, for the length.
        limit: At most so many at once; call again for more.
    """
    length = timedelta(hours=demands.window_hours)
    last = store.last_scheduled(work, model)
    start = _floor(first_prediction, length) if last is None else last.end
    if last is None and start <= work.now:
        late_store.expect(work, model)
    made: list[Window] = []
    while start <= work.now and len(made) < limit:
        window = Window(
            id=WindowId(new_id("win")),
            model=model,
            tenant=None,
            start=start,
            end=start + length,
            phase=Phase.SCHEDULED,
            due_at=start + length,
        )
        made.append(store.add(work, window, window.scheduled()))
        start = window.end
    return made


def close_window(
    work: Work,
    window_id: str,
    survey: Survey,
    demands: Monitoring,
    *,
    label_wait: timedelta,
    policy_digest: str,
) -> list[Window]:
    """Write down what was found in the input, for the fleet and each tenant, and move watches.

    A tenant with too few rows gets a window that says so when it had enough before, or was
    never seen; as long as that lasts it is only named in the fleet's `skipped`. Safe to
    repeat: a closed window stays as it is.

    Args:
        work: The transaction.
        window_id: The fleet's window.
        survey: What `survey.survey` found in its rows.
        demands: The slice it was judged by.
        label_wait: How long after its end labels are waited for.
        policy_digest: Of the policy that `demands` is from.

    Returns:
        The window, then those of its tenants.

    Raises:
        NotFound: no window has this id.
        InvalidMove: its time is not over.
        Conflict: somebody closed it meanwhile.
    """
    window = store.get(work, window_id)
    if window.phase is not Phase.SCHEDULED:
        return store.beside(work, window)
    late_store.expect(work, window.model, window.id)
    silent, skipped = _short_of_rows(work, window.model, survey, demands)
    looks: dict[str, Look] = {**survey.tenants, **silent}
    newest = not store.has_newer(work, window, [Phase.CLOSED, Phase.SETTLED])
    watches = Watches(work, window.model, INPUT) if newest else None
    closed: list[Window] = []
    for tenant, look in [(None, survey.fleet), *sorted(looks.items())]:
        mine = window if tenant is None else of_tenant(window, tenant)
        moved, event = mine.close(
            look.drift,
            rows=look.rows,
            at=work.now,
            label_wait=label_wait,
            policy_digest=policy_digest,
            skipped=skipped if tenant is None else (),
        )
        write = store.save if tenant is None else store.add
        closed.append(write(work, moved, event))
        if watches is not None:
            scope = Scope.GLOBAL if tenant is None else Scope.TENANT
            known = watches.names(moved.tenant, Subject.STRUCTURE)
            said = sightings.of_features(look.features, known, demands, scope)
            watches.see(work, moved, said)
    return closed


def settle_window(
    work: Work,
    window_id: str,
    tallies: Sequence[Tally],
    versions: Mapping[str, VersionFacts],
    demands: Monitoring,
    *,
    policy_digest: str,
) -> list[Window]:
    """Judge the output by the labels that are in, for the fleet and each tenant's window.

    Safe to repeat: a settled window stays as it is; late rows come in by `revision.revise`.

    Args:
        work: The transaction.
        window_id: The fleet's window.
        tallies: What `performance.outcomes` counted in its rows; empty when there are none.
        versions: Facts of the versions in them.
        demands: The slice it is judged by.
        policy_digest: Of the policy that `demands` is from.

    Raises:
        NotFound: no window has this id.
        InvalidMove: its input has not been looked at.
        Conflict: somebody settled it meanwhile.
    """
    window = store.get(work, window_id)
    if window.phase is Phase.SETTLED:
        return store.beside(work, window)
    newest = not store.has_newer(work, window, [Phase.SETTLED])
    watches = Watches(work, window.model, OUTPUT) if newest else None
    settled = []
    for mine in store.beside(work, window):
        performance, said = performance_of(mine, tallies, versions, demands)
        moved, event = mine.settle(performance, at=work.now, policy_digest=policy_digest)
        settled.append(store.save(work, moved, event))
        if watches is not None:
            watches.see(work, moved, said)
    return settled


@dataclass(frozen=True)
class Point:
    """One window as charts want it; times in UTC, the rest JSON objects."""

    window: str
    start: datetime
    end: datetime
    phase: str
    rows: int
    labels: int
    drift_verdict: str | None
    features: list[dict[str, Any]]
    performance_verdict: str | None
    judgements: list[dict[str, Any]]
    sides: list[dict[str, Any]]


def series(
    reading: Reading,
    model: str,
    tenant: TenantId | None = None,
    *,
    since: datetime | None = None,
    limit: int = 400,
) -> list[Point]:
    """The newest `limit` windows of a tenant or the fleet, oldest first."""
    found = store.windows(reading, model, tenant, since=since, limit=limit)
    return [_point(window) for window in found]


def _point(window: Window) -> Point:
    drift, performance = window.drift, window.performance
    return Point(
        window=window.id,
        start=window.start,
        end=window.end,
        phase=window.phase.value,
        rows=window.rows,
        labels=0 if performance is None else performance.labels,
        drift_verdict=None if drift is None else drift.verdict.value,
        features=[] if drift is None else [summary(one) for one in drift.features],
        performance_verdict=None if performance is None else performance.verdict.value,
        judgements=[] if performance is None else performance.judgements,
        sides=[] if performance is None else performance.sides,
    )


class Watches:
    """The watches of a model, read once for all windows of a stretch."""

    def __init__(self, reading: Reading, model: str, subjects: Sequence[Subject]):
        found = store.watches(reading, model, subjects=subjects)
        self._model = model
        self._known = {(w.tenant, w.subject, w.name): w for w in found}

    def names(self, tenant: TenantId | None, subject: Subject) -> list[str]:
        """Names of what is watched and not calm."""
        return [
            watch.name
            for watch in self._known.values()
            if (watch.tenant, watch.subject) == (tenant, subject)
            and watch.phase is not WatchPhase.CALM
        ]

    def see(
        self, work: Work, window: Window, said: Sequence[Sighting], *, again: bool = False
    ) -> None:
        """Move each watch that a window speaks to; begin one at its first alarm. `again` is
        for a window that has spoken before."""
        for sighting in said:
            key = (window.tenant, sighting.subject, sighting.name)
            watch = self._known.get(key) or self._new(window.tenant, sighting)
            moved = watch.see(sighting, window.id, window.start)
            if moved is None and again:
                moved = watch.reconsider(sighting, window.id, window.start)
            if moved is not None:
                self._known[key] = store.keep_watch(work, *moved)

    def _new(self, tenant: TenantId | None, sighting: Sighting) -> Watch:
        return Watch(
            id=new_id("wat"),
            model=self._model,
            tenant=tenant,
            subject=sighting.subject,
            name=sighting.name,
            phase=WatchPhase.CALM,
            alarming=0,
            calm=0,
            since=None,
            judged_through=None,
            window=None,
        )


def _short_of_rows(
    reading: Reading, model: str, survey: Survey, demands: Monitoring
) -> tuple[dict[str, Look], tuple[str, ...]]:
    """Tenants with too few rows: the looks of those of whom that is news, and all names."""
    least = min_rows(demands, Scope.TENANT)
    before = store.last_rows(reading, model)
    names = sorted({*survey.short, *before} - set(survey.tenants))
    news = [name for name in names if before.get(name, least) >= least]
    return {n: without_rows(survey.short.get(n, 0), least) for n in news}, tuple(names)


def performance_of(
    window: Window,
    tallies: Sequence[Tally],
    versions: Mapping[str, VersionFacts],
    demands: Monitoring,
) -> tuple[Performance, list[Sighting]]:
    fleet = window.tenant is None
    mine = together(tallies) if fleet else [t for t in tallies if t.tenant == window.tenant]
    scope = Scope.GLOBAL if fleet else Scope.TENANT
    judgements = judge(mine, versions, demands, scope)
    verdict = verdict_of(judgements)
    telling = [one for one in judgements if one.verdict is verdict]
    reason = "; ".join(f"{one.metric} of {one.version}: {one.reason}" for one in telling)
    confidence = 1.0 - demands.false_discovery_rate
    performance = Performance(
        verdict=verdict,
        reason=reason or "no prediction of a stable version was made",
        labels=sum(tally.labelled for tally in mine),
        sides=[_side(tally, confidence) for tally in mine],
        judgements=[plain(one) for one in judgements],
    )
    return performance, sightings.of_metrics(judgements, demands)


def _side(tally: Tally, confidence: float) -> dict[str, Any]:
    side: dict[str, Any] = plain(tally)
    side["rates"] = plain(rates(tally, confidence=confidence))
    return side


def of_tenant(window: Window, tenant: str) -> Window:
    return Window(
        id=WindowId(new_id("win")),
        model=window.model,
        tenant=TenantId(tenant),
        start=window.start,
        end=window.end,
        phase=Phase.SCHEDULED,
        due_at=None,
    )


def _floor(moment: datetime, length: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (moment - epoch) // length * length
