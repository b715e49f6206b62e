"""Judging a window again because rows came late.

A revision counts for watches as its window would have counted, had the rows come in time, as
long as no later window could tell anything about the same subject: then the later one is the
newer news. What has been announced is not taken back, and no window counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from trimtab.audit.work import Work
from trimtab.kernel.ids import TenantId
from trimtab.monitoring import sightings, store
from trimtab.monitoring.drift import Scope, min_rows
from trimtab.monitoring.model import Performance, Phase, Window
from trimtab.monitoring.performance import Tally, VersionFacts
from trimtab.monitoring.service import Watches, of_tenant, performance_of
from trimtab.monitoring.survey import Look, Survey, without_rows
from trimtab.monitoring.watch import Sighting, Subject
from trimtab.policies.operation import Monitoring


@dataclass(frozen=True)
class Anew:
    """What there is now of a window's rows.

    `survey` is None where the input is the same as before. `tallies` and `versions` are as
    for `service.settle_window`.
    """

    survey: Survey | None
    tallies: Sequence[Tally]
    versions: Mapping[str, VersionFacts]


def revise(
    work: Work, window_id: str, anew: Anew, demands: Monitoring, *, policy_digest: str
) -> list[Window]:
    """Judge a window again, for the fleet and each tenant; one whose numbers stay the same is
    left alone, and a tenant that has rows enough now gets the window that it did not have.

    Args:
        work: The transaction.
        window_id: The fleet's window.
        anew: What there is now of its rows.
        demands: The slice it is judged by.
        policy_digest: Of the policy that `demands` is from.

    Returns:
        The windows that changed.

    Raises:
        NotFound: no window has this id.
        InvalidMove: its input was never looked at.
        Conflict: somebody moved it meanwhile.
    """
    window = store.get(work, window_id)
    watches = _Later(work, window, demands)
    beside = store.beside(work, window)
    fresh = _fresh(anew, {mine.tenant for mine in beside})
    changed = []
    for mine in beside:
        look = _look(mine, anew, demands)
        performance, said = _outcome(mine, anew, demands)
        drift, rows = (mine.drift, mine.rows) if look is None else (look.drift, look.rows)
        skipped = mine.skipped if mine.tenant is not None else _skipped(beside, anew, fresh)
        moved, event = mine.revise(
            drift, performance, rows=rows, skipped=skipped, policy_digest=policy_digest
        )
        if (drift, rows, performance) == (mine.drift, mine.rows, mine.performance):
            continue
        changed.append(store.save(work, moved, event))
        watches.see(moved, look, said)
    for tenant, look in fresh.items():
        made, said = _made(work, window, tenant, look, anew, demands, policy_digest)
        changed.append(made)
        watches.see(made, look, said)
    return changed


def _look(mine: Window, anew: Anew, demands: Monitoring) -> Look | None:
    """What is found in the input of one of the windows now; None where nobody looked."""
    if anew.survey is None:
        return None
    if mine.tenant is None:
        return anew.survey.fleet
    found = anew.survey.tenants.get(mine.tenant)
    if found is not None:
        return found
    least = min_rows(demands, Scope.TENANT)
    return without_rows(anew.survey.short.get(mine.tenant, 0), least)


def _outcome(
    mine: Window, anew: Anew, demands: Monitoring
) -> tuple[Performance | None, list[Sighting]]:
    if mine.phase is not Phase.SETTLED:
        return None, []
    return performance_of(mine, anew.tallies, anew.versions, demands)


def _fresh(anew: Anew, known: set[TenantId | None]) -> dict[str, Look]:
    """Tenants that have rows enough only now, by name."""
    if anew.survey is None:
        return {}
    return {name: anew.survey.tenants[name] for name in sorted({*anew.survey.tenants} - known)}


def _skipped(beside: Sequence[Window], anew: Anew, fresh: Mapping[str, Look]) -> tuple[str, ...]:
    """Tenants that still have no window of their own; the fleet's is the first."""
    short = () if anew.survey is None else anew.survey.short
    known = {mine.tenant for mine in beside[1:]}
    return tuple(sorted({*beside[0].skipped, *short} - known - {*fresh}))


def _made(
    work: Work,
    fleet: Window,
    tenant: str,
    look: Look,
    anew: Anew,
    demands: Monitoring,
    policy_digest: str,
) -> tuple[Window, list[Sighting]]:
    """The window of a tenant that had none, as far as the fleet's has come."""
    closed, event = of_tenant(fleet, tenant).close(
        look.drift,
        rows=look.rows,
        at=work.now,
        label_wait=timedelta(),
        policy_digest=policy_digest,
    )
    made = store.add(work, closed, event)
    if fleet.phase is not Phase.SETTLED:
        return made, []
    performance, said = performance_of(made, anew.tallies, anew.versions, demands)
    settled, told = made.settle(performance, at=work.now, policy_digest=policy_digest)
    return store.save(work, settled, told), said


class _Later:
    """The watches of a model, moved only where no later window could tell anything."""

    def __init__(self, work: Work, window: Window, demands: Monitoring):
        later = store.looked_at_after(work, window)
        self._work, self._demands = work, demands
        self._watches = Watches(work, window.model, tuple(Subject))
        self._input = {w.tenant for w in later if w.drift is not None and w.drift.features}
        self._output = {
            (w.tenant, judgement["metric"])
            for w in later
            if w.performance is not None
            for judgement in w.performance.judgements
            if judgement["value"] is not None
        }

    def see(self, window: Window, look: Look | None, said: Sequence[Sighting]) -> None:
        """What a window says now."""
        heard = [one for one in said if (window.tenant, one.name) not in self._output]
        if look is not None and window.tenant not in self._input:
            scope = Scope.GLOBAL if window.tenant is None else Scope.TENANT
            known = self._watches.names(window.tenant, Subject.STRUCTURE)
            heard += sightings.of_features(look.features, known, self._demands, scope)
        self._watches.see(self._work, window, heard, again=True)
