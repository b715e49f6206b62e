"""A database that goes away is told once by each process, and once that it is back."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from tests.apart import Installation
from tests.bounced import WAYS, Server, own_server

from trimtab.demo.processes import free_port
from trimtab.kernel.errors import Unavailable
from trimtab.platform import outages, postgresql
from trimtab.platform.database import Database
from trimtab.platform.outages import Outage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.either,
]

AWAY, STILL, BACK = (
    "the database does not answer",
    "the database still does not answer",
    "the database answers again",
)
OUT_SECONDS = 6.0
"""Longer than any loop pauses between two tries."""


@pytest.fixture
def server() -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder,
        own_server(Path(folder)) as found,
    ):
        yield found


def test_each_outage_is_two_lines_in_each_process(server: Server, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "home", server.database("outages"))
    processes = ("serve", "work")

    def told(name: str) -> list[dict[str, Any]]:
        lines = [line for line in installation.said(name).splitlines() if line.startswith("{")]
        found = [json.loads(line) for line in lines]
        return [line for line in found if line["level"] in ("warning", "error", "critical")]

    try:
        installation.serve()
        installation.start("work", "work", "--port", str(free_port()))
        installation.until(lambda: "listening on" in installation.said("work"), "work")
        before = {name: len(told(name)) for name in processes}
        for outage, way in enumerate(WAYS, start=1):
            server.stop(way)
            installation.answers()  # somebody asks, too
            time.sleep(OUT_SECONDS)
            server.start()
            for name in processes:
                installation.until(
                    lambda name=name, outage=outage: (  # type: ignore[misc]
                        [line["event"] for line in told(name)].count(BACK) == outage
                    )
                )
            time.sleep(outages.SETTLED_SECONDS + 1)
        for name in processes:
            lines = told(name)[before[name] :]
            assert [line["event"] for line in lines] == [AWAY, BACK] * len(WAYS), lines
            assert all("DATABASE_URL" in line["remedy"] for line in lines[::2])
            assert all(line["why"] for line in lines[::2])
            assert all(line["away_seconds"] >= OUT_SECONDS - 3 for line in lines[1::2]), lines
    finally:
        installation.close()


def test_one_that_lasts_is_reminded_of_and_explains_itself_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "REMIND_SECONDS", 1.0)
    monkeypatch.setattr(postgresql, "DATABASE", found := Outage())
    database = Database(server.database("lasting"))
    with capture_logs() as said:
        other = refused_column(database)
        assert not found.explains(other)
        server.stop("fast")
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            with pytest.raises(Unavailable) as away, database.read() as connection:
                connection.execute(sa.text("SELECT 1"))  # one used just now is not asked before
            assert found.explains(away.value)
            assert found.explains("(psycopg.OperationalError) connection is bad")
            assert not found.explains(other)
            assert not found.explains("a queue has no name")
            assert not found.explains(Unavailable("the bucket does not answer"))
            time.sleep(0.05)
        server.start()
        with database.read():
            pass
        assert found.explains(away.value), "its echo is still on the way"
        monkeypatch.setattr(outages, "SETTLED_SECONDS", 0.0)
        assert not found.explains(away.value)
    ours = [line for line in said if line["event"] in (AWAY, STILL, BACK)]
    first, *reminders, last = ours
    assert (first["event"], last["event"]) == (AWAY, BACK)
    assert {line["event"] for line in reminders} == {STILL}
    since = [line["seconds"] for line in reminders]
    assert since == sorted(set(since)), "more than one in a second"
    assert since[0] >= 1
    database.close()


def test_an_address_that_is_wrong_is_the_affair_of_the_start(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "DATABASE", Outage())
    nowhere = sa.make_url(server.database("somewhere")).set(database="nowhere")
    with capture_logs() as said, pytest.raises(Unavailable, match="nowhere"):
        Database(nowhere.render_as_string(hide_password=False))
    assert said == []


def refused_column(database: Database) -> BaseException:
    """What a statement raises that the database does not understand."""
    with pytest.raises(sa.exc.ProgrammingError) as found, database.read() as connection:
        connection.execute(sa.text("SELECT nothing_of_this_name"))
    return found.value
