"""Which number a version may have, by the records: its predecessor, and what changed since.

Asked twice: before there are bytes, for what can be told then, and in the transaction that
registers the version.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trimtab.artifacts.findings import Result
from trimtab.audit.work import Reading
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.events import plain
from trimtab.kernel.ids import TenantId
from trimtab.registry import bumps, store
from trimtab.registry.bumps import Change, Traits
from trimtab.registry.model import Lifecycle, Version, version_key

if TYPE_CHECKING:
    from trimtab.registry.registration import Registration

_NO_BASIS = (Lifecycle.REJECTED, Lifecycle.ARCHIVED)
_UNREADABLE = (Result.MALICIOUS, Result.UNREADABLE)
_UNVALIDATED = (Lifecycle.DEVELOPMENT, Lifecycle.STAGING, Lifecycle.QUARANTINED)


@dataclass(frozen=True)
class Place:
    """Where a new version of a model stands: whom it follows, and the numbers in use."""

    predecessor: Version | None
    used: dict[str, bool]
    """Every number of the model, and whether its version was rejected."""

    @property
    def before(self) -> str | None:
        """The predecessor's number."""
        return None if self.predecessor is None else self.predecessor.version


def place(reading: Reading, model: str, parent: str | None, tenant: TenantId | None) -> Place:
    """Whom a version follows: its parent, or else the highest number of its own scope.

    What was rejected is nobody's predecessor: to be little different from it says nothing.

    Raises:
        InvalidInput: there is no such parent.
    """
    known = store.numbers(reading, model)
    used = {n.version: n.lifecycle is Lifecycle.REJECTED for n in known}
    named = None if parent is None else _parent(reading, model, parent, tenant)
    if named is not None and named.lifecycle not in _NO_BASIS:
        return Place(named, used)
    own = [n.version for n in known if n.tenant == tenant and n.lifecycle not in _NO_BASIS]
    highest = max(own, key=version_key, default=None)
    return Place(None if highest is None else store.find_version(reading, model, highest), used)


def demand(at: Place, registration: Registration) -> Change:
    """What changed since the predecessor, where the number says no less.

    What inspection refuses is registered under any number that follows: nothing in it can be
    compared, and it is rejected, and kept for whoever wants to see it.

    Raises:
        InvalidInput: the number does not follow, or says less than what changed.
    """
    bumps.demand_next(at.before, registration.version, at.used)
    changed = _change(at, registration)
    if at.before is not None and registration.inspection.get("result") not in _UNREADABLE:
        bumps.demand_enough(at.before, registration.version, changed, at.used)
    return _with_open(at.predecessor, changed)


def fitting(at: Place, registration: Registration) -> str:
    """The number of `registration` where it may be taken, and else the least that may."""
    proposed = registration.version
    if at.before is None:
        return bumps.first_number(at.used) if proposed in at.used else proposed
    numbers = bumps.enough(at.before, _change(at, registration), at.used)
    return proposed if proposed in numbers or not numbers else numbers[0]


def _change(at: Place, registration: Registration) -> Change:
    before = None if at.predecessor is None else _traits(at.predecessor)
    return bumps.derive(before, _traits(registration))


def _traits(of: Version | Registration) -> Traits:
    return Traits(
        digest=of.digest,
        framework=of.framework,
        cutoff=of.cutoff,
        hyperparameters=plain(of.lineage.get("hyperparameters")),
        reference_digest=of.reference_digest,
        reference_rows=of.reference_rows,
        graph=plain(of.inspection.get("onnx")),
    )


def _with_open(before: Version | None, changed: Change) -> Change:
    """With what is still open of the predecessor: it was never validated, so nothing that
    came with it is."""
    if before is None or before.lifecycle not in _UNVALIDATED:
        return changed
    brought = bumps.Bump(before.bump)
    if brought.weight <= changed.bump.weight:
        return changed
    why = f"{before.version}, which it follows, is not approved, and was a {brought.value} change"
    bump = bumps.Bump.MAJOR if brought is bumps.Bump.FIRST else brought
    return replace(changed, bump=bump, reasons=(*changed.reasons, why))


def _parent(reading: Reading, model: str, parent: str, tenant: TenantId | None) -> Version:
    found = store.find_version(reading, model, parent)
    if found is None or found.tenant not in (None, tenant):
        raise InvalidInput(
            f"{model} has no version {ascii(parent)[:30]} to come from",
            field="parent",
            remedy="name a version of this model that is there, or leave it out",
        )
    return found
