"""The verbs of kill switches: anybody who may can set one, only a person clears it."""

from __future__ import annotations

from trimtab.audit.work import Work
from trimtab.kernel.actor import ActorKind
from trimtab.kernel.errors import NotPermitted
from trimtab.kernel.ids import new_id
from trimtab.remediation import store
from trimtab.remediation.switches import Scope, Switch, checked_scope


def engage(work: Work, scope: Scope, name: str = "") -> Switch:
    """Stop every action on the fleet, on a model or on a tenant that has not begun.

    People are still told. Safe to repeat: what is set stays so.

    Raises:
        InvalidInput: the fleet has no name, everything else has one.
    """
    checked_scope(scope, name)
    known = store.switch(work, scope, name)
    if known is not None and known.set:
        return known
    fresh = known or Switch(new_id("ksw"), scope, name, False, "", "", work.now)
    turned, event = fresh.turn_on(work.reason, work.actor.id, work.now)
    save = store.add_switch if known is None else store.save_switch
    return save(work, turned, event)


def clear(work: Work, scope: Scope, name: str = "") -> Switch | None:
    """Let actions be asked for again. Safe to repeat; None if it was never set.

    Raises:
        NotPermitted: automation does not clear what stops automation.
    """
    checked_scope(scope, name)
    if work.actor.kind is not ActorKind.PERSON:
        raise NotPermitted("only a person clears a kill switch")
    known = store.switch(work, scope, name)
    if known is None or not known.set:
        return known
    turned, event = known.turn_off(work.reason, work.actor.id, work.now)
    return store.save_switch(work, turned, event)
