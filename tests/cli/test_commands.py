"""Commands as a person runs them: exit codes, sentences instead of traces, JSON for scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import httpx
import pytest
from tests.databases import database_for

from trimtab.demo.processes import ControlPlane, start_control_plane
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

pytestmark = pytest.mark.slow


def run(
    home: Path, *arguments: str, columns: str = "200", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`trimtab ARGUMENTS` over the data folder `home`; `more` is set in its environment."""
    environment = {
        **os.environ,
        **database_for(home),
        "TRIMTAB_HOME": str(home),
        "COLUMNS": columns,
        "NO_COLOR": "1",
        **(more or {}),
    }
    command = [sys.executable, "-m", "trimtab", *arguments]
    return subprocess.run(
        command, env=environment, cwd=home.parent, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a control plane has run, and was ended in peace."""
    home = tmp_path_factory.mktemp("cli") / "home"
    control = start_control_plane(home, "2015-03-01T00:00:00Z", port=None, more=database_for(home))
    try:
        with Client(control.url) as nobody:
            token = nobody.identity.log_in("admin@localhost", control.admin_password)
        with Client(control.url, token=token) as admin:
            for tenant in ("aa", "ua"):
                admin.identity.add_tenant(shapes.NewTenant(id=tenant, name=tenant.upper()))
            # What is entered although no record changes by it.
            why = "so that it has happened"
            admin.operations.set_log_level(shapes.SetLogLevel(level="INFO", reason=why))
            admin.credentials.rotate_token_key(shapes.TokenKeyRotation(reason=why))
        _come_and_go(control)
        health = run(home, "health", "--url", control.url, "--json")
        assert health.returncode == 0, health.stderr
        assert json.loads(health.stdout)["status"] == "healthy"
        assert "healthy" in run(home, "health", "--url", control.url).stdout
    finally:
        control.process.stop()
    return home


def _come_and_go(control: ControlPlane) -> None:
    """Somebody logs in to the pages, and out."""
    with httpx.Client(base_url=control.url, trust_env=False, follow_redirects=True) as browser:
        headers = {"Accept": "text/html", "Origin": control.url}

        def sent(page: str, address: str, form: dict[str, str]) -> None:
            text = browser.get(page, headers=headers).text
            csrf = text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
            browser.post(address, data={**form, "csrf": csrf}, headers=headers).raise_for_status()

        who = {"email": "admin@localhost", "password": control.admin_password}
        sent("/login", "/login", who)
        sent("/account", "/logout", {})


def test_help_names_every_command_and_those_that_are_needed_first_first(tmp_path: Path) -> None:
    said = run(tmp_path / "home", "--help")
    assert said.returncode == 0
    named = re.findall(r"^│ ([a-z]+) ", said.stdout, re.MULTILINE)
    for command in ("serve", "migrate", "token", "health", "config", "audit", "policy"):
        assert command in named
    needed = ["demo", "drift", "serve", "connect", "inventory", "models", "health", "migrate"]
    assert [name for name in named if name in needed] == needed
    assert "─ Commands ─" not in said.stdout, "one is in no panel"


def test_a_command_that_is_none_says_so(tmp_path: Path) -> None:
    said = run(tmp_path / "home", "nonsense")
    assert said.returncode == 2
    assert "nonsense" in said.stderr
    assert "Traceback" not in said.stderr


def test_nobody_answers_is_said_in_a_sentence_with_a_way_out(tmp_path: Path) -> None:
    said = run(tmp_path / "home", "health", "--url", "http://127.0.0.1:9")
    assert said.returncode == 2
    assert said.stderr.startswith("trimtab: nobody answers at")
    assert "make up" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_token_before_the_first_start_is_refused_with_a_way_out(tmp_path: Path) -> None:
    said = run(tmp_path / "home", "token")
    assert said.returncode == 2
    assert "nothing was started here yet" in said.stderr


def test_migrating_twice_does_it_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run(home, "migrate").stdout.startswith("ran ")
    assert "nothing to do" in run(home, "migrate").stdout


def test_settings_are_explained_and_secrets_are_not_shown(tmp_path: Path) -> None:
    os.environ["TRIMTAB_ADMIN_PASSWORD"] = "a-password-of-some-length-2015"
    try:
        said = run(tmp_path / "home", "config", "explain", "--json")
    finally:
        del os.environ["TRIMTAB_ADMIN_PASSWORD"]
    rows = {row["name"]: row for row in json.loads(said.stdout)}
    assert rows["TRIMTAB_HOME"]["source"] == "environment"
    assert "a-password" not in said.stdout


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    os.environ["TRIMTAB_PORT"] = "many"
    try:
        said = run(tmp_path / "home", "config", "explain")
    finally:
        del os.environ["TRIMTAB_PORT"]
    assert said.returncode == 2
    assert "TRIMTAB_PORT" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_policy_is_explained_tier_by_tier(tmp_path: Path) -> None:
    said = run(tmp_path / "home", "policy", "explain", "standard", "--tier", "2", "--json")
    rows = json.loads(said.stdout)
    assert len(rows) > 50
    assert {"key", "value", "unit", "description"} <= set(rows[0])
    unknown = run(tmp_path / "home", "policy", "explain", "nonsense")
    assert unknown.returncode == 2
    assert "Traceback" not in unknown.stderr


def test_a_policy_of_ones_own_is_explained_and_no_name_is_cut(tmp_path: Path) -> None:
    preset = resources.files("trimtab.policies") / "presets" / "standard.yaml"
    own = tmp_path / "own.yaml"
    own.write_text(preset.read_text("utf-8").replace("name: standard", "name: own"), "utf-8")
    keys = [row["key"] for row in json.loads(run(tmp_path, "policy", "explain", "--json").stdout)]
    for width in ("40", "80", "200"):
        said = run(tmp_path, "policy", "explain", str(own), columns=width)
        assert said.returncode == 0, said.stderr
        assert "tier 1" in said.stdout.splitlines()[0]
        assert [key for key in keys if f"{key} " not in said.stdout] == []


def test_a_port_that_is_taken_is_said_before_anything_is_begun(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in (("serve", "--port", port), ("demo", "--exit", "--port", port)):
            said = run(tmp_path / "home", *command)
            assert said.returncode == 2
            assert f"port {port} of 127.0.0.1: Address already in use" in said.stderr
            assert "password" not in said.stdout
    assert not (tmp_path / "home").exists()


def test_the_ledger_is_verified_here_and_from_an_export(lived_in: Path, tmp_path: Path) -> None:
    said = run(lived_in, "audit", "verify", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["ok"]
    assert list((lived_in / "heads").iterdir()), "heads were signed, under another port than ours"
    export = tmp_path / "export.jsonl"
    assert run(lived_in, "audit", "export", "-o", str(export)).returncode == 0
    key = (lived_in / "keys" / "ledger.pub").read_text("utf-8").strip()
    assert run(tmp_path, "audit", "verify", str(export), "--key", key).returncode == 0
    text = export.read_text("utf-8")
    export.write_text(text.replace("Airline", "Railway").replace("AA", "BB", 1), "utf-8")
    bad = run(tmp_path, "audit", "verify", str(export), "--key", key)
    assert bad.returncode == 1
    assert "NOT WHOLE" in bad.stdout


def test_a_tenants_export_verifies_by_itself(lived_in: Path, tmp_path: Path) -> None:
    export = tmp_path / "aa.jsonl"
    assert run(lived_in, "audit", "export", "-o", str(export), "--tenant", "aa").returncode == 0
    key = (lived_in / "keys" / "ledger.pub").read_text("utf-8").strip()
    assert run(tmp_path, "audit", "verify", str(export), "--key", key).returncode == 0
    assert '"ua"' not in export.read_text("utf-8")


def test_a_token_lets_its_owner_in(lived_in: Path) -> None:
    said = run(lived_in, "token")
    assert said.returncode == 0, said.stderr
    assert said.stdout.count(".") == 2
    unknown = run(lived_in, "token", "--email", "nobody@example.org")
    assert unknown.returncode == 2
    assert "nobody@example.org" in unknown.stderr


def test_a_restored_backup_is_told_by_verify(lived_in: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived_in, home)
    note = sorted((home / "heads").iterdir())[-1]
    lines = note.read_text("utf-8").splitlines(keepends=True)
    lines[1] = f"{int(lines[1]) + 5}\n"
    (home / "heads" / "000000009999.note").write_text("".join(lines), "utf-8")
    said = run(home, "audit", "verify")
    assert said.returncode == 1
    assert "NOT WHOLE" in said.stdout
    refused = run(home, "audit", "export", "-o", str(tmp_path / "e.jsonl"))
    assert refused.returncode == 2
    assert "does not continue" in refused.stderr


def test_a_ledger_that_is_not_there_is_not_made_and_not_whole(tmp_path: Path) -> None:
    for arguments in (["verify"], ["verify", "--json"], ["export", "-o", str(tmp_path / "e")]):
        said = run(tmp_path / "home", "audit", *arguments)
        assert (said.returncode, said.stdout) == (1, "")
        assert f"there is no ledger at {tmp_path / 'home'}" in said.stderr
        assert "TRIMTAB_HOME" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_the_records_are_elsewhere_that_is_said_and_none_are_made(
    lived_in: Path, tmp_path: Path
) -> None:
    """As where DATABASE_URL was forgotten: keys and heads are here, and no records."""
    home = tmp_path / "home"
    shutil.copytree(lived_in, home, ignore=shutil.ignore_patterns("*.sqlite*"))
    forgotten = {"DATABASE_URL": ""}
    for arguments in (["token"], ["audit", "verify"], ["audit", "invariants"], ["serve"]):
        said = run(home, *arguments, more=forgotten)
        assert said.returncode != 0, arguments
        assert "DATABASE_URL" in said.stderr, (arguments, said.stderr)
        assert "Traceback" not in said.stderr
        assert not [*home.glob("*.sqlite*")], arguments
    (home / "trimtab.sqlite").touch()  # an older release made it
    assert "DATABASE_URL" in run(home, "token", more=forgotten).stderr


def test_what_a_gateway_is_told_is_no_mistake_of_other_commands(lived_in: Path) -> None:
    told = {"TRIMTAB_GATEWAY_API_KEY": "ak_0123456789abcdef.none"}
    assert run(lived_in, "token", more=told).returncode == 0
    said = run(lived_in, "gateway", more={"TRIMTAB_GATEWAY_API_KEI": "x"})
    assert said.returncode == 2
    assert "write TRIMTAB_GATEWAY_API_KEY" in said.stderr


def test_a_database_without_the_key_of_its_heads_is_no_ledger(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "migrate")
    said = run(home, "audit", "verify")
    assert said.returncode == 1
    assert "there is no ledger at" in said.stderr
    assert not (home / "keys").exists()


def test_audit_invariants_looks_at_all_and_says_so(lived_in: Path) -> None:
    said = run(lived_in, "audit", "invariants")
    assert said.returncode == 0, said.stderr + said.stdout
    assert "all hold" in said.stdout
    told = json.loads(run(lived_in, "audit", "invariants", "--json").stdout)
    assert told["ok"] is True
    assert set(told["violated"].values()) == {0}
    assert set(told["invariants"]) <= set(told["violated"])
