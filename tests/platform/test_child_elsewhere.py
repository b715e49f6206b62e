"""Limited children of another process: on older kernels, short of room, and when it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from trimtab.platform.child import NOTHING_KNOWN, ChildResult, Outcome

# A process whose kernel, as far as it and its children can tell, knows no such calls.
OLD_KERNEL = """
import errno, json, platform, struct, sys
from pathlib import Path
from trimtab.platform.child import run_limited
from trimtab.platform.child_filter import install

X86 = platform.machine() == "x86_64"
UNSHARE, PRCTL = (272, 157) if X86 else (97, 167)

def step(code, value, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, value)

def without(*, landlock=False, namespaces=False, seccomp=False):
    refuse = step(0x06, 0x00050000 | errno.ENOSYS)
    program = [step(0x20, 0)]
    if landlock:
        program += [step(0x15, 444, 0, 1), refuse]
    if namespaces:
        program += [step(0x15, UNSHARE, 0, 1), refuse]
    if seccomp:
        program += [step(0x15, PRCTL, 0, 3), step(0x20, 16), step(0x15, 22, 0, 1), refuse]
    assert install([*program, step(0x06, 0x7FFF0000)])

def run(modules, **limits):
    return run_limited("probe", max_cpu_seconds=5, max_memory_mib=512, max_output_bytes=9999,
                       search_path=[Path(modules)], **limits)
"""


def in_interpreter(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    script = OLD_KERNEL + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, timeout=60
    )


def gone(pid: int) -> bool:
    """Whether no such process runs, within a while; a zombie does not run."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_what_the_kernel_does_not_isolate_is_reported_as_shared(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text("print('ran')")
    ran = in_interpreter(
        """
        without(landlock=True, namespaces=True, seccomp=True)
        result = run(sys.argv[1], max_seconds=30)
        print(json.dumps([result.outcome, dict(result.isolation), result.isolated]))
        """,
        str(tmp_path),
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == ["ok", dict(NOTHING_KNOWN), False]


@pytest.mark.parametrize(
    ("missing", "shared"),
    [("landlock", {"files"}), ("namespaces", {"user"})],
)
def test_one_missing_part_does_not_take_the_others_away(
    tmp_path: Path, missing: str, shared: set[str]
) -> None:
    (tmp_path / "probe.py").write_text("print('ran')")
    ran = in_interpreter(
        f"""
        without({missing}=True)
        result = run(sys.argv[1], max_seconds=30)
        print(json.dumps(dict(result.isolation)))
        """,
        str(tmp_path),
    )
    assert ran.returncode == 0, ran.stderr
    isolation = json.loads(ran.stdout)
    assert {key for key, value in isolation.items() if value == "shared"} >= shared
    assert isolation["processes"] == isolation["network"] == "none"


@pytest.mark.parametrize("ends", ["by itself", "by the clock"])
def test_where_processes_can_be_started_the_whole_group_ends_with_the_child(
    tmp_path: Path, ends: str
) -> None:
    (tmp_path / "probe.py").write_text(
        "import os, time\n"
        "pid = os.fork()\n"
        "if pid == 0: time.sleep(600)\n"
        "print(pid, flush=True)\n" + ("" if ends == "by itself" else "time.sleep(600)\n")
    )
    ran = in_interpreter(
        """
        without(seccomp=True)
        result = run(sys.argv[1], max_seconds=2)
        print(json.dumps([result.outcome, int(result.stdout), result.isolation["processes"]]))
        """,
        str(tmp_path),
    )
    assert ran.returncode == 0, ran.stderr
    outcome, grandchild, processes = json.loads(ran.stdout)
    assert outcome == ("ok" if ends == "by itself" else "timeout")
    assert processes == "shared"
    assert gone(grandchild)


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(
        "import os, time; open('pid.part', 'w').write(str(os.getpid()))\n"
        "os.rename('pid.part', 'pid'); time.sleep(600)"
    )
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            OLD_KERNEL + "run(sys.argv[1], max_seconds=600, folder=Path(sys.argv[1]))",
            str(tmp_path),
        ]
    ) as parent:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.kill()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_machine_without_room_for_a_process_says_unavailable(tmp_path: Path) -> None:
    ran = in_interpreter(
        """
        import os, resource
        from trimtab.kernel.errors import Unavailable
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]),) * 2)
        try:
            run(sys.argv[1], max_seconds=30, folder=Path(sys.argv[1]))
        except Unavailable as error:
            print(error.remedy)
        """,
        str(tmp_path),
        "6",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Free memory")


def test_a_child_that_never_reported_counts_as_not_isolated() -> None:
    assert not ChildResult(Outcome.OK, 0, b"", "", 0.1, NOTHING_KNOWN).isolated
    assert not ChildResult(Outcome.OK, 0, b"", "", 0.1, {}).isolated
