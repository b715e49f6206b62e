"""The joined house over database files that are torn, or that lost what belongs to them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.databases import database_for
from tests.serving import administered
from tests.worker.test_application import PASSWORD, TENANTS, new_tenant, opened

from trimtab.app import Application
from trimtab.demo.processes import start_control_plane
from trimtab.identity import store as people
from trimtab.identity.model import Tenant
from trimtab.kernel.errors import IntegrityFailed, TrimtabError, Unavailable
from trimtab.platform.settings import Settings
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sqlite_only("pages and logs of files that this process itself reads"),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def tear(path: Path, name: str) -> None:
    """Overwrite the first half of the root page of a table or an index."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        page = raw.execute(query, (name,)).fetchone()[0]
        size = raw.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(random.Random(1).randbytes(size // 2))


def files(home: Path) -> dict[str, bytes]:
    """The database with what is in its log; the index of that is made anew by readers."""
    content = {path.name: path.read_bytes() for path in home.glob("trimtab.sqlite*")}
    return {name: part for name, part in content.items() if part and not name.endswith("-shm")}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("trimtab.sqlite", "people"),
        ("trimtab.sqlite", "ix_approvals_version_id"),
        ("jobs.sqlite", "workflow_status"),
    ],
)
def test_a_torn_page_stops_the_start(home: Path, file: str, name: str) -> None:
    application = opened(home)
    application.start()
    application.stop(20)
    tear(home / file, name)
    before = files(home)
    for confirm in (True, False):
        with pytest.raises(Unavailable, match="is damaged") as refused:
            opened(home, confirm=confirm)
        assert str(home / file) in refused.value.message
        assert "docs/operations.md" in (refused.value.remedy or "")
    assert files(home) == before


def test_what_there_is_no_time_for_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(home).parts.records.database.close()
    settings: dict[str, Any] = {"TRIMTAB_HOME": home, "DATABASE_CHECK_SECONDS": 0}
    Application(Settings(**settings)).parts.records.database.close()
    told = capsys.readouterr()
    assert "not every table was looked at" in told.out + told.err


@pytest.mark.parametrize(
    ("name", "meets"),
    [
        ("tenants", TENANTS),
        ("sqlite_autoindex_people_2", ""),
    ],
)
def test_a_page_that_is_torn_while_running_stops_all_writing(
    home: Path, name: str, meets: str
) -> None:
    application = opened(home)
    database = application.parts.records.database
    with administered(application, PASSWORD) as client:
        assert client.post(TENANTS, json=new_tenant("before")).status_code == 201
        tear(home / "trimtab.sqlite", name)
        database.engine.dispose()  # or the pages would come from memory
        if meets:
            met = client.get(meets)
        else:  # a log-in looks for its person by the index
            met = client.post("/api/v1/tokens", json={"email": "a@b.example", "password": "x" * 20})
        assert met.status_code == 503, met.text
        assert "damaged" in met.json()["detail"]
        assert "docs/operations.md" in met.json()["remedy"]
        after = client.post(TENANTS, json=new_tenant("after"))
        assert after.status_code == 503
        assert "writing has stopped" in after.json()["detail"]
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["components"]["database"] == "damaged"
    database.close()


def family(pid: int) -> list[int]:
    """A process and all below it; the safety gate too, which would tidy the files up."""
    below = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(p for path in below for c in path.read_text().split() for p in family(int(c)))]


def killed(home: Path) -> list[str]:
    """A control plane that was killed with a log that is not yet in its database; its heads."""
    control = start_control_plane(home, "2015-03-01T00:00:00Z", port=None, more=database_for(home))
    try:
        with Client(control.url) as nobody:
            token = nobody.identity.log_in("admin@localhost", control.admin_password)
        with Client(control.url, token=token) as admin:
            for number in range(20):
                admin.identity.add_tenant(shapes.NewTenant(id=f"t{number}", name="T"))
            admin.audit.verify()  # signs and publishes the newest head
    finally:
        for pid in reversed(family(control.process.handle.pid)):
            os.kill(pid, signal.SIGKILL)
        control.process.stop()
    assert (home / "trimtab.sqlite-wal").stat().st_size > 0
    return sorted(path.name for path in (home / "heads").glob("*.note"))


def tenants_of(application: Application) -> list[Tenant]:
    with application.parts.records.look() as reading:
        return people.tenants(reading)


def test_a_log_that_is_deleted_is_told_by_the_heads(home: Path) -> None:
    heads = killed(home)
    away = home / "away"
    shutil.copytree(home, away, ignore=shutil.ignore_patterns("heads", "away", "blobs"))
    (home / "trimtab.sqlite-wal").unlink()
    (home / "trimtab.sqlite-shm").unlink()
    with pytest.raises(TrimtabError) as refused:
        opened(home)
    assert isinstance(refused.value, IntegrityFailed), refused.value
    assert "does not continue the head" in refused.value.message
    assert sorted(p.name for p in (home / "heads").glob("*.note")) == heads

    for path in away.glob("trimtab.sqlite*"):  # it was only moved, and is put back
        shutil.copy(path, home / path.name)
    application = opened(home)
    assert len(tenants_of(application)) == 20
    application.parts.records.database.close()


@pytest.mark.parametrize("shm", ["kept", "deleted"])
def test_a_log_of_another_database_is_not_taken_for_its_own(
    home: Path, tmp_path: Path, shm: str
) -> None:
    killed(home)
    killed(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "trimtab.sqlite-wal", home / "trimtab.sqlite-wal")
    if shm == "deleted":
        (home / "trimtab.sqlite-shm").unlink()
    with pytest.raises(TrimtabError) as refused:
        opened(home)
    assert isinstance(refused.value, IntegrityFailed | Unavailable), refused.value


def test_an_index_of_the_log_that_is_deleted_is_made_anew(home: Path) -> None:
    killed(home)
    (home / "trimtab.sqlite-shm").unlink()
    application = opened(home)
    assert len(tenants_of(application)) == 20
    application.parts.records.database.close()
