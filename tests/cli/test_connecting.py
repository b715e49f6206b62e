"""Somebody's MLflow on the command line: nothing runs before, and nothing has to afterwards."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow_server.starting import Server, oracle

from trimtab.inventory.rulebook import default_text

pytestmark = pytest.mark.slow

SECONDS = 300
OLD = "2020-01-01T00:00:00Z"


def trimtab(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What a command says, on a data folder of its own."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home.parent),
        "TRIMTAB_HOME": str(home),
        "COLUMNS": "200",
        "PYTHONPATH": ":".join(sys.path),
    }
    return subprocess.run(
        [sys.executable, "-m", "trimtab", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=home.parent,
    )


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that a command has printed."""
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_an_inventory_by_one_command(tmp_path: Path, mlflow3: Server) -> None:
    home = tmp_path / "home"
    first = trimtab(home, "connect", "mlflow", mlflow3.url, "--name", "ours", "--wait", "60")
    assert "first administrator: admin@localhost" in first.stderr
    assert "it may be read because you ask for it here" in first.stderr
    assert first.returncode in (0, 3), first.stdout + first.stderr
    known = oracle(mlflow3)
    again = trimtab(home, "connect", "mlflow", mlflow3.url, "--json", "--wait", "0")
    (connection,) = told(again)
    assert connection["name"] == "ours"
    assert connection["last_sync"]["counts"]["added"] == 0
    unreadable = connection["last_sync"]["counts"]["malformed"]
    there = len(known["versions"])
    assert there - unreadable <= connection["tally"]["versions"] <= there
    assert f"{connection['tally']['versions']}, of which" in first.stdout

    listed = told(trimtab(home, "inventory", "--json", "--limit", "1000"))
    assert len(listed) == connection["tally"]["versions"]
    one = next(r for r in listed if r["owner"] is not None and r["model"].isascii())
    version = (one["model"], str(one["version"]))
    shown = told(trimtab(home, "record", *version, "--json"))
    assert shown["fields"]["identity"]["owner"]["value"] == one["owner"]
    table = trimtab(home, "record", *version)
    assert "nobody says" in table.stdout
    values = [known["value"] for group in shown["fields"].values() for known in group.values()]
    texts = [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
    long = [text for text in texts if len(text) > 100]
    assert long
    for text in long:
        assert f"… ({len(text):,} characters; --json has them all)" in table.stdout
        assert text not in table.stdout
    history = told(trimtab(home, "record", *version, "--history", "--json"))
    assert history[-1]["what"] == "added"

    placed = next(r for r in listed if r["stage"] == "production" and r["model"].isascii())
    lineage = trimtab(home, "record", placed["model"], str(placed["version"]), "--lineage").stdout
    above, _, below = lineage.partition("leads to")
    assert "  run " in above
    assert "logged model logged model" not in above
    assert "\n  placement production" in below
    naming = trimtab(home, "naming", "ours", "--json")
    assert naming.returncode == 0, naming.stderr
    assert all(row["sentence"] for row in told(naming))

    for ending, begins in ((".html", b"<!doctype html"), (".pdf", b"%PDF"), (".cdx.json", b"{")):
        card = tmp_path / f"card{ending}"
        assert trimtab(home, "record", *version, "--card", str(card)).returncode == 0
        assert card.read_bytes().startswith(begins)
    out = tmp_path / "inventory.csv"
    assert trimtab(home, "inventory", "-o", str(out)).returncode == 0
    with out.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(listed)
    past = trimtab(home, "inventory", "--as-of", OLD, "--json")
    assert told(past) == []
    assert "nothing was known then" in trimtab(home, "inventory", "--as-of", OLD).stderr
    standing = told(trimtab(home, "compliance", "--json"))
    assert sum(rule["gaps"] for rule in standing["rules"]) > 0
    rulebook = tmp_path / "rulebook.yaml"
    shipped = trimtab(home, "compliance", "--rulebook").stdout
    assert shipped == default_text()
    rulebook.write_text(shipped.replace("value: [production]", "value: [development]"))
    preview = told(trimtab(home, "compliance", "--preview", str(rulebook), "--json"))
    assert preview["records"] == len(listed)
    assert preview["changes"]
    assert told(trimtab(home, "compliance", "--json")) == standing
    synced = trimtab(home, "sync", "ours", "--wait", "0")
    assert "0 new or changed, 0 gone" in synced.stdout


def test_what_cannot_be_read_is_said_with_the_way_out(tmp_path: Path) -> None:
    home = tmp_path / "home"
    dead = trimtab(home, "connect", "mlflow", "http://127.0.0.1:9", "--wait", "0")
    assert dead.returncode == 2
    assert "it could not be read" in dead.stdout
    assert "first administrator: admin@localhost" in dead.stderr
    (kept,) = told(trimtab(home, "connections", "--json"))
    assert kept["paused"], "a typo is not tried for ever"
    secret = trimtab(home, "connect", "mlflow", "http://me:hunter2@127.0.0.1:9")
    assert secret.returncode == 2
    assert "hunter2" not in secret.stderr + secret.stdout
    strange = trimtab(home, "connect", "mlflow", "file:///etc")
    assert strange.returncode == 2
    assert "http" in strange.stderr
    nothing = trimtab(home, "record", "no-such-model", "1")
    assert nothing.returncode == 2
    assert "trimtab inventory --text" in nothing.stderr
