"""Who asks, and whether they may: every route declares one permission, or that it is open.

`may("models:read")` is a dependency that gives the actor; the permission stands on the
route, so that a test can read it off the table of routes. A route that declares nothing
fails the build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import Depends, Request
from starlette.datastructures import State

from trimtab.api.presented import Credential, presented
from trimtab.api.shared_looks import SharedLooks, Steps
from trimtab.audit.work import Look, Reading, Wanted
from trimtab.identity import service as identity
from trimtab.identity.demands import Reach, RouteDemand
from trimtab.identity.model import split_key
from trimtab.identity.reach import demand_fleet, granted
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput, NotAuthenticated, NotYours
from trimtab.kernel.ids import TenantId
from trimtab.platform.logs import know_caller
from trimtab.sdk import request_signing, shapes
from trimtab.workflows.parts import Parts
from trimtab.workflows.refusals import source

__all__ = [
    "Actor",
    "Demand",
    "PartsOf",
    "Reach",
    "address_of",
    "asks",
    "key_of",
    "may",
    "open_to_all",
    "parts_of",
    "scope_of",
    "whose",
]


Answer = TypeVar("Answer")


def parts_of(request: Request) -> Parts:
    """The parts that this process is made of."""
    parts: Parts = request.app.state.parts
    return parts


async def _parts_of(request: Request) -> Parts:
    """Asynchronous, so that no thread is started to read an attribute."""
    return parts_of(request)


PartsOf = Annotated[Parts, Depends(_parts_of)]


@dataclass(frozen=True)
class May(RouteDemand):
    """The demand of a permission; calling it gives the actor who has it."""

    def __call__(self, request: Request) -> Actor:
        later = self.only_looks_or_asks(request.method)
        with Asker.of(request).look(self.permission, asked_later=later) as (_, actor):
            if self.reach is Reach.FLEET:
                demand_fleet(actor)
            return actor


@dataclass(frozen=True)
class Asks(RouteDemand):
    """The demand of a permission; calling it gives somebody who is looked at within the
    route's own look."""

    async def __call__(self, request: Request) -> PermittedAsker:
        return PermittedAsker(Asker.of(request), self.permission, request.app.state.looks)


Demand = May | Asks
"""What a route says about who may ask it."""


def may(
    permission: str, *, fleet: bool = False, reach: Reach | None = None, asks_about: bool = False
) -> Any:
    """A dependency that demands `permission` and gives the actor.

    Args:
        fleet: What is asked for concerns all tenants: a tenant's credential is refused,
            whatever its roles.
        reach: Whose things are touched, where it is not what the method says.
        asks_about: The route calls `demand_grant` with what is acted on.
    """
    return Depends(May(permission, Reach.FLEET if fleet else reach, asks_about))


def asks(permission: str) -> Any:
    """A dependency that demands `permission` and gives a `PermittedAsker`.

    For routes that only read and are asked often: who asks and what they ask for are then
    one look, which they share with others who ask at that moment. `may` needs a transaction
    and a thread for itself.
    """
    return Depends(Asks(permission))


def open_to_all() -> None:
    """A dependency that says: this route is open on purpose."""


@dataclass(frozen=True)
class Asker:
    """The credential of a request, not yet looked at."""

    parts: Parts
    credential: Credential
    tenant: str | None
    address: str
    """Where the request comes from: failures are counted by it."""
    state: State
    """Of the request, where it is left who asks: a refusal is put on record with that."""

    @classmethod
    def of(cls, request: Request) -> Asker:
        """The one credential that a request carries.

        Raises:
            NotAuthenticated: no credential, or two of them.
        """
        tenant = _one(request, "x-tenant-id")
        shown = presented(request, _one(request, "x-api-key"), _one(request, "authorization"))
        return cls(parts_of(request), shown, tenant, address_of(request), request.state)

    @contextmanager
    def look(
        self, permission: str, *, asked_later: bool = False
    ) -> Iterator[tuple[Reading, Actor]]:
        """A look at the records by the actor behind the credential; raises as `take` and
        `permitted` do."""
        self.take()
        with self.parts.records.look() as reading:
            yield reading, self.permitted(reading, permission, asked_later=asked_later)

    @contextmanager
    def known(self) -> Iterator[tuple[Reading, Actor]]:
        """A look at the records, and whom the credential speaks for; raises as `take` and
        `within` do."""
        self.take()
        with self.parts.records.look() as reading:
            yield reading, self.within(reading)

    def take(self) -> None:
        """What has to be done before a look, outside of any transaction.

        Raises:
            TooManyRequests: the credential, or the address, has failed too often.
            NotAuthenticated: the credential is of no use.
        """
        self.parts.brakes.look_at(self.address, self.credential.name)
        with self._counted():
            self.credential.take(self.parts)

    def within(self, reading: Reading) -> Actor:
        """Whom the credential speaks for.

        Raises:
            NotAuthenticated: the credential is of no use.
        """
        with self._counted():
            actor = self.state.actor = self.credential.actor(reading, self.parts)
        self.parts.brakes.good(self.address, self.credential.name)
        return actor

    def permitted(self, reading: Reading, permission: str, *, asked_later: bool = False) -> Actor:
        """The same, within the tenant that the request narrows to, if it has the permission.

        Raises:
            NotAuthenticated: the credential is of no use.
            NotPermitted: the header names another tenant than the credential's, or the
                permission was not granted.
            NotFound: the header names a tenant that there is not.
        """
        known = self.within(reading)
        actor = identity.narrow(known, self.tenant)
        know_caller(actor.id, actor.tenant)
        if known.tenant is None:  # what narrows it is a word of the caller's
            identity.demand_tenant(reading, actor.tenant, field="X-Tenant-Id")
        return granted(actor, permission, asked_later=asked_later)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except NotAuthenticated:
            self.parts.brakes.refused(self.address, self.credential.name)
            raise


@dataclass(frozen=True)
class PermittedAsker:
    """Somebody who may look, if the credential holds: the only way to records is to look."""

    asker: Asker
    permission: str
    looks: SharedLooks

    @property
    def parts(self) -> Parts:
        """The parts that this process is made of."""
        return self.asker.parts

    async def ask(
        self,
        question: Callable[[Reading, Actor], Answer],
        wanted: Callable[[Actor], Sequence[Wanted]],
    ) -> Answer:
        """The answer to a question that only looks, with the permission that the route demands;
        raises as `Asker.look` does.

        Args:
            question: Reads and does nothing else.
            wanted: What the question will look for first, for whoever turns out to ask.
        """

        def within(look: Look) -> Steps[Answer]:
            yield self.asker.credential.wanted
            actor = self.asker.permitted(look, self.permission)
            yield wanted(actor)
            return question(look, actor)

        if self.asker.credential.writes:
            await to_thread.run_sync(self.asker.take)
        else:
            self.asker.take()
        answer: Answer = await self.looks.ask(within)
        return answer


def address_of(request: Request) -> str:
    """Where a request comes from; of IPv6, the network."""
    return source(request.client.host if request.client else None).address


def _one(request: Request, header: str) -> str | None:
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise NotAuthenticated(f"the header {header} stands there twice")
    return values[0] if values else None


def once(request: Request, *headers: str) -> None:
    """Make sure that none of these headers stands there twice: which one counts is not ours to
    guess.

    Raises:
        InvalidInput: one does.
    """
    for header in headers:
        if len(request.headers.getlist(header)) > 1:
            raise InvalidInput(f"{header} stands there twice", field=header, remedy="send it once")


def whose(
    actor: Actor,
    body: shapes.NewPerson
    | shapes.NewAccount
    | shapes.NewVersion
    | shapes.NewDriftCheck
    | shapes.NewConnection
    | shapes.NewHandOver,
) -> TenantId | None:
    """The tenant that what is added is to belong to: the one that the body names, or else that
    of whoever adds it. Null in the body names the fleet."""
    named = body.tenant if "tenant" in body.model_fields_set else actor.tenant
    return None if named is None else TenantId(named)


def scope_of(reading: Reading, actor: Actor, tenant: str | None) -> TenantId | None:
    """The tenant that `actor` asks about: their own, or the one they name; None for the fleet.

    Raises:
        NotFound: there is no such tenant, or it is not theirs.
    """
    if tenant is None:
        return actor.tenant
    identity.demand_tenant(reading, tenant)
    if actor.tenant not in (None, tenant):
        raise NotYours(f"there is no tenant {ascii(tenant)[:80]}", field="tenant")
    return TenantId(tenant)


def key_text(request: Request) -> str:
    """The key in X-Api-Key.

    Raises:
        NotAuthenticated: there is none.
    """
    text = _one(request, "x-api-key")
    if text is None:
        raise NotAuthenticated("there is no key", remedy="send it in X-Api-Key")
    return text


def key_of(request: Request) -> str | None:
    """The public id of the key that a request carries: what a canary is drawn by where no
    endpoint is named, here as at every gateway."""
    shown = _one(request, "authorization") or ""
    signature = request_signing.parse(shown)
    if signature is not None:
        return signature.key
    parts = split_key(_one(request, "x-api-key") or shown.partition(" ")[2])
    return None if parts is None else parts[0]
