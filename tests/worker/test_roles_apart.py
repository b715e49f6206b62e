"""Processes that share one PostgreSQL database: each its part of the work, none of it twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.apart import PASSWORD, Installation
from tests.patience import PATIENCE_SECONDS
from tests.registering import registered
from tests.worker.test_signals import drift

from trimtab.audit import ledger
from trimtab.demo.processes import free_port
from trimtab.incidents import store as incidents
from trimtab.kernel.actor import system
from trimtab.platform.executors import EXECUTORS
from trimtab.platform.settings_model import Settings
from trimtab.remediation import store as remediations
from trimtab.worker import TAKEN_OVER
from trimtab.workflows.jobs import Role

pytestmark = pytest.mark.slow


@pytest.fixture
def installation(tmp_path: Path, postgresql: Callable[[], str]) -> Iterator[Installation]:
    found = Installation(tmp_path / "home", postgresql())
    yield found
    found.close()


def opened_incident(installation: Installation, model: str = "m1") -> str:
    """The incident that a signal of drift opens, once it is there."""
    with installation.records() as records:
        with records.begin(system("test"), reason="a model") as work:
            registered(work, model, tier=2)
        with records.begin(system("watch"), reason="a window") as work:
            work.record(drift(model, None, "longitude"))

        def found() -> list[str]:
            with records.look() as reading:
                return [i.id for i in incidents.listed(reading) if i.model == model]

        installation.until(found)
        return found()[0]


def niceness(installation: Installation, name: str) -> int:
    return os.getpriority(os.PRIO_PROCESS, installation.processes[name].pid)


def test_each_role_does_its_part_and_the_gate_alone_permits(installation: Installation) -> None:
    installation.serve()
    assert installation.health()["roles"] == "nobody does release, watch, repair, ingest, gate"
    for role in Role:
        installation.work(role, role)
    installation.until(lambda: installation.health()["roles"] == "attended")
    stands_back = Settings.model_fields["work_niceness"].default
    assert {niceness(installation, role) for role in Role} == {
        niceness(installation, "serve") + stands_back
    }
    incident = opened_incident(installation)
    with installation.admin() as admin:
        asked = admin.remediation.execute(incident, "notify_team", reason="somebody should know")
    with installation.records() as records:

        def begun() -> bool:
            with records.look() as reading:
                return remediations.get(reading, asked.id).started_at is not None

        installation.until(begun)
        with records.look() as reading:
            kinds = [entry.kind for entry in ledger.entries(reading.connection)]
    order = ["incident.opened", "remediation.proposed", "remediation.permitted"]
    assert [kind for kind in kinds if kind in order] == order
    with installation.engine() as connection:
        jobs = connection.execute(sa.text("SELECT name, executor_id FROM dbos.workflow_status"))
        done_by = dict(jobs.tuples().all())
        alive = connection.execute(sa.text("SELECT id, roles FROM executors"))
        roles = dict(alive.tuples().all())
    assert roles[done_by["watch.signal"]] == "watch"
    assert roles[done_by["repair.gate"]] == "gate"
    assert roles[done_by["repair.carry_out"]] == "repair"
    assert {name: installation.end(name) for name in ("serve", *Role)} == dict.fromkeys(
        ("serve", *Role), 0
    )
    assert installation.executors() == 0  # who ends in order leaves nothing to run out


def test_without_a_gate_nothing_is_permitted_until_there_is_one(installation: Installation) -> None:
    installation.serve()
    installation.work("rest", "release", "watch", "repair", "ingest")
    incident = opened_incident(installation)
    with installation.admin() as admin:
        asked = admin.remediation.execute(incident, "notify_team", reason="somebody should know")

        def phase() -> str:
            return next(r.phase for r in admin.remediation.list() if r.id == asked.id)

        assert installation.health()["roles"] == "nobody does gate"
        with installation.records() as records, records.look() as reading:
            assert remediations.get(reading, asked.id).phase.value == "proposed"
        installation.work("gate", "gate")
        installation.until(lambda: phase() not in ("proposed", "permitted"))


def test_a_killed_worker_is_replaced_by_one_that_lives(installation: Installation) -> None:
    """What it had begun is done by the other; nothing is done twice."""
    installation.settings["TRIMTAB_JOBS_AT_ONCE"] = "2"
    installation.serve()
    installation.work("one")
    installation.work("two")
    names = [f"m{number}" for number in range(6)]
    for number, name in enumerate(names):
        opened_incident(installation, name)
        if number == 2:
            installation.kill("one")
    installation.until(lambda: installation.executors() == 2)  # the dead one has run out
    installation.until(lambda: not installation.unfinished())
    with installation.records() as records, records.look() as reading:
        found = [i.model for i in incidents.listed(reading)]
    assert sorted(found) == names
    assert installation.health()["roles"] == "attended"


def test_one_that_dies_with_nothing_begun_is_said_to_be_dead_once(
    installation: Installation,
) -> None:
    installation.work("idle", "watch")
    installation.work("heir", "watch")

    def told() -> list[dict[str, Any]]:
        lines = [line for line in installation.said("heir").splitlines() if line.startswith("{")]
        return [e for e in map(json.loads, lines) if e["event"] == "an executor is dead"]

    with installation.engine() as connection:
        idle = connection.execute(sa.select(EXECUTORS).order_by(EXECUTORS.c.started_at)).first()
    assert idle is not None
    installation.until(lambda: not installation.unfinished())
    killed_at = datetime.now(UTC)
    installation.kill("idle")
    installation.until(told)
    time.sleep(3)  # as long as three looks take
    (said,) = told()
    assert (said["executor"], said["jobs_taken_over"]) == (idle.id, 0)
    last_seen = datetime.fromisoformat(said["last_seen"])
    assert killed_at - timedelta(seconds=5) < last_seen <= killed_at


def test_a_worker_with_a_port_says_what_it_does(installation: Installation) -> None:
    port = free_port()
    installation.start("some", "work", "--role", "repair", "--role", "watch", "--port", str(port))
    installation.until(lambda: "roles:" in installation.said("some"), "some")
    said = installation.said("some").splitlines()
    at = said.index(f"listening on http://127.0.0.1:{port}")
    assert said[at + 1] == "roles:       watch, repair"


def test_a_worker_that_was_stopped_for_too_long_ends_by_itself(installation: Installation) -> None:
    installation.serve()
    installation.work("stopped", "watch")
    installation.work("heir", "watch")
    installation.signal("stopped", signal.SIGSTOP)
    installation.until(lambda: installation.executors() == 2)
    with installation.engine() as connection:  # as when it had begun something
        connection.execute(sa.text("DELETE FROM executors WHERE expires_at <= clock_timestamp()"))
    installation.signal("stopped", signal.SIGCONT)
    assert installation.processes["stopped"].wait(PATIENCE_SECONDS) == TAKEN_OVER
    assert "was taken over" in installation.said("stopped")
    opened_incident(installation)


def test_two_that_start_at_once_on_an_empty_database_agree(installation: Installation) -> None:
    """One migrates, one is the first to add the administrator; both come up."""
    other = Installation(installation.home, installation.database)
    try:
        installation.start("serve", "serve")
        other.start("other", "serve")
        installation.until(lambda: installation.answers() and other.answers())
        with other.admin() as first, installation.admin() as second:
            assert [p.email for p in first.identity.people()] == ["admin@localhost"]
            assert [p.email for p in second.identity.people()] == ["admin@localhost"]
    finally:
        other.close()


@pytest.mark.parametrize("command", [("work",), ("serve", "--no-work"), ("serve",)])
def test_a_process_with_keys_of_its_own_is_refused(
    installation: Installation, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """It would sign what nobody can verify."""
    installation.serve()
    installation.work("worker")
    installation.end("worker")  # it signs a head at its end
    stranger = Installation(tmp_path / "elsewhere", installation.database)
    try:
        process = stranger.start("stranger", *command)
        assert process.wait(PATIENCE_SECONDS) == 2
        assert "the keys here are those of" in stranger.said("stranger")
        assert not (stranger.home / "keys" / "ledger.pem").exists(), "it is no installation"
    finally:
        stranger.close()


def test_on_sqlite_roles_cannot_be_apart(tmp_path: Path) -> None:
    for arguments in (["work"], ["work", "--role", "gate"], ["serve", "--no-work"]):
        refused = _run(tmp_path, arguments)
        assert refused.returncode == 2
        assert "its file has room for one process" in refused.stderr
        assert "PostgreSQL" in refused.stderr


def test_a_role_that_there_is_not_is_named(tmp_path: Path) -> None:
    refused = _run(tmp_path, ["work", "--role", "watcher"])
    assert refused.returncode == 2
    assert "watcher" in refused.stderr
    assert "release, watch, repair, ingest, gate" in refused.stderr


def test_a_stepped_clock_has_room_for_one_process(installation: Installation) -> None:
    installation.settings["TRIMTAB_CLOCK"] = "stepped:2015-03-01T00:00:00Z"
    process = installation.start("work", "work")
    assert process.wait(PATIENCE_SECONDS) == 2
    assert "on a clock that is stepped" in installation.said("work")


def _run(home: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TRIMTAB_HOME": str(home / "home"),
        "TRIMTAB_PORT": str(free_port()),
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
    }
    command = [sys.executable, "-m", "trimtab", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, cwd=home
    )
