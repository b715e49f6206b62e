"""However a demo ends, no process of it is left, and a folder of its own is gone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.patience import PATIENCE_SECONDS

from trimtab.sdk.client import Client


def processes_with(text: str) -> list[int]:
    """Living processes whose command or environment mentions `text`."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and text.encode() in said:
            found.append(int(folder.name))
    return found


class Demo:
    """A demo in a process of its own, its temporary folders under `tmp`."""

    def __init__(
        self, tmp: Path, *arguments: str, program: tuple[str, ...] = ("-m", "trimtab", "demo")
    ):
        self.tmp = tmp
        self.log = tmp / "log"
        environment = {**os.environ, "TMPDIR": str(tmp), "PYTHONUNBUFFERED": "1"}
        with self.log.open("wb") as sink:
            self.handle = subprocess.Popen(
                [sys.executable, *program, *arguments],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def wait_for(self, said: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while said not in self.log.read_text():
            assert self.handle.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def left(self) -> list[int]:
        return [p for p in processes_with(str(self.tmp)) if p != self.handle.pid]

    def wait_until_nothing_is_left(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.left():
            assert time.monotonic() < deadline, self.left()
            time.sleep(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in processes_with(str(tmp_path)):  # of a test that failed
        os.kill(process, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "number"),
    [("the pages:", signal.SIGINT), ("serves 10 %", signal.SIGTERM), ("", signal.SIGTERM)],
    ids=["while it starts", "while it plays", "at once"],
)
def test_a_signal_ends_everything(folder: Path, said: str, number: signal.Signals) -> None:
    demo = Demo(folder)
    if said:
        demo.wait_for(said)
        assert demo.left()
    else:
        while not list(folder.glob("trimtab-demo-*")) and demo.handle.poll() is None:
            time.sleep(0.02)
    demo.handle.send_signal(number)
    assert demo.handle.wait(PATIENCE_SECONDS) == 128 + number
    assert not demo.left()
    assert not list(folder.glob("trimtab-demo-*"))
    assert "Traceback" not in demo.log.read_text()


TWO_DAYS = """
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from rich.console import Console
from trimtab.demo.show import Options, run
from trimtab.demo.story import Story
story = replace(Story(), last_day=date(2015, 3, 2))
sys.exit(run(Options(story, stay=True, report=Path(sys.argv[1])), Console()))
"""


def take_back(address: str, email: str, password: str) -> None:
    """What a visitor does after the story is still carried out."""
    with Client(address) as nobody:
        visitor = Client(address, token=nobody.identity.log_in(email, password))
    with visitor:
        rollout = next(r for r in visitor.rollouts.list() if r.phase == "running")
        visitor.rollouts.abort(rollout.id, reason="a visitor")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while visitor.rollouts.get(rollout.id).observed_percent:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.slow
def test_after_the_story_the_pages_stay_until_somebody_ends_it(folder: Path) -> None:
    target = folder / "report.json"
    demo = Demo(folder, str(target), program=("-c", TWO_DAYS))
    demo.wait_for("Ctrl-C ends it")
    (address,) = re.findall(r"stay open at (\S+);", demo.log.read_text())
    assert httpx.get(f"{address}/health").status_code == 200
    assert json.loads(target.read_text())["audit"]["verified"]
    take_back(address, *re.findall(r"as (mira\S+), password (\S+)", demo.log.read_text())[0])
    demo.handle.send_signal(signal.SIGINT)
    assert demo.handle.wait(PATIENCE_SECONDS) == 0
    assert not demo.left()


@pytest.mark.slow
def test_processes_end_when_the_demo_is_killed(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("serves 10 %")
    assert demo.left()
    demo.handle.kill()
    demo.handle.wait()
    demo.wait_until_nothing_is_left()


@pytest.mark.slow
def test_an_error_ends_everything_and_says_which(folder: Path) -> None:
    home = folder / "home"
    demo = Demo(folder, "--home", str(home))
    demo.wait_for("serves 10 %")
    (gateway,) = [p for p in demo.left() if b"trimtab.gateway" in command(p)]
    os.kill(gateway, signal.SIGKILL)
    assert demo.handle.wait(PATIENCE_SECONDS) == 2
    assert not demo.left()
    assert "the gateway ended with -9" in demo.log.read_text()
    assert "Traceback" not in demo.log.read_text()
    assert home.is_dir()


def command(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def test_a_home_that_is_not_empty_is_refused(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "mine").write_text("precious")
    demo = Demo(folder, "--home", str(folder / "home"))
    assert demo.handle.wait(PATIENCE_SECONDS) == 2
    assert "is not empty" in demo.log.read_text()
    assert (folder / "home" / "mine").read_text() == "precious"
