"""Kill switches: stop every remedy of the fleet, of a model or of a tenant, and let them go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, may
from trimtab.api.paging import Pages, whole
from trimtab.audit.work import Reading
from trimtab.identity import service as identity
from trimtab.identity.reach import demand_grant, demand_say, owns
from trimtab.kernel.errors import NotFound
from trimtab.kernel.ids import TenantId
from trimtab.registry import store as registry
from trimtab.remediation import kill_switches, store
from trimtab.remediation.switches import Scope, checked_scope
from trimtab.sdk import shapes
from trimtab.workflows import about

router = strict.router("/api/v1", tag="remediation")

Reader = Annotated[Actor, may("remediations:read")]
Operator = Annotated[Actor, may("remediations:execute", asks_about=True)]
Name = Annotated[
    str, Query(max_length=63, description="the model or the tenant; empty for the fleet")
]


@router.get("/kill-switches", summary="Kill switches that are set")
def list_kill_switches(
    actor: Reader, parts: PartsOf, pages: Pages
) -> shapes.Page[shapes.KillSwitchShape]:
    """What stops remedies now, oldest first; of tenants' switches a tenant sees its own."""
    with parts.records.look() as reading:
        found = store.switches_set(reading)
    theirs = [s for s in found if s.tenant is None or owns(actor, s.tenant)]
    shown = shapes.KillSwitchShape.model_validate
    return whole(pages, actor, theirs, lambda s: f"{s.scope}/{s.name}", shown)


@router.put("/kill-switches/{scope}", summary="Set a kill switch")
def engage(
    scope: Scope, body: shapes.Because, actor: Operator, parts: PartsOf, name: Name = ""
) -> shapes.KillSwitchShape:
    """From now on nothing in this scope is remedied by an action; people are still told. Safe
    to repeat."""
    with parts.records.begin(actor, reason=body.reason) as work:
        _demand_reach(work, actor, scope, name)
        return shapes.KillSwitchShape.model_validate(kill_switches.engage(work, scope, name))


@router.delete("/kill-switches/{scope}", status_code=204, summary="Clear a kill switch")
def clear(
    scope: Scope,
    actor: Operator,
    parts: PartsOf,
    reason: Annotated[shapes.Reason, Query()],
    name: Name = "",
) -> None:
    """Let actions be asked for again; only a person can. Safe to repeat."""
    with parts.records.begin(actor, reason=reason) as work:
        _demand_reach(work, actor, scope, name)
        kill_switches.clear(work, scope, name)


def _demand_reach(reading: Reading, actor: Actor, scope: Scope, name: str) -> None:
    """What is named is there, and is the actor's to stop."""
    checked_scope(scope, name)
    tenant = TenantId(name) if scope is Scope.TENANT else None
    if tenant is not None and not owns(actor, tenant):
        raise NotFound(f"there is no tenant {ascii(name)[:80]}", field="name")
    identity.demand_tenant(reading, tenant, field="name")
    tier = None  # of all that a tenant or the fleet has: no tier in particular
    if scope is Scope.MODEL:
        tier = registry.model_named(reading, name, field="name").tier
    demand_say(actor, tenant)
    demand_grant(actor, "remediations:execute", about.of_tier(tier, tenant))
