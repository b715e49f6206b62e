"""Run a Python module on untrusted bytes, in a child process with limits and no network.

The child gets a clean environment, a folder of its own, no descriptor but its outputs,
limits for time, memory, files and output, and (where the kernel allows) namespaces, a
list of readable files and a filter of system calls. What could not be isolated is
reported, so that a policy can decide. Linux only.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import trimtab
from trimtab.kernel.errors import InvalidInput, Unavailable
from trimtab.platform.child_launcher import MEMORY_EXIT

_READ = 1 << 16
_REPORT_BYTES = 4096

_ended: Counter[tuple[str, str]] = Counter()
_counting = threading.Lock()


class Outcome(StrEnum):
    """How a child ended. Everything but `ok` is a failure of what it was asked to do."""

    OK = "ok"
    """It ended by itself with status 0, within every limit."""
    TIMEOUT = "timeout"
    """It used up its seconds, of the wall clock or of the processor."""
    KILLED = "killed"
    """Somebody else killed it; often the kernel, short of memory."""
    MEMORY = "memory"
    """It was refused memory."""
    CRASHED = "crashed"
    """It ended with another status, or by a signal of its own making."""
    OUTPUT_TOO_LARGE = "output_too_large"
    """It wrote more to its standard output than is accepted."""


@dataclass(frozen=True)
class ChildResult:
    """What is known of a child that has ended.

    `returncode` is the exit status, or minus the signal. `stdout` holds at most the bytes
    that were accepted, `stderr_tail` the end of what it complained, `seconds` the time it
    took by the wall clock. `isolation` says what it was kept from:

        network    none | this machine | shared    reach services by a socket
        processes  none | shared       start or signal another process
        files      listed | shared     open files other than those it was given
        user       separate | shared   look into other processes of the same user
    """

    outcome: Outcome
    returncode: int
    stdout: bytes
    stderr_tail: str
    seconds: float
    isolation: Mapping[str, str]
    began: bool = True
    """Whether it came so far as to run any of the module."""

    @property
    def unanswered(self) -> bool:
        """Whether what it was asked stays open through no doing of the module: it did not
        come to run it, or somebody else killed it."""
        return not self.began or self.outcome is Outcome.KILLED

    @property
    def isolated(self) -> bool:
        """Whether the child shared nothing that could be kept from it."""
        return bool(self.isolation) and "shared" not in self.isolation.values()


NOTHING_KNOWN: Mapping[str, str] = dict.fromkeys(
    ("network", "processes", "files", "user"), "shared"
)
"""Of a child that ended before it could report: it counts as not isolated."""


def run_limited(
    module: str,
    args: Sequence[str] = (),
    *,
    max_seconds: float,
    max_cpu_seconds: int,
    max_memory_mib: int,
    max_output_bytes: int,
    max_open_files: int = 64,
    max_file_mib: int = 64,
    stderr_tail_bytes: int = 4096,
    files_readable: Sequence[Path] = (),
    folder: Path | None = None,
    search_path: Sequence[Path] = (),
) -> ChildResult:
    """Run `python -m module args...` confined, wait for its end, leave nothing behind.

    May be called from several threads at once. Other users of the machine can read the
    arguments while it runs: pass no secret in them.

    Args:
        module: Its dotted name, importable here or from `search_path`.
        max_seconds: By the wall clock; then the whole process group is killed.
        max_cpu_seconds: Of the processor, all threads together.
        max_memory_mib: Address space, shared libraries included (numpy maps about 300).
        max_output_bytes: Of standard output; of standard error only the tail is kept.
        max_file_mib: Largest file that it may write, into its folder only.
        files_readable: Files and folders that it may read besides Python's own.
        folder: Its working folder, the only one it may write to; by default an empty
            one that is removed at the end.
        search_path: Folders to import from, before the installed packages.

    Raises:
        InvalidInput: a limit that is not positive, or an argument with a NUL in it.
        Unavailable: the machine cannot start another process now.
    """
    wanted: dict[str, Any] = {
        "max_cpu_seconds": max_cpu_seconds,
        "max_memory_mib": max_memory_mib,
        "max_open_files": max_open_files,
        "max_file_mib": max_file_mib,
    }
    _check({**wanted, "max_seconds": max_seconds, "max_output_bytes": max_output_bytes}, args)
    wanted |= {"files_readable": [str(path.resolve()) for path in files_readable]}
    seen = _Seen(max_output_bytes, stderr_tail_bytes)
    with (
        _unavailable_without_room(),
        _folder(folder) as place,
        _started(module, args, wanted, place, search_path) as child,
    ):
        stopped = _watch(child, seen, max_seconds)
    result = _result(child, seen, stopped)
    with _counting:
        _ended[module, result.outcome.value] += 1
    return result


def ended() -> dict[tuple[str, str], int]:
    """How many children of this process have ended, by their module and their outcome."""
    with _counting:
        return dict(_ended)


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    report: int
    since: float


@dataclass
class _Seen:
    """What was read so far, each part within its bound."""

    max_stdout: int
    max_stderr: int
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    report: bytearray = field(default_factory=bytearray)
    too_large: bool = False

    def add(self, name: str, chunk: bytes) -> None:
        match name:
            case "stdout":
                self.too_large |= len(self.stdout) + len(chunk) > self.max_stdout
                self.stdout += chunk[: self.max_stdout - len(self.stdout)]
            case "stderr":
                self.stderr += chunk
                del self.stderr[: max(0, len(self.stderr) - self.max_stderr)]
            case _:
                self.report += chunk[: _REPORT_BYTES - len(self.report)]


def _result(child: _Child, seen: _Seen, stopped: Outcome | None) -> ChildResult:
    returncode = child.process.returncode
    return ChildResult(
        outcome=stopped or _outcome(returncode, bytes(seen.stderr)),
        returncode=returncode,
        stdout=bytes(seen.stdout),
        stderr_tail=bytes(seen.stderr).decode(errors="replace"),
        seconds=time.monotonic() - child.since,
        isolation=_isolation(bytes(seen.report)),
        began=bool(seen.report),
    )


@contextlib.contextmanager
def _unavailable_without_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"no child process can be run: {error.strerror}",
            remedy="Free memory, processes, files or disk on this machine, then try again.",
        ) from error


def _check(limits: Mapping[str, float], args: Sequence[str]) -> None:
    for name, value in limits.items():
        if not value > 0:
            raise InvalidInput(f"{name} must be more than 0, not {value}", field=name)
    if any("\0" in argument for argument in args):
        raise InvalidInput("an argument of a process cannot hold a NUL", field="args")


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="trimtab-child-", ignore_cleanup_errors=True) as made:
        yield Path(made).resolve()


@contextlib.contextmanager
def _started(
    module: str,
    args: Sequence[str],
    wanted: dict[str, Any],
    folder: Path,
    search_path: Sequence[Path],
) -> Iterator[_Child]:
    """A started child in a process group of its own, of which nothing is left at the end."""
    reading, writing = os.pipe()
    order = wanted | {"folder": str(folder), "parent": os.getpid(), "report_fd": writing}
    launcher = [sys.executable, "-P", "-s", "-m", "trimtab.platform.child_launcher"]
    since = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reading)
        try:
            process = subprocess.Popen(
                [*launcher, json.dumps(order), module, *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=folder,
                env=_environment(folder, search_path),
                pass_fds=[writing],
                start_new_session=True,
            )
        finally:
            os.close(writing)
        stack.callback(_end, process)
        yield _Child(process, reading, since)


def _environment(folder: Path, search_path: Sequence[Path]) -> dict[str, str]:
    """Nothing of ours: a secret that is not there cannot leak."""
    package = Path(trimtab.__file__).resolve().parents[1]
    paths = [str(path.resolve()) for path in search_path] + [str(package)]
    one_thread = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        **dict.fromkeys(one_thread, "1"),
    }


def _watch(child: _Child, seen: _Seen, max_seconds: float) -> Outcome | None:
    """Read until the child ends; return why it had to be stopped, if it had to be."""
    process = child.process
    assert process.stdout is not None
    assert process.stderr is not None
    pipes = {
        process.stdout.fileno(): "stdout",
        process.stderr.fileno(): "stderr",
        child.report: "report",
    }
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            for pipe in pipes:
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ)
            stopped = _read_until(selector, ended, pipes, seen, child.since + max_seconds)
    finally:
        os.close(ended)
    if stopped is None:
        _drain(pipes, seen)
    return Outcome.OUTPUT_TOO_LARGE if seen.too_large else stopped


def _read_until(
    selector: selectors.BaseSelector,
    ended: int,
    pipes: Mapping[int, str],
    seen: _Seen,
    deadline: float,
) -> Outcome | None:
    while not seen.too_large:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return Outcome.TIMEOUT
        ready = {key.fd for key, _ in selector.select(remaining)}
        for pipe in ready & pipes.keys():
            if chunk := os.read(pipe, _READ):
                seen.add(pipes[pipe], chunk)
            else:
                selector.unregister(pipe)
        if ended in ready:
            return None
    return None


def _drain(pipes: Mapping[int, str], seen: _Seen) -> None:
    """Read what a child that has ended left in its pipes, and wait for no more."""
    for pipe, name in pipes.items():
        with contextlib.suppress(BlockingIOError):
            while not seen.too_large and (chunk := os.read(pipe, _READ)):
                seen.add(name, chunk)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the group, then reap its leader: until then its number names no other group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _outcome(returncode: int, stderr: bytes) -> Outcome:
    if returncode == 0:
        return Outcome.OK
    if returncode == -signal.SIGXCPU:
        return Outcome.TIMEOUT
    if returncode == -signal.SIGKILL:
        return Outcome.KILLED
    if returncode == MEMORY_EXIT or b"bad_alloc" in stderr or b"MemoryError" in stderr:
        return Outcome.MEMORY
    return Outcome.CRASHED


def _isolation(report: bytes) -> Mapping[str, str]:
    """What the launcher reported, before it ran anything of the module."""
    try:
        told = json.loads(report)
    except ValueError:
        return NOTHING_KNOWN
    return {key: str(told.get(key, "shared")) for key in NOTHING_KNOWN}
