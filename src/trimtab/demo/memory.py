"""How much memory the processes of a demo take together at most, sampled."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

SAMPLE_SECONDS = 0.5
_PROC = Path("/proc")


class PeakMemory:
    """Resident memory of this process and of all that descend from it, in bytes.

    Pages that processes share are counted for each, so it is an upper bound. Where the
    system does not tell (no /proc), the peak stays None.
    """

    def __init__(self) -> None:
        self.peak_bytes: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.sample()

    def sample(self) -> None:
        """Look once."""
        if not _PROC.is_dir():
            return
        total = sum(map(_resident_bytes, descendants(os.getpid())))
        self.peak_bytes = max(self.peak_bytes or 0, total)


def descendants(root: int) -> Iterable[int]:
    """`root` and every living process that descends from it."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            children[_parent(int(folder.name))].append(int(folder.name))
    found = [root]
    for process in found:
        found.extend(children.get(process, ()))
    return found


def _parent(process: int) -> int:
    """0 for one that has ended meanwhile."""
    try:
        # The name, in brackets, may hold anything; what follows it does not.
        after_name = (_PROC / str(process) / "stat").read_text().rpartition(")")[2]
    except OSError:
        return 0
    return int(after_name.split()[1])


def _resident_bytes(process: int) -> int:
    try:
        pages = int((_PROC / str(process) / "statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
