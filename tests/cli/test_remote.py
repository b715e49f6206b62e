"""Commands that ask a control plane: tables for people, JSON for scripts, and refusals in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cli.governed import governed

from trimtab.sdk import shapes

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


def ran(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`trimtab ARGUMENTS`, with nothing of ours in the environment but what is given."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRIMTAB_")}
    return subprocess.run(
        [sys.executable, "-m", "trimtab", *arguments],
        env={**clean, "COLUMNS": "200", "NO_COLOR": "1", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Commands as an administrator, over a control plane with a tenant and a model."""
    home = tmp_path_factory.mktemp("remote") / "home"
    with governed(home) as (control, token, admin):
        admin.identity.add_tenant(shapes.NewTenant(id="aa", name="AA"))
        for name in ("first", "second"):
            admin.models.register(
                shapes.NewModel(
                    name=name,
                    owner="Flight operations",
                    features=[shapes.FeatureShape(name="miles", kind="numeric")],
                    label="late",
                    reason="a test",
                )
            )

        def as_admin(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
            return ran(*arguments, TRIMTAB_URL=control.url, TRIMTAB_TOKEN=token, **more)

        yield as_admin


def test_a_list_is_a_table_or_json(run: Run) -> None:
    table = run("models", "list")
    assert table.returncode == 0, table.stderr
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["name", "first", "second"]
    rows = json.loads(run("models", "list", "--json").stdout)
    assert [row["name"] for row in rows] == ["first", "second"]
    assert len(json.loads(run("models", "list", "--json", "--limit", "1").stdout)) == 1
    for noun in ("approvals", "rollouts", "incidents"):
        assert json.loads(run(noun, "list", "--json").stdout) == []
    assert json.loads(run("versions", "list", "first", "--json").stdout) == []


def test_one_thing_is_its_fields_or_json(run: Run) -> None:
    shown = run("models", "show", "first")
    assert shown.returncode == 0, shown.stderr
    assert "Flight operations" in shown.stdout
    assert json.loads(run("models", "show", "first", "--json").stdout)["label"] == "late"
    long_ago = run("models", "show", "first", "--as-of", "2014-01-01T00:00:00Z")
    assert long_ago.returncode == 2
    assert "there was no model called" in long_ago.stderr


def test_a_refusal_is_a_sentence_with_the_way_out(run: Run) -> None:
    for arguments, said in (
        (("models", "show", "none-such"), "none-such"),
        (("rollouts", "hold", "rol_none", "--reason", "a test"), "there is no"),
        (("approvals", "show", "apr_none"), "there is no"),
        (("incidents", "show", "inc-2001-01-01-001"), "there is no"),
        (("models", "list", "--as-of", "yesterday"), "is no moment"),
        (("models", "--tenant", "nope", "list"), "nope"),
    ):
        answer = run(*arguments)
        assert (answer.returncode, answer.stdout) == (2, ""), arguments
        assert answer.stderr.startswith("trimtab: ")
        assert said in answer.stderr
        assert len(answer.stderr.splitlines()) == 2, "no way out is told"


def test_a_change_needs_its_reason_and_a_vote_its_yes_or_no(run: Run) -> None:
    for arguments in (
        ("rollouts", "abort", "rol_x"),
        ("approvals", "vote", "apr_x", "--digest", "sha256:" + "0" * 64, "--reason", "why not"),
    ):
        answer = run(*arguments)
        assert answer.returncode == 2
        assert "Missing option" in answer.stderr


def test_a_version_is_handed_in_from_files(run: Run, tmp_path: Path) -> None:
    for name in ("model.onnx", "reference.parquet", "holdout.parquet"):
        (tmp_path / name).write_bytes(b"not what it says")
    answer = run(
        "versions", "upload", "first", "1.0.0",
        "--artifact", str(tmp_path / "model.onnx"),
        "--reference", str(tmp_path / "reference.parquet"),
        "--holdout", str(tmp_path / "holdout.parquet"),
        "--cutoff", "0.5", "--reason", "a test",
    )  # fmt: skip
    assert answer.returncode == 2
    assert "is not a Parquet file" in answer.stderr


@pytest.mark.parametrize(
    ("options", "at_fault", "asked"),
    [
        ({"--reason": "x"}, "--reason", "at least 3 characters"),
        ({"--reason": "   "}, "--reason", "Say why, in a few words"),
        ({"--parent": "1" * 41}, "--parent", "at most 40 characters"),
        ({"version": ""}, "version", "at least 1 character"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_the_option_at_fault(
    options: dict[str, str], at_fault: str, asked: str, tmp_path: Path
) -> None:
    values = {"version": "1.0.0", "--cutoff": "0.5", "--reason": "a test", **options}
    for name in ("--artifact", "--reference", "--holdout"):
        (tmp_path / name).write_bytes(b"whatever")
        values[name] = str(tmp_path / name)
    version = values.pop("version")
    said = [word for option in values.items() for word in option]
    answer = ran("versions", "upload", "first", version, *said, TRIMTAB_TOKEN="x")
    assert (answer.returncode, answer.stdout) == (2, "")
    first, way_out = answer.stderr.splitlines()
    assert first.startswith(f"trimtab: {at_fault}: ")
    assert asked in first
    assert way_out.startswith(f"  correct {at_fault}; ")
    assert "trimtab versions upload --help" in way_out


class Hotel(BaseHTTPRequestHandler):
    """Answers everything with its own page, as the gates of some networks do."""

    def do_GET(self) -> None:
        page = b"<html>Welcome to this hotel</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


def test_who_is_no_control_plane_is_told_in_a_sentence() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hotel) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for arguments in (("models", "list"), ("models", "show", "x"), ("health", "--url", url)):
            answer = ran(*arguments, TRIMTAB_URL=url, TRIMTAB_TOKEN="x")
            assert (answer.returncode, answer.stdout) == (2, ""), answer.stderr
            assert answer.stderr.startswith("trimtab: what answers at http://127.0.0.1:")
            assert len(answer.stderr.splitlines()) == 2, "no way out is told"
        server.shutdown()


def test_without_a_credential_nobody_is_asked() -> None:
    for more in ({}, {"TRIMTAB_TOKEN": "x", "TRIMTAB_API_KEY": "y"}):
        answer = ran("models", "list", **more)
        assert answer.returncode == 2
        assert "give one credential" in answer.stderr


def test_a_shell_that_is_set_up_to_ask_may_run_the_others_too(tmp_path: Path) -> None:
    answer = ran(
        "config", "explain", TRIMTAB_HOME=str(tmp_path), TRIMTAB_URL="http://x", TRIMTAB_TOKEN="x"
    )
    assert answer.returncode == 0, answer.stderr
