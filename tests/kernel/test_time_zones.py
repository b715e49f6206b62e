"""Where a process stands in the world, and whether clocks change there, changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import databases

CHILD = Path(__file__).with_name("in_its_zone.py")
TESTS = Path(__file__).parents[2]
ZONES = ("America/New_York", "Asia/Kathmandu")
"""One whose clocks go forward on 8 March 2026, and one that is 5 h 45 min ahead of UTC."""


def said(zone: str, address: str, home: Path) -> bytes:
    """What a process in that zone says of the same days, over a new database."""
    home.mkdir()
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "TZ": zone, "PGTZ": zone, "PYTHONPATH": path}
    command = [sys.executable, str(CHILD), address, str(home)]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", databases.CHOICES)
def test_the_same_in_every_zone(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    def address(name: str) -> str:
        if kind == databases.SQLITE:
            return f"sqlite:///{tmp_path / name}.sqlite"
        create: Callable[[], str] = request.getfixturevalue("postgresql")
        return create()

    utc = said("UTC", address("utc"), tmp_path / "utc")
    assert b"2026-03-08T00:00:00.000000Z 2026-03-09T00:00:00.000000Z" in utc
    assert b"2026-03-08T07:30:00.000000Z\n" in utc
    for number, zone in enumerate(ZONES):
        home = tmp_path / f"home{number}"
        assert said(zone, address(f"zone{number}"), home) == utc, zone
