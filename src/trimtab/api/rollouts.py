"""Rollouts: what is moving, and taking hold of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, may
from trimtab.api.paging import Pages, going_on
from trimtab.api.repeats import Repeats
from trimtab.audit.work import Reading
from trimtab.identity.reach import demand_grant, demand_say
from trimtab.kernel.errors import NotYours
from trimtab.registry import store as registry
from trimtab.rollouts import service as rollouts
from trimtab.rollouts import store
from trimtab.rollouts.model import Rollout
from trimtab.sdk import shapes
from trimtab.workflows import about, release, serving

router = strict.router("/api/v1/rollouts", tag="rollouts")

Reader = Annotated[Actor, may("rollouts:read")]
Operator = Annotated[Actor, may("rollouts:operate", asks_about=True)]


@router.get("", summary="List rollouts")
def list_rollouts(
    actor: Reader,
    parts: PartsOf,
    pages: Pages,
    model: Annotated[str | None, Query(max_length=63)] = None,
) -> shapes.Page[shapes.RolloutShape]:
    """Rollouts, newest first."""
    place, limit = pages.place(actor), pages.limit
    with parts.records.look() as reading:
        if model is not None:
            registry.model_named(reading, model)
        with going_on():
            found = store.of_model(reading, model, tenant=actor.tenant, after=place, limit=limit)
    return shapes.Page(
        items=[shapes.RolloutShape.model_validate(r) for r in found],
        next=pages.page(actor, found, lambda r: r.id),
    )


@router.post("", status_code=201, summary="Start a rollout")
def start(
    body: shapes.NewRollout,
    actor: Annotated[Actor, may("rollouts:start", asks_about=True)],
    parts: PartsOf,
    repeat: Repeats,
) -> shapes.RolloutShape:
    """Release an approved version; without a valid approval of its bytes, refused."""
    with parts.records.begin(actor, reason=body.reason) as work:
        version = serving.visible_version(work, actor, body.model, body.version)
        demand_say(actor, version.tenant)
        demand_grant(actor, "rollouts:start", about.release(work, version))
        started = release.start(parts, work, version)
        return repeat.keep(work, shapes.RolloutShape.model_validate(started))


@router.get("/{rollout}", summary="One rollout")
def get_rollout(rollout: str, actor: Reader, parts: PartsOf) -> shapes.RolloutShape:
    """A rollout with its last analysis."""
    with parts.records.look() as reading:
        return shapes.RolloutShape.model_validate(_visible(reading, actor, rollout))


@router.post("/{rollout}/hold", summary="Hold a rollout")
def hold(
    rollout: str, body: shapes.Because, actor: Operator, parts: PartsOf, repeat: Repeats
) -> shapes.RolloutShape:
    """Freeze traffic where it stands. Safe to repeat."""
    with parts.records.begin(actor, reason=body.reason) as work:
        _operable(work, actor, rollout)
        held = rollouts.hold(work, rollout)
        return repeat.keep(work, shapes.RolloutShape.model_validate(held))


@router.post("/{rollout}/resume", summary="Resume a held rollout")
def resume(
    rollout: str, body: shapes.Because, actor: Operator, parts: PartsOf, repeat: Repeats
) -> shapes.RolloutShape:
    """Let a held rollout run on. Safe to repeat."""
    demands = release.demands_of(parts, rollout)
    with parts.records.begin(actor, reason=body.reason) as work:
        _operable(work, actor, rollout, grows=True)
        resumed = rollouts.resume(work, rollout, demands=demands)
        return repeat.keep(work, shapes.RolloutShape.model_validate(resumed))


@router.post("/{rollout}/abort", summary="Take a rollout back")
def abort(
    rollout: str, body: shapes.Because, actor: Operator, parts: PartsOf, repeat: Repeats
) -> shapes.RolloutShape:
    """Take a rollout back for good. Safe to repeat."""
    with parts.records.begin(actor, reason=body.reason) as work:
        _operable(work, actor, rollout)
        aborted = rollouts.abort(work, rollout)
        return repeat.keep(work, shapes.RolloutShape.model_validate(aborted))


def _visible(reading: Reading, actor: Actor, rollout_id: str) -> Rollout:
    rollout = store.get(reading, rollout_id)
    if actor.tenant is not None and rollout.tenant not in (None, actor.tenant):
        raise NotYours("there is no such rollout", field="rollout")
    return rollout


def _operable(reading: Reading, actor: Actor, rollout_id: str, *, grows: bool = False) -> None:
    rollout = _visible(reading, actor, rollout_id)
    demand_say(actor, rollout.tenant)
    demand_grant(actor, "rollouts:operate", about.rollout(reading, rollout, grows=grows))
