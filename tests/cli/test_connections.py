"""One connection on the command line: what its registry is to tell us, and its end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.test_remote import ran
from tests.web import registries
from tests.web.conftest import World
from tests.web.registries import stock
from tests.workflows.records import record

from trimtab.cli.connecting import _until_read
from trimtab.identity import service as identity
from trimtab.inventory import connection_store
from trimtab.inventory.record import Known
from trimtab.kernel.errors import Unavailable
from trimtab.sdk.client import Client
from trimtab.workflows import messages
from trimtab.workflows.judging import Judge

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Commands as an administrator, over a control plane with two registries."""
    world = World(tmp_path_factory.mktemp("connections") / "home")
    world.cast()
    there = stock(world)
    with world.parts.records.look() as reading:
        risk = connection_store.get(reading, there.risk)
    told = Known("First line.\r\n\r\nThen\u202e:\n- loans", registries.OWN, "description")
    registries.keep(world, Judge(world.parts), risk, record("described", 1, description=told))
    token = identity.token_for(world.parts.tokens, world.people["root"])
    yield lambda *words: ran(*words, TRIMTAB_URL=world.origin, TRIMTAB_TOKEN=token)
    world.close()


def test_what_to_register_is_told_and_the_secret_named(run: Run) -> None:
    said = run("webhook", "risk-mlflow")
    assert said.returncode == 0, said.stderr
    assert "/api/v1/connections/con_" in said.stdout
    assert all(event in said.stdout for event in messages.EVENTS)
    assert "none yet" in said.stdout
    assert "https alone" in said.stderr
    assert "believed" not in run("connections").stdout
    bad = run("webhook", "risk-mlflow", "--secret", "hunter2-hunter2")
    assert (bad.returncode, "hunter2" in bad.stderr) == (2, False)
    named = run("webhook", "risk-mlflow", "--secret", "file:hook", "--json")
    assert json.loads(named.stdout)["known"] is True
    assert "believed" in run("connections").stdout


def test_a_connection_is_removed_once_and_its_versions_stay_in_the_history(run: Run) -> None:
    missing = run("disconnect", "ads-mlflow")
    assert missing.returncode == 2
    assert "Missing option '--reason'" in missing.stderr
    why = ("--reason", "they have moved")
    first = run("disconnect", "ads-mlflow", *why)
    assert first.returncode == 0, first.stderr
    assert "ads-mlflow removed at 2015-01-10 09:00 UTC: it is read no more" in first.stdout
    assert "ads-mlflow" not in run("connections").stdout
    assert "click-rate" not in run("inventory").stdout
    assert "click-rate" in run("inventory", "--removed").stdout
    place = ("--as-of", "2015-01-09T00:00:00Z", "--connection", "ads-mlflow")
    then = run("inventory", *place).stdout
    assert "click-rate" in then
    assert "ads-mlflow" in then
    past = run(
        "record", "click-rate", "1", "--as-of", "2015-01-09T00:00:00Z", "--connection", "ads-mlflow"
    )
    assert past.returncode == 0, past.stderr
    again = run("disconnect", "ads-mlflow", *why)
    assert (again.returncode, "was removed before, at 2015-01-10" in again.stdout) == (0, True)
    nobody = run("disconnect", "none-such", *why)
    assert (nobody.returncode, "there is no connection" in nobody.stderr) == (2, True)
    gone = run("connections", "--resume", "ads-mlflow")
    assert (gone.returncode, "there is no connection" in gone.stderr) == (2, True)


def test_a_description_keeps_its_lines(run: Run) -> None:
    said = run("record", "described", "1").stdout
    begin = "  " + "description".ljust(28)
    indent = " " * len(begin)
    assert f"{begin}First line.\n{indent}Then?:\n{indent}- loans\n" in said
    assert "??" not in said


def shown(what: str, done: int, total: int | None) -> None:
    """Nobody looks."""


def test_nobody_waits_for_ever_where_nobody_reads(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.cast()
    token = identity.token_for(world.parts.tokens, world.people["root"])
    where = stock(world).risk
    with Client(world.origin, token=token) as client:
        before = client.connections.get(where).last_sync
        assert before is not None
        with pytest.raises(Unavailable, match="nobody has begun to read risk-mlflow"):
            _until_read(client, where, before.id, shown, patience=0.0)
        client.connections.pause(where, reason="it moves")
        with pytest.raises(Unavailable, match="was paused or removed meanwhile"):
            _until_read(client, where, before.id, shown)
    world.close()


def test_what_came_of_reading_and_how_tags_are_named(run: Run, tmp_path: Path) -> None:
    said = run("syncs", "risk-mlflow")
    assert said.returncode == 0, said.stderr
    first, second = said.stdout.splitlines()[1:3]
    assert "succeeded" in first
    assert "partial" in second
    words = tmp_path / "tags.yaml"
    words.write_text("fields:\n  owner: [keeper]\n")
    changed = run("naming", "risk-mlflow", "--tag-map", str(words))
    assert changed.returncode == 0, changed.stderr
    assert "named and written alike" in changed.stdout
    words.write_text("fields:\n  ower: [keeper]\n")
    bad = run("naming", "risk-mlflow", "--tag-map", str(words))
    assert bad.returncode == 2
    assert "'owner'" in bad.stderr
