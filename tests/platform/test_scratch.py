"""Folders for a while: gone at the end, and gone after a kill, but never under somebody's feet."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trimtab.kernel.errors import Unavailable
from trimtab.platform.scratch import Scratch

HOLDS = """
import sys
from pathlib import Path
from trimtab.platform.scratch import Scratch

with Scratch(Path(sys.argv[1])).folder() as folder:
    (folder / "rows").mkdir()
    (folder / "rows" / "model.onnx").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def somebody(root: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that works in a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_is_empty_ones_own_and_gone_at_the_end(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "new" / "scratch")
    with scratch.folder() as one, scratch.folder() as other:
        assert one != other
        assert list(one.iterdir()) == []
        assert one.stat().st_mode & 0o777 == 0o700
        (one / "rows").write_text("x")
    assert list((tmp_path / "new" / "scratch").iterdir()) == []
    with pytest.raises(ZeroDivisionError), scratch.folder():
        _ = 1 / 0
    assert list((tmp_path / "new" / "scratch").iterdir()) == []


def test_what_the_killed_have_left_goes_at_the_next_start(tmp_path: Path) -> None:
    with somebody(tmp_path) as (process, folder):
        process.kill()
        process.wait()
        assert (folder / "rows" / "model.onnx").exists()
        assert Scratch(tmp_path).swept == 1
        assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    with somebody(tmp_path) as (process, folder):
        assert Scratch(tmp_path).swept == 0
        with Scratch(tmp_path).folder():
            assert Scratch(tmp_path).swept == 0
        assert (folder / "rows" / "model.onnx").exists()
        process.communicate("")
        assert not folder.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    root = tmp_path / "scratch"
    root.mkdir()
    (root / "link").symlink_to(elsewhere)
    Scratch(root)
    assert (elsewhere / "kept").exists()


def test_many_that_begin_and_tidy_up_at_once(tmp_path: Path) -> None:
    """One that is swept as it is made says so, and is never worked in."""
    errors: list[Exception] = []

    def work() -> None:
        for _ in range(50):
            try:
                with Scratch(tmp_path).folder() as folder:
                    (folder / "rows").write_text("x")
                    assert (folder / "rows").read_text() == "x"
            except Unavailable:
                continue
            except Exception as error:  # noqa: BLE001 - shown at the end
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(tmp_path.iterdir()) == []


def test_no_room_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(Unavailable) as refused:
        Scratch(tmp_path / "file")
    assert refused.value.remedy
