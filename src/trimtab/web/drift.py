"""Drift: which feature, since when, how far from its limit?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from trimtab.audit.work import Reading
from trimtab.identity import service as identity
from trimtab.incidents import store as incidents
from trimtab.incidents.model import Incident
from trimtab.kernel.clock import iso
from trimtab.kernel.errors import NotFound
from trimtab.kernel.ids import TenantId
from trimtab.monitoring import store as monitoring
from trimtab.monitoring.drift import Scope, min_rows
from trimtab.policies.operation import Monitoring
from trimtab.registry import store
from trimtab.registry.model import Model
from trimtab.sdk import shapes
from trimtab.web import drift_picture, explained, words
from trimtab.web.charts import Chart
from trimtab.web.drift_rows import Cell, Row, rows
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import PartsOf, Visitor, looking
from trimtab.workflows.parts import Parts, policy_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_WINDOWS = 40
"""Windows that are shown at once; the address of the page leads to earlier ones."""
_INCIDENTS = 20


@dataclass(frozen=True)
class DriftPage:
    """What is shown of a model's input, in one place."""

    model: Model
    tenant: TenantId | None
    tenants: tuple[TenantId, ...]
    """Others that have windows of their own and may be seen."""
    everywhere: bool
    """Whether whoever looks may see the whole fleet."""
    rows: tuple[Row, ...]
    chosen: Row | None
    picture: Chart | None
    says: str
    incidents: tuple[Incident, ...]
    demands: Monitoring
    least: int
    """The fewest rows of a window that are judged here."""
    policy: str
    start: datetime | None
    end: datetime | None
    before: datetime | None
    older: str | None
    now: datetime

    @property
    def moved(self) -> tuple[Row, ...]:
        """Features that the newest window says have moved, or that something is wrong with."""
        newest = [(row, row.newest) for row in self.rows]
        return tuple(r for r, cell in newest if cell and (cell.moved or cell.findings))

    @property
    def findings(self) -> tuple[Cell, ...]:
        """Windows with structural findings about the chosen feature, newest first."""
        cells = self.chosen.cells if self.chosen else ()
        return tuple(cell for cell in reversed(cells) if cell.findings)

    def address(self, feature: str | None = None, tenant: str | None = None) -> str:
        """This page about another feature, or in another place."""
        return _address(self.model.name, feature, tenant, self.before)


@router.get("/models/{name}/drift")
def drift_page(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("windows:read")],
    name: str,
    feature: Annotated[str | None, Query(max_length=200)] = None,
    tenant: Annotated[str | None, Query(max_length=80)] = None,
    before: Annotated[shapes.Moment | None, Query()] = None,
) -> Response:
    """Every feature from window to window, and one of them in full."""
    with parts.records.look() as reading:
        shown = read(reading, parts, visitor, name, feature or None, tenant or None, before)
    title = f"Drift of {name}"
    return page(request, "drift.html", shown, title=title, active="models", visitor=visitor)


def read(
    reading: Reading,
    parts: Parts,
    visitor: Visitor,
    name: str,
    feature: str | None = None,
    tenant: str | None = None,
    before: datetime | None = None,
) -> DriftPage:
    """The page, from one look at the records.

    Raises:
        NotFound: there is no such model, feature or tenant, or it is another tenant's.
    """
    model = store.model_named(reading, name)
    whose = _place(reading, visitor, tenant)
    demands = policy_of(parts, model)[0].monitoring
    windows = monitoring.windows(reading, name, whose, until=before, limit=_WINDOWS)
    watches = [w for w in monitoring.watches(reading, name) if w.tenant == whose]
    known = explained.of(reading, visitor, name, watches)
    # What is believed now says nothing of windows that are long past.
    listed = rows(
        [f.name for f in model.features],
        windows,
        [] if before is not None else watches,
        {} if before is not None else known,
        demands,
    )
    chosen = _chosen(listed, feature)
    about = _incidents(reading, visitor, model, whose, chosen)
    drawn = drift_picture.draw(chosen, about) if chosen is not None else None
    start, end = (windows[0].start, windows[-1].end) if windows else (None, None)
    more = len(windows) == _WINDOWS and start is not None
    return DriftPage(
        model=model,
        tenant=whose,
        tenants=_tenants(reading, visitor, name),
        everywhere=visitor.tenant is None,
        rows=listed,
        chosen=chosen,
        picture=drawn,
        says="" if chosen is None else drift_picture.says(chosen),
        incidents=about,
        demands=demands,
        least=min_rows(demands, Scope.GLOBAL if whose is None else Scope.TENANT),
        policy=model.policy or parts.default_policy,
        start=start,
        end=end,
        before=before,
        older=_address(name, feature, whose, start) if more else None,
        now=reading.now,
    )


def _address(
    model: str, feature: str | None, tenant: str | None, before: datetime | None = None
) -> str:
    wanted = {
        "feature": feature,
        "tenant": tenant,
        "before": None if before is None else iso(before),
    }
    given = {key: value for key, value in wanted.items() if value}
    return words.path("models", model, "drift") + ("?" + urlencode(given) if given else "")


def _place(reading: Reading, visitor: Visitor, tenant: str | None) -> TenantId | None:
    """Whose windows are asked for: a tenant's people see their own alone."""
    if tenant is None:
        return visitor.tenant
    identity.demand_tenant(reading, tenant)
    visitor.demand_sight(TenantId(tenant), "tenant")
    return TenantId(tenant)


def _tenants(reading: Reading, visitor: Visitor, model: str) -> tuple[TenantId, ...]:
    if visitor.tenant is not None:
        return (visitor.tenant,)
    return tuple(TenantId(t) for t in sorted(monitoring.last_rows(reading, model)))


def _chosen(listed: Sequence[Row], feature: str | None) -> Row | None:
    """The feature that is asked for, or the one nearest to its limit.

    Raises:
        NotFound: no window, and nothing registered, has this feature.
    """
    if feature is None:
        return listed[0] if listed else None
    found = next((row for row in listed if row.name == feature), None)
    if found is None:
        names = ", ".join(row.name for row in listed[:12])
        raise NotFound(
            f"this model has no feature {ascii(feature)[:80]}",
            field="feature",
            remedy=f"it has {names}" if names else None,
        )
    return found


def _incidents(
    reading: Reading,
    visitor: Visitor,
    model: Model,
    tenant: TenantId | None,
    chosen: Row | None,
) -> tuple[Incident, ...]:
    """Incidents about the chosen feature in this place, newest first."""
    if chosen is None or not visitor.may("incidents:read"):
        return ()
    found = incidents.listed(reading, model=model.name, tenant=visitor.tenant)
    own = [i for i in found if i.feature == chosen.name and i.tenant in (None, tenant)]
    return tuple(own[:_INCIDENTS])
