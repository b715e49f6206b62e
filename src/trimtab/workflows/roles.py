"""The roles that somebody holds at this moment, for one thing."""

from __future__ import annotations

from trimtab.audit.work import Reading
from trimtab.identity import store
from trimtab.identity.roles import held
from trimtab.kernel.actor import Actor, ActorKind
from trimtab.kernel.grants import Subject


def roles_of(reading: Reading, actor: Actor, about: Subject) -> frozenset[str]:
    """The roles of a person that hold for `about`, read anew; nobody else holds any that sign."""
    if actor.kind is not ActorKind.PERSON:
        return frozenset()
    return held(store.person(reading, actor.id).roles, about)
