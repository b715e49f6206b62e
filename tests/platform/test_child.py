"""Limited children: real ones, that do their worst."""

from __future__ import annotations

import json
import os
import signal
import socket
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.platform.child import NOTHING_KNOWN, ChildResult, Outcome, run_limited

Run = Callable[..., ChildResult]

ATTEMPT = """
import os
def attempt(what, *arguments):
    "What `what` gives, or the name of the error that it raises."
    try:
        return what(*arguments)
    except OSError as error:
        return type(error).__name__
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the given source as a module, in a child with limits that fit most tests."""

    def run(code: str, *args: str, **limits: Any) -> ChildResult:
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        (source / "probe.py").write_text(ATTEMPT + textwrap.dedent(code))
        generous: dict[str, Any] = {
            "max_seconds": 30,
            "max_cpu_seconds": 20,
            "max_memory_mib": 1024,
            "max_output_bytes": 100_000,
            "search_path": [source],
        }
        return run_limited("probe", args, **generous | limits)

    return run


def told(result: ChildResult) -> Any:
    """The JSON that the child wrote."""
    assert result.outcome is Outcome.OK, result
    return json.loads(result.stdout)


def test_a_well_behaved_module_ends_ok_with_its_output_and_arguments(run: Run) -> None:
    result = run("import sys, json; print(json.dumps(sys.argv))", "a b", "-x", "\n")
    assert told(result)[1:] == ["a b", "-x", "\n"]
    assert result.returncode == 0
    assert result.stderr_tail == ""
    assert 0 < result.seconds < 30
    assert result.isolation.keys() == NOTHING_KNOWN.keys()


def test_numpy_works_within_the_limits(run: Run) -> None:
    result = run(
        "import numpy as np; print(np.linalg.svd(np.eye(60))[1].sum() == 60)", max_memory_mib=512
    )
    assert result.stdout == b"True\n", result


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("import sys; sys.exit(3)", Outcome.CRASHED),
        ("raise ValueError('bad bytes')", Outcome.CRASHED),
        ("import ctypes; ctypes.string_at(0)", Outcome.CRASHED),
        ("import os; os.abort()", Outcome.CRASHED),
        ("x = '[' * 5_000_000; import ast; ast.literal_eval(x)", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", Outcome.KILLED),
        ("x = bytearray(1 << 40)", Outcome.MEMORY),
        ("import numpy; numpy.ones((1 << 31, 1 << 10))", Outcome.MEMORY),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", Outcome.MEMORY),
        ("import no_such_module", Outcome.CRASHED),
    ],
)
def test_a_crash_is_an_outcome_and_the_parent_lives(
    run: Run, code: str, outcome: Outcome | None
) -> None:
    result = run(code, max_memory_mib=512)
    assert result.outcome is not Outcome.OK
    assert outcome is None or result.outcome is outcome, result
    assert result.returncode != 0
    assert result.isolated == ("shared" not in result.isolation.values())
    assert run("print('still here')").stdout == b"still here\n"


def test_processor_time_is_limited_for_all_threads_together(run: Run) -> None:
    result = run(
        """
        import hashlib, threading
        def burn():
            while True: hashlib.sha256(b"x" * 10_000_000).digest()
        for _ in range(3): threading.Thread(target=burn).start()
        """,
        max_cpu_seconds=1,
    )
    assert result.outcome is Outcome.TIMEOUT
    assert result.returncode == -signal.SIGXCPU


@pytest.mark.slow
def test_a_child_that_ignores_the_warning_is_killed_a_second_later(run: Run) -> None:
    result = run(
        "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        max_cpu_seconds=1,
    )
    assert result.outcome is Outcome.KILLED


def test_waiting_is_limited_by_the_wall_clock_whatever_signals_are_ignored(run: Run) -> None:
    result = run(
        """
        import signal, time
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        print("waiting", flush=True)
        time.sleep(600)
        """,
        max_seconds=1,
    )
    assert result.outcome is Outcome.TIMEOUT
    assert result.stdout == b"waiting\n"
    assert result.seconds < 10


def test_a_child_that_closes_its_outputs_is_still_waited_for_and_stopped(run: Run) -> None:
    code = "import os, time; os.closerange(1, 3); time.sleep(600)"
    assert run(code, max_seconds=1).outcome is Outcome.TIMEOUT


def test_output_is_bounded_and_of_complaints_the_end_is_kept(run: Run) -> None:
    result = run("while True: print('x' * 999)", max_output_bytes=5000)
    assert result.outcome is Outcome.OUTPUT_TOO_LARGE
    assert len(result.stdout) == 5000
    exact = run("import sys; sys.stdout.write('x' * 5000)", max_output_bytes=5000)
    assert exact.outcome is Outcome.OK
    one_more = run("import sys; sys.stdout.write('x' * 5001)", max_output_bytes=5000)
    assert one_more.outcome is Outcome.OUTPUT_TOO_LARGE
    noisy = run("import sys\nfor n in range(99999): print(n, file=sys.stderr)", stderr_tail_bytes=6)
    assert noisy.stderr_tail == "99998\n"


def test_nothing_of_the_environment_is_handed_down(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/x")
    result = run("import json, os; print(json.dumps(dict(os.environ)))")
    assert "hunter2" not in result.stdout.decode()
    assert set(told(result)) <= {
        "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8", "LANG", "LC_CTYPE", "TZ",
        "HOME", "TMPDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    }  # fmt: skip


def test_no_open_file_is_handed_down(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    with (tmp_path / "secret").open() as file:
        os.set_inheritable(file.fileno(), True)
        descriptors = told(
            run(
                """
                import json
                def opened(n):
                    try: os.fstat(n)
                    except OSError: return False
                    return True
                print(json.dumps([n for n in range(64) if opened(n)]))
                """
            )
        )
    assert descriptors == [0, 1, 2]


def test_no_process_can_be_started_but_threads_can(run: Run) -> None:
    seen = told(
        run(
            """
            import json, subprocess, threading
            seen = {
                "fork": attempt(os.fork),
                "spawn": attempt(os.posix_spawn, "/bin/true", ["true"], {}),
                "run": attempt(subprocess.run, ["/bin/true"]),
                "exec": attempt(os.execv, "/bin/true", ["true"]),
            }
            thread = threading.Thread(target=lambda: seen.update(thread="ran"))
            thread.start(); thread.join()
            print(json.dumps(seen))
            """
        )
    )
    assert seen.pop("thread") == "ran"
    assert set(seen.values()) == {"PermissionError"}


def test_a_fork_bomb_does_not_get_off_the_ground(run: Run) -> None:
    before = len(os.listdir("/proc"))
    result = run("while True:\n  try: os.fork()\n  except OSError: pass", max_cpu_seconds=1)
    assert result.outcome is Outcome.TIMEOUT
    assert len(os.listdir("/proc")) < before + 200


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A service on this machine, by port and by path."""
    with (
        socket.create_server(("127.0.0.1", 0)) as by_port,
        socket.socket(socket.AF_UNIX) as by_path,
    ):
        by_path.bind(str(tmp_path / "socket"))
        by_path.listen()
        yield {"port": by_port.getsockname()[1], "path": str(tmp_path / "socket")}


def test_no_socket_is_to_be_had_not_even_on_this_machine(
    run: Run, listening: dict[str, Any]
) -> None:
    result = run(
        """
        import json, socket, sys
        def connect(family, address):
            with socket.socket(family) as client:
                client.connect(address)
                return "connected"
        given = json.loads(sys.argv[1])
        print(json.dumps([
            attempt(connect, socket.AF_INET, ("127.0.0.1", given["port"])),
            attempt(connect, socket.AF_UNIX, given["path"]),
        ]))
        """,
        json.dumps(listening),
    )
    assert told(result) == ["PermissionError", "PermissionError"]
    assert result.isolation["network"] == "none"


def test_the_parent_cannot_be_signalled_limited_or_read(run: Run) -> None:
    seen = told(
        run(
            """
            import json, resource, signal
            parent = os.getppid()
            print(json.dumps([
                attempt(os.kill, parent, signal.SIGKILL),
                attempt(os.kill, parent, 0),
                attempt(os.kill, -1, signal.SIGKILL),
                attempt(os.kill, 0, signal.SIGKILL),
                attempt(os.killpg, os.getpgid(parent), signal.SIGKILL),
                attempt(resource.prlimit, parent, resource.RLIMIT_CPU, (1, 1)),
                attempt(os.setpriority, os.PRIO_PROCESS, parent, 19),
                attempt(lambda: open(f"/proc/{parent}/environ").read()),
            ]))
            """
        )
    )
    assert seen == ["PermissionError"] * 8


def test_only_listed_files_are_read_and_only_the_folder_is_written(
    run: Run, tmp_path: Path
) -> None:
    listed, secret = tmp_path / "listed", tmp_path / "secret"
    listed.write_text("for the child")
    secret.write_text("hunter2")
    (tmp_path / "link").symlink_to(secret)
    result = run(
        """
        import json, sys
        listed, secret, link = sys.argv[1:]
        read = lambda path: open(path).read()
        write = lambda path: open(path, "w").write("mine")
        print(json.dumps({
            "listed": attempt(read, listed),
            "secret": attempt(read, secret),
            "link": attempt(read, link),
            "hard link": attempt(os.link, secret, "mine"),
            "home": attempt(os.listdir, "/root"),
            "passwords": attempt(read, "/etc/passwd"),
            "write listed": attempt(write, listed),
            "write elsewhere": attempt(write, "/tmp/of-a-child"),
            "write": attempt(write, "own"),
            "read own": attempt(read, "own"),
        }))
        """,
        str(listed),
        str(secret),
        str(tmp_path / "link"),
        files_readable=[listed],
    )
    seen = told(result)
    assert (seen.pop("listed"), seen.pop("write"), seen.pop("read own")) == (
        "for the child",
        4,
        "mine",
    )
    assert set(seen.values()) <= {"PermissionError", "OSError"}, seen
    assert result.isolation["files"] == "listed"
    assert listed.read_text() == "for the child"


def test_the_folder_is_removed_unless_it_was_given(run: Run, tmp_path: Path) -> None:
    code = "import os; open('made', 'w').write('x'); print(os.getcwd(), end='')"
    assert not Path(run(code).stdout.decode()).exists()
    given = tmp_path / "given"
    given.mkdir()
    assert Path(run(code, folder=given).stdout.decode()) == given
    assert (given / "made").read_text() == "x"


def test_files_are_limited_in_size_and_number(run: Run) -> None:
    seen = told(
        run(
            """
            import json
            big = attempt(lambda: open("big", "wb").write(b"x" * (3 << 20)))
            keep = []
            many = attempt(lambda: [keep.append(open("one", "w")) for _ in range(100)])
            print(json.dumps([big, many, len(keep) < 32, os.path.getsize("big") <= 1 << 20]))
            """,
            max_file_mib=1,
            max_open_files=32,
        )
    )
    assert seen == ["OSError", "OSError", True, True]


def test_privileges_are_gone_and_no_core_is_left(run: Run) -> None:
    seen = told(
        run(
            """
            import json, resource
            status = dict(line.split(":", 1) for line in open("/proc/self/status"))
            print(json.dumps({
                "capabilities": int(status["CapEff"], 16) | int(status["CapPrm"], 16),
                "no new": int(status["NoNewPrivs"]),
                "core": resource.getrlimit(resource.RLIMIT_CORE),
            }))
            """
        )
    )
    assert (seen["capabilities"], seen["no new"], seen["core"]) == (0, 1, [0, 0])


def test_limits_cannot_be_raised_again(run: Run) -> None:
    result = run("import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))")
    assert "not allowed to raise" in result.stderr_tail


def test_threads_run_children_at_the_same_time(run: Run) -> None:
    run("import sys; print(sys.argv[1])", "0")  # the module is written once
    results: dict[int, ChildResult] = {}

    def one(number: int) -> None:
        results[number] = run("import sys; print(sys.argv[1])", str(number))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: int(result.stdout) for number, result in results.items()} == {
        number: number for number in range(6)
    }


def test_no_descriptor_and_no_process_is_left_behind(run: Run) -> None:
    run("pass")
    before = sorted(os.listdir("/proc/self/fd")), children()
    for code in ("pass", "import os; os.abort()", "while True: print('x' * 999)"):
        run(code)
    assert (sorted(os.listdir("/proc/self/fd")), children()) == before


def children() -> set[str]:
    """Processes of this one, also those that have ended and were not waited for."""
    tasks = Path("/proc/self/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text().split()}


@pytest.mark.parametrize(
    ("limit", "value"),
    [("max_seconds", 0), ("max_cpu_seconds", -1), ("max_memory_mib", 0), ("max_output_bytes", 0),
     ("max_open_files", 0), ("max_file_mib", 0), ("max_seconds", float("nan"))],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused(run: Run, limit: str, value: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        run("pass", **{limit: value})
    assert refused.value.field == limit


def test_a_nul_in_an_argument_is_refused(run: Run) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        run("pass", "a\0b")
