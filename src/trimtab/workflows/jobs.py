"""What every job of a loop begins with: the ledger entry that it reacts to."""

from __future__ import annotations

from collections.abc import Callable

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.reactions import Reaction
from trimtab.kernel.errors import NotFound
from trimtab.platform.durable import Job, JobArgs
from trimtab.workflows.parts import Parts

AT_ONCE = "default"
IN_ORDER = "in-order"
QUEUES = {AT_ONCE: 4, IN_ORDER: 1}
"""How many jobs run at once. What is in order is done one after the other, as the ledger tells
it: who comes first must not be drawn by lot where the first one decides what the others are."""

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
    parts: Parts, name: str, kinds: tuple[str, ...], react: Reacts, *, queue: str = AT_ONCE
) -> tuple[Reaction, Job]:
    """A reaction and the job that carries it out, under one name."""

    def run(args: JobArgs) -> None:
        react(parts, entry_of(parts, args))

    return Reaction(name, kinds, name), Job(name, run, queue, max_attempts=MAX_ATTEMPTS)


def sweep(name: str, turn: Callable[[str], None], *, queue: str = AT_ONCE) -> Job:
    """A job that gives one row, by its id, one turn."""

    def run(args: JobArgs) -> None:
        turn(str(args.values["id"]))

    return Job(name, run, queue, max_attempts=MAX_ATTEMPTS)
