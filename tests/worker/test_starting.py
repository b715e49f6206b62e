"""Who starts a control plane is told where it is, can log in there, and can stop it in peace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.databases import behind_our_back, database_for, opened_at

from trimtab.app import ADMINISTRATOR
from trimtab.demo.processes import free_port

PASSWORD = "correct-horse-battery-staple-2015"


@contextmanager
def served(home: Path, *arguments: str, **settings: str) -> Iterator[list[str]]:
    """`trimtab serve`, from its start until it is told to stop; what it says on its output."""
    environment = {
        "PATH": os.defpath,
        "TRIMTAB_HOME": str(home),
        **database_for(home),
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
        "LOG_LEVEL": "ERROR",
        **settings,
    }
    command = [sys.executable, "-c", "from trimtab.cli import main; main()", "serve", *arguments]
    with subprocess.Popen(
        command, env=environment, cwd=home.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            while not said or not said[-1].startswith("interface:"):
                line = process.stdout.readline()
                assert line, f"it ended with {process.wait()}"
                said.append(line.rstrip())
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.slow
def test_the_address_is_told_and_one_can_log_in_there(tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path / "home", "--port", str(port)) as said:
        address = f"http://127.0.0.1:{port}"
        assert said[-3:] == [
            f"listening on {address}",
            f"pages:       {address}/",
            f"interface:   {address}/docs",
        ]
        with httpx.Client(base_url=address, trust_env=False) as browser:
            form = browser.get("/login", headers={"Accept": "text/html"}).text
            token = form.split('name="csrf" value="', 1)[1].split('"', 1)[0]
            who = {"email": ADMINISTRATOR, "password": PASSWORD, "csrf": token}
            answer = browser.post("/login", data=who, headers={"Origin": address})
            assert answer.status_code == 303, answer.text
    with behind_our_back(opened_at(tmp_path / "home")) as connection:
        entries = connection.exec_driver_sql("SELECT count(*) FROM ledger_entries").scalar_one()
    signed = max(int(note.stem) for note in (tmp_path / "home" / "heads").glob("*.note"))
    assert signed == entries > 1, "what came last is not under a head"


@pytest.mark.slow
def test_pages_behind_a_proxy_are_told_by_its_address(tmp_path: Path) -> None:
    with served(
        tmp_path / "home", "--port", str(free_port()), TRIMTAB_ORIGIN="https://trimtab.example"
    ) as said:
        assert said[-2:] == [
            "pages:       https://trimtab.example/",
            "interface:   https://trimtab.example/docs",
        ]
