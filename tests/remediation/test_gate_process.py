"""The gate as the process that it is: keys, death, silence, replays, two databases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trimtab.kernel.errors import Conflict, IntegrityFailed, NotFound, Unavailable
from trimtab.platform.database import Database
from trimtab.remediation import service, store
from trimtab.remediation.gate_process import GateProcess
from trimtab.remediation.model import Phase

pytestmark = pytest.mark.slow


def speak(database: Database, key: Path, *lines: bytes) -> tuple[list[dict[str, Any]], int]:
    """What a gate of its own answers to raw lines, and how it ended."""
    url = database.url.render_as_string(hide_password=False).encode()
    done = subprocess.run(
        [sys.executable, "-m", "trimtab.remediation.gate", "--key", str(key), "--database", "-"],
        input=b"\n".join([url, *lines, b""]),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def test_from_question_to_start(house: Any, process: GateProcess) -> None:
    proposed = house.propose()
    answer = process.ask(proposed.id)
    assert answer.permitted
    trusted = process.public_keys()
    house.do(service.record_decision, answer, trusted=trusted)
    with house.records.begin(house.repair, reason="go") as work:
        started = service.start(work, proposed.id, trusted=trusted, lease=timedelta(minutes=10))
    assert started.phase is Phase.EXECUTING


def test_a_refusal_comes_with_every_check(house: Any, process: GateProcess) -> None:
    answer = process.ask(house.propose(confidence=0.1).id)
    assert (answer.permitted, answer.permit) == (False, None)
    assert "10% sure" in answer.reason


def test_errors_come_back_as_what_they_are(house: Any, process: GateProcess) -> None:
    with pytest.raises(NotFound):
        process.ask("rem_none")
    permitted = house.decided(house.propose())
    with pytest.raises(Conflict, match="decided before"):
        process.ask(permitted.id)


def test_killed_between_two_questions_it_comes_back(house: Any, process: GateProcess) -> None:
    proposed = house.propose()
    before = process.ask(proposed.id)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    time.sleep(0.1)
    after = process.ask(proposed.id)
    assert process.pid != first
    assert after.permitted
    assert before.permit != after.permit
    # Of two permits for one remedy, one is ever recorded, and the other opens nothing.
    for answer in (before, after):
        recorded = house.do(service.record_decision, answer, trusted=process.public_keys())
    assert house.kinds().count("action_permit.issued") == 1
    with house.records.look() as reading:
        assert store.permit_by_id(reading, recorded.permit).sealed == before.permit


def test_killed_in_the_middle_of_a_question_nothing_is_permitted(
    house: Any, process: GateProcess
) -> None:
    proposed = house.propose()
    process.start()
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it has the question, and never gets to answer it
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            process.ask(proposed.id)
        except Unavailable as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    asking.join(20)
    assert len(failures) == 1
    assert house.get(proposed).phase is Phase.PROPOSED
    assert process.ask(proposed.id).permitted


def test_a_gate_that_is_silent_is_given_up(house: Any, process: GateProcess) -> None:
    proposed = house.propose()
    process.start()
    pid = process.pid
    assert pid is not None
    process._seconds = 0.3
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="in time"):
        process.ask(proposed.id)
    assert not Path(f"/proc/{pid}").exists()
    process._seconds = 30
    assert process.ask(proposed.id).permitted


def test_the_key_is_its_own_and_does_not_change(
    house: Any, process: GateProcess, tmp_path: Path
) -> None:
    process.start()
    key = tmp_path / "gate.pem"
    assert key.stat().st_mode & 0o077 == 0
    process.stop()
    key.unlink()
    with pytest.raises(IntegrityFailed, match="another key"):
        process.start()
    assert process.pid is None


def test_a_gate_that_cannot_begin(house: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    url = house.database.url.render_as_string(hide_password=False)
    for key, database in ((tmp_path / "key", url), (tmp_path / "new", "sqlite://")):
        broken = GateProcess(key=key, database=database, seconds=30)
        with pytest.raises(Unavailable, match="does not start"):
            broken.start()
        assert broken.pid is None


def test_raw_lines(house: Any, database: Database, tmp_path: Path) -> None:
    proposed = house.propose()
    good = json.dumps({"nonce": "n1", "remediation": proposed.id}).encode()
    bypass = json.dumps({"nonce": "n2", "remediation": proposed.id, "safety_check": False}).encode()
    told, ended = speak(database, tmp_path / "k", bypass, b"what", good, good)
    hello, no, nonsense, yes, again = told
    assert ended == 0
    assert len(hello["ready"]) == 64
    assert no["error"]["field"] == "safety_check"
    assert nonsense["error"]["code"] == "integrity_failed"
    assert yes["decision"] == again["decision"] == "permitted"
    assert yes["permit"] != again["permit"]


def test_a_line_without_end_is_not_read_on(house: Any, database: Database, tmp_path: Path) -> None:
    told, ended = speak(database, tmp_path / "k", b"x" * 100_000)
    assert (len(told), ended) == (1, 0)


def test_its_environment_and_arguments_hold_nothing(
    house: Any, process: GateProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_SAFETY_CHECK", "false")
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    process.start()
    assert process.pid is not None
    place = Path(f"/proc/{process.pid}")
    environment = (place / "environ").read_bytes()
    assert b"SAFETY" not in environment
    assert b"s3cret" not in environment
    assert b"sqlite" not in (place / "cmdline").read_bytes()


def test_asked_from_many_threads_each_gets_its_own_answer(house: Any, process: GateProcess) -> None:
    proposals = [house.propose(confidence=0.5 + i / 100).id for i in range(8)]
    answers: dict[str, str] = {}

    def ask(remediation: str) -> None:
        answers[remediation] = process.ask(remediation).remediation

    threads = [threading.Thread(target=ask, args=(x,)) for x in proposals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {x: x for x in proposals}


def test_it_ends_with_its_server(house: Any, database: Database, tmp_path: Path) -> None:
    """Its input ends when the server dies, however that happens."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "k"), str(database.url)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    gate = int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{gate}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{gate}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{gate}").exists()


SERVER = """
import sys, time
from pathlib import Path
from trimtab.remediation.gate_process import GateProcess
gate = GateProcess(key=Path(sys.argv[1]), database=sys.argv[2], seconds=30)
gate.start()
print(gate.pid, flush=True)
time.sleep(60)
"""
