"""Starting over what a killed process has left, and beside one that is alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.chaos.plane import KILLED
from tests.chaos.rehearsal import Rehearsal

from trimtab.demo.processes import free_port


@pytest.mark.slow
def test_killed_twice_while_it_recovers_it_completes_the_third_time(
    rehearsed: Callable[[str], Rehearsal],
) -> None:
    repair = rehearsed("repair")
    first = repair.instants("commit:repair.carry_out")[0]
    again = "before:repair.carry_out"
    plane = repair.play(f"{first}@0", f"{again}@1", f"{again}@2")
    assert plane.deaths == [f"{first}@0", f"{again}@1", f"{again}@2"]


@pytest.mark.slow
@pytest.mark.sqlite_only("its file has room for one process; on PostgreSQL many are at home")
def test_a_second_process_on_the_same_home_says_why_it_does_not_start(
    rehearsed: Callable[[str], Rehearsal],
) -> None:
    repair = rehearsed("repair")
    kept, _shipped = repair.before[-1]
    plane = kept.copied(repair.folder / "twice")
    plane.start()
    try:
        second = replace(plane, port=free_port())
        process = second.begin()
        process.wait(60)
        assert process.returncode not in (0, KILLED)
        assert "another executor holds" in second.said()
        assert plane.process is not None
        assert plane.process.poll() is None
    finally:
        plane.kill()
