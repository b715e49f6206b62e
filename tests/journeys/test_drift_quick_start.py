"""The quick starts of drift checks, run as they stand: README, and the page of monitoring."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.databases import database_for

import trimtab
from trimtab.demo.processes import ControlPlane, start_control_plane
from trimtab.sdk.client import Client

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "## Has my data moved?",
    "docs/reference/monitoring.md": "## Drift checks",
}


def blocks(page: str) -> list[str]:
    """The blocks of a section that are typed in a shell, in their order."""
    text = (ROOT / page).read_text("utf-8")
    section = text.partition(PAGES[page] + "\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository to whoever types these lines."""
    found = tmp_path_factory.mktemp("typed")
    (found / ".venv").symlink_to(Path(sys.executable).parents[1])
    (found / "scripts").symlink_to(ROOT / "scripts")
    return found


@pytest.fixture(scope="module")
def control(place: Path) -> Iterator[tuple[ControlPlane, str]]:
    """A control plane as the pages say, and a token for it."""
    home = place / "home"
    more = {**database_for(home), "TRIMTAB_CHECK_FOLDERS": f"{place}/sample"}
    found = start_control_plane(home, "2026-03-01T00:00:00Z", port=None, more=more)
    with Client(found.url) as nobody:
        yield found, nobody.identity.log_in("admin@localhost", found.admin_password)
    found.process.stop()


def typed(place: Path, text: str) -> tuple[str, int]:
    """What a block says in a shell, and its exit status."""
    environment = {**os.environ, "PYTHONPATH": str(Path(trimtab.__file__).parents[1])}
    run = subprocess.run(
        ["bash", "-u", "-c", text], cwd=place, env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    return run.stdout + run.stderr, run.returncode


def answers(said: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that calls of curl have left, one behind the other."""
    at, reader = said.find("{"), json.JSONDecoder()
    while at >= 0:
        found, end = reader.raw_decode(said, at)
        yield found
        at = said.find("{", end)


@pytest.mark.parametrize("page", PAGES)
def test_a_drift_check_as_the_page_has_it(
    place: Path, control: tuple[ControlPlane, str], page: str
) -> None:
    first, *others = blocks(page)
    said, status = typed(place, first)
    assert status == 1, said
    assert said.count("MOVED") + said.count("FINDING") == 3, said
    injected = json.loads((place / "sample" / "drift.json").read_text())["injected"]
    columns = {one["column"] for one in injected}
    served, token = control
    curl = next(block for block in others if "curl" in block)
    if "A=" not in curl:
        curl = f'A="Authorization: Bearer $(make -s get-dev-token)"\nB={served.url}/api/v1\n' + curl
    curl = curl.replace("$(make -s get-dev-token)", token)
    curl = curl.replace("http://127.0.0.1:8000", served.url)
    said, status = typed(place, curl)
    assert status == 0, said
    told = list(answers(said))
    assert [one["drift_detected"] for one in told] in ([True], [True, True, False]), said
    for one in told[:2]:
        assert {feature["name"] for feature in one["affected_features"]} == columns
    assert [one["verdict"] for one in told[2:]] in ([], ["inconclusive"])


def test_without_injected_drift_nothing_has_moved(place: Path) -> None:
    quiet = ".venv/bin/python scripts/generate_sample_data.py --rows 4000 --seed 3 -o quiet"
    said, status = typed(place, quiet)
    assert status == 0, said
    assert not (place / "quiet" / "drift.json").exists()
    again = {path.name: path.read_bytes() for path in (place / "quiet").iterdir()}
    typed(place, quiet)
    assert {path.name: path.read_bytes() for path in (place / "quiet").iterdir()} == again
    said, status = typed(
        place, ".venv/bin/trimtab drift quiet/reference.parquet quiet/current.parquet"
    )
    assert status == 0, said
