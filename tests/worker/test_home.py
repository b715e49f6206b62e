"""What lies in the data folder, whose it is, and what is tidied up at a start."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.worker.test_application import opened


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
