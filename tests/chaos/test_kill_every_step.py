"""SIGKILL at each kind of step: the end is the one without a fault, and every effect is there once.

A kind of step is a job at one of five instants, and where a job's transactions write
different things, each of those. A step hook ends the process; nothing here waits for time to
pass. What is compared is every row of every table of decisions, every entry of the ledger
and every batch that was acknowledged (see `ending.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from tests.chaos.rehearsal import Rehearsal
from tests.chaos.stories import STORIES

from trimtab.platform.settings import Settings
from trimtab.remediation.gate_process import GateProcess
from trimtab.workflows.parts import Parts
from trimtab.workflows.program import program

WHEN = ("enqueued", "before", "commit", "committed", "after")
EVERY_KIND = {"committed"}
"""Instants that are tried for everything that a job may write; of the others the first."""


def jobs() -> list[str]:
    """Every job there is, from the list that the product runs by."""
    parts = SimpleNamespace(settings=Settings())  # nothing else is asked for before a job runs
    listed = program(cast(Parts, parts), cast(GateProcess, None))
    return sorted({job.name for job in listed.jobs} | {s.job.name for s in listed.sweeps})


OUT_OF_REACH = {
    "intake.again",
    *(f"ingest.{name}" for name in ("sync", "inspect", "lag", "remove", "judge")),
}
"""`intake.again` runs where the disk or a child process failed us in the middle of a check, which
no caller can bring about from outside. Its steps are those of `intake.check`; that it may be
repeated, `workflows/test_checks_again.py` shows. No story has a registry to read: readers of one
are killed in `workflows/test_ingest_faults.py`."""

JOBS = [job for job in jobs() if job not in OUT_OF_REACH]


def chosen(rehearsal: Rehearsal, when: str, job: str) -> list[str]:
    """The instants of a story at which a job is to die."""
    found = rehearsal.instants(f"{when}:{job}")
    return found if when in EVERY_KIND else found[:1]


@pytest.mark.slow
def test_nine_deaths_in_one_story(rehearsed: Callable[[str], Rehearsal]) -> None:
    """One of each kind; and while it recovers from one, it is killed twice, and completes the
    third time."""
    repair = rehearsed("repair")
    wanted = [
        "committed:intake.check",
        "enqueued:release.start",
        "commit:release.turn",
        "before:watch.signal",
        "committed:repair.plan",
        "after:repair.carry_out",
    ]
    *before, last = (repair.instants(instant)[0] for instant in wanted)
    first = repair.instants("commit:repair.carry_out")[0]
    again = "before:repair.carry_out"
    met = len(before)
    recovering = [f"{first}@{met}", f"{again}@{met + 1}", f"{again}@{met + 2}"]
    plane = repair.play(*before, *recovering, last)
    assert plane.deaths[-4:] == [*recovering, last]


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_the_stories_pass_through_every_job(rehearsed: Callable[[str], Rehearsal]) -> None:
    for job in JOBS:
        for when in WHEN:
            assert any(chosen(rehearsed(name), when, job) for name in STORIES), f"{when}:{job}"


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", STORIES)
def test_without_a_fault_the_end_is_the_same(
    rehearsed: Callable[[str], Rehearsal], name: str
) -> None:
    rehearsed(name).play()


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("job", JOBS)
def test_a_death_changes_nothing(
    rehearsed: Callable[[str], Rehearsal], job: str, when: str
) -> None:
    tried: set[str] = set()
    for name in STORIES:
        for instant in chosen(rehearsed(name), when, job):
            if instant not in tried and (when in EVERY_KIND or not tried):
                rehearsed(name).play(instant)
                tried.add(instant)
    assert tried


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", STORIES)
def test_a_death_after_every_first_commit_of_one_story(
    rehearsed: Callable[[str], Rehearsal], name: str
) -> None:
    rehearsal = rehearsed(name)
    rehearsal.play(*(i for job in JOBS for i in rehearsal.instants(f"committed:{job}")[:1]))
