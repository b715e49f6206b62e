"""Lineage as it is asked for: from a version or a dataset, both ways, now or as of a moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from trimtab.audit.work import Reading
from trimtab.inventory import lineage_store, store
from trimtab.inventory.lineage import Kind, Node, version_node
from trimtab.inventory.lineage_store import Led
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput
from trimtab.workflows.connections import visible, visible_record

_MOST_EDGES = 5_000
_MOST_STEPS = 20


@dataclass(frozen=True)
class Thing:
    """A thing in a lineage; `connection` None: it belongs to no registry in particular."""

    kind: str
    id: str
    label: str
    connection: str | None
    record: str | None = None


@dataclass(frozen=True)
class Link:
    """That one thing led to another, by the ids of both."""

    upstream: str
    downstream: str
    relation: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Lineage:
    """Everything that is reached from `start`, nearest first."""

    start: str
    nodes: tuple[Thing, ...]
    edges: tuple[Link, ...]
    truncated: bool


def of_record(
    reading: Reading, actor: Actor, record_id: str, *, moment: datetime | None = None
) -> Lineage:
    """What a version comes from, and leads to.

    Raises:
        NotFound: there is no such record of the actor's.
    """
    head = visible_record(reading, actor, record_id)
    entry = store.revisions(reading, head.id, limit=1)[0]
    node = version_node(entry.record.model, entry.record.version)
    return _walked(reading, actor, head.connection, node, (True, False), moment)


def of_node(
    reading: Reading,
    actor: Actor,
    named: str,
    direction: str,
    *,
    connection: str | None = None,
    moment: datetime | None = None,
) -> Lineage:
    """What a thing leads to (`downstream`), comes from (`upstream`), or both.

    Raises:
        InvalidInput: it is not named as lineage names things, or its registry is missing.
        NotFound: there is no such connection of the actor's.
    """
    kind, _, name = named.partition(":")
    if kind not in set(Kind) or not name:
        raise InvalidInput(
            "this names nothing in a lineage",
            field="node",
            remedy="write kind:id as lineage does, such as dataset:credit/4f2a; the kinds are "
            + ", ".join(Kind),
        )
    shared = Kind(kind) in lineage_store.SHARED
    if connection is None and not shared:
        raise InvalidInput(
            f"a {kind.replace('_', ' ')} belongs to a registry",
            field="connection",
            remedy="name the connection that it was read by",
        )
    scope = "" if connection is None else visible(reading, actor, connection).id
    ways = {"downstream": (True,), "upstream": (False,)}.get(direction, (True, False))
    return _walked(reading, actor, scope, Node(Kind(kind), name, name), ways, moment)


def _walked(
    reading: Reading,
    actor: Actor,
    connection: str,
    start: Node,
    ways: Iterable[bool],
    moment: datetime | None,
) -> Lineage:
    found: dict[tuple[str, str, str], Led] = {}
    cut = False
    for down in ways:
        cut |= _follow(reading, actor, connection, start, down, moment, found)
    things = {_name(start): _thing(start, connection)}
    for led in found.values():
        for node in (led.start, led.end):
            made = things.setdefault(_name(node), _thing(node, led.connection))
            if node.kind is Kind.VERSION and node == led.end and made.record is None:
                things[_name(node)] = _thing(node, led.connection, led.record)
    links = [
        Link(_name(led.start), _name(led.end), led.relation, led.since, led.until)
        for led in found.values()
    ]
    return Lineage(_name(start), tuple(things.values()), tuple(dict.fromkeys(links)), cut)


def _follow(
    reading: Reading,
    actor: Actor,
    connection: str,
    start: Node,
    down: bool,
    moment: datetime | None,
    found: dict[tuple[str, str, str], Led],
) -> bool:
    """Add to `found` what is reached one way; whether there is more than was added."""
    front, met = [lineage_store.key_of(connection, start)], set[str]()
    for _ in range(_MOST_STEPS):
        met |= set(front)
        room = _MOST_EDGES - len(found)
        near = lineage_store.around(
            reading, front, down=down, tenant=actor.tenant, moment=moment, limit=room + 1
        )
        for led in near[:room]:
            found[led.record, led.upstream, led.downstream] = led
        if len(near) > room:
            return True
        front = sorted({led.downstream if down else led.upstream for led in near} - met)
        if not front:
            return False
    return True


def _name(node: Node) -> str:
    return f"{node.kind.value}:{node.id}"


def _thing(node: Node, connection: str, record: str | None = None) -> Thing:
    shared = node.kind in lineage_store.SHARED
    return Thing(node.kind.value, _name(node), node.label, None if shared else connection, record)
