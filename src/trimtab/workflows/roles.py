"""The roles that somebody holds at this moment."""

from __future__ import annotations

from trimtab.audit.work import Reading
from trimtab.identity import store
from trimtab.kernel.actor import Actor, ActorKind


def roles_of(reading: Reading, actor: Actor) -> frozenset[str]:
    """The roles of a person, read anew; nobody else holds any that sign."""
    if actor.kind is not ActorKind.PERSON:
        return frozenset()
    return frozenset(store.person(reading, actor.id).roles)
