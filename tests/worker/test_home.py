"""What lies in the data folder, whose it is, and what is tidied up at a start."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from tests.worker.test_application import opened

from trimtab.app import Application
from trimtab.identity.keyring import load_or_create_rsa
from trimtab.kernel.errors import InvalidInput

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_folders_of_killed_children_go_at_the_next_start(home: Path) -> None:
    opened(home).parts.records.database.close()
    left = home / "scratch" / "0123456789abcdef"
    left.mkdir()
    (left / "scores.npy").write_bytes(b"x")
    application = opened(home)
    assert application.parts.scratch.swept == 1
    assert list((home / "scratch").iterdir()) == []
    with application.parts.scratch.folder() as used:
        opened(home, confirm=False).parts.records.database.close()  # as `trimtab audit verify`
        assert used.exists()
    application.parts.records.database.close()


SECRET = ("trimtab.sqlite", "jobs.sqlite", "jobs.sqlite.lock", "keys/", "blobs/", "scratch/")
PUBLIC = (".pub", ".pub.pem")


def open_to_others(home: Path) -> dict[str, str]:
    """What others could read, had they a way into the folder; but for what is public."""
    found = {}
    for path in home.rglob("*"):
        name = str(path.relative_to(home))
        if path.is_file() and name.startswith(SECRET) and not name.endswith(PUBLIC):
            mode = path.stat().st_mode & 0o777
            if mode & 0o077:
                found[name] = oct(mode)
    return found


def lived_in(home: Path) -> Application:
    application = opened(home)
    application.start()
    application.parts.blobs.put(BytesIO(b"a model"), max_bytes=100)
    return application


@pytest.mark.sqlite_only("who may read the files of a database")
def test_whatever_the_folder_lets_in_the_files_are_for_their_owner_only(home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    before = os.umask(0)
    try:
        application = lived_in(home)
        assert {"trimtab.sqlite-wal", "jobs.sqlite-wal"} <= {p.name for p in home.iterdir()}
        assert open_to_others(home) == {}
        application.stop(20)
    finally:
        os.umask(before)
    assert open_to_others(home) == {}


@pytest.mark.sqlite_only("who may read the files of a database")
def test_databases_that_were_open_to_others_are_closed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lived_in(home).stop(20)
    for path in home.glob("*.sqlite"):
        path.chmod(0o644)
    application = lived_in(home)
    assert open_to_others(home) == {}
    told = capsys.readouterr()
    assert "others could read" in told.out + told.err
    application.stop(20)


@pytest.mark.parametrize("name", ["tokens", "ledger", "permits", "artifacts"])
def test_a_key_that_others_may_read_is_refused(home: Path, name: str) -> None:
    lived_in(home).stop(20)
    key = home / "keys" / f"{name}.pem"
    key.chmod(0o644)
    with pytest.raises(InvalidInput, match="others") as refused:
        opened(home)
    assert "chmod 600" in (refused.value.remedy or "")
    key.chmod(0o600)
    opened(home).parts.records.database.close()


def test_a_key_for_tokens_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """Several that start at once get one key; a link in its place is not followed."""
    path = tmp_path / "keys" / "tokens.pem"
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: load_or_create_rsa(path), range(4)))
    assert len({key.public_key().public_numbers().n for key in made}) == 1
    assert [p.name for p in path.parent.iterdir()] == ["tokens.pem"]
    (tmp_path / "link.pem").symlink_to(path)
    with pytest.raises(InvalidInput, match="link"):
        load_or_create_rsa(tmp_path / "link.pem")
    path.write_bytes(b"")
    with pytest.raises(InvalidInput):
        load_or_create_rsa(path)
