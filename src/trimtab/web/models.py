"""A model: its lifeline, and what stands behind every part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response

from trimtab.approvals import store as approvals
from trimtab.approvals.model import Approval
from trimtab.approvals.model import Phase as ApprovalPhase
from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.checks import store as check_store
from trimtab.checks.model import CheckRun
from trimtab.incidents import store as incidents
from trimtab.incidents.model import Incident
from trimtab.kernel.ids import TenantId
from trimtab.monitoring import late_store
from trimtab.monitoring import store as monitoring
from trimtab.monitoring.late import Late
from trimtab.monitoring.model import Window
from trimtab.policies.operation import Monitoring
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Model, Version
from trimtab.remediation import store as remediation
from trimtab.remediation.model import Remediation
from trimtab.rollouts import store as rollouts
from trimtab.rollouts.model import Rollout
from trimtab.web import explained, figures, lifeline, lifeline_picture, telling, words
from trimtab.web.charts import Chart
from trimtab.web.figures import Known
from trimtab.web.lifeline import Lifeline, Mark, Stretch
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import PartsOf, Visitor, looking
from trimtab.web.telling import Line
from trimtab.web.watching import (
    DriftPoint,
    Glance,
    RatePoint,
    drift_point,
    effects_of,
    glance,
    rate_point,
)
from trimtab.workflows.measured import Measured
from trimtab.workflows.parts import Parts, policy_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_WINDOWS = 400
_MOVES = 200
_LISTED = 20
_FLEET = "fleet"


@dataclass(frozen=True)
class VersionRow:
    """A version in the table, with where it stands and what it does in production."""

    version: Version
    places: tuple[Deployed, ...]
    figures: Mapping[str, Known]
    measured: Measured | None

    @property
    def where(self) -> str:
        """What its rate in production was measured in; empty where it was not."""
        return "" if self.measured is None else figures.where(self.measured)

    @property
    def held_out(self) -> bool:
        """Whether one of its figures comes from our check alone."""
        return any(known.source for known in self.figures.values())

    @property
    def taken_back(self) -> bool:
        """Whether it carries no traffic any more because it did harm."""
        return any(place.state is Deployment.ROLLED_BACK for place in self.places)


@dataclass(frozen=True)
class Numbers:
    """One window in the table of the numbers behind the picture."""

    start: datetime
    drift: DriftPoint | None
    rate: RatePoint | None


@dataclass(frozen=True)
class ModelPage:
    """What is shown of a model."""

    model: Model
    reasons: tuple[str, ...]
    policy: str
    life: Lifeline
    picture: Chart
    numbers: tuple[Numbers, ...]
    glance: Glance
    versions: tuple[VersionRow, ...]
    incidents: tuple[Incident, ...]
    settled: tuple[Incident, ...]
    rollouts: tuple[Rollout, ...]
    timeline: tuple[Line, ...]
    hidden: int
    late: Late | None


@dataclass(frozen=True)
class Past:
    """Everything that was read of a model, as far as one person may see it."""

    model: Model
    versions: Sequence[Version]
    deployments: Sequence[Deployed]
    moves: Mapping[str, Sequence[Entry]]
    approvals: Sequence[Approval]
    incidents: Sequence[Incident]
    remedies: Sequence[Remediation]
    windows: Mapping[str, Sequence[Window]]
    rollouts: Sequence[Rollout]
    checks: Mapping[str, Sequence[CheckRun]]
    demands: Monitoring
    now: datetime


@router.get("/models/{name}")
def model_page(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("models:read")],
    name: str,
) -> Response:
    """The lifeline of a model."""
    with parts.records.look() as reading:
        shown = read(reading, parts, visitor, name)
    return page(request, "model.html", shown, title=name, active="models", visitor=visitor)


def read(reading: Reading, parts: Parts, visitor: Visitor, name: str) -> ModelPage:
    """The page, from one look at the records.

    Raises:
        NotFound: there is no such model.
    """
    model = store.model_named(reading, name)
    tier, _digest = policy_of(parts, model)
    past = _past(reading, visitor, model, tier.monitoring)
    life = life_of(past)
    own = past.windows.get(visitor.tenant or _FLEET, ())
    watches = [w for w in monitoring.watches(reading, name) if w.tenant == visitor.tenant]
    open_, settled = _parted(past.incidents)
    return ModelPage(
        model=model,
        reasons=_reasons(reading, model),
        policy=model.policy or parts.default_policy,
        life=life,
        picture=lifeline_picture.draw(life),
        numbers=_numbers(own, tier.monitoring),
        glance=glance(own, watches, explained.of(reading, visitor, name, watches)),
        versions=_rows(past),
        incidents=open_,
        settled=settled,
        rollouts=tuple(past.rollouts[:_LISTED]),
        timeline=telling.timeline(reading, visitor, [model.id, *(v.id for v in past.versions)]),
        hidden=max(0, len(past.versions) - lifeline.MAX_LANES),
        late=late_store.of_model(reading, name) if visitor.tenant is None else None,
    )


def life_of(past: Past) -> Lifeline:
    """What is drawn, from what was read."""
    start = min([past.model.created_at, *(v.created_at for v in past.versions)])
    lanes = tuple(lane_of(v.tenant, v.version) for v in _by_scope(past.versions))
    own = past.windows.get(_FLEET) or next(iter(past.windows.values()), ())
    rates = [rate_point(window) for window in own]
    return Lifeline(
        model=past.model.name,
        start=start,
        end=past.now,
        lanes=lanes,
        stretches=tuple(s for v in past.versions for s in _stretches(v, past)),
        marks=tuple(sorted(_marks(past), key=lambda m: m.at)),
        drift=tuple(
            lifeline.Line(scope, _drift(windows, past.demands))
            for scope, windows in past.windows.items()
            if windows
        ),
        rates=tuple(point for point in rates if point is not None),
    )


def lane_of(tenant: str | None, version: str) -> str:
    """What the lane of a version is called."""
    return f"{tenant} {version}" if tenant else version


def _by_scope(versions: Sequence[Version]) -> list[Version]:
    return sorted(versions, key=lambda v: (v.tenant or "", v.created_at))


def _past(reading: Reading, visitor: Visitor, model: Model, demands: Monitoring) -> Past:
    everyone = visitor.tenant is None
    versions = store.versions_of(reading, model.name, visible_to=visitor.tenant, everyone=everyone)
    deployments = [
        d for d in deployment_store.history(reading, model.name) if visitor.sees(d.tenant)
    ]
    moves = {
        d.id: ledger.entries(reading.connection, ref=d.id, kinds=["deployment.moved"], limit=_MOVES)
        for d in deployments
    }
    broken = incidents.listed(reading, model=model.name, tenant=visitor.tenant)
    remedies = remediation.listed(reading, model=model.name, tenant=visitor.tenant)
    return Past(
        model=model,
        versions=versions,
        deployments=deployments,
        moves=moves,
        approvals=[a for v in versions for a in approvals.of_version(reading, v.id)],
        incidents=broken if visitor.may("incidents:read") else [],
        remedies=remedies if visitor.may("remediations:read") else [],
        windows=_windows(reading, visitor, model.name, deployments),
        rollouts=rollouts.of_model(reading, model.name, tenant=visitor.tenant, limit=_MOVES),
        checks={v.id: check_store.of_version(reading, v.id) for v in versions},
        demands=demands,
        now=reading.now,
    )


def _windows(
    reading: Reading, visitor: Visitor, model: str, deployments: Sequence[Deployed]
) -> dict[str, Sequence[Window]]:
    """Windows of the fleet and of each tenant with a version of its own, where it may be seen."""
    if not visitor.may("windows:read"):
        return {}
    tenants = sorted({d.tenant for d in deployments if d.tenant is not None})
    scopes: list[TenantId | None] = [None, *tenants] if visitor.tenant is None else [visitor.tenant]
    found = {
        scope or _FLEET: monitoring.windows(reading, model, scope, limit=_WINDOWS)
        for scope in scopes
    }
    return {scope: windows for scope, windows in found.items() if windows}


def _stretches(version: Version, past: Past) -> list[Stretch]:
    """The life of a version: nothing until it is deployed, then what its deployment says."""
    lane = lane_of(version.tenant, version.version)
    address = words.path("models", version.model, "versions", version.version)
    moves = [
        entry
        for deployed in past.deployments
        if (deployed.version, deployed.tenant) == (version.version, version.tenant)
        for entry in past.moves[deployed.id]
        if entry.data is not None
    ]
    moves.sort(key=lambda entry: entry.sequence)
    changes = [(version.created_at, "none", 0.0)]
    for entry in moves:
        assert entry.data is not None
        percent = float(entry.data["percent_after"])
        changes.append((entry.at, words.words(str(entry.data["after"])), percent))
    ends = [at for at, _, _ in changes[1:]] + [past.now]
    found = [
        Stretch(lane, at, end, exposure, percent, address)
        for (at, exposure, percent), end in zip(changes, ends, strict=True)
    ]
    # What began this very moment takes no time yet, and is how it stands.
    return [stretch for stretch in found[:-1] if stretch.end > stretch.start] + found[-1:]


def _marks(past: Past) -> list[Mark]:
    marks = []
    for approval in past.approvals:
        given = approval.given
        if approval.decided_at is None or not (given or approval.phase is ApprovalPhase.REJECTED):
            continue
        address = words.path("models", approval.target.model, "versions", approval.target.version)
        label = f"{approval.target.version} {'approved' if given else 'rejected'}"
        marks.append(Mark("approval", approval.decided_at, None, given, label, address))
    for entries in past.moves.values():
        for entry in entries:
            data = entry.data or {}
            if data.get("after") in ("stable", "rolled_back"):
                good = data["after"] == "stable"
                label = f"{data['version']} {words.words(str(data['after']))}"
                address = words.path("models", past.model.name, "versions", str(data["version"]))
                marks.append(Mark("release", entry.at, None, good, label, address))
    for incident in past.incidents:
        since = incident.drift_start or incident.detected_at
        label = f"{incident.id}: {incident.title}"
        address = words.path("incidents", incident.id)
        end = incident.resolved_at or (past.now if not incident.settled else incident.detected_at)
        marks.append(Mark("incident", since, end, incident.settled, label, address))
    for remedy in past.remedies:
        at = remedy.started_at or remedy.proposed_at
        label = f"{words.words(remedy.action.value)}: {words.words(remedy.phase.value)}"
        address = words.path("incidents", remedy.incident)
        good = remedy.phase.value in ("succeeded", "verifying", "executing", "permitted")
        marks.append(Mark("action", at, None, good, label, address))
    return marks


def _drift(windows: Sequence[Window], demands: Monitoring) -> tuple[DriftPoint, ...]:
    points = [drift_point(window, effects_of(demands, window)) for window in windows]
    return tuple(point for point in points if point is not None)


def _numbers(windows: Sequence[Window], demands: Monitoring) -> tuple[Numbers, ...]:
    return tuple(
        Numbers(w.start, drift_point(w, effects_of(demands, w)), rate_point(w))
        for w in reversed(windows)
    )


def _rows(past: Past) -> tuple[VersionRow, ...]:
    return tuple(
        VersionRow(
            version=version,
            places=tuple(
                d
                for d in figures.shared(past.deployments)
                if (d.version, d.tenant) == (version.version, version.tenant)
            ),
            figures=figures.before_release(version, past.checks[version.id]),
            measured=figures.in_production(
                version, past.windows.get(version.tenant or _FLEET, ()), past.rollouts
            ),
        )
        for version in sorted(past.versions, key=lambda v: v.created_at, reverse=True)
    )


def _reasons(reading: Reading, model: Model) -> tuple[str, ...]:
    """Why it has its tier, as it was written down when it was registered."""
    found = ledger.entries(reading.connection, ref=model.id, kinds=["model.registered"], limit=1)
    data = found[0].data if found else None
    return tuple(str(reason) for reason in (data or {}).get("risk_reasons", ()))


def _parted(found: Sequence[Incident]) -> tuple[tuple[Incident, ...], tuple[Incident, ...]]:
    open_ = tuple(i for i in found if not i.settled)
    return open_, tuple(i for i in found if i.settled)
