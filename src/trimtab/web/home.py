"""Home: what needs me now?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request, Response

from trimtab.approvals import store as approvals
from trimtab.approvals.model import Approval, Phase
from trimtab.audit import ledger
from trimtab.audit.heads import read_note
from trimtab.audit.work import Reading
from trimtab.incidents import store as incidents
from trimtab.incidents.model import Incident
from trimtab.inventory import connection_store
from trimtab.inventory.store import Filter, Tally
from trimtab.monitoring import store as windows
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Model
from trimtab.remediation import store as remediation
from trimtab.remediation.switches import Switch
from trimtab.rollouts import store as rollouts
from trimtab.rollouts.model import Rollout
from trimtab.web import connections, explained
from trimtab.web.figures import shared
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import PartsOf, Visitor, looking
from trimtab.web.watching import Glance, glance
from trimtab.workflows import about, condition, inventoried
from trimtab.workflows.inventoried import ConnectionView
from trimtab.workflows.parts import ENVIRONMENT, Parts
from trimtab.workflows.proof import Verified

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_LISTED = 500
_WINDOWS = 8


@dataclass(frozen=True)
class Record:
    """How the ledger stands."""

    entries: int
    head: int | None
    verified: Verified | None


@dataclass(frozen=True)
class ModelRow:
    """A model in the list."""

    model: Model
    places: tuple[Deployed, ...]
    open_incidents: int
    glance: Glance
    outcomes_until: datetime | None
    """Where the newest looks have judged no outcome: until when there were any."""

    @property
    def stable(self) -> str | None:
        """The version that serves, if one does."""
        return next((d.version for d in self.places if d.state is Deployment.STABLE), None)


@dataclass(frozen=True)
class InventoryNeeds:
    """What needs somebody among other registries: those that fail or lag, and versions whose
    files hold what runs when they are loaded."""

    connections: tuple[connections.Shown, ...] = ()
    malicious: int = 0

    @property
    def any(self) -> bool:
        """Whether there is something."""
        return bool(self.connections or self.malicious)


@dataclass(frozen=True)
class Home:
    """What waits for this person, what moves, what broke, and what calm rests on."""

    mine: tuple[Approval, ...]
    others: tuple[Approval, ...]
    incidents: tuple[Incident, ...]
    stopped: tuple[Switch, ...]
    set_aside: tuple[tuple[str, int], ...]
    """Jobs that failed for good, by name: what they were to do has not been done."""
    moving: tuple[Rollout, ...]
    models: tuple[ModelRow, ...]
    record: Record
    inventory: InventoryNeeds
    now: datetime

    @property
    def calm(self) -> bool:
        """Whether nothing waits, moves, is broken, is stopped or was left undone."""
        disturbed = self.incidents or self.stopped or self.set_aside or self.inventory.any
        return not (self.mine or self.moving or disturbed)

    @property
    def looked_at(self) -> datetime | None:
        """How far back the oldest of the newest looks lies; None if a model has none."""
        served = [row for row in self.models if row.places]
        looks = [row.glance.looked_at for row in served]
        known = [look for look in looks if look is not None]
        return min(known) if known and len(known) == len(looks) else None

    @property
    def unwatched(self) -> int:
        """Models that carry traffic and that nobody has looked at."""
        return sum(1 for row in self.models if row.places and row.glance.looked_at is None)

    @property
    def not_calm(self) -> int:
        """Models that carry traffic and whose newest look does not say calm, nor that what
        moved is explained."""
        served = [row for row in self.models if row.places and row.glance.looked_at is not None]
        loud = [row for row in served if not row.glance.explained]
        return sum(1 for row in loud if row.glance.drift.word != "calm")

    @property
    def known(self) -> int:
        """Models that carry traffic and whose drift a resolved incident explains."""
        return sum(1 for row in self.models if row.places and row.glance.explained)


@router.get("/")
def home(
    request: Request, parts: PartsOf, visitor: Annotated[Visitor, looking("models:read")]
) -> Response:
    """What waits, what moves, what broke."""
    with parts.records.look() as reading:
        shown = read(reading, parts, visitor, getattr(request.app.state, "verified", None))
    return page(request, "home.html", shown, title="Home", active="home", visitor=visitor)


@router.get("/models")
def model_list(
    request: Request, parts: PartsOf, visitor: Annotated[Visitor, looking("models:read")]
) -> Response:
    """All models."""
    with parts.records.look() as reading:
        rows = model_rows(reading, visitor, _open_incidents(reading, visitor))
    return page(request, "models.html", rows, title="Models", active="models", visitor=visitor)


def read(reading: Reading, parts: Parts, visitor: Visitor, verified: Verified | None) -> Home:
    """The page, from one look at the records."""
    pending = approvals.listed(reading, phase=Phase.PENDING, tenant=visitor.tenant, limit=_LISTED)
    broken = _open_incidents(reading, visitor)
    moving = [r for r in rollouts.unsettled(reading) if visitor.sees(r.tenant)]

    def votes(approval: Approval) -> bool:
        own = visitor.tenant in (None, approval.target.tenant)
        asked = about.approval(reading, approval)
        can = own and visitor.actor.may("approvals:decide", asked)
        return can and approval.may_vote(visitor.voter(asked)) is None

    return build(
        [a for a in pending if votes(a)],
        [a for a in pending if visitor.may("approvals:read") and not votes(a)],
        broken,
        _stopped(reading, visitor),
        condition.set_aside(parts) if visitor.tenant is None else {},
        moving if visitor.may("rollouts:read") else [],
        model_rows(reading, visitor, broken),
        _record(parts, reading, verified),
        _inventory(reading, parts, visitor),
        reading.now,
    )


def build(
    mine: Sequence[Approval],
    others: Sequence[Approval],
    broken: Sequence[Incident],
    stopped: Sequence[Switch],
    set_aside: Mapping[str, int],
    moving: Sequence[Rollout],
    models: Sequence[ModelRow],
    record: Record,
    inventory: InventoryNeeds,
    now: datetime,
) -> Home:
    """The page from what was read."""
    worst_first = sorted(broken, key=lambda i: (-i.severity.rank, i.detected_at))
    return Home(
        mine=tuple(mine),
        others=tuple(others),
        incidents=tuple(worst_first),
        stopped=tuple(stopped),
        set_aside=tuple(sorted(set_aside.items())),
        moving=tuple(moving),
        models=tuple(models),
        record=record,
        inventory=inventory,
        now=now,
    )


def model_rows(
    reading: Reading, visitor: Visitor, broken: Sequence[Incident]
) -> tuple[ModelRow, ...]:
    """A row for each model, with what `visitor` may see of it."""
    carrying = deployment_store.carrying(reading, ENVIRONMENT)
    return tuple(
        _row(reading, visitor, model, carrying, broken)
        for model in store.models(reading, limit=_LISTED)
    )


def _row(
    reading: Reading,
    visitor: Visitor,
    model: Model,
    carrying: Sequence[Deployed],
    broken: Sequence[Incident],
) -> ModelRow:
    seen = [d for d in shared(carrying) if d.model == model.name and visitor.sees(d.tenant)]
    looked = windows.windows(reading, model.name, visitor.tenant, limit=_WINDOWS)
    watched = [w for w in windows.watches(reading, model.name) if w.tenant == visitor.tenant]
    known = explained.of(reading, visitor, model.name, watched)
    seen_at_all = glance(looked, watched, known)
    return ModelRow(
        model=model,
        places=tuple(sorted(seen, key=lambda d: (d.tenant != visitor.tenant, d.tenant or ""))),
        open_incidents=sum(1 for i in broken if i.model == model.name),
        glance=seen_at_all,
        outcomes_until=windows.last_outcomes(reading, model.name, visitor.tenant)
        if seen_at_all.gauge is None
        else None,
    )


def _stopped(reading: Reading, visitor: Visitor) -> list[Switch]:
    """What stops remedies, as far as it concerns this person."""
    if not visitor.may("remediations:read"):
        return []
    return [s for s in remediation.switches_set(reading) if visitor.sees(s.tenant)]


def _open_incidents(reading: Reading, visitor: Visitor) -> list[Incident]:
    if not visitor.may("incidents:read"):
        return []
    return incidents.active(reading, tenant=visitor.tenant)


def _inventory(reading: Reading, parts: Parts, visitor: Visitor) -> InventoryNeeds:
    """What needs somebody there. The page asks each second, so nothing is counted that it does
    not say."""
    if not visitor.may("inventory:read"):
        return InventoryNeeds()
    limit = timedelta(minutes=parts.settings.sync_lag_minutes)
    views = []
    for found in connection_store.every(reading, tenant=visitor.tenant):
        state = connection_store.state(reading, found.id)
        lag = inventoried.lag_of(found, state, reading.now)
        views.append(ConnectionView(found, state, None, lag, limit, Tally()))
    if not views:
        return InventoryNeeds()
    bad = inventoried.tally(reading, visitor.actor, Filter(inspection="malicious"))
    return InventoryNeeds(connections.troubled(views), bad.versions)


def _record(parts: Parts, reading: Reading, verified: Verified | None) -> Record:
    notes = parts.heads.published()
    head = read_note(notes[-1])[0] if notes else None
    return Record(ledger.size(reading.connection), head, verified)
