"""What `make` needs beside Python it finds, gets, or asks for by name; it never goes without."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from trimtab.kernel.errors import Conflict
from trimtab.platform.durable_lease import FileLease

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "browser.sh"
BASH = "/bin/bash"


def program(folder: Path, name: str, code: int = 0) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {code}\n", "ascii")
    path.chmod(0o755)
    return path


def search(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Look for a browser where nothing lies but what is in `folder`."""
    (folder / "dirname").symlink_to("/usr/bin/dirname")  # the script asks it where it lies
    environment = {"PATH": str(folder), "TRIMTAB_TEST_PYTHON": "/bin/false", **more}
    return subprocess.run(
        [BASH, str(SCRIPT), "--find"], env=environment, capture_output=True, text=True, check=False
    )


def test_a_browser_is_found_under_each_of_its_names(tmp_path: Path) -> None:
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        folder = tmp_path / name
        folder.mkdir()
        path = program(folder, name)
        found = search(folder)
        assert (found.returncode, found.stdout.strip()) == (0, str(path)), found.stderr


def test_one_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path, "chromium", code=1)
    other = program(tmp_path, "google-chrome")
    assert search(tmp_path).stdout.strip() == str(other)


def test_without_one_it_is_said_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    found = search(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    for hint in ("Chromium", "apt-get install chromium", "playwright install chromium"):
        assert hint in found.stderr


def test_one_that_was_named_is_taken_and_no_other(tmp_path: Path) -> None:
    program(tmp_path, "chromium")
    absent = tmp_path / "absent"
    found = search(tmp_path, TRIMTAB_TEST_BROWSER=str(absent))
    assert found.returncode == 1
    assert str(absent) in found.stderr


def test_make_test_sets_up_all_that_it_needs() -> None:
    environment = {"PATH": os.environ["PATH"]}
    run = subprocess.run(
        ["make", "--dry-run", "--always-make", "test"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = run.stdout
    assert said.index("scripts/setup.sh") < said.index("scripts/browser.sh") < said.index("/pytest")


def test_a_folder_that_is_in_use_is_not_thrown_away(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "trimtab.sqlite").write_bytes(b"records")

    def reset() -> subprocess.CompletedProcess[str]:
        command = [BASH, str(ROOT / "scripts" / "reset.sh"), str(home)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with FileLease(home / "jobs.sqlite").held(0):
        refused = reset()
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"(process {os.getpid()}) runs on {home}" in refused.stderr
        assert (home / "trimtab.sqlite").exists()
        second = FileLease(home / "jobs.sqlite").held(0)
        with pytest.raises(Conflict, match=f"process {os.getpid()}"), second:
            pass
    assert reset().returncode == 0
    assert not home.exists()
    assert reset().returncode == 0, "where there is nothing, nothing is to be done"
