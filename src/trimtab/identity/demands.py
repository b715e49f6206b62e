"""What a route demands of whoever asks it, and what follows for a caller: one pure function.

Routes of the interface and of the pages carry a `RouteDemand`. The reference of all addresses
and the test that tries each of them as everybody are both made from what the routes carry.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from trimtab.kernel.ids import TenantId

OPEN = "open"
"""In place of a permission: anybody may ask."""


class Reach(StrEnum):
    """Whose things a route touches, and so what a tenant's credential meets there."""

    NOBODYS = "nobody's"
    """Belongs to no tenant, and is shown to all alike."""
    SEEN = "own and the fleet's"
    """Is looked at. What is another tenant's is not there."""
    OWN = "own"
    """Is looked at or changed. What is the fleet's is not there either."""
    CHANGED = "own; the fleet's is refused"
    """Is changed. What is another tenant's is not there."""
    ADDED = "own, as the request names it"
    """Is made. A tenant's credential makes nothing for the fleet or for another tenant."""
    FLEET = "all tenants"
    """Concerns everybody. A tenant's credential is refused."""


class Answer(StrEnum):
    """What a caller is to be told."""

    ALLOWED = "allowed"
    NOT_KNOWN = "not authenticated"
    REFUSED = "not permitted"
    NOT_THERE = "not found"


@dataclass(frozen=True)
class RouteDemand:
    """The demand of a permission, and whose things it is a permission for."""

    permission: str
    reach: Reach | None = None
    """None for what the method says: to look at, or to change."""
    asks_about: bool = False
    """Whether the route asks again once it knows what is acted on, so that roles on conditions
    count. At any other that changes something they grant nothing."""

    def only_looks_or_asks(self, method: str) -> bool:
        """Whether the conditions of a role need not be looked at before the route begins: their
        tenants narrow whoever looks, and who changes something is asked once it is known what."""
        return self.asks_about or method in ("GET", "HEAD")

    def reaches(self, method: str) -> Reach:
        """Whose things the route touches, if it is asked with `method`."""
        if self.reach is not None:
            return self.reach
        return Reach.SEEN if method in ("GET", "HEAD") else Reach.CHANGED


def answer(
    permission: str,
    reach: Reach,
    *,
    permissions: Collection[str] | None,
    tenant: TenantId | None,
    owner: TenantId | None,
) -> Answer:
    """What somebody is to be told who asks for something of `owner`.

    Args:
        permissions: What the caller may do; None for nobody whom we know.
        tenant: The tenant that the caller acts for; None for the fleet.
        owner: The tenant that what is asked for belongs to; None for the fleet.
    """
    if permission == OPEN:
        return Answer.ALLOWED
    if permissions is None:
        return Answer.NOT_KNOWN
    if permission not in permissions:
        return Answer.REFUSED
    if tenant is None or reach is Reach.NOBODYS:
        return Answer.ALLOWED
    if reach is Reach.FLEET:
        return Answer.REFUSED
    if owner == tenant:
        return Answer.ALLOWED
    if reach is Reach.ADDED:
        return Answer.REFUSED
    if owner is None and reach is Reach.SEEN:
        return Answer.ALLOWED
    if owner is None and reach is Reach.CHANGED:
        return Answer.REFUSED
    return Answer.NOT_THERE
