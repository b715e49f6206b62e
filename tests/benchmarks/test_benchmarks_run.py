"""The benchmarks still run: each in a tiny form, and nobody looks at the numbers."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.__main__ import NAMES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_benchmark_is_listed() -> None:
    files = (ROOT / "benchmarks").glob("*.py")
    assert {f.stem for f in files if "\ndef measure(*" in f.read_text("utf-8")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs(tmp_path: Path, name: str) -> None:
    kept = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", name, "--tiny", "--json", str(kept)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(kept.read_text("utf-8"))
    assert list(found["figures"]) == [name]
    assert all(math.isfinite(run) for figure in found["figures"][name] for run in figure["runs"])
    assert all(figure["name"] in done.stdout for figure in found["figures"][name])
