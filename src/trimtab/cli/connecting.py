"""Connecting a registry and reading it, with its progress on standard error."""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from trimtab.cli.plane import Plane, plane
from trimtab.cli.remote import Remote, told

if TYPE_CHECKING:
    from trimtab.sdk.client import Client
    from trimtab.sdk.shapes import ConnectionShape, TallyShape

READ, UNREAD, PARTLY = 0, 2, 3
_PATIENCE_SECONDS = 60.0
"""How long to wait for somebody who begins to read a registry."""
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True)
class Wanted:
    """A registry as somebody named it on the command line."""

    address: str
    name: str | None
    login: bool | None = None
    username: str | None = None
    password: str | None = None
    bearer: str | None = None
    headers: Sequence[str] = ()
    networks: Sequence[str] = ()

    def auth(self) -> dict[str, Any]:
        """How it is told who asks, by references.

        Raises:
            InvalidInput: two ways at once, or half of one.
        """
        from trimtab.kernel.errors import InvalidInput

        parts: dict[str, str] = {}
        kinds = set[str]()
        if self.login:
            kinds.add("basic")
            parts |= {
                "username": "env:MLFLOW_TRACKING_USERNAME",
                "password": "env:MLFLOW_TRACKING_PASSWORD",
            }
        given = {"username": self.username, "password": self.password}
        if any(given.values()):
            kinds.add("basic")
            parts |= {name: value for name, value in given.items() if value}
        if self.bearer:
            kinds.add("bearer")
            parts["token"] = self.bearer
        for one in self.headers:
            name, _, reference = one.partition("=")
            kinds.add("headers")
            parts[name] = reference
        if len(kinds) > 1:
            raise InvalidInput(
                "a registry is told in one way who asks",
                field="--login",
                remedy="give --login, or --username and --password, or --bearer, or --header",
            )
        return {"kind": kinds.pop() if kinds else "none", "secrets": parts}


@dataclass(frozen=True)
class Filters:
    """Which versions are wanted."""

    connection: str | None = None
    text: str | None = None
    stage: str | None = None
    gap: str | None = None
    inspection: str | None = None
    without_owner: bool = False
    incomplete: bool = False
    removed: bool = False
    as_of: datetime | None = None
    model: str | None = None

    def sent(self, client: Client) -> dict[str, Any]:
        """As the interface takes them."""
        found = {name: value for name, value in vars(self).items() if value not in (None, False)}
        if self.connection is not None:
            found["connection"] = named(client, self.connection, past=True).id
        return found


def connect_registry(
    remote: Remote, wanted: Wanted, wait: float, reason: str, *, as_json: bool
) -> int:
    """Connect a registry, unless it is, read it, and tell what was found; the code to exit with.

    Raises:
        TrimtabError: it cannot be connected.
    """
    auth = wanted.auth()
    with plane(remote, work=True) as found:
        client = found.client
        known = _known(client, wanted, remote.tenant or None)
        if known is None:
            networks = wanted.networks or _own_networks(wanted.address, found)
            known = client.connections.connect(
                wanted.address,
                name=wanted.name,
                auth=auth,
                networks=networks,
                tenant=remote.tenant or None,
                reason=reason,
            )
            before = None
        else:
            before = None if known.last_sync is None else known.last_sync.id
            known = _again(client, known, wanted, auth, reason)
        with _progress() as shown:
            read = _until_read(client, known.id, before, shown)
            read = _until_inspected(client, read, wait, shown)
        if read.seen_at is None and not read.paused and read.last_sync is not None:
            why = f"it was never read: {read.last_sync.reason}"[:500]
            read = client.connections.pause(read.id, reason=why)
        return _told(found, [read], as_json=as_json)


def _again(
    client: Client, known: ConnectionShape, wanted: Wanted, auth: Mapping[str, Any], reason: str
) -> ConnectionShape:
    """Have a registry read that is connected, by what was said of it now."""
    other = auth if auth["kind"] != "none" or wanted.login is False else None
    if known.paused:
        known = client.connections.resume(known.id, reason=reason)
    if other is None and not wanted.networks:
        return client.connections.sync(known.id, reason=reason)
    networks = wanted.networks or None
    return client.connections.change(known.id, auth=other, networks=networks, reason=reason)


def sync_registries(
    remote: Remote,
    connection: str | None,
    wait: float,
    reason: str,
    *,
    full: bool,
    as_json: bool,
) -> int:
    """Read registries that are connected; the code to exit with.

    Raises:
        NotFound: none is, or not the one that is named.
    """
    from trimtab.kernel.errors import NotFound

    with plane(remote, work=True) as found:
        client = found.client
        there = list(client.connections.list())
        which = [named(client, connection)] if connection else [c for c in there if not c.paused]
        if not which:
            raise NotFound(
                "no registry is connected", remedy="connect one: trimtab connect mlflow URL"
            )
        scope = "full" if full else "changes"
        for one in which:
            client.connections.sync(one.id, scope=scope, reason=reason)
        with _progress() as shown:
            read = [
                _until_read(client, one.id, one.last_sync.id if one.last_sync else None, shown)
                for one in which
            ]
            read = [_until_inspected(client, one, wait, shown) for one in read]
        return _told(found, read, as_json=as_json)


def named(client: Client, name: str, *, past: bool = False) -> ConnectionShape:
    """The connection with this name or id; looking at the `past`, else the one removed last.

    Raises:
        NotFound: there is none.
    """
    from trimtab.kernel.errors import NotFound

    there = list(client.connections.list())
    for one in there:
        if name in (one.id, one.name):
            return one
    gone = removed(client, name) if past else None
    if gone is not None:
        return gone
    raise NotFound(
        f"there is no connection {ascii(name)[:80]}",
        field="connection",
        remedy="there is " + (", ".join(one.name for one in there) or "none yet"),
    )


def removed(client: Client, name: str) -> ConnectionShape | None:
    """Of the connections with this name or id that were removed, the last one."""
    gone = (one for one in client.connections.list(removed=True) if name in (one.id, one.name))
    return max(gone, key=lambda one: str(one.removed_at), default=None)


def _known(client: Client, wanted: Wanted, tenant: str | None) -> ConnectionShape | None:
    """The connection of this tenant, or of the fleet, to this address that there is already."""
    for one in client.connections.list():
        same = one.url.rstrip("/") == wanted.address.rstrip("/")
        if same and one.tenant == tenant and wanted.name in (None, one.name):
            return one
    return None


def _own_networks(address: str, found: Plane) -> list[str]:
    """The addresses of a server that is not public, where it is this machine's own control plane
    that reads it: whoever starts that may let it. Elsewhere an administrator says so."""
    if not found.ours:
        return []
    host = urlsplit(address).hostname or ""
    try:
        there = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return []
    private = sorted(one for one in there if not ipaddress.ip_address(one).is_global)
    allowed = [one for one in private if not ipaddress.ip_address(one).is_link_local]
    if allowed:
        print(
            f"{', '.join(allowed)} is not a public address; it may be read because you ask for it "
            "here",
            file=sys.stderr,
        )
    return allowed


class Shown(Protocol):
    """What tells how far it is."""

    def __call__(self, what: str, done: int, total: int | None) -> None: ...


@contextmanager
def _progress() -> Iterator[Shown]:
    """Say on standard error how far it is; gone when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("begins", total=None, count="")

        def shown(what: str, done: int, total: int | None) -> None:
            count = f"{done}" if total is None else f"{done} of {total}"
            bar.update(task, description=what, completed=done, total=total, count=count)

        yield shown


_PHASES: Mapping[str, str] = {
    "begins": "asks the registry",
    "models": "reads models",
    "versions": "reads versions",
    "removals": "looks for what is gone",
    "ended": "reads versions",
}


def _until_read(
    client: Client,
    connection: str,
    before: str | None,
    shown: Shown,
    patience: float = _PATIENCE_SECONDS,
) -> ConnectionShape:
    """Wait until a cycle has ended that is not `before`.

    Raises:
        Unavailable: nobody begins one, or nobody will.
    """
    from trimtab.kernel.errors import Unavailable

    asked = time.monotonic()
    while True:
        now = client.connections.get(connection)
        last = now.last_sync
        begun = last is not None and last.id != before
        if last is not None and begun and last.ended_at is not None:
            return now
        if not begun and now.paused:
            raise Unavailable(f"{now.name} was paused or removed meanwhile, and is not read")
        if not begun and time.monotonic() - asked > patience:
            raise Unavailable(
                f"nobody has begun to read {now.name} for {patience:.0f} seconds",
                remedy="look whether a process has the role ingest: trimtab health",
            )
        told_ = now.progress
        read = sum(told_.get(n, 0) for n in ("added", "changed", "unchanged", "returned"))
        shown(_PHASES.get(str(told_.get("phase")), "waits"), read, told_.get("seen") or None)
        time.sleep(_PAUSE_SECONDS)


def _until_inspected(
    client: Client, connection: ConnectionShape, wait: float, shown: Shown
) -> ConnectionShape:
    """Wait until the files of all versions were looked into, or for so many seconds."""
    until = time.monotonic() + wait
    while time.monotonic() < until:
        tally = connection.tally
        if tally.inspected + tally.incomplete >= tally.versions:
            break
        shown("looks into files", tally.inspected, tally.versions)
        time.sleep(_PAUSE_SECONDS)
        connection = client.connections.get(connection.id)
    return connection


def _told(found: Plane, read: Sequence[ConnectionShape], *, as_json: bool) -> int:
    """Print what was found; the code to exit with."""
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in read], indent=2))
    else:
        for one in read:
            _summary(one)
        if any(one.last_sync and one.last_sync.phase != "failed" for one in read):
            _what_next(found)
    phases = {one.last_sync.phase if one.last_sync else "failed" for one in read}
    if "failed" in phases:
        return UNREAD
    return READ if phases == {"succeeded"} else PARTLY


def _summary(one: ConnectionShape) -> None:
    last = one.last_sync
    assert last is not None
    print(f"{told(one.name)}  {told(one.url)}")
    print(f"  {told(one.server) or 'no answer'}, read as {told(one.identity) or 'nobody'}")
    if last.phase == "failed":
        print(f"  it could not be read: {told(last.reason)}")
        if one.paused:
            print("  it is not tried again by itself: connect it again; or, if it is none,")
            print(f"  trimtab disconnect {told(one.name)} --reason WHY")
        return
    for line in _lines(one.tally):
        print(f"  {line}")
    seconds = (last.ended_at - last.started_at).total_seconds() if last.ended_at else 0.0
    changed = last.counts.added + last.counts.changed + last.counts.returned
    print(f"  {changed} new or changed, {last.counts.removed} gone, read in {seconds:.1f} s")
    if last.reason:
        print(f"  {told(last.reason)}")
    for failure in last.failures[:3]:
        where = f"{failure.model} {failure.version}" if failure.model else "a page"
        print(f"    {told(where)}: {told(failure.reason)}")
    for warning in one.warnings:
        print(f"  warning: {told(warning)}")


def _lines(tally: TallyShape) -> list[str]:
    looked = f"of {tally.inspected} of {tally.versions} versions looked into"
    bad = ", ".join(
        f"{count} {what}"
        for what, count in (
            ("malicious", tally.malicious),
            ("suspicious", tally.suspicious),
            ("unreadable", tally.unreadable),
        )
    )
    rows = (
        ("models", str(tally.models)),
        ("versions", f"{tally.versions}, of which {tally.in_production} in production"),
        ("without an owner", str(tally.without_owner)),
        ("without a privacy assessment", str(tally.without_privacy_assessment)),
        ("with a gap", str(tally.gaps)),
        ("files", f"{looked}: {bad}" if tally.inspected else "not looked into yet"),
        ("incomplete", str(tally.incomplete)),
    )
    lines = [f"{head:<30}{value}" for head, value in rows]
    left = tally.versions - tally.inspected
    if left:
        lines.append(
            f"{'':<30}{left} not yet: trimtab sync goes on, and trimtab serve does by itself"
        )
    return lines


def _what_next(found: Plane) -> None:
    if found.ours:
        print("\nGo on: trimtab inventory --stage production, trimtab record MODEL VERSION")
        print("Pages, and to keep it up to date: trimtab serve")
    else:
        print(f"\nGo on: trimtab inventory --stage production; pages: {found.url}/inventory")
