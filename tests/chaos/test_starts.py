"""Starting beside a process that is alive."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.chaos.lenient import write_policy
from tests.chaos.plane import KILLED, Plane

from trimtab.demo.processes import free_port


@pytest.mark.slow
@pytest.mark.sqlite_only("its file has room for one process; on PostgreSQL many are at home")
def test_a_second_process_on_the_same_home_says_why_it_does_not_start(tmp_path: Path) -> None:
    plane = Plane(tmp_path / "home", write_policy(tmp_path), datetime(2015, 3, 1, tzinfo=UTC))
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
