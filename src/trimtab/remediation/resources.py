"""What the machine has free for one more piece of work. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

from trimtab.remediation.guards import Machine

_MIB = 1 << 20


def measure(
    meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")
) -> Machine:
    """Cores that this process may use, and memory that is free here and in its group.

    What cannot be read is None, and so never enough.
    """
    return Machine(cores=len(os.sched_getaffinity(0)) or None, memory_mib=_memory(meminfo, cgroup))


def _memory(meminfo: Path, cgroup: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
        kibibytes = next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
    free = kibibytes * 1024
    try:
        most = (cgroup / "memory.max").read_text().strip()
        if most != "max":
            free = min(free, int(most) - int((cgroup / "memory.current").read_text()))
    except FileNotFoundError:
        pass  # the root of the groups has no limit
    except (OSError, ValueError):
        return None
    return max(0, free // _MIB)
