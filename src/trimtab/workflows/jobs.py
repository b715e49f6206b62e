"""What every job of a loop begins with: the ledger entry that it reacts to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.reactions import Reaction, each
from trimtab.kernel.errors import NotFound
from trimtab.platform.durable import Job, JobArgs
from trimtab.workflows.parts import Parts


class Role(StrEnum):
    """What a process does of all that is to be done; the queue of its jobs has the same name."""

    RELEASE = "release"
    """Takes versions in, checks them, asks for approval, releases them."""
    WATCH = "watch"
    """Closes and judges windows, opens incidents."""
    REPAIR = "repair"
    """Diagnoses, plans, carries out what is permitted, retrains."""
    INGEST = "ingest"
    """Reads other registries, looks into their files, holds what they have against the rules."""
    GATE = "gate"
    """Permits actions, or refuses them; alone has the key for that."""


IN_ORDER = "in-order"
"""Jobs of `watch` that are done one after the other, as the ledger tells it: who comes first
must not be drawn by lot where the first one decides what the others are."""


TIMELY = "ingest-timely"
"""Jobs of `ingest` that wait for no registry: what lags is told of, and what a waiver covered is
judged anew, however long somebody's server takes to answer."""


def queues(at_once: int) -> Mapping[str, int]:
    """Every queue, with how many of its jobs run at once, over all processes."""
    own = {role.value: at_once for role in Role}
    return own | {Role.GATE.value: 1, IN_ORDER: 1, TIMELY: 1}


def served_by(roles: Iterable[Role]) -> frozenset[str]:
    """The queues that a process of these roles takes jobs from."""
    own = frozenset(role.value for role in roles)
    further = {Role.WATCH: IN_ORDER, Role.INGEST: TIMELY}
    return own | {queue for role, queue in further.items() if role in own}


MAX_ATTEMPTS = 5
"""Tries of one job before it is a dead letter; a property of the house, not of a model."""

Reacts = Callable[[Parts, Entry], None]


def entry_of(parts: Parts, args: JobArgs) -> Entry:
    """The entry that a job was started by.

    Raises:
        NotFound: there is none under this number; the database is not the one that the
            engine's work belongs to.
    """
    sequence = args.values["sequence"]
    assert isinstance(sequence, int)
    with parts.records.look() as reading:
        found = ledger.entries(reading.connection, after=sequence - 1, limit=1)
    if not found or found[0].sequence != sequence:
        raise NotFound(f"the ledger has no entry {sequence}")
    return found[0]


def reaction(
    parts: Parts,
    name: str,
    kinds: tuple[str, ...],
    react: Reacts,
    *,
    queue: str,
    wanted: Callable[[Entry], bool] = each,
) -> tuple[Reaction, Job]:
    """A reaction and the job that carries it out, under one name."""

    def run(args: JobArgs) -> None:
        react(parts, entry_of(parts, args))

    return Reaction(name, kinds, name, wanted), Job(name, run, queue, max_attempts=MAX_ATTEMPTS)


def sweep(name: str, turn: Callable[[str], None], *, queue: str) -> Job:
    """A job that gives one row, by its id, one turn."""

    def run(args: JobArgs) -> None:
        turn(str(args.values["id"]))

    return Job(name, run, queue, max_attempts=MAX_ATTEMPTS)
