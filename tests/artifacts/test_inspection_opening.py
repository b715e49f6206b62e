"""Before a byte is looked at: which files are opened, and what the command prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.findings import Budget, Finding, Result, Severity, overall
from trimtab.artifacts.inspection import Inspection, inspect_file
from trimtab.artifacts.opening import read_untrusted
from trimtab.kernel.errors import IntegrityFailed

BUDGET = Budget(max_file_bytes=8 << 20)


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


def test_the_worst_finding_decides_and_nothing_read_is_nothing_known() -> None:
    every = [Finding("rule", severity, "file", "") for severity in Severity]
    assert overall([], read=True) is Result.CLEAN
    assert overall([], read=False) is Result.UNREADABLE
    assert overall(every[:1], read=True) is Result.CLEAN
    assert overall(every[:2], read=True) is Result.SUSPICIOUS
    assert overall(every[:2], read=False) is Result.UNREADABLE
    assert overall(reversed(every), read=True) is Result.MALICIOUS


def test_links_and_devices_are_refused(tmp_path: Path, numeric: Any) -> None:
    real = tmp_path / "real.onnx"
    real.write_bytes(numeric.onnx)
    assert inspect_file(real, BUDGET).result is Result.CLEAN
    (tmp_path / "soft.onnx").symlink_to(real)
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "folder.onnx").mkdir()
    for name, rule in (
        ("soft", "symlink"),
        ("pipe", "not_regular"),
        ("folder", "not_regular"),
    ):
        found = inspect_file(tmp_path / f"{name}.onnx", BUDGET)
        assert (found.result, rules(found), found.digest) == (Result.MALICIOUS, {rule}, None)
    os.link(real, tmp_path / "hard.onnx")
    assert rules(inspect_file(real, BUDGET)) == {"hardlink"}
    assert rules(inspect_file(Path("/dev/zero"), BUDGET)) == {"not_regular"}


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    found = inspect_file(tmp_path / "nothing", BUDGET)
    assert (found.result, rules(found)) == (Result.UNREADABLE, {"unopenable"})


def test_a_file_beyond_the_budget_is_hashed_but_unreadable(tmp_path: Path, numeric: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(numeric.onnx)
    found = inspect_file(path, Budget(max_file_bytes=100))
    assert (found.result, found.digest) == (Result.UNREADABLE, sha256_of(numeric.onnx))
    assert rules(found) == {"budget"}


def test_the_command_prints_one_report(tmp_path: Path, numeric: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(numeric.onnx)
    command = [sys.executable, "-m", "trimtab.artifacts.inspection", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    report = json.loads(done.stdout)
    assert done.stderr == b""
    assert (report["result"], report["digest"]) == ("clean", sha256_of(numeric.onnx))
    assert report["onnx"]["inputs"][0] == {"name": "X", "elem_type": "float", "dims": [None, 4]}
    done = subprocess.run(
        [*command, "--max-file-bytes", "10"], capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["result"] == "unreadable"


def test_swapping_a_link_in_never_lets_it_be_read(tmp_path: Path) -> None:
    """Somebody replaces the file by a link between check and open, again and again."""
    path, secret = tmp_path / "model.onnx", tmp_path / "secret"
    secret.write_bytes(b"secret")
    path.write_bytes(b"model")
    script = (
        "import os, sys\n"
        "path, secret = sys.argv[1:]\n"
        "while os.path.exists(secret):\n"
        "    os.symlink(secret, path + '.a'); os.replace(path + '.a', path)\n"
        "    with open(path + '.b', 'wb') as file: file.write(b'model')\n"
        "    os.replace(path + '.b', path)\n"
    )
    swapper = subprocess.Popen([sys.executable, "-c", script, str(path), str(secret)])
    seen: Counter[str] = Counter()
    try:
        # Both states often enough that the swap has also fallen between the two calls.
        while seen.total() < 10_000 or min(seen["model"], seen["link"]) < 500:
            look = _look(path)
            assert look in ("model", "link")
            seen[look] += 1
    finally:
        secret.unlink()
        swapper.wait(timeout=30)


def _look(path: Path) -> str:
    try:
        content = read_untrusted(path, max_bytes=100).content
    except IntegrityFailed as refused:
        return "link" if refused.field in ("symlink", "hardlink") else str(refused.field)
    return (content or b"nothing").decode()
