"""Has a folder of untrusted files inspected in children, so that each costs only itself.

The runner is passed in: whatever starts `python -m module arguments` with limits.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from trimtab.artifacts.digest import parse_digest
from trimtab.artifacts.findings import Budget, Finding, Result, Severity
from trimtab.artifacts.formats import Format
from trimtab.artifacts.pickle_rules import rules
from trimtab.artifacts.survey import MANIFEST, Surveyed
from trimtab.kernel.errors import InvalidInput, TrimtabError, Unavailable

_MODULE = "trimtab.artifacts.survey"


def scanner() -> str:
    """Which rules and which scanner files are inspected by. Where this is another than it was,
    files that were inspected are worth another look."""
    return f"globals {rules().version}, picklescan {version('picklescan')}"


class Ended(Protocol):
    """How a child ended; `outcome` is `ok` where it came to its end within its limits."""

    @property
    def outcome(self) -> str: ...
    @property
    def returncode(self) -> int: ...
    @property
    def stdout(self) -> bytes: ...
    @property
    def seconds(self) -> float: ...
    @property
    def isolation(self) -> Mapping[str, str]: ...
    @property
    def began(self) -> bool: ...


class Runner(Protocol):
    """Runs a module confined, and waits for its end."""

    def __call__(
        self,
        module: str,
        args: Sequence[str] = (),
        *,
        max_seconds: float,
        max_cpu_seconds: int,
        max_memory_mib: int,
        max_output_bytes: int,
        files_readable: Sequence[Path] = (),
    ) -> Ended: ...


@dataclass(frozen=True)
class SurveyLimits:
    """How much a folder may ask. `budget` holds for each file by itself.

    Files beyond a limit are reported as unreadable; none is left out. A child holds a file
    whole, what it unpacks to, and what its parsers make of it: its memory has to be some
    times the largest file.
    """

    max_files: int = 1000
    max_seconds: float = 300.0
    max_seconds_per_file: float = 30.0
    max_restarts: int = 8
    max_memory_mib: int = 3072
    max_output_bytes: int = 16 << 20
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class Survey:
    """The reports, in the order of the paths; what the children were kept from, at worst; how
    many were started again."""

    files: tuple[Surveyed, ...]
    isolation: Mapping[str, str]
    restarts: int


def survey(folder: Path, paths: Sequence[str], limits: SurveyLimits, *, run: Runner) -> Survey:
    """Inspect the files `0`, `1`, ... of `folder`, which registries call by `paths`.

    A file that its child dies of, or is too slow with, is unreadable, with the reason; the
    next child begins behind it. A child that somebody else killed tries the same file once
    more. Writes `manifest.json` into the folder.

    Raises:
        InvalidInput: a limit that is not positive.
        Unavailable: no child could be started, and nothing is known of any file.
    """
    _check(limits)
    counted = list(paths[: limits.max_files])
    _write_manifest(folder, counted, limits)
    tried = _Tried(limits)
    while len(tried.files) < len(counted):
        reason = tried.spent()
        if reason is not None:
            tried.files += [_unreadable(reason)] * (len(counted) - len(tried.files))
            break
        tried.take(_run(folder, len(tried.files), limits, tried.seconds, run), len(counted))
    beyond = _unreadable(f"not inspected: more than {limits.max_files} files")
    tried.files += [beyond] * (len(paths) - len(counted))
    return Survey(tuple(tried.files), tried.isolation, max(tried.starts - 1, 0))


class _Tried:
    """What the children so far have said, and have cost."""

    def __init__(self, limits: SurveyLimits) -> None:
        self._limits = limits
        self._killed_at = -1
        self.files: list[Surveyed] = []
        self.isolation: dict[str, str] = {}
        self.seconds = 0.0
        self.starts = 0

    def spent(self) -> str | None:
        """Why no further child is started, if none is."""
        if self.starts > self._limits.max_restarts:
            return f"not inspected: more than {self._limits.max_restarts} files ended the inspector"
        if self.seconds >= self._limits.max_seconds:
            return f"not inspected: {self._limits.max_seconds:g} s were used up before"
        return None

    def take(self, ended: Ended, count: int) -> None:
        """Add what one child has said, and who is at fault that it said no more."""
        self.starts += 1
        self.seconds += ended.seconds
        if not ended.began:
            raise Unavailable(
                f"the files were not inspected: the child ended with {ended.outcome}",
                remedy="Free memory and processes on this machine, then try again.",
            )
        for name, kept in ended.isolation.items():
            if self.isolation.get(name) != "shared":
                self.isolation[name] = kept
        lines = ended.stdout.split(b"\n")[:-1]
        for line in lines[: count - len(self.files)]:
            found = _read(line, len(self.files))
            if found is None:
                self.files.append(_unreadable("the inspector gave no answer that makes sense"))
                return
            self.files.append(found)
        at = len(self.files)
        if at == count:
            return
        if ended.outcome == "killed" and self._killed_at != at:
            self._killed_at = at
            return
        self.files.append(_unreadable(self._reason(ended)))

    def _reason(self, ended: Ended) -> str:
        if ended.returncode == -signal.SIGALRM:
            return f"took more than {self._limits.max_seconds_per_file:g} s"
        return f"the inspector ended with {ended.outcome}"


def _check(limits: SurveyLimits) -> None:
    for name, value in vars(limits).items():
        if isinstance(value, int | float) and not value > 0 and name != "max_restarts":
            raise InvalidInput(f"{name} must be more than 0, not {value}", field=name)


def _write_manifest(folder: Path, paths: Sequence[str], limits: SurveyLimits) -> None:
    numbers = {k: v for k, v in asdict(limits.budget).items() if isinstance(v, int)}
    manifest = {
        "paths": list(paths),
        "budget": numbers,
        "max_seconds_per_file": limits.max_seconds_per_file,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")


def _run(folder: Path, first: int, limits: SurveyLimits, used: float, run: Runner) -> Ended:
    seconds = limits.max_seconds - used
    return run(
        _MODULE,
        [str(folder.resolve()), "--from", str(first)],
        max_seconds=seconds,
        max_cpu_seconds=math.ceil(seconds),
        max_memory_mib=limits.max_memory_mib,
        max_output_bytes=limits.max_output_bytes,
        files_readable=[folder],
    )


def _read(line: bytes, number: int) -> Surveyed | None:
    """The report in one line, None where it is none: a child may say anything."""
    try:
        told = json.loads(line)
        if told["file"] != number:
            return None
        return Surveyed(
            result=Result(told["result"]),
            findings=tuple(_finding(entry) for entry in told["findings"]),
            format=Format(told["format"]),
            size=int(told["size"]),
            digest=None if told["digest"] is None else parse_digest(told["digest"]),
            evidence=_mapping(told["evidence"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, TrimtabError):
        return None


def _finding(entry: Any) -> Finding:
    texts = [str(entry[name]) for name in ("rule", "where", "detail")]
    return Finding(texts[0], Severity(entry["severity"]), texts[1], texts[2])


def _mapping(value: Any) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise TypeError
    return value


def _unreadable(reason: str) -> Surveyed:
    finding = Finding("not_inspected", Severity.UNREADABLE, "file", reason)
    return Surveyed(Result.UNREADABLE, (finding,), Format.UNKNOWN, 0, None)
