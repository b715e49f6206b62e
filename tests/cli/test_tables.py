"""Tables at the width of a terminal: what a person copies is whole, on one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from tests.cli.governed import governed
from tests.workflows.handing_in import MODEL, NAMES, good_files

from trimtab.sdk import shapes

pytestmark = pytest.mark.slow

Run = Callable[..., str]
OWNER = "Collections [on call :house:] of the northern districts"
WIDTHS = (40, 80, 100)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """What commands print at a width, over a control plane where a version waits for approval."""
    home = tmp_path_factory.mktemp("tables") / "home"
    with governed(home) as (control, token, admin):
        admin.models.register(
            shapes.NewModel(
                name=MODEL,
                owner=OWNER,
                features=[shapes.FeatureShape(name=name, kind="numeric") for name in NAMES],
                label="late",
                reason="a test",
            )
        )
        artifact, reference, holdout = good_files()
        version = shapes.NewVersion(version="1.0.0", cutoff=0.5, reason="a test")
        admin.models.upload(MODEL, version, artifact=artifact, reference=reference, holdout=holdout)
        admin.approvals.wait(MODEL, "1.0.0", seconds=120)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TRIMTAB_")}

        def printed(*arguments: str, columns: int = 80) -> str:
            asks = {"TRIMTAB_URL": control.url, "TRIMTAB_TOKEN": token}
            said = subprocess.run(
                [sys.executable, "-m", "trimtab", *arguments],
                env={**clean, **asks, "COLUMNS": str(columns), "NO_COLOR": "1"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert said.returncode == 0, said.stderr
            return said.stdout

        yield printed


def test_what_is_copied_from_a_list_is_on_one_line_at_every_width(run: Run) -> None:
    (waiting,) = json.loads(run("approvals", "list", "--json"))
    digest = waiting["target"]["digest"]
    assert len(digest) == len("sha256:") + 64
    for columns in WIDTHS:
        said = run("approvals", "list", columns=columns)
        words = said.split()
        for whole in (waiting["id"], MODEL, "1.0.0", "pending", digest[7:19] + "..."):
            assert whole in words, (columns, said)
        for step in waiting["steps"]:
            assert step["role"] in said, (columns, said)
        assert max(map(len, said.splitlines())) <= columns, said
    assert digest in run("approvals", "show", waiting["id"])


def test_a_list_has_a_line_for_its_heads_and_a_row_for_each_thing(run: Run) -> None:
    for columns in WIDTHS:
        heads, *_ = run("approvals", "list", columns=columns).splitlines()
        assert heads.split()[:2] == ["id", "model"]
        for arguments in (("models", "list"), ("versions", "list", MODEL)):
            said = run(*arguments, columns=columns)
            assert max(map(len, said.splitlines())) <= columns, said
            assert {"1.0.0"} <= set(said.split())


def test_what_somebody_has_written_is_no_markup(run: Run) -> None:
    for columns in (60, 100):
        said = " ".join(run("models", "list", columns=columns).split())
        assert "[on call :house:]" in said.replace("owner: ", "")
