"""The joined house when its disk is full, broken, or older than what was published."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests import databases
from tests.databases import database_for
from tests.serving import administered

from trimtab.app import Application
from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.platform.settings import Settings
from trimtab.workflows.proof import verify

pytestmark = pytest.mark.slow

PASSWORD = "correct-horse-battery-staple-2015"
TENANTS = "/api/v1/tenants"


def opened(home: Path, *, confirm: bool = True) -> Application:
    """A house over `home`, whose loops do not run."""
    settings: dict[str, Any] = {
        "TRIMTAB_HOME": home,
        **database_for(home),
        "TRIMTAB_CLOCK": "stepped:2015-03-01T00:00:00Z",
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
    }
    application = Application(Settings(**settings), confirm=confirm)
    application.first_start()
    return application


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def new_tenant(name: str) -> dict[str, str]:
    return {"id": name, "name": name.upper(), "reason": "a test"}


def tenants(client: httpx.Client) -> list[str]:
    return [item["id"] for item in client.get(TENANTS).json()["items"]]


def test_the_first_start_happens_once(home: Path) -> None:
    application = opened(home)
    assert application.first_start() is None
    with administered(application, PASSWORD) as client:
        assert len(client.get("/api/v1/people").json()["items"]) == 1
    application.parts.records.database.close()


def test_keys_are_for_their_owner_only_and_stay(home: Path) -> None:
    first = opened(home)
    keys = {p.name: p.read_bytes() for p in (home / "keys").iterdir()}
    private = {name for name in keys if not name.endswith((".pub", ".pub.pem"))}
    assert {"ledger.pem", "tokens.pem", "permits.pem", "artifacts.pem"} <= private
    for name in private:
        path = home / "keys" / name
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, name
    first.parts.records.database.close()
    second = opened(home)
    assert {p.name: p.read_bytes() for p in (home / "keys").iterdir()} == keys
    second.parts.records.database.close()


@pytest.mark.sqlite_only("how much room a file has is told to SQLite itself")
def test_a_full_disk_refuses_and_later_takes(home: Path) -> None:
    application = opened(home)
    engine = application.parts.records.database.engine
    with administered(application, PASSWORD) as client:
        assert client.post(TENANTS, json=new_tenant("before")).status_code == 201

        def no_room(connection: Any, _record: object) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={pages}").close()

        engine.dispose()
        sa.event.listen(engine, "connect", no_room)
        refused = None
        for number in range(200):
            answer = client.post(TENANTS, json=new_tenant(f"t{number}"))
            if answer.status_code != 201:
                refused = number
                break
        assert refused is not None
        assert answer.status_code == 503, answer.text
        assert answer.json()["remedy"]
        assert answer.headers["retry-after"]
        assert f"t{refused}" not in tenants(client)

        sa.event.remove(engine, "connect", no_room)
        engine.dispose()
        assert client.post(TENANTS, json=new_tenant(f"t{refused}")).status_code == 201
        assert {"before", f"t{refused}"} <= set(tenants(client))
        assert client.get("/health").json()["components"]["database"] == "connected"
    engine.dispose()


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Every write beyond `size` bytes of a file fails, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.sqlite_only("its files are written by this process, whose writes can be made to fail")
def test_after_an_error_of_the_disk_nothing_more_is_written(home: Path) -> None:
    application = opened(home)
    database = application.parts.records.database
    with administered(application, PASSWORD) as client:
        assert client.post(TENANTS, json=new_tenant("before")).status_code == 201
        with files_no_larger_than(1024):
            answer = client.post(TENANTS, json=new_tenant("during"))
        assert answer.status_code == 503, answer.text
        again = client.post(TENANTS, json=new_tenant("after"))
        assert again.status_code == 503
        assert "stopped" in again.json()["detail"]
        assert "restart" in again.json()["remedy"]
        assert tenants(client) == ["before"]  # reading goes on
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["components"]["database"] != "connected"
    database.close()
    later = opened(home)
    with administered(later, PASSWORD) as client:
        assert tenants(client) == ["before"]
        assert client.post(TENANTS, json=new_tenant("after")).status_code == 201
    later.parts.records.database.close()


def grown(home: Path, name: str) -> None:
    """Open the house, add a tenant, sign and publish the head."""
    application = opened(home)
    with administered(application, PASSWORD) as client:
        assert client.post(TENANTS, json=new_tenant(name)).status_code == 201
    application.parts.heads.sign()
    application.parts.records.database.close()


def test_a_restored_backup_does_not_start(home: Path, tmp_path: Path) -> None:
    grown(home, "one")
    backup = tmp_path / "backup"
    shutil.copytree(home, backup)
    databases.copied(home, backup, in_use=False)
    grown(home, "two")
    databases.restored(home, backup)
    with pytest.raises(IntegrityFailed) as refused:
        opened(home)
    assert "does not continue the head" in refused.value.message
    assert "backup" in str(refused.value.remedy)
    heads = {path.name: path.read_bytes() for path in (home / "heads").iterdir()}
    looked_at = opened(home, confirm=False)
    found = verify(looked_at.parts)
    looked_at.parts.records.database.close()
    assert not found.ok
    assert found.findings
    assert {path.name: path.read_bytes() for path in (home / "heads").iterdir()} == heads


def test_a_history_that_went_another_way_does_not_start(home: Path, tmp_path: Path) -> None:
    grown(home, "one")
    backup = tmp_path / "backup"
    shutil.copytree(home, backup)
    databases.copied(home, backup, in_use=False)
    grown(home, "two")
    newest = sorted((home / "heads").iterdir())[-1]
    kept = newest.read_text("utf-8")
    newest.unlink()
    databases.restored(home, backup)
    grown(home, "three")
    grown(home, "four")
    newest.write_text(kept, "utf-8")
    last = sorted((home / "heads").iterdir())[-1]
    if last != newest:
        last.unlink()
    with pytest.raises(IntegrityFailed):
        opened(home)


def test_the_same_folder_starts_again(home: Path) -> None:
    grown(home, "one")
    grown(home, "two")
    application = opened(home)
    with administered(application, PASSWORD) as client:
        assert sorted(tenants(client)) == ["one", "two"]
    application.parts.records.database.close()


def test_a_policy_that_cannot_be_used_stops_the_start(home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "policy.yaml"
    bad.write_text("name: mine\ntiers: {}\n", "utf-8")
    settings: dict[str, Any] = {"TRIMTAB_HOME": home, "TRIMTAB_POLICY": str(bad)}
    with pytest.raises(InvalidInput) as refused:
        Application(Settings(**settings))
    assert refused.value.remedy


def test_a_policy_file_that_is_not_there_is_said_in_a_sentence(home: Path) -> None:
    settings: dict[str, Any] = {"TRIMTAB_HOME": home, "TRIMTAB_POLICY": "/no/such/policy.yaml"}
    with pytest.raises(InvalidInput) as refused:
        Application(Settings(**settings))
    assert refused.value.field == "TRIMTAB_POLICY"
