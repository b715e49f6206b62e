"""Connections to other registries: made, paused, asked to be read, told that something happened."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from trimtab.audit.work import Reading, Work
from trimtab.identity import service as identity
from trimtab.identity.reach import demand_own, demand_say, owns
from trimtab.inventory import connection_store, store
from trimtab.inventory.connection_store import State
from trimtab.inventory.model import (
    Auth,
    Connection,
    ConnectionCreated,
    Health,
    Mode,
    Scope,
)
from trimtab.inventory.tagmap import adapted
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput, NotPermitted, NotYours
from trimtab.kernel.ids import TenantId, new_id
from trimtab.platform.outbound import read_address
from trimtab.workflows.parts import Parts, Then, nothing_more
from trimtab.workflows.registries import MLFLOW, demand_auth, secrets_of

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_MOST_NETWORKS = 20


@dataclass(frozen=True)
class Asked:
    """A connection as somebody wants it. `networks` are those that are not public; only
    somebody of the platform may open them."""

    kind: str
    url: str
    tenant: TenantId | None = None
    name: str = ""
    auth: Auth = field(default_factory=Auth)
    networks: Sequence[str] = ()
    tag_map: Mapping[str, Any] | None = None
    webhook: str | None = None


@dataclass(frozen=True)
class Changes:
    """What is to be another way about a connection; None stays as it is. An empty tag map is the
    one that is shipped."""

    auth: Auth | None = None
    networks: Sequence[str] | None = None
    tag_map: Mapping[str, Any] | None = None
    webhook: str | None = None


def connect(
    parts: Parts,
    actor: Actor,
    asked: Asked,
    *,
    reason: str,
    then: Then[Connection] = nothing_more,
) -> Connection:
    """Keep a connection; its registry is read from now on.

    Nothing is asked of the registry here: whether it answers is seen by its first cycle.

    Raises:
        InvalidInput: an address, a reference, a network or a tag map that cannot be one.
        NotPermitted: another tenant's, or networks that are not the actor's to open.
        Conflict: there is one of this name.
    """
    demand_own(actor, asked.tenant)
    url = _checked(parts, asked)
    networks = _networks(actor, asked.networks)
    with parts.records.begin(actor, reason=reason) as work:
        identity.demand_tenant(work, asked.tenant)
        connection = _new(asked, url, networks, actor, work.now)
        event = ConnectionCreated(
            connection.id,
            connection.tenant,
            connection.name,
            connection.kind,
            connection.url,
            connection.mode,
            connection.auth.kind,
            list(networks),
        )
        connection = connection_store.add(work, connection, event)
        full = work.now + timedelta(hours=parts.settings.sync_full_hours)
        connection_store.begin_state(work, State(connection.id, work.now, full, None, {}, {}))
        then(work, connection)
    return connection


def _checked(parts: Parts, asked: Asked) -> str:
    """The address of a registry that can be connected as it is asked for."""
    if asked.kind != MLFLOW:
        raise InvalidInput(
            f"there is no kind of registry {ascii(asked.kind)[:40]}",
            field="kind",
            remedy=f"there is {MLFLOW}",
        )
    url = str(read_address(asked.url)).rstrip("/")
    secrets = secrets_of(parts.settings)
    demand_auth(secrets, asked.auth, asked.tenant)
    if asked.webhook is not None:
        secrets.check(asked.webhook, tenant=asked.tenant, where="webhook")
    if asked.tag_map is not None:
        adapted(asked.tag_map)
    return url


def _new(
    asked: Asked, url: str, networks: tuple[str, ...], actor: Actor, now: datetime
) -> Connection:
    return Connection(
        id=new_id("con"),
        tenant=asked.tenant,
        kind=asked.kind,
        name=asked.name or _name_of(url),
        url=url,
        mode=Mode.OBSERVE,
        auth=asked.auth,
        networks=networks,
        tag_map=asked.tag_map,
        webhook=asked.webhook,
        paused=False,
        health=Health.NEW,
        health_reason="",
        server="",
        identity="",
        may_write=None,
        warnings=(),
        created_by=actor.id,
        created_at=now,
    )


def change(
    parts: Parts,
    actor: Actor,
    connection_id: str,
    wanted: Changes,
    *,
    reason: str,
    then: Then[Connection] = nothing_more,
) -> Connection:
    """Change a connection, and have it read by what it says now. Safe to repeat.

    Raises:
        NotFound: there is no such connection of the actor's.
        InvalidInput: a reference, a network or a tag map that cannot be one.
        NotPermitted: networks that are not the actor's to open.
        InvalidMove: it was removed.
    """
    secrets = secrets_of(parts.settings)
    networks = None if wanted.networks is None else _networks(actor, wanted.networks)
    if wanted.tag_map:
        adapted(wanted.tag_map)
    with parts.records.begin(actor, reason=reason) as work:
        connection = visible(work, actor, connection_id)
        demand_say(actor, connection.tenant)
        connection.demand_there()
        if wanted.auth is not None:
            demand_auth(secrets, wanted.auth, connection.tenant)
        if wanted.webhook is not None:
            secrets.check(wanted.webhook, tenant=connection.tenant, where="webhook")
        moved = connection.changed(
            auth=wanted.auth,
            networks=networks,
            tag_map=wanted.tag_map,
            webhook=wanted.webhook,
        )
        if moved is not None:
            connection = connection_store.save(work, *moved)
        if not connection.paused:
            wish = {"scope": Scope.FULL.value, "model": None, "by": actor.id, "reason": reason}
            connection_store.ask(work, connection.id, wish)
        then(work, connection)
        return connection


def pause(
    parts: Parts,
    actor: Actor,
    connection_id: str,
    paused: bool,
    *,
    reason: str,
    then: Then[Connection] = nothing_more,
) -> Connection:
    """Read a registry no more, or again; what is on record stays. Safe to repeat.

    Raises:
        NotFound: there is no such connection of the actor's.
        InvalidMove: it was removed.
    """
    with parts.records.begin(actor, reason=reason) as work:
        connection = visible(work, actor, connection_id)
        demand_say(actor, connection.tenant)
        connection.demand_there()
        if connection.paused is not paused:
            connection = connection_store.save(work, *connection.pause(paused))
        then(work, connection)
        return connection


def ask(
    work: Work,
    actor: Actor,
    connection_id: str,
    scope: Scope,
    *,
    model: str | None = None,
    reason: str,
) -> Connection:
    """Have a registry read as soon as there is somebody to do it.

    Raises:
        NotFound: there is no such connection of the actor's.
        InvalidInput: it is paused.
    """
    connection = visible(work, actor, connection_id)
    demand_say(actor, connection.tenant)
    demand_running(connection)
    wish = {"scope": scope.value, "model": model, "by": actor.id, "reason": reason}
    connection_store.ask(work, connection.id, wish)
    return connection


def demand_running(connection: Connection) -> None:
    """Make sure that a connection is read at all.

    Raises:
        InvalidInput: it is paused.
        InvalidMove: it was removed.
    """
    connection.demand_there()
    if connection.paused:
        raise InvalidInput(
            f"connection {connection.name} is paused",
            field="connection",
            remedy="let it be read again first",
        )


def visible(reading: Reading, actor: Actor, connection_id: str) -> Connection:
    """A connection that is the actor's to see: a tenant's own; those of the fleet are for the
    people of the platform alone.

    Raises:
        NotFound: there is none.
    """
    connection = connection_store.get(reading, connection_id)
    if not owns(actor, connection.tenant):
        raise NotYours("there is no such connection", field="connection")
    return connection


def visible_record(reading: Reading, actor: Actor, record_id: str) -> store.Head:
    """A record that is the actor's to see, by the same rule.

    Raises:
        NotFound: there is none.
    """
    head = store.head(reading, record_id)
    if not owns(actor, head.tenant):
        raise NotYours("there is no such record", field="record")
    return head


def _networks(actor: Actor, given: Sequence[str]) -> tuple[str, ...]:
    if given and actor.tenant is not None:
        raise NotPermitted(
            "networks that are not public are opened by somebody of the platform alone",
            field="networks",
            remedy="ask them to list the network in TRIMTAB_CONNECT_NETWORKS for your tenant",
        )
    if len(given) > _MOST_NETWORKS:
        raise InvalidInput(f"{_MOST_NETWORKS} networks at most", field="networks")
    try:
        return tuple(str(ipaddress.ip_network(network)) for network in given)
    except ValueError as error:
        raise InvalidInput(
            f"{ascii(str(error))[:120]}", field="networks", remedy="write them as 10.2.0.0/16"
        ) from error


def _name_of(url: str) -> str:
    """A name for a registry that nobody has named: where it is."""
    rest = url.partition("://")[2].lower()
    return _NOT_IN_NAMES.sub("-", rest).strip("-")[:63].strip("-") or MLFLOW
