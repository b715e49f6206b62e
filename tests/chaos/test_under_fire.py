"""Processes are killed and the database is bounced under load: nothing acknowledged is lost,
nothing is done twice, and all is well again soon."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from tests.apart import Installation
from tests.bounced import own_server
from tests.chaos.fire import HARMS, ROWS, Fire

from trimtab.incidents import store as incidents
from trimtab.integrations.inbox import MESSAGES
from trimtab.observations.store import PREDICTIONS


@pytest.fixture
def fire(tmp_path: Path) -> Iterator[Fire]:
    with (
        tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder,
        own_server(Path(folder)) as server,
    ):
        installation = Installation(tmp_path / "home", server.database("fire"))
        try:
            yield Fire(installation, server, random.Random(7))
        finally:
            installation.close()


@pytest.mark.slow
def test_each_harm_once(fire: Fire) -> None:
    burn(fire, fire.each_harm())
    assert fire.done == Counter(HARMS)


@pytest.mark.chaos
def test_for_ten_minutes(fire: Fire) -> None:
    burn(fire, fire.harms(600.0))


def burn(fire: Fire, harms: Iterator[str]) -> None:
    fire.begin()
    fire.burn(harms)
    assert fire.faults == []
    fire.until(fire.settled)
    with fire.installation.engine() as connection:
        batches = connection.execute(sa.select(PREDICTIONS.c.id, PREDICTIONS.c.rows)).all()
        messages = connection.execute(sa.select(MESSAGES.c.id)).scalars().all()
    kept = Counter(row.id for row in batches)
    assert set(kept) >= set(fire.acknowledged)  # what is acknowledged is there,
    assert set(kept.values()) == {1}  # and nothing is there twice
    assert {row.rows for row in batches} == {ROWS}
    with fire.installation.records() as records, records.look() as reading:
        opened = Counter(incident.model for incident in incidents.listed(reading, limit=10**6))
    assert opened == Counter(fire.signals)
    assert len(messages) == len(set(messages)) == len(fire.asked)
    verified = _verified(fire.installation)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    told(fire)


def _verified(installation: Installation) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trimtab", "audit", "verify"],
        env=installation.environment(),
        cwd=installation.home,
        capture_output=True,
        text=True,
        timeout=600,
    )


def told(fire: Fire) -> None:
    well = fire.healthy_after or [0.0]
    print(  # noqa: T201 - the figures are what one runs it for
        f"[{len(fire.acknowledged):,} batches, {len(fire.signals)} incidents, "
        f"{dict(fire.done)}; well again after {np.median(well):.1f} s (at most {max(well):.1f})]",
        end=" ",
    )
