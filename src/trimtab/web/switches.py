"""Kill switches: what stops remedies, who set it and why, and letting them go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from trimtab.audit import ledger
from trimtab.audit.work import Reading, Work
from trimtab.identity import service as identity
from trimtab.identity import store as people
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import TenantId
from trimtab.registry import store as registry
from trimtab.remediation import kill_switches, store
from trimtab.remediation.events import SwitchCleared, SwitchSet
from trimtab.remediation.switches import Scope, Switch, checked_scope
from trimtab.web import telling
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, looking, sending
from trimtab.web.telling import Line
from trimtab.web.versions import checked_reason

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_LISTED = 20

Name = Annotated[str, Form(max_length=80)]
Why = Annotated[str, Form(max_length=2000)]
Operating = Annotated[Visitor, sending("remediations:execute")]


@dataclass(frozen=True)
class SetSwitch:
    """A switch that is set, by whom, and whether whoever looks may clear it."""

    switch: Switch
    by: str
    may_clear: bool


@dataclass(frozen=True)
class Reachable:
    """What somebody may stop: each with its name; the fleet has none."""

    scope: Scope
    name: str


@dataclass(frozen=True)
class Switches:
    """What is stopped now, what could be, and what was."""

    set: tuple[SetSwitch, ...]
    reachable: tuple[Reachable, ...]
    why_not: str | None
    timeline: tuple[Line, ...]
    now: datetime


@router.get("/switches")
def switches(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("remediations:read")],
) -> Response:
    """What stops remedies."""
    with parts.records.look() as reading:
        shown = read(reading, visitor)
    return page(
        request, "switches.html", shown, title="Kill switches", active="account", visitor=visitor
    )


@router.post("/switches/set")
def engage(
    parts: PartsOf, visitor: Operating, scope: Name = "", name: Name = "", reason: Why = ""
) -> Response:
    """Stop every remedy of a scope that has not begun."""
    with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
        kill_switches.engage(work, *_reached(work, visitor, scope, name))
    return see_other("/switches?done=stopped")


@router.post("/switches/clear")
def clear(
    parts: PartsOf, visitor: Operating, scope: Name = "", name: Name = "", reason: Why = ""
) -> Response:
    """Let remedies of a scope be asked for again."""
    with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
        kill_switches.clear(work, *_reached(work, visitor, scope, name))
    return see_other("/switches?done=cleared")


def read(reading: Reading, visitor: Visitor) -> Switches:
    """The page, from one look at the records."""
    names = telling.names(reading)
    found = [s for s in store.switches_set(reading) if visitor.sees(s.tenant)]
    why_not = None
    if not visitor.may("remediations:execute"):
        why_not = "your roles stop and start no remedies"
    entries = ledger.entries(
        reading.connection,
        kinds=[SwitchSet.kind, SwitchCleared.kind],
        tenant=visitor.tenant,
        limit=_LISTED,
        newest_first=True,
    )
    return Switches(
        set=tuple(
            SetSwitch(s, telling.who(s.by, names), why_not is None and _own(visitor, s.tenant))
            for s in found
        ),
        reachable=() if why_not else _reachable(reading, visitor, found),
        why_not=why_not,
        timeline=tuple(telling.line(entry, names) for entry in entries),
        now=reading.now,
    )


def _own(visitor: Visitor, tenant: TenantId | None) -> bool:
    return visitor.tenant is None or tenant == visitor.tenant


def _reachable(reading: Reading, visitor: Visitor, found: list[Switch]) -> tuple[Reachable, ...]:
    """Everything that somebody may stop and that is not stopped yet."""
    tenants = [
        Reachable(Scope.TENANT, t.id) for t in people.tenants(reading, tenant=visitor.tenant)
    ]
    models = [Reachable(Scope.MODEL, m.name) for m in registry.models(reading, limit=500)]
    fleet = [Reachable(Scope.FLEET, "")]
    everything = tenants if visitor.tenant is not None else [*fleet, *models, *tenants]
    stopped = {(s.scope, s.name) for s in found}
    return tuple(each for each in everything if (each.scope, each.name) not in stopped)


def _reached(work: Work, visitor: Visitor, scope: str, name: str) -> tuple[Scope, str]:
    """What is named, if it is there and theirs to stop. A form may name both in one word, as
    its list of choices does: `model/flight-delays`.

    Raises:
        InvalidInput, NotFound, NotPermitted: it is not.
    """
    kind, _, rest = scope.partition("/")
    if kind not in [each.value for each in Scope]:
        raise InvalidInput(
            "say what is to be stopped: the fleet, a model or a tenant", field="scope"
        )
    reach, named = Scope(kind), rest or name
    checked_scope(reach, named)
    tenant = TenantId(named) if reach is Scope.TENANT else None
    visitor.demand_sight(tenant, "tenant")
    identity.demand_tenant(work, tenant, field="name")
    if reach is Scope.MODEL:
        registry.model_named(work, named, field="name")
    visitor.demand_say(tenant)
    return reach, named
